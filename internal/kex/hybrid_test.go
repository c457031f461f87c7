package kex

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"testing"
)

// A hybridCase says of a row with ML-KEM what the draft says, in numbers of
// octets and not in terms of crypto/mlkem.
type hybridCase struct {
	name             string
	key, text, share int
	curve            ecdh.Curve
	sum              func([]byte) []byte
	generate         func() (public []byte, open func([]byte) ([]byte, error))
	encapsulate      func(public []byte) (secret, text []byte)
}

func hybridCases(t testing.TB) []hybridCase {
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	generate768 := func() ([]byte, func([]byte) ([]byte, error)) {
		dk, err := mlkem.GenerateKey768()
		check(err)
		return dk.EncapsulationKey().Bytes(), dk.Decapsulate
	}
	encapsulate768 := func(public []byte) (secret, text []byte) {
		ek, err := mlkem.NewEncapsulationKey768(public)
		check(err)
		return ek.Encapsulate()
	}
	generate1024 := func() ([]byte, func([]byte) ([]byte, error)) {
		dk, err := mlkem.GenerateKey1024()
		check(err)
		return dk.EncapsulationKey().Bytes(), dk.Decapsulate
	}
	encapsulate1024 := func(public []byte) (secret, text []byte) {
		ek, err := mlkem.NewEncapsulationKey1024(public)
		check(err)
		return ek.Encapsulate()
	}
	sha256 := func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
	sha384 := func(b []byte) []byte { h := sha512.Sum384(b); return h[:] }
	return []hybridCase{
		{"mlkem768x25519-sha256", 1184, 1088, 32, ecdh.X25519(), sha256, generate768, encapsulate768},
		{"mlkem768nistp256-sha256", 1184, 1088, 65, ecdh.P256(), sha256, generate768, encapsulate768},
		{"mlkem1024nistp384-sha384", 1568, 1568, 97, ecdh.P384(), sha384, generate1024, encapsulate1024},
	}
}

func newRun(t testing.TB, name string) Method {
	t.Helper()
	row, ok := Find(name)
	if !ok {
		t.Fatal("no such row")
	}
	m, err := row.New()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newMLKEM(t testing.TB) Method { return newRun(t, "mlkem768x25519-sha256") }

// Our server against a client made here from the draft's text: sizes, order of
// the parts, and K = HASH(K_PQ || K_CL).
func TestMLKEMHybridServer(t *testing.T) {
	for _, v := range hybridCases(t) {
		public, open := v.generate()
		x, err := v.curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		hello := append(public, x.PublicKey().Bytes()...)
		if len(hello) != v.key+v.share {
			t.Fatalf("%s: C_INIT of %d octets", v.name, len(hello))
		}
		answer, got, err := newRun(t, v.name).Reply(hello)
		if err != nil || len(answer) != v.text+v.share {
			t.Fatalf("%s: S_REPLY of %d octets, %v", v.name, len(answer), err)
		}
		quantum, err := open(answer[:v.text])
		if err != nil {
			t.Fatal(err)
		}
		pub, err := v.curve.NewPublicKey(answer[v.text:])
		if err != nil {
			t.Fatal(err)
		}
		classical, err := x.ECDH(pub)
		if err != nil {
			t.Fatal(err)
		}
		if want := v.sum(append(quantum, classical...)); !bytes.Equal(got, want) {
			t.Errorf("%s: K = %x, want %x", v.name, got, want)
		}
	}
}

// Our client against a server made here from the draft's text.
func TestMLKEMHybridClient(t *testing.T) {
	for _, v := range hybridCases(t) {
		client := newRun(t, v.name)
		hello, err := client.Init()
		if err != nil || len(hello) != v.key+v.share {
			t.Fatalf("%s: C_INIT of %d octets, %v", v.name, len(hello), err)
		}
		pub, err := v.curve.NewPublicKey(hello[v.key:])
		if err != nil {
			t.Fatal(err)
		}
		y, err := v.curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		quantum, text := v.encapsulate(hello[:v.key])
		classical, err := y.ECDH(pub)
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Finish(append(text, y.PublicKey().Bytes()...))
		if want := v.sum(append(quantum, classical...)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: K = %x, %v; want %x", v.name, got, err, want)
		}
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
