package ssh2_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A local forward, like ssh -L 5432:db.internal:5432: whoever connects to a port
// of this machine reaches the database behind the server.
func ExampleClient_DialContext() {
	forward := func(ctx context.Context, c *ssh2.Client, l net.Listener, target string) error {
		for {
			local, err := l.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer local.Close()
				remote, err := c.DialFrom(ctx, "tcp", target, local.RemoteAddr())
				if err != nil {
					return // an *ssh2.OpenError says why
				}
				defer remote.Close()
				go func() {
					_, _ = io.Copy(remote, local)
					_ = remote.(interface{ CloseWrite() error }).CloseWrite() // the other direction goes on
				}()
				_, _ = io.Copy(local, remote)
			}()
		}
	}
	_ = forward
}

// A dynamic forward, like ssh -D 1080: a SOCKS5 proxy for programs of this
// machine, which connects from the server.
func ExampleClient_DialFrom() {
	serve := func(ctx context.Context, c *ssh2.Client, local net.Conn) error {
		defer local.Close()
		b := make([]byte, 262)
		read := func(n int) []byte { // a short read leaves zeros, which nothing below accepts
			clear(b[:n])
			_, _ = io.ReadFull(local, b[:n])
			return b[:n]
		}
		if h := read(2); h[0] != 5 { // RFC 1928 section 3: version, methods
			return fmt.Errorf("socks version %d", h[0])
		} else {
			read(int(h[1]))
		}
		_, _ = local.Write([]byte{5, 0}) // no authentication
		var host string
		switch h := read(4); { // section 4: version, command, reserved, type of address
		case h[0] != 5 || h[1] != 1:
			return fmt.Errorf("socks command %d", h[1])
		case h[3] == 1:
			host = net.IP(read(4)).String()
		case h[3] == 3:
			host = string(read(int(read(1)[0])))
		case h[3] == 4:
			host = net.IP(read(16)).String()
		}
		p := read(2)
		to := ssh2.HostPort{Host: host, Port: int(p[0])<<8 | int(p[1])}
		remote, err := c.DialFrom(ctx, "tcp", to.String(), local.RemoteAddr())
		if err != nil {
			_, _ = local.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0}) // section 6: refused
			return err
		}
		defer remote.Close()
		_, _ = local.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		go func() {
			_, _ = io.Copy(remote, local)
			_ = remote.(interface{ CloseWrite() error }).CloseWrite()
		}()
		_, err = io.Copy(local, remote)
		return err
	}
	_ = serve
}

// A remote forward, like ssh -R 8080:...: a web server of this process that
// listens on the SSH server.
func ExampleClient_Listen() {
	serve := func(ctx context.Context, c *ssh2.Client) error {
		l, err := c.Listen(ctx, "tcp", "localhost:8080") // port 0 lets the server choose
		if err != nil {
			return err
		}
		fmt.Println("listening on", l.Addr())
		s := &http.Server{
			ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "hello %s", r.RemoteAddr) // who connected to the SSH server
			}),
		}
		return s.Serve(l)
	}
	_ = serve
}

// A host that can be reached only from another one, like ssh -J.
func ExampleDial_jumpHost() {
	dial := func(ctx context.Context, known ssh2.HostKeyPolicy, key gossh.Signer) (*ssh2.Client, error) {
		cfg := ssh2.ClientConfig{User: "me", Auth: []ssh2.AuthMethod{ssh2.PublicKeys(key)}, HostKeyPolicy: known}
		hop, err := ssh2.Dial(ctx, "tcp", "jump.example.org", &cfg)
		if err != nil {
			return nil, err
		}
		cfg.Dial = hop.DialContext
		c, err := ssh2.Dial(ctx, "tcp", "inner.example.org", &cfg)
		if err != nil {
			_ = hop.Close()
			return nil, err
		}
		go func() { _ = c.Wait(); _ = hop.Close() }()
		return c, nil
	}
	_ = dial
}

// A server that lets its users reach a database and web servers, and listen on
// ports of its loopback addresses.
func ExampleForwardPolicy() {
	s := &ssh2.Server{
		Forward: ssh2.ForwardPolicy{
			PermitOpen:   []string{"db.internal:5432", "*:443"},
			PermitListen: []string{"localhost:*"},
		},
	}
	// What rules cannot say is a function's.
	team, err := ssh2.ParseOpenRules("10.1.0.0/16:*")
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Forward.PermitOpen = nil
	s.Forward.DialTCP = func(ctx context.Context, c *ssh2.Conn, to, _ ssh2.HostPort) (net.Conn, error) {
		if c.User() != "ann" {
			return nil, &ssh2.OpenError{Reason: ssh2.OpenProhibited, Text: "ask ann"}
		}
		return team.Dial(ctx, to)
	}
}
