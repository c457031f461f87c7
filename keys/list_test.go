package keys

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// listed is the line of a key that is always the same for n.
func listed(tb testing.TB, n byte) (gossh.PublicKey, string) {
	tb.Helper()
	seed := bytes.Repeat([]byte{n}, ed25519.SeedSize)
	key, err := gossh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		tb.Fatal(err)
	}
	return key, string(gossh.MarshalAuthorizedKey(key))
}

// TestParseList: every key of a list is read, and what is no key is told by its line.
func TestParseList(t *testing.T) {
	one, first := listed(t, 1)
	two, second := listed(t, 2)
	got, err := ParseList([]byte("\uFEFF# authorities\r\n\r\n" + strings.TrimSpace(first) + " a comment\r\n  " + second + "#end"))
	if err != nil || len(got) != 2 || !bytes.Equal(got[0].Marshal(), one.Marshal()) || !bytes.Equal(got[1].Marshal(), two.Marshal()) {
		t.Fatalf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                                    "no key",
		"# nothing\n":                         "no key",
		first + "x\n":                         "line 2",
		first + "\nssh-ed25519 AAAA\n":        "line 3",
		"cert-authority " + first:             "line 1: has options",
		`from="10.0.0.1" ` + first:            "line 1: has options",
		"SSHKRL\n\x00\x00\x00\x00\x01":        "KRL",
		strings.Repeat(first, maxListed+1):    "more than",
		"-----BEGIN OPENSSH PRIVATE KEY-----": "line 1",
	} {
		if got, err := ParseList([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %d keys, %v, want %q", text, len(got), err, want)
		}
	}
}

// TestIdentity: a bare key is known by its wire form, a certificate by what was signed, whatever the signature.
func TestIdentity(t *testing.T) {
	key, _ := listed(t, 1)
	if Identity(key) != string(key.Marshal()) {
		t.Error("a bare key")
	}
	cert := func(serial uint64, sig string) *gossh.Certificate {
		return &gossh.Certificate{Key: key, SignatureKey: key, Serial: serial, Signature: &gossh.Signature{Format: key.Type(), Blob: []byte(sig)}}
	}
	one := cert(1, "a")
	if Identity(one) != Identity(cert(1, "b")) {
		t.Error("another signature makes another certificate")
	}
	if Identity(one) == Identity(cert(2, "a")) || Identity(one) == Identity(key) {
		t.Error("different keys are taken for one")
	}
	if one.Signature == nil {
		t.Error("the certificate was changed")
	}
}

// FuzzParseList: a list that is read is the same once it is written anew.
func FuzzParseList(f *testing.F) {
	_, first := listed(f, 1)
	_, second := listed(f, 2)
	f.Add([]byte(first + second))
	f.Add([]byte("# x\n\n" + first))
	f.Add([]byte("cert-authority " + first))
	f.Add([]byte("SSHKRL\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseList(data)
		if err != nil {
			return
		}
		var again []byte
		for _, key := range list {
			again = append(again, gossh.MarshalAuthorizedKey(key)...)
		}
		back, err := ParseList(again)
		if err != nil || len(back) != len(list) {
			t.Fatalf("%d keys, then %d, %v", len(list), len(back), err)
		}
	})
}
