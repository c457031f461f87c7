package interop

import (
	"net"
	"os"
	"testing"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
)

// pkgPlace is pkg/sftp's server over x/crypto's, in this process.
func pkgPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "pkgsftp")
	p.asRoot, p.prefix = true, p.root
	cfg := &gossh.ServerConfig{PasswordCallback: func(_ gossh.ConnMetadata, password []byte) (*gossh.Permissions, error) {
		if string(password) != p.keys.password {
			return nil, gossh.ErrNoAuth
		}
		return new(gossh.Permissions), nil
	}}
	data, err := os.ReadFile(p.hostKeyFiles[0])
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := gossh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	cfg.AddHostKey(hostKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p.port = l.Addr().(*net.TCPAddr).Port
	p.known(t)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go pkgServe(nc, cfg, p.root)
		}
	}()
	return p
}

// pkgServe serves the connection's sessions with pkg/sftp.
func pkgServe(nc net.Conn, cfg *gossh.ServerConfig, root string) {
	defer nc.Close()
	conn, channels, requests, err := gossh.NewServerConn(nc, cfg)
	if err != nil {
		return
	}
	defer conn.Close()
	go gossh.DiscardRequests(requests)
	for n := range channels {
		ch, requests, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		go func() {
			defer ch.Close()
			server, err := sftp.NewServer(ch, sftp.WithServerWorkingDirectory(root))
			if err == nil {
				_ = server.Serve() // ends with the client
			}
		}()
	}
}
