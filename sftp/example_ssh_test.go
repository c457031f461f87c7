package sftp_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// newServer is the example of README.md.
func newServer(dir string, hostKey gossh.Signer) (*ssh2.Server, error) {
	tree, err := osfs.New(dir, osfs.Options{})
	if err != nil {
		return nil, err
	}
	files := &sftp.Server{
		FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return tree, nil },
	}
	return &ssh2.Server{
		HostKeys: []gossh.Signer{hostKey},
		Auth: ssh2.ServerAuth{Password: func(_ context.Context, a *ssh2.AuthAttempt, password string) ssh2.Verdict {
			return ssh2.Verdict{OK: a.User == "ann" && ssh2.CheckPassword("secret", password)}
		}},
		Session: func(ctx context.Context, s *ssh2.ServerSession) {
			if s.Subsystem == "sftp" { // else the request is refused
				_ = files.Serve(ctx, s, sftp.SessionInfo{User: s.User(), ClientIdent: s.Conn().Info().RemoteIdent})
			}
		},
	}, nil
}

// An SFTP server over SSH that lets one user at one directory.
func ExampleServer_ssh() {
	_, private, _ := ed25519.GenerateKey(rand.Reader) // keep yours in a file
	hostKey, _ := gossh.NewSignerFromSigner(private)
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)

	server, err := newServer(dir, hostKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	client, err := ssh2.Dial(context.Background(), "tcp", listener.Addr().String(), &ssh2.ClientConfig{
		User: "ann", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.FixedHostKey(hostKey.PublicKey()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	channel, err := client.Subsystem(context.Background(), "sftp")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = channel.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}) // INIT, version 3
	answer := make([]byte, 9)
	_, _ = io.ReadFull(channel, answer)
	fmt.Printf("message %d, version %d\n", answer[4], answer[8])
	// Output: message 2, version 3
}
