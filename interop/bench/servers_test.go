package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	pkgsftp "github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The contenders, in the order of every pair.
const (
	ours = iota
	theirs
	contenders
)

// A field is both servers, listening on the loopback interface and serving the same directory.
type field struct {
	dir     string
	addr    [contenders]string
	prefix  [contenders]string // of dir, as clients name it
	hostKey gossh.Signer
	user    gossh.Signer
}

// newField starts both servers; they end with the test.
func newField(tb testing.TB) *field {
	tb.Helper()
	f := &field{dir: tempDir(tb), hostKey: newKey(tb), user: newKey(tb)}
	f.prefix[ours], f.prefix[theirs] = "/", f.dir+"/"
	f.startOurs(tb)
	f.startTheirs(tb)
	return f
}

// tempDir prefers memory over disk, whose speed is not what is measured.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fairlead-bench-") //nolint:usetesting // not where TempDir is
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newKey(tb testing.TB) gossh.Signer {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := gossh.NewSignerFromSigner(key)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := loopback()
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func loopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

func (f *field) startOurs(tb testing.TB) {
	tb.Helper()
	tree, err := osfs.New(f.dir, osfs.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	files := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return tree, nil }}
	want := f.user.PublicKey().Marshal()
	s := &ssh2.Server{
		HostKeys: []gossh.Signer{f.hostKey},
		Auth: ssh2.ServerAuth{PublicKey: func(_ context.Context, _ *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: bytes.Equal(key.Marshal(), want)}
		}},
		Session: func(ctx context.Context, s *ssh2.ServerSession) {
			if s.Kind != ssh2.Subsystem || s.Subsystem != "sftp" {
				s.Refuse()
				return
			}
			if err := files.Serve(ctx, s, sftp.SessionInfo{User: s.User(), ClientIdent: s.Conn().Info().RemoteIdent}); err != nil {
				s.Exit(1)
			}
		},
	}
	l := listen(tb)
	f.addr[ours] = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, ssh2.ErrServerClosed) {
			tb.Errorf("our server: %v", err)
		}
	})
}

// startTheirs is pkg/sftp's Server on x/crypto/ssh as their examples have it, with the allocator that pkg/sftp
// recommends for speed.
func (f *field) startTheirs(tb testing.TB) {
	tb.Helper()
	want := f.user.PublicKey().Marshal()
	cfg := &gossh.ServerConfig{PublicKeyCallback: func(_ gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), want) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	cfg.AddHostKey(f.hostKey)
	l := listen(tb)
	f.addr[theirs] = l.Addr().String()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serveTheirs(conn, cfg) })
		}
	})
	tb.Cleanup(func() { l.Close(); conns.Wait() })
}

// serveTheirs serves one connection until the client leaves.
func serveTheirs(tcp net.Conn, cfg *gossh.ServerConfig) {
	defer tcp.Close()
	_, channels, requests, err := gossh.NewServerConn(tcp, cfg)
	if err != nil {
		return
	}
	go gossh.DiscardRequests(requests)
	for n := range channels {
		if n.ChannelType() != "session" {
			_ = n.Reject(gossh.UnknownChannelType, "only sessions")
			continue
		}
		ch, requests, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				ok := r.Type == "subsystem" && len(r.Payload) > 4 && string(r.Payload[4:]) == "sftp"
				_ = r.Reply(ok, nil)
			}
		}()
		go func() {
			defer ch.Close()
			if server, err := pkgsftp.NewServer(ch, pkgsftp.WithAllocator()); err == nil {
				_ = server.Serve() // the end of the connection
			}
		}()
	}
}

// dial logs x/crypto's client in. Empty names are its defaults.
func (f *field) dial(who int, kex, cipher string) (*gossh.Client, error) {
	cfg := &gossh.ClientConfig{
		User: "bench", Auth: []gossh.AuthMethod{gossh.PublicKeys(f.user)},
		HostKeyCallback: gossh.FixedHostKey(f.hostKey.PublicKey()),
	}
	if kex != "" {
		cfg.KeyExchanges = []string{kex}
	}
	if cipher != "" {
		cfg.Ciphers = []string{cipher}
	}
	return gossh.Dial("tcp", f.addr[who], cfg)
}

// path names a file of the directory as the clients of a server do.
func (f *field) path(who int, name string) string { return f.prefix[who] + name }

func (f *field) file(name string) string { return filepath.Join(f.dir, name) }
