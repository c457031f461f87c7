package kex

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"
)

const (
	mlkemKey  = 1184 // octets, from the draft and not from crypto/mlkem
	mlkemText = 1088
	x25519Key = 32
)

func newMLKEM(t testing.TB) Method {
	row, ok := Find("mlkem768x25519-sha256")
	if !ok {
		t.Fatal("no such row")
	}
	m, err := row.New()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Our server against a client made here from the draft's text: sizes, order of
// the parts, and K = SHA-256(K_PQ || K_CL).
func TestMLKEMHybridServer(t *testing.T) {
	dk, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hello := append(dk.EncapsulationKey().Bytes(), x.PublicKey().Bytes()...)
	if len(hello) != mlkemKey+x25519Key {
		t.Fatalf("C_INIT of %d octets", len(hello))
	}
	answer, got, err := newMLKEM(t).Reply(hello)
	if err != nil || len(answer) != mlkemText+x25519Key {
		t.Fatalf("S_REPLY of %d octets, %v", len(answer), err)
	}
	quantum, err := dk.Decapsulate(answer[:mlkemText])
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ecdh.X25519().NewPublicKey(answer[mlkemText:])
	if err != nil {
		t.Fatal(err)
	}
	classical, err := x.ECDH(pub)
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(append(quantum, classical...)); !bytes.Equal(got, want[:]) {
		t.Errorf("K = %x, want %x", got, want)
	}
}

// Our client against a server made here from the draft's text.
func TestMLKEMHybridClient(t *testing.T) {
	client := newMLKEM(t)
	hello, err := client.Init()
	if err != nil || len(hello) != mlkemKey+x25519Key {
		t.Fatalf("C_INIT of %d octets, %v", len(hello), err)
	}
	ek, err := mlkem.NewEncapsulationKey768(hello[:mlkemKey])
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ecdh.X25519().NewPublicKey(hello[mlkemKey:])
	if err != nil {
		t.Fatal(err)
	}
	y, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	quantum, text := ek.Encapsulate()
	classical, err := y.ECDH(pub)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Finish(append(text, y.PublicKey().Bytes()...))
	if want := sha256.Sum256(append(quantum, classical...)); err != nil || !bytes.Equal(got, want[:]) {
		t.Errorf("K = %x, %v; want %x", got, err, want)
	}
}

// FIPS 203 §7.2: a key with a coefficient that is not reduced is refused, though
// its length is right.
func TestCVE_3_3_MLKEMInvalidKey(t *testing.T) {
	hello, err := newMLKEM(t).Init()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 3, 600, 1149} { // coefficients take 12 bits, two in three octets
		bad := bytes.Clone(hello)
		bad[at], bad[at+1] = 0xff, bad[at+1]|0x0f // 4095 is above the modulus 3329
		var pe *PeerError
		if mine, secret, err := newMLKEM(t).Reply(bad); !errors.As(err, &pe) || mine != nil || secret != nil {
			t.Errorf("coefficient at %d not reduced: %v; want a PeerError", at, err)
		}
	}
}

// A changed text is not found out here, by ML-KEM's design: it opens to another
// secret, and the host key's signature fails. What matters is that it differs.
func TestMLKEMImplicitRejection(t *testing.T) {
	client := newMLKEM(t)
	hello, _ := client.Init()
	answer, secret, err := newMLKEM(t).Reply(hello)
	if err != nil {
		t.Fatal(err)
	}
	answer[0] ^= 1
	got, err := client.Finish(answer)
	if err != nil || bytes.Equal(got, secret) {
		t.Errorf("changed text: %v, same secret: %v", err, bytes.Equal(got, secret))
	}
}
