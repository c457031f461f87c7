package agent

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"
)

// pageantKeys are keys of the kinds that Pageant has, and many of one, so that a list of them does not fit into what old
// versions share.
func pageantKeys(t *testing.T) (added []sshagent.AddedKey) {
	t.Helper()
	for i := range 120 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, sshagent.AddedKey{PrivateKey: key, Comment: fmt.Sprintf("ed25519 number %d", i)})
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	added = append(added, sshagent.AddedKey{PrivateKey: rsaKey, Comment: "rsa"})
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		added = append(added, sshagent.AddedKey{PrivateKey: key, Comment: curve.Params().Name})
	}
	return added
}

// usePageant does with the Pageant that runs what a client does.
func usePageant(t *testing.T, keys []sshagent.AddedKey) {
	t.Helper()
	a, conn, err := Dial(t.Context(), Pageant)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, k := range keys {
		if err := a.Add(k); err != nil {
			t.Fatalf("add %s: %v", k.Comment, err)
		}
	}
	list, err := a.List()
	if err != nil || len(list) != len(keys) {
		t.Fatalf("%d keys, want %d, %v", len(list), len(keys), err)
	}
	size := 0
	for _, k := range list {
		size += len(k.Blob) + len(k.Comment)
	}
	if size < 8192 {
		t.Errorf("a list of %d octets shows nothing", size)
	}
	for _, who := range []struct {
		name string
		a    sshagent.ExtendedAgent
	}{{"Dial", a}, {"Open", Open(Pageant)}} {
		signers, err := who.a.Signers()
		if err != nil || len(signers) != len(keys) {
			t.Fatalf("%s: %d signers, %v", who.name, len(signers), err)
		}
		data := bytes.Repeat([]byte("to be signed "), 1000)
		seen := map[string]bool{}
		for _, s := range signers {
			kind := s.PublicKey().Type()
			if seen[kind] {
				continue
			}
			seen[kind] = true
			algorithms := []string{kind}
			if kind == gossh.KeyAlgoRSA {
				algorithms = []string{gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSA}
			}
			for _, algorithm := range algorithms {
				sig, err := s.(gossh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, algorithm)
				if err != nil {
					t.Errorf("%s: %s: %v", who.name, algorithm, err)
					continue
				}
				if sig.Format != algorithm {
					t.Errorf("%s: a signature of %s, want %s", who.name, sig.Format, algorithm)
				}
				if err := s.PublicKey().Verify(data, sig); err != nil {
					t.Errorf("%s: %s: %v", who.name, algorithm, err)
				}
			}
		}
		if len(seen) != 5 {
			t.Errorf("%s: kinds %v", who.name, seen)
		}
	}
	_, stranger := newKey(t)
	if sig, err := a.Sign(stranger, []byte("x")); err == nil {
		t.Errorf("signed with what it does not have: %v", sig)
	}
	if _, err := a.SignWithFlags(stranger, make([]byte, pageantMax), 0); err == nil {
		t.Error("took a request that is longer than the memory")
	}
	b, conn2, err := Dial(t.Context(), Pageant) // the other is at its end
	if err != nil {
		t.Fatal(err)
	}
	defer conn2.Close()
	if err := b.Remove(list[0]); err != nil {
		t.Error(err)
	}
	if left, err := b.List(); err != nil || len(left) != len(keys)-1 {
		t.Errorf("%d keys after Remove, %v", len(left), err)
	}
	if err := b.RemoveAll(); err != nil {
		t.Error(err)
	}
	if left, err := b.List(); err != nil || len(left) != 0 {
		t.Errorf("%d keys after RemoveAll, %v", len(left), err)
	}
	if err := errors.Join(conn2.Close(), conn2.Close()); err != nil {
		t.Error(err)
	}
	if _, err := b.List(); err == nil {
		t.Error("listed after Close")
	}
}

// TestPageant: a window of ours that answers as PuTTY's agent does; and PuTTY's, if FAIRLEAD_PAGEANT says where it is.
func TestPageant(t *testing.T) {
	keys := pageantKeys(t)
	t.Run("double", func(t *testing.T) {
		if _, _, err := Dial(t.Context(), Pageant); !errors.Is(err, errNoPageant) {
			t.Fatalf("before it runs: %v", err)
		}
		playPageant(t, nil)
		usePageant(t, keys)
	})
	program := os.Getenv("FAIRLEAD_PAGEANT")
	if program == "" {
		t.Log("FAIRLEAD_PAGEANT names no pageant.exe: PuTTY's own was not tried")
		return
	}
	t.Run("PuTTY", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), filepath.FromSlash(program))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Wait() }()
		defer func() { _ = cmd.Process.Kill() }()
		deadline := time.After(30 * time.Second)
		for {
			if _, err := pageantWindow(); err == nil {
				break
			}
			select {
			case <-deadline:
				t.Fatal("no window")
			case <-time.After(50 * time.Millisecond): // another process: no clock of ours
			}
		}
		usePageant(t, keys)
	})
}

// TestPageantWaits: Close ends a call while Pageant asks its user, and leaves nothing behind once the user has spoken.
func TestPageantWaits(t *testing.T) {
	asked, decided := make(chan struct{}), make(chan struct{})
	playPageant(t, func() {
		close(asked)
		<-decided
	})
	a, conn, err := Dial(t.Context(), Pageant)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := a.List()
		done <- err
	}()
	<-asked
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a list after Close")
	}
	close(decided)
}

// TestPageantLimits: what asks for too much ends the stream, and so do bad answers.
func TestPageantLimits(t *testing.T) {
	p := &pageant{}
	p.cond.L = &p.mu
	if _, err := p.Write([]byte{255, 255, 255, 255}); err != nil {
		t.Error(err)
	}
	if _, err := p.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "4294967299 octets") {
		t.Errorf("a request of 4 GiB: %v", err)
	}
	if _, err := p.Write([]byte{0}); err == nil {
		t.Error("wrote behind it")
	}
	p = &pageant{asking: true} // by a user who does not answer
	p.cond.L = &p.mu
	if _, err := p.Write(make([]byte, pageantQueue)); err != nil {
		t.Error(err)
	}
	if _, err := p.Write([]byte{0}); err == nil {
		t.Error("the queue has no end")
	}
}

// TestPipeBothWays: a read that waits does not hold up a write, and Close ends it: forwarding an agent does both.
func TestPipeBothWays(t *testing.T) {
	ring, _ := keyring(t)
	path, _ := listen(t, ring, Options{})
	conn, err := DialConn(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan []byte)
	ended := make(chan error, 1)
	go func() {
		for {
			var head [4]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				ended <- err
				return
			}
			body := make([]byte, binary.BigEndian.Uint32(head[:]))
			if _, err := io.ReadFull(conn, body); err != nil {
				ended <- err
				return
			}
			answers <- body
		}
	}()
	for range 20 {
		if _, err := conn.Write(frame(numRequestIdentities)); err != nil {
			t.Fatal(err)
		}
		if body := <-answers; body[0] != numIdentitiesAnswer {
			t.Errorf("answer %x", body)
		}
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("the read went on")
	}
}
