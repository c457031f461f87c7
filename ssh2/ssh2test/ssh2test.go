// Package ssh2test connects clients and servers in memory, for tests of what
// runs over SSH, like net/http/httptest does for HTTP:
//
//	s := ssh2test.NewServer(func(ctx context.Context, s *ssh2.ServerSession) {
//		fmt.Fprint(s, "hello")
//	})
//	c := ssh2test.Connect(t, s, nil)
//	sess, err := c.Session(ctx)
//
// Links can be slow, narrow, torn or stalled, and everything works under
// testing/synctest, where time is exact and takes none.
package ssh2test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The account of servers made by NewServer.
const (
	User     = "test"
	Password = "correct horse"
)

// A Link says how one direction of a connection behaves. The zero Link is
// instant. It has the fields Delay, Rate, Buffer, MaxRead and CutAt.
type Link = netsim.Link

// A Conn is one end of a connection in memory: a net.Conn that can be cut, so
// that the other end sees it break, and stalled.
type Conn = netsim.Conn

// Pipe returns both ends of a connection in memory, up being the link from the
// first to the second.
func Pipe(up, down Link) (client, server *Conn) { return netsim.Pipe(up, down) }

// hostKey is made once: that is as good as a new one per test, and quicker.
var hostKey = sync.OnceValues(func() (gossh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return gossh.NewSignerFromSigner(key)
})

// NewServer returns a server with the host key [HostKey] that lets [User] in
// with [Password] and runs session for every exec, shell and subsystem request.
// Change its fields before it is used.
func NewServer(session func(context.Context, *ssh2.ServerSession)) *ssh2.Server {
	s := &ssh2.Server{
		Auth: ssh2.ServerAuth{
			Password: func(_ context.Context, a *ssh2.AuthAttempt, password string) ssh2.Verdict {
				return ssh2.Verdict{OK: a.User == User && ssh2.CheckPassword(Password, password)}
			},
			MinFailureDelay: -1,
		},
		Session: session,
		// Scripts need not expect an announcement that few tests are about.
		NoHostKeyUpdates: true,
	}
	if key, err := hostKey(); err == nil { // without one the server says what is missing
		s.HostKeys = []gossh.Signer{key}
	}
	return s
}

// Connect logs in to s over an instant link and returns the client. Both ends
// are closed, and the server's handlers waited for, when the test is over. A
// nil cfg, and whatever of User, Auth and HostKey or HostKeyPolicy is not set,
// fits servers made by NewServer. It fails the test when the login fails.
func Connect(tb testing.TB, s *ssh2.Server, cfg *ssh2.ClientConfig) *ssh2.Client {
	tb.Helper()
	return ConnectOver(tb, s, cfg, Link{}, Link{})
}

// ConnectOver is Connect over links of the given kind, up from the client to
// the server, down back.
func ConnectOver(tb testing.TB, s *ssh2.Server, cfg *ssh2.ClientConfig, up, down Link) *ssh2.Client {
	tb.Helper()
	c := ssh2.ClientConfig{}
	if cfg != nil {
		c = *cfg
	}
	if c.User == "" {
		c.User = User
	}
	if c.Auth == nil && c.AuthNext == nil {
		c.Auth = []ssh2.AuthMethod{ssh2.Password(Password)}
	}
	if c.HostKey == nil && c.HostKeyPolicy == nil && len(s.HostKeys) > 0 {
		c.HostKey = gossh.FixedHostKey(s.HostKeys[0].PublicKey())
	}
	a, b := netsim.Pipe(up, down)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.ServeConn(context.Background(), b) // the client's error says enough
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := ssh2.NewClient(ctx, a, "ssh2test:22", &c)
	if err != nil {
		<-served
		tb.Fatalf("ssh2test: %v", err)
	}
	tb.Cleanup(func() {
		_ = client.Close()
		_ = client.Wait()
		<-served
	})
	return client
}
