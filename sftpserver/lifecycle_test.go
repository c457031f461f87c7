package sftpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// TestShutdownInEveryPhase: whatever a connection is doing, Shutdown and Close end it, and nothing is left.
func TestShutdownInEveryPhase(t *testing.T) {
	// Each brings a connection into a phase, and returns what waits for its end.
	ends := func(nc net.Conn) func() { return func() { _, _ = io.Copy(io.Discard, nc) } }
	// began waits until SSH has: by then the connection is accepted, and Connected was delivered.
	began := func(t *testing.T, nc net.Conn) {
		if _, err := io.ReadFull(nc, make([]byte, len("SSH-2.0-"))); err != nil {
			t.Fatal(err)
		}
	}
	phases := map[string]func(t *testing.T, s *sftpserver.Server, reached <-chan string) func(){
		"before ident": func(t *testing.T, s *sftpserver.Server, _ <-chan string) func() {
			nc := dialTCP(t, s)
			began(t, nc)
			return ends(nc)
		},
		"key exchange": func(t *testing.T, s *sftpserver.Server, _ <-chan string) func() {
			nc := dialTCP(t, s)
			_, _ = fmt.Fprintf(nc, "SSH-2.0-x\r\n")
			began(t, nc)
			return ends(nc)
		},
		"authentication": func(t *testing.T, s *sftpserver.Server, _ <-chan string) func() {
			p := rawClient(t, s)
			p.password("alice", "wrong")
			p.next()
			return func() { p.next() }
		},
		"logged in": func(t *testing.T, s *sftpserver.Server, _ <-chan string) func() {
			c := dial(t, s)
			return func() { _ = c.Wait() }
		},
		"idle session": func(t *testing.T, s *sftpserver.Server, _ <-chan string) func() {
			c := connect(t, s)
			return func() { <-c.Done() }
		},
		"transfer": func(t *testing.T, s *sftpserver.Server, reached <-chan string) func() {
			c := connect(t, s)
			put(t, c, "/file", "content")
			done := make(chan struct{})
			go func() { defer close(done); _, _ = get(t, c, "/file", 7) }()
			<-reached // in FileRead
			return func() { <-done }
		},
		"ConnectionRequest": func(t *testing.T, s *sftpserver.Server, reached <-chan string) func() {
			nc := dialTCP(t, s)
			<-reached
			return ends(nc)
		},
		"Connected": func(t *testing.T, s *sftpserver.Server, reached <-chan string) func() {
			nc := dialTCP(t, s)
			<-reached
			return ends(nc)
		},
		"UserAuth": func(t *testing.T, s *sftpserver.Server, reached <-chan string) func() {
			p := rawClient(t, s)
			p.password("alice", "secret")
			<-reached
			return func() { p.next() }
		},
	}
	for name, enter := range phases {
		for _, how := range []string{"Shutdown", "Close"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				noneLeft(t)
				s := sftpserver.New()
				tree(s)
				hold, reached := make(chan struct{}), make(chan string, 100)
				at := func(what string) {
					if what == name {
						reached <- what
						<-hold
					}
				}
				s.ConnectionRequest = func(*sftpserver.ConnectionRequestEvent) { at("ConnectionRequest") }
				s.Connected = func(*sftpserver.ConnectedEvent) { at("Connected") }
				s.UserAuth = func(e *sftpserver.UserAuthEvent) { at("UserAuth"); accept(e) }
				s.FileRead = func(*sftpserver.FileReadEvent) { at("transfer") }
				l := watch(s)
				start(t, s)
				wait := enter(t, s, reached)
				over := make(chan error, 1)
				if how == "Close" {
					if err := s.Close(); err != nil { // does not wait for the handler
						t.Error(err)
					}
					close(hold)
					over <- nil
				} else {
					go func() { over <- s.Shutdown(context.Background()) }()
					for s.Listening() {
						runtime.Gosched()
					}
					close(hold)
				}
				if err := <-over; err != nil {
					t.Error(err)
				}
				wait()
				if how == "Close" { // its handlers may still run
					if err := s.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}
				l.mu.Lock()
				n := len(l.connected)
				l.mu.Unlock()
				if name != "ConnectionRequest" && n != 1 { // which may have been gone before it was accepted
					t.Errorf("%d connected", n)
				}
				l.once(t, n)
				if n := len(listOf(s)); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		}
	}
}

func listOf(s *sftpserver.Server) (all []*sftpserver.Connection) {
	for c := range s.Connections() {
		all = append(all, c)
	}
	return all
}

// TestStopFromHandler: Close, Shutdown and Disconnect of oneself from each kind of handler: no deadlock,
// the connection ends, and Disconnected comes once.
func TestStopFromHandler(t *testing.T) {
	for _, event := range []string{"ConnectionRequest", "Connected", "UserAuth", "FileOpen", "FileRead", "FileClose", "Disconnected", "SSHStatus"} {
		for how, stop := range map[string]func(*sftpserver.Server, *sftpserver.Connection) error{
			"Close": func(s *sftpserver.Server, _ *sftpserver.Connection) error { return s.Close() },
			"Shutdown": func(s *sftpserver.Server, _ *sftpserver.Connection) error {
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				defer cancel()
				err := s.Shutdown(ctx)
				if _, cut := errors.AsType[*ssh2.ShutdownError](err); cut {
					return nil // it waits for itself until ctx ends
				}
				return err
			},
			"Disconnect": func(_ *sftpserver.Server, c *sftpserver.Connection) error {
				if c == nil {
					return nil
				}
				return c.Disconnect()
			},
			"StopListening": func(s *sftpserver.Server, c *sftpserver.Connection) error {
				if c != nil {
					defer c.Disconnect()
				}
				return s.StopListening()
			},
		} {
			t.Run(event+"/"+how, func(t *testing.T) {
				t.Parallel()
				s := sftpserver.New()
				s.LogLevel = sftpserver.LogInfo
				tree(s)
				var once atomic.Bool
				did := make(chan struct{})
				at := func(what string, c *sftpserver.Connection) {
					if what == event && once.CompareAndSwap(false, true) {
						if err := stop(s, c); err != nil {
							t.Error(err)
						}
						close(did)
					}
				}
				s.ConnectionRequest = func(*sftpserver.ConnectionRequestEvent) { at("ConnectionRequest", nil) }
				s.Connected = func(e *sftpserver.ConnectedEvent) { at("Connected", e.Conn) }
				s.UserAuth = func(e *sftpserver.UserAuthEvent) { at("UserAuth", e.Conn); accept(e) }
				s.FileOpen = func(e *sftpserver.FileOpenEvent) { at("FileOpen", e.Conn) }
				s.FileRead = func(e *sftpserver.FileReadEvent) { at("FileRead", e.Conn) }
				s.FileClose = func(e *sftpserver.FileCloseEvent) { at("FileClose", e.Conn) }
				s.Disconnected = func(e *sftpserver.DisconnectedEvent) { at("Disconnected", e.Conn) }
				s.SSHStatus = func(e *sftpserver.SSHStatusEvent) { at("SSHStatus", e.Conn) }
				l := watch(s)
				start(t, s)
				client, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
					User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
				})
				if err == nil {
					if ch, err := client.Subsystem(t.Context(), "sftp"); err == nil {
						if c, err := sftp.NewClient(t.Context(), ch, nil); err == nil {
							if f, err := c.Create(t.Context(), "/file"); err == nil {
								_, _ = f.Write([]byte("content"))
								_ = f.Close()
							}
							_, _ = get(t, c, "/file", 7)
							_ = c.Close()
						}
					}
					_ = client.Close()
				}
				<-did
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if l.mu.Lock(); len(l.connected) > 0 {
					l.mu.Unlock()
					l.once(t, 1)
				} else {
					l.mu.Unlock()
				}
			})
		}
	}
}

// TestListenAndServeEnds: when its context does, and when somebody else ends the server.
func TestListenAndServeEnds(t *testing.T) {
	for name, end := range map[string]func(*sftpserver.Server, context.CancelFunc){
		"context":  func(_ *sftpserver.Server, cancel context.CancelFunc) { cancel() },
		"Close":    func(s *sftpserver.Server, _ context.CancelFunc) { _ = s.Close() },
		"Shutdown": func(s *sftpserver.Server, _ context.CancelFunc) { _ = s.Shutdown(context.Background()) },
	} {
		noneLeft(t)
		s := sftpserver.New()
		s.LocalHost, s.LocalPort, s.HostKeys, s.UserAuth = "127.0.0.1", 0, []gossh.Signer{newKey(t)}, accept
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- s.ListenAndServe(ctx) }()
		for s.Addr() == nil {
			runtime.Gosched()
		}
		c := dial(t, s)
		end(s, cancel)
		if err := <-over; err != nil || s.Listening() {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.Wait()
		cancel()
	}
}

// simulated starts s on a listener in memory, and returns what connects to it over links of that rate.
func simulated(t *testing.T, s *sftpserver.Server, toClient netsim.Link) func() (*netsim.Conn, *netsim.Conn) {
	t.Helper()
	s.HostKeys = []gossh.Signer{newKey(t)}
	if s.UserAuth == nil {
		s.UserAuth = accept
	}
	m := newMemory()
	if err := s.Serve(m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return func() (client, server *netsim.Conn) {
		a, b := netsim.Pipe(netsim.Link{}, toClient)
		m.conns <- b
		return a, b
	}
}

// logIn logs in over nc.
func logIn(t *testing.T, nc net.Conn) *ssh2.Client {
	t.Helper()
	c, err := ssh2.NewClient(t.Context(), nc, "", &ssh2.ClientConfig{
		Config: ssh2.Config{KeepAlive: ssh2.KeepAlive{Interval: -1}},
		User:   "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// wantEnd waits for a connection to end for being too slow, after that time and at most half as much again.
func wantEnd(t *testing.T, l *lives, began time.Time, after time.Duration) {
	t.Helper()
	var e *sftpserver.DisconnectedEvent
	select {
	case e = <-l.each:
	case <-time.After(100 * after): // of the bubble's time
		t.Fatalf("not ended after %v; want a time-out after %v", 100*after, after)
	}
	took := time.Since(began)
	var timeout *ssh2.TimeoutError
	if e.StatusCode != 10060 || !errors.As(e.Err, &timeout) || took < after || took > after*3/2+2*time.Second {
		t.Errorf("ended after %v with %d, %v; want a time-out after %v", took, e.StatusCode, e.Err, after)
	}
}

// TestDefaultTimeout: a client that takes no output, or stops in a packet, is cut off after
// DefaultTimeout or what SetTimeout made of it; one that owes nothing is not, nor one without a limit.
func TestDefaultTimeout(t *testing.T) {
	for _, tt := range []struct {
		option, connected, later time.Duration // of Options, by Connected, and once logged in
		want                     time.Duration
		shows                    time.Duration // by Timeout
	}{
		{0, 0, 0, sftpserver.DefaultIOTimeout, sftpserver.DefaultIOTimeout},
		{20 * time.Second, 0, 0, 20 * time.Second, 20 * time.Second},
		{20 * time.Second, 40 * time.Second, 0, 40 * time.Second, 40 * time.Second},
		{20 * time.Second, 0, 90 * time.Second, 90 * time.Second, 90 * time.Second},
		{-1, 0, 30 * time.Second, 30 * time.Second, 30 * time.Second},
		{-1, 0, 0, 0, -1},
		{20 * time.Second, 0, -5, 0, -1},
	} {
		for _, how := range []string{"output", "packet", "idle"} {
			t.Run(fmt.Sprint(tt.option, tt.connected, tt.later, how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := sftpserver.New()
					tree(s)
					s.DefaultTimeout, s.SSHKeepAliveInterval = tt.option, 0
					s.Connected = func(e *sftpserver.ConnectedEvent) {
						if tt.connected != 0 {
							e.Conn.SetTimeout(tt.connected)
						}
					}
					l := watch(s)
					nc, _ := simulated(t, s, netsim.Link{})()
					client := logIn(t, nc)
					ch, err := client.Subsystem(t.Context(), "sftp")
					if err != nil {
						t.Fatal(err)
					}
					c, err := sftp.NewClient(t.Context(), ch, nil)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := c.Put(t.Context(), "/file", io.LimitReader(zeros{}, 4<<20), sftp.TransferOptions{}); err != nil {
						t.Fatal(err)
					}
					conn, ok := s.Connection("1")
					if !ok {
						t.Fatal("no connection")
					}
					if tt.later != 0 {
						conn.SetTimeout(tt.later)
					}
					if got := conn.Timeout(); got != tt.shows {
						t.Errorf("Timeout is %v, want %v", got, tt.shows)
					}
					synctest.Wait()
					began := time.Now()
					switch how {
					case "output": // while it comes
						go func() { _, _ = c.Get(context.Background(), "/file", writerFunc(nc.Stall), sftp.TransferOptions{}) }()
					case "packet":
						_, _ = nc.Write([]byte{0})
					}
					if tt.want > 0 && how != "idle" {
						wantEnd(t, l, began, tt.want)
						return
					}
					time.Sleep(24 * time.Hour / 100)
					select {
					case e := <-l.each:
						t.Errorf("ended after %v: %v", time.Since(began), e.Err)
					default:
					}
				})
			})
		}
	}
}

// writerFunc is called at each write.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestDefaultIdleTimeout: a connection on which nothing passes ends, 0 is never.
func TestDefaultIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []time.Duration{10 * time.Minute, 0} {
			s := sftpserver.New()
			s.DefaultIdleTimeout = limit
			l := watch(s)
			nc, _ := simulated(t, s, netsim.Link{})()
			_ = logIn(t, nc)
			began := time.Now()
			if limit > 0 {
				wantEnd(t, l, began, limit)
				continue
			}
			time.Sleep(30 * time.Minute)
			if len(listOf(s)) != 1 {
				t.Error("ended though there is no limit")
			}
		}
	})
}

// TestDefaultConnectionTimeout: LoginTimeout bounds the whole login, however it is spread over its phases.
func TestDefaultConnectionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 20 * time.Second
		s := sftpserver.New()
		s.LoginTimeout = limit
		l := watch(s)
		dial := simulated(t, s, netsim.Link{})
		began := time.Now()
		nc, _ := dial()
		wantEnd(t, l, began, limit) // says nothing
		_ = nc.Close()

		began = time.Now()
		nc, _ = dial()
		go func() { _, _ = io.Copy(io.Discard, nc) }()
		time.Sleep(limit * 3 / 4)
		_, _ = fmt.Fprintf(nc, "SSH-2.0-slow\r\n")
		wantEnd(t, l, began, limit) // the key exchange gets what is left

		began = time.Now()
		nc, _ = dial()
		go func() {
			_, _ = ssh2.NewClient(t.Context(), nc, "", &ssh2.ClientConfig{User: "alice", HostKey: gossh.InsecureIgnoreHostKey(), Auth: []ssh2.AuthMethod{
				ssh2.PasswordFunc(func(ctx context.Context, _ *ssh2.PasswordPrompt) (string, error) { <-ctx.Done(); return "", ctx.Err() }),
			}})
		}()
		wantEnd(t, l, began, limit) // and the login

		nc, _ = dial()
		client := logIn(t, nc)
		time.Sleep(3 * limit)
		if _, err := client.Ping(t.Context()); err != nil {
			t.Errorf("who is in: %v", err)
		}
		_ = client.Close()
	})
}

// TestSSHKeepAlive: after SSHKeepAliveInterval of silence the client is asked, after SSHKeepAliveCountMax questions it is given up; 0 never asks.
func TestSSHKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			interval time.Duration
			count    int
			want     time.Duration
		}{{10 * time.Second, 2, 30 * time.Second}, {10 * time.Second, 0, 40 * time.Second}, {0, 0, 0}} {
			s := sftpserver.New()
			s.SSHKeepAliveInterval, s.SSHKeepAliveCountMax, s.DefaultTimeout = tt.interval, tt.count, -1
			l := watch(s)
			nc, _ := simulated(t, s, netsim.Link{})()
			_ = logIn(t, nc)
			synctest.Wait()
			time.Sleep(10 * time.Minute) // answers keep it alive
			if len(listOf(s)) != 1 {
				t.Fatalf("%+v: a client that answers was cut off", tt)
			}
			nc.Stall()
			began := time.Now()
			if tt.want == 0 {
				time.Sleep(10 * time.Minute)
				if len(listOf(s)) != 1 {
					t.Errorf("%+v: cut off", tt)
				}
				continue
			}
			e := <-l.each
			if _, dead := errors.AsType[*ssh2.DeadPeerError](e.Err); !dead || e.StatusCode != 10060 || time.Since(began) > tt.want+2*time.Second || time.Since(began) < tt.want-tt.interval {
				t.Errorf("%+v: after %v %d %v", tt, time.Since(began), e.StatusCode, e.Err)
			}
		}
	})
}

// TestConnectionFields: what a connection tells of itself, by when it is known.
func TestConnectionFields(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	s.ProtocolVersion = 4
	type fields struct {
		id, user, ident    string
		connected, strict  bool
		version, localPort int
	}
	look := func(c *sftpserver.Connection) fields {
		local, _ := c.LocalAddr().(*net.TCPAddr)
		if c.RemoteHost() != "127.0.0.1" || c.RemotePort() == 0 || c.RemotePort() != c.RemoteAddr().(*net.TCPAddr).Port || !local.IP.IsLoopback() {
			t.Errorf("from %s:%d to %v", c.RemoteHost(), c.RemotePort(), c.LocalAddr())
		}
		return fields{c.ID(), c.User(), c.ClientVersion(), c.Connected(), c.StrictKex(), c.ProtocolVersion(), local.Port}
	}
	var port int
	ident := "SSH-2.0-" + ssh2.Version
	expectFields := func(when string, got, want fields) {
		want.localPort = port
		if got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	s.Connected = func(e *sftpserver.ConnectedEvent) {
		port = s.Addr().(*net.TCPAddr).Port
		expectFields("Connected", look(e.Conn), fields{id: "1", connected: true})
		e.Conn.SetValue("kept")
	}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		expectFields("UserAuth", look(e.Conn), fields{id: "1", connected: true, ident: ident, strict: true})
		accept(e)
	}
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		expectFields("FileOpen", look(e.Conn), fields{id: "1", user: "alice", connected: true, ident: ident, strict: true, version: 4})
		if e.Conn.Value() != "kept" {
			t.Errorf("Value is %v", e.Conn.Value())
		}
	}
	ended := make(chan struct{})
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) {
		expectFields("Disconnected", look(e.Conn), fields{id: "1", user: "alice", ident: ident, strict: true, version: 4})
		close(ended)
	}
	start(t, s)
	c := connect(t, s)
	put(t, c, "/file", "content")
	for conn := range s.Connections() {
		expectFields("Connections", look(conn), fields{id: "1", user: "alice", connected: true, ident: ident, strict: true, version: 4})
		if found, ok := s.Connection("1"); !ok || found != conn {
			t.Error("Connection does not find it")
		}
	}
	_ = s.Disconnect("1")
	<-ended
}
