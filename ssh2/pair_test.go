package ssh2

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
)

// testHostKey is made once: tests are about what comes after.
var testHostKey = func() gossh.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	s, err := gossh.NewSignerFromSigner(key)
	if err != nil {
		panic(err)
	}
	return s
}()

// acceptHostKey is for tests that are not about host keys.
func acceptHostKey(string, net.Addr, gossh.PublicKey) error { return nil }

// testServer lets user "u" in with password "p".
func testServer(session func(context.Context, *ServerSession)) *Server {
	return &Server{
		HostKeys:         []gossh.Signer{testHostKey},
		EarlyDrop:        EarlyDrop{Begin: -1},
		NoHostKeyUpdates: true, // most tests are about other messages
		Auth: ServerAuth{
			Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
				return Verdict{OK: a.User == "u" && CheckPassword("p", pw), Identity: "identity of " + a.User}
			},
			MinFailureDelay: -1,
		},
		Session: session,
	}
}

func testClient() *ClientConfig {
	return &ClientConfig{User: "u", Auth: []AuthMethod{Password("p")}, HostKey: acceptHostKey}
}

// A pair is a client logged in to a server over a simulated link.
type pair struct {
	*Client
	server *Server
	end    chan error // what ServeConn returns
	a, b   *netsim.Conn
}

// dialPair connects both; the test must end with close.
func dialPair(t *testing.T, s *Server, cfg *ClientConfig, up, down netsim.Link) *pair {
	t.Helper()
	p := &pair{server: s, end: make(chan error, 1)}
	p.a, p.b = netsim.Pipe(up, down)
	go func() { p.end <- s.ServeConn(context.Background(), p.b) }()
	c, err := NewClient(context.Background(), p.a, "host:22", cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.Client = c
	return p
}

// close ends the connection and waits until both ends are gone.
func (p *pair) close(t *testing.T) error {
	t.Helper()
	_ = p.Client.Close()
	_ = p.Client.Wait()
	return <-p.end
}

// leakCheck fails the test if it leaves Bufs or goroutines behind. Call it
// first; it runs when everything else of the test is over.
func leakCheck(t *testing.T) {
	t.Helper()
	base := runtime.NumGoroutine()
	live := packet.Live()
	t.Cleanup(func() {
		if !eventually(func() bool { return runtime.NumGoroutine() <= base && packet.Live() <= live }) {
			buf := make([]byte, 64<<10)
			buf = buf[:runtime.Stack(buf, true)]
			t.Errorf("%d goroutines more, %d bufs more\n%s", runtime.NumGoroutine()-base, packet.Live()-live, shorten(string(buf)))
		}
	})
}

// eventually waits for what other goroutines are about to do.
func eventually(ok func() bool) bool {
	for end := time.Now().Add(5 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func shorten(stacks string) string {
	var keep []string
	for g := range strings.SplitSeq(stacks, "\n\n") {
		if strings.Contains(g, "fairlead") && !strings.Contains(g, "testing.tRunner") {
			keep = append(keep, g)
		}
	}
	return strings.Join(keep, "\n\n")
}

var errTest = errors.New("test")

// raceEnabled tells whether the race detector runs, under which memory is not
// what it is.
const raceEnabled = invariant.Enabled

// repeat is how often a test does something n times, less under the race
// detector, which is slow and finds what it finds early.
func repeat(n int) int {
	if raceEnabled {
		return max(n/20, 1)
	}
	return n
}

// testHostKeySeen accepts host keys and notes for what address.
func testHostKeySeen(addr *string) gossh.HostKeyCallback {
	return func(a string, _ net.Addr, _ gossh.PublicKey) error { *addr = a; return nil }
}
