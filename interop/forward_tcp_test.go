package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// tcpForwarders are servers that forward TCP in part, with the reasons why the other parts fail. These are tried, and
// must fail.
var tcpForwarders = []struct {
	name  string
	find  func() (string, error)
	start func(t *testing.T) *place
	lacks map[string]string
}{
	{"Erlang", findErlang, erlangPlace, map[string]string{
		"half close": "ssh closes both directions at the end of one: OpenSSH's client gets nothing back either",
		"cancel":     "ssh refuses cancel-tcpip-forward, OpenSSH's client's as well",
	}},
	{"Conch", findConch, conchPlace, map[string]string{
		"half close":   "Conch does not pass the end of one direction on",
		"dial refused": "Conch confirms the channel before it connects",
		"listen 0":     "Conch fails at the port of its own listener, and closes the connection",
	}},
}

// TestOwnClientForwardsTCP has our client forward through them.
func TestOwnClientForwardsTCP(t *testing.T) {
	data := sample(forwardSize)
	for _, peer := range tcpForwarders {
		t.Run(peer.name, func(t *testing.T) {
			t.Parallel()
			if _, err := peer.find(); err != nil {
				missingPeer(t, peer.name, err)
			}
			p := peer.start(t)
			half, full := echoServer(t, "tcp", "127.0.0.1:0").String(), mirror(t).String()
			dial := func(addr string, talk func(net.Conn, []byte) error) func(*ssh2.Client) error {
				return func(c *ssh2.Client) error {
					nc, err := c.DialContext(t.Context(), "tcp", addr)
					if err != nil {
						return err
					}
					return talk(nc, data)
				}
			}
			listen := func(port int, cancel bool) func(*ssh2.Client) error {
				return func(c *ssh2.Client) error {
					l, err := c.Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
					if err != nil {
						return err
					}
					go mirrorOn(l)
					at := net.JoinHostPort("127.0.0.1", strconv.Itoa(l.(*ssh2.Listener).Port()))
					nc, err := net.Dial("tcp", at)
					if err == nil {
						err = throughMirror(nc, data)
					}
					if err != nil || !cancel {
						return err
					}
					if err := l.(*ssh2.Listener).Cancel(t.Context()); err != nil {
						return err
					}
					for end := time.Now().Add(5 * time.Second); ; {
						nc, err := net.Dial("tcp", at)
						if err != nil {
							return nil //nolint:nilerr // that is what is waited for
						}
						nc.Close()
						if time.Now().After(end) {
							return errors.New("the server still listens")
						}
						<-time.After(20 * time.Millisecond) // another process is about to stop
					}
				}
			}
			for _, part := range []struct {
				name string
				do   func(c *ssh2.Client) error
			}{
				{"dial", dial(full, throughMirror)},
				{"half close", dial(half, func(nc net.Conn, data []byte) error { return thereAndBackWithin(nc, data, 3*time.Second) })},
				{"dial refused", func(c *ssh2.Client) error {
					_, err := c.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
					if e, ok := errors.AsType[*ssh2.OpenError](err); !ok || e.Reason != ssh2.OpenConnectFailed {
						return fmt.Errorf("nobody listens: %w", err)
					}
					return nil
				}},
				{"listen", listen(freePort(t), false)},
				{"listen 0", listen(0, false)},
				{"cancel", listen(freePort(t), true)},
				{"jump", func(c *ssh2.Client) error { // to the same server again
					again, err := dialPlace(t, p, c)
					if err != nil {
						return err
					}
					return dial(full, throughMirror)(again)
				}},
			} {
				t.Run(part.name, func(t *testing.T) {
					c, err := dialPlace(t, p, nil)
					if err != nil {
						t.Fatal(err)
					}
					why := peer.lacks[part.name]
					switch err := part.do(c); {
					case err == nil && why != "":
						t.Errorf("works, for all that: %s", why)
					case err != nil && why == "":
						t.Error(err)
					}
				})
			}
		})
	}
}

// dialPlace logs our client in with the password, by way of another connection if there is one.
func dialPlace(t *testing.T, p *place, way *ssh2.Client) (*ssh2.Client, error) {
	t.Helper()
	cfg := p.ourConfig(t)
	cfg.Auth = []ssh2.AuthMethod{ssh2.Password(p.keys.password)}
	if way != nil {
		cfg.Dial = way.DialContext
	}
	return p.tryOurs(t, cfg)
}

// mirror sends every octet back as it comes.
func mirror(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go mirrorOn(l)
	return l.Addr()
}

func mirrorOn(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			_, _ = io.Copy(nc, nc)
		}()
	}
}

// throughMirror sends data through nc and wants it back, with both directions open.
func throughMirror(nc net.Conn, data []byte) error {
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	n, err := io.ReadFull(nc, got)
	nc.Close()
	if err = errors.Join(err, <-sent); err == nil && !bytes.Equal(got, data) {
		err = errors.New("other octets came back")
	}
	if err != nil {
		err = fmt.Errorf("%d octets of %d came back: %w", n, len(data), err)
	}
	return err
}
