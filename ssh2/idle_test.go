package ssh2

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestIdle: a connection of no use ends after its time, at either end, and none that is used or has no limit.
func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name           string
		server, client time.Duration
		write          time.Duration // how often the server's session writes; 0: there is none
		want           time.Duration // when the connection ends; 0: it does not
	}{
		{name: "server", server: time.Minute, want: time.Minute},
		{name: "client", client: time.Minute, want: time.Minute},
		{name: "no limit"},
		{name: "negative", server: -1, client: -1},
		{name: "used", server: time.Minute, client: time.Minute, write: 50 * time.Second},
		{name: "used too rarely", server: time.Minute, write: 70 * time.Second, want: time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			leakCheck(t)
			synctest.Test(t, func(t *testing.T) {
				s := testServer(func(ctx context.Context, x *ServerSession) {
					for {
						if _, err := x.Write([]byte("x")); err != nil {
							return
						}
						select {
						case <-time.After(c.write):
						case <-ctx.Done():
							return
						}
					}
				})
				s.Timeouts.Idle = c.server
				cfg := testClient()
				cfg.Timeouts.Idle = c.client
				client := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
				start := time.Now()
				if c.write > 0 {
					x, err := client.Session(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					x.Stdout = io.Discard
					if err := x.Start(t.Context(), "write"); err != nil {
						t.Fatal(err)
					}
					defer x.Close()
				}
				over := make(chan error, 1)
				go func() { over <- client.Client.Wait() }()
				select {
				case err := <-over:
					took := time.Since(start)
					if c.want == 0 || took < c.want || took > c.want+c.want/8 {
						t.Errorf("ended after %v, want %v: %v", took, c.want, err)
					}
					if c.server > 0 {
						err = <-client.end
						client.end <- err
					}
					var late *TimeoutError
					if !errors.As(err, &late) || late.What != "idle" {
						t.Errorf("ended with %v", err)
					}
				case <-time.After(time.Hour):
					if c.want != 0 {
						t.Error("did not end")
					}
					_ = client.Close()
					<-over
				}
				_ = client.close(t)
			})
		})
	}
}

// TestListenerCloseLeavesConns: closing a listener ends Serve, and leaves the connections it brought alone.
func TestListenerCloseLeavesConns(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client, err := Dial(t.Context(), "tcp", l.Addr().String(), testClient())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	x, err := client.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := x.Output(t.Context(), "echo fine"); string(out) != "fine" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if n := s.NumConns(); n != 1 {
		t.Errorf("%d connections", n)
	}
	_ = client.Close()
	_ = client.Wait()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
