package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"
)

func newKey(t testing.TB) (ed25519.PrivateKey, gossh.PublicKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := gossh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, pub
}

// keyring has one key.
func keyring(t testing.TB) (sshagent.Agent, gossh.PublicKey) {
	t.Helper()
	key, pub := newKey(t)
	k := sshagent.NewKeyring()
	if err := k.Add(sshagent.AddedKey{PrivateKey: key, Comment: "test"}); err != nil {
		t.Fatal(err)
	}
	return k, pub
}

// listen serves a on a socket until the test ends, and counts connections.
func listen(t *testing.T, a sshagent.Agent, o Options) (path string, conns *atomic.Int64) {
	t.Helper()
	l, path := localListener(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	counted := &countingListener{Listener: l}
	go func() { done <- Listen(ctx, counted, a, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen: %v", err)
		}
	})
	return path, &counted.n
}

type countingListener struct {
	net.Listener
	n atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

// use lists and signs.
func use(t *testing.T, a sshagent.ExtendedAgent, want gossh.PublicKey) {
	t.Helper()
	keys, err := a.List()
	if err != nil || len(keys) != 1 || !bytes.Equal(keys[0].Blob, want.Marshal()) || keys[0].Comment != "test" {
		t.Fatalf("List: %v, %v", keys, err)
	}
	signers, err := a.Signers()
	if err != nil || len(signers) != 1 {
		t.Fatalf("Signers: %v, %v", signers, err)
	}
	data := []byte("to be signed")
	sig, err := signers[0].Sign(rand.Reader, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := want.Verify(data, sig); err != nil {
		t.Error(err)
	}
}

func TestDial(t *testing.T) {
	ring, pub := keyring(t)
	path, _ := listen(t, ring, Options{})
	t.Setenv("SSH_AUTH_SOCK", path)
	for _, addr := range []string{"", path} {
		a, conn, err := Dial(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		use(t, a, pub)
		if err := errors.Join(conn.Close(), ignore(conn.Close())); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	if _, _, err := Dial(t.Context(), ""); !errors.Is(err, ErrNoAgent) {
		t.Errorf("without an address: %v", err)
	}
	if _, _, err := Dial(t.Context(), path+"-not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such socket: %v", err)
	}
	for _, addr := range []string{Pageant, `\\.\pipe\x`} {
		_, _, err := Dial(t.Context(), addr)
		if windows := runtime.GOOS == "windows"; err == nil || errors.Is(err, errors.ErrUnsupported) == windows {
			t.Errorf("%s: %v", addr, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("on purpose")
	cancel(cause)
	if _, _, err := Dial(ctx, path); !errors.Is(err, cause) {
		t.Errorf("after the end of ctx: %v", err)
	}
}

func ignore(error) error { return nil }

// TestOpen: every call has its own connection.
func TestOpen(t *testing.T) {
	ring, pub := keyring(t)
	path, conns := listen(t, ring, Options{Manage: true})
	a := Open(path)
	use(t, a, pub)
	if n := conns.Load(); n != 3 { // List, Signers, Sign
		t.Errorf("%d connections, want 3", n)
	}
	key, second := newKey(t)
	if err := a.Add(sshagent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	if keys, err := ring.List(); err != nil || len(keys) != 2 {
		t.Errorf("after Add: %v, %v", keys, err)
	}
	if err := a.Lock([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Sign(second, nil); err == nil {
		t.Error("a locked agent signed")
	}
	if err := a.Unlock([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	if err := a.Remove(second); err != nil {
		t.Fatal(err)
	}
	if err := a.RemoveAll(); err != nil {
		t.Fatal(err)
	}
	if keys, err := a.List(); err != nil || len(keys) != 0 {
		t.Errorf("after RemoveAll: %v, %v", keys, err)
	}
	if _, err := a.Extension("x@example.com", nil); err == nil {
		t.Error("the keyring knew an extension")
	}
}

// TestRSAHashes: a signer of Open asks for the hash of the algorithm, and takes no other.
func TestRSAHashes(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ring := sshagent.NewKeyring()
	if err := ring.Add(sshagent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	path, _ := listen(t, ring, Options{})
	signers, err := Open(path).Signers()
	if err != nil || len(signers) != 1 {
		t.Fatal(signers, err)
	}
	for _, name := range []string{gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSA} {
		sig, err := signers[0].(gossh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, []byte("x"), name)
		if err != nil || sig.Format != name {
			t.Errorf("%s: %v, %v", name, sig, err)
		}
	}
	// An agent that ignores the flags.
	old, _ := listen(t, &Funcs{
		Keys: func() ([]*sshagent.Key, error) { return ring.List() },
		SignFunc: func(key gossh.PublicKey, data []byte, _ sshagent.SignatureFlags) (*gossh.Signature, error) {
			return ring.Sign(key, data)
		},
	}, Options{})
	signers, err = Open(old).Signers()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signers[0].(gossh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, []byte("x"), gossh.KeyAlgoRSASHA256); err == nil {
		t.Error("took a SHA-1 signature for a SHA-256 one")
	}
}

// TestServeRefuses: without Manage everything but listing and signing fails, and so does what Funcs does not have.
func TestServeRefuses(t *testing.T) {
	ring, pub := keyring(t)
	path, _ := listen(t, ring, Options{})
	a, conn, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	key, _ := newKey(t)
	for what, err := range map[string]error{
		"add": a.Add(sshagent.AddedKey{PrivateKey: key}), "remove": a.Remove(pub), "remove all": a.RemoveAll(),
		"lock": a.Lock([]byte("x")), "unlock": a.Unlock([]byte("x")),
	} {
		if err == nil {
			t.Errorf("%s was allowed", what)
		}
	}
	if _, err := a.Extension("session-bind@openssh.com", nil); err == nil {
		t.Error("an extension was allowed")
	}
	use(t, a, pub)

	var none Funcs
	if keys, err := none.List(); err != nil || len(keys) != 0 {
		t.Error(keys, err)
	}
	if _, err := none.Sign(pub, nil); err == nil {
		t.Error("signed with nothing")
	}
	for _, err := range []error{none.Add(sshagent.AddedKey{}), none.Remove(pub), none.RemoveAll(), none.Lock(nil), none.Unlock(nil)} {
		if err == nil {
			t.Error("Funcs did what it cannot")
		}
	}
}

// raw sends what it is told to a Serve and returns what comes back.
func raw(t *testing.T, a sshagent.Agent, o Options, script func(conn net.Conn)) error {
	t.Helper()
	var err error
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- Serve(context.Background(), there, a, o) }()
		script(here)
		here.Close()
		err = <-done
	})
	return err
}

// frame is a message with its length.
func frame(p ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...) }

func TestServeBreaksOff(t *testing.T) {
	ring, _ := keyring(t)
	for _, c := range []struct {
		name string
		send []byte
		want string
	}{
		{"empty", []byte{0, 0, 0, 0}, "0 octets"},
		{"longer than the limit", []byte{0, 4, 0, 1}, "262145 octets"},
		{"4 GiB", []byte{255, 255, 255, 255}, "4294967295 octets"},
		{"cut", []byte{0, 0, 0, 9, 11}, "EOF"},
	} {
		err := raw(t, ring, Options{}, func(conn net.Conn) { _, _ = conn.Write(c.send) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := raw(t, ring, Options{}, func(net.Conn) {}); err != nil {
		t.Errorf("end between requests: %v", err)
	}
}

// TestServeEnds: ctx ends a Serve that waits for its client.
func TestServeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := Serve(ctx, there, &Funcs{}, Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestCVE_13_6_AgentPanics: a panic fails the request, not the process.
func TestCVE_13_6_AgentPanics(t *testing.T) {
	a := &Funcs{Keys: func() ([]*sshagent.Key, error) { panic("on purpose") }}
	err := raw(t, a, Options{}, func(conn net.Conn) {
		for range 2 {
			_, _ = conn.Write(frame(numRequestIdentities))
			reply := make([]byte, 5)
			if _, err := io.ReadFull(conn, reply); err != nil || reply[4] != numFailure {
				t.Errorf("reply %x, %v", reply, err)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// addRequest is ADD_IDENTITY, or ADD_ID_CONSTRAINED with constraints, for an ed25519 key of these octets.
func addRequest(pub, priv, constraints []byte) []byte {
	number := byte(17)
	if constraints != nil {
		number = 25
	}
	body := gossh.Marshal(struct {
		Type      string
		Pub, Priv []byte
		Comment   string
	}{gossh.KeyAlgoED25519, pub, priv, "c"})
	return frame(append(append([]byte{number}, body...), constraints...)...)
}

// TestCVE_6_3_AgentShortKeys: keys of a wrong length are refused and nothing panics.
func TestCVE_6_3_AgentShortKeys(t *testing.T) {
	ring, _ := keyring(t)
	for n := range 66 {
		if n == 64 {
			continue
		}
		err := raw(t, ring, Options{Manage: true}, func(conn net.Conn) {
			_, _ = conn.Write(addRequest(make([]byte, min(n, 33)), make([]byte, n), nil))
			reply := make([]byte, 5)
			if _, err := io.ReadFull(conn, reply); err != nil || reply[4] != numFailure {
				t.Errorf("%d octets: %x, %v", n, reply, err)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestCVE_11_7_AgentConstraints: constraints on an added key are enforced or the key is refused, and with one key
// nothing is applied to others.
func TestCVE_11_7_AgentConstraints(t *testing.T) {
	key, pub := newKey(t)
	for _, c := range []struct {
		name        string
		constraints []byte
		taken       bool
	}{
		{"lifetime", []byte{1, 0, 0, 0, 60}, true},
		{"confirm", []byte{2}, false},
		{"restrict-destination", append([]byte{255}, gossh.Marshal(struct{ N, D string }{"restrict-destination-v00@openssh.com", ""})...), false},
		{"unknown extension", append([]byte{255}, gossh.Marshal(struct{ N, D string }{"x@example.com", ""})...), false},
		{"unknown constraint", []byte{77}, false},
		{"cut lifetime", []byte{1, 0, 0}, false},
	} {
		ring := sshagent.NewKeyring()
		err := raw(t, ring, Options{Manage: true}, func(conn net.Conn) {
			_, _ = conn.Write(addRequest(key.Public().(ed25519.PublicKey), key, c.constraints))
			reply := make([]byte, 5)
			if _, err := io.ReadFull(conn, reply); err != nil || (reply[4] == 6) != c.taken {
				t.Errorf("%s: %x, %v", c.name, reply, err)
			}
			keys, err := ring.List()
			if err != nil || (len(keys) == 1) != c.taken {
				t.Errorf("%s: holds %d keys, %v", c.name, len(keys), err)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// The lifetime holds.
	synctest.Test(t, func(t *testing.T) {
		ring := sshagent.NewKeyring()
		if err := ring.Add(sshagent.AddedKey{PrivateKey: key, LifetimeSecs: 60}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		if _, err := ring.Sign(pub, nil); err == nil {
			t.Error("signed with an expired key")
		}
	})
}

// TestCVE_4_7_AgentHugeRSA: an RSA key of 64 Kbit is refused before anything is computed with it.
func TestCVE_4_7_AgentHugeRSA(t *testing.T) {
	ring := sshagent.NewKeyring()
	huge := new(big.Int).Lsh(big.NewInt(1), 65535)
	huge.SetBit(huge, 0, 1)
	body := gossh.Marshal(struct {
		Type                string
		N, E, D, Iqmp, P, Q *big.Int
		Comment             string
	}{gossh.KeyAlgoRSA, huge, big.NewInt(65537), huge, huge, huge, huge, "c"})
	start := time.Now()
	err := raw(t, ring, Options{Manage: true}, func(conn net.Conn) {
		_, _ = conn.Write(frame(append([]byte{17}, body...)...))
		reply := make([]byte, 5)
		if _, err := io.ReadFull(conn, reply); err != nil || reply[4] != numFailure {
			t.Errorf("%x, %v", reply, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %s", d)
	}
}

// TestCVE_6_9_AgentAnswers: an agent that answers what nobody asked, too much or nothing gives errors.
func TestCVE_6_9_AgentAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []byte
	}{
		{"SUCCESS", frame(6)},
		{"FAILURE", frame(numFailure)},
		{"4 GiB", []byte{255, 255, 255, 255}},
		{"empty", []byte{0, 0, 0, 0}},
		{"unknown", frame(99)},
		{"more keys than octets", frame(numIdentitiesAnswer, 255, 255, 255, 255)},
		{"a signature", frame(numSignResponse, 0, 0, 0, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, path := localListener(t)
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					var head [4]byte
					_, _ = io.ReadFull(conn, head[:])
					_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:])))
					_, _ = conn.Write(c.answer)
					conn.Close()
				}
			}()
			a := Open(path)
			if keys, err := a.List(); err == nil {
				t.Errorf("List: %v", keys)
			}
			_, pub := newKey(t)
			if sig, err := a.Sign(pub, []byte("x")); err == nil && sig.Format != "" {
				t.Errorf("Sign: %v", sig)
			}
		})
	}
}

// cygwin plays Cygwin's side of a socket in front of an agent, and returns the socket file.
func cygwin(t *testing.T, a sshagent.Agent, wrong bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	secret := [16]byte{0x78, 0x56, 0x34, 0x12, 4: 1, 8: 2, 12: 3}
	seen := make(chan []byte, 2)
	go func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			got := make([]byte, 16)
			_, _ = io.ReadFull(conn, got)
			if !bytes.Equal(got, secret[:]) {
				conn.Close()
				continue
			}
			if wrong {
				got[0]++
			}
			_, _ = conn.Write(got)
			theirs := make([]byte, 12)
			_, _ = io.ReadFull(conn, theirs)
			if !wrong {
				seen <- theirs
			}
			_, _ = conn.Write([]byte{1, 1, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0})
			if i == 0 {
				conn.Close()
				continue
			}
			_ = Serve(context.Background(), conn, a, Options{})
		}
	}()
	t.Cleanup(func() {
		if wrong {
			return
		}
		first, second := <-seen, <-seen
		if binary.LittleEndian.Uint32(first) != uint32(os.Getpid()) || !bytes.Equal(second[4:], []byte{7, 0, 0, 0, 8, 0, 0, 0}) {
			t.Errorf("credentials %x and %x", first, second)
		}
	})
	path := filepath.Join(t.TempDir(), "socket")
	text := fmt.Sprintf("!<socket >%d s 12345678-00000001-00000002-00000003", l.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(path, append([]byte(text), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCygwin(t *testing.T) {
	ring, pub := keyring(t)
	a, conn, err := Dial(t.Context(), cygwin(t, ring, false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	use(t, a, pub)
	if _, _, err := Dial(t.Context(), cygwin(t, ring, true)); err == nil {
		t.Error("took another secret")
	}
}

func FuzzCygwin(f *testing.F) {
	f.Add([]byte("!<socket >49152 s 12345678-9ABCDEF0-00000001-00000002"))
	f.Add([]byte("!<socket >0 s 12345678-9ABCDEF0-00000001-00000002"))
	f.Add([]byte("!<socket >"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseCygwin(data)
		if err == nil && s.port == 0 {
			t.Error("port 0")
		}
	})
}

func FuzzServe(f *testing.F) {
	key, pub := newKey(f)
	f.Add(frame(numRequestIdentities))
	f.Add(append(frame(numRequestIdentities), frame(1)...))
	f.Add(frame(append([]byte{numSignRequest}, gossh.Marshal(struct {
		Key, Data []byte
		Flags     uint32
	}{pub.Marshal(), []byte("x"), 2})...)...))
	f.Add(addRequest(key.Public().(ed25519.PublicKey), key, []byte{1, 0, 0, 0, 9}))
	f.Fuzz(func(t *testing.T, data []byte) {
		ring, _ := keyring(t)
		conn := &scripted{in: bytes.NewReader(data)}
		err := Serve(context.Background(), conn, ring, Options{Manage: true})
		out := conn.out.Bytes()
		for len(out) > 0 { // whole answers only
			n := binary.BigEndian.Uint32(out)
			if n == 0 || int(n) > len(out)-4 {
				t.Fatalf("answers %x, %v", conn.out.Bytes(), err)
			}
			out = out[4+n:]
		}
	})
}

type scripted struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *scripted) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s *scripted) Close() error                { return nil }

// tired is a listener that is out of descriptors for a while, and then at its end.
type tired struct{ fails int }

type tiredError struct{}

func (tiredError) Error() string   { return "too many open files" }
func (tiredError) Temporary() bool { return true }

func (l *tired) Accept() (net.Conn, error) {
	if l.fails--; l.fails >= 0 {
		return nil, tiredError{}
	}
	return nil, net.ErrClosed
}

func (l *tired) Close() error   { return nil }
func (l *tired) Addr() net.Addr { return nil }

// A shortage of descriptors does not end an agent for good, nor does waiting for its end keep
// the agent from ending.
func TestListenWaitsOutShortage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &tired{fails: 20}
		start := time.Now()
		if err := Listen(t.Context(), l, sshagent.NewKeyring(), Options{}); !errors.Is(err, net.ErrClosed) || l.fails != -1 {
			t.Errorf("Listen: %v, %d failures left", err, l.fails)
		}
		if spent := time.Since(start); spent < 5*time.Second || spent > 20*time.Second {
			t.Errorf("20 failures took %v", spent)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start = time.Now()
		if err := Listen(ctx, &tired{fails: 1 << 30}, sshagent.NewKeyring(), Options{}); err != nil {
			t.Errorf("Listen: %v", err)
		}
		if spent := time.Since(start); spent != 30*time.Second {
			t.Errorf("it ended after %v", spent)
		}
	})
}
