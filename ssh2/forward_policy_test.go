package ssh2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// TestForwardPolicyIsChecked: what cannot be meant is found before a connection is made.
func TestForwardPolicyIsChecked(t *testing.T) {
	dialTCP := func(context.Context, *Conn, HostPort, HostPort) (net.Conn, error) { return nil, errTest }
	dialUnix := func(context.Context, *Conn, string) (net.Conn, error) { return nil, errTest }
	listenTCP := func(context.Context, *Conn, HostPort) (net.Listener, error) { return nil, errTest }
	listenUnix := func(context.Context, *Conn, string) (net.Listener, error) { return nil, errTest }
	for _, p := range []ForwardPolicy{
		{PermitOpen: []string{"db"}},
		{PermitOpen: []string{":1"}},
		{PermitOpen: []string{"db:x"}},
		{PermitOpen: []string{"db:65536"}},
		{PermitOpen: []string{"db:2-1"}},
		{PermitOpen: []string{"db*:1"}},
		{PermitOpen: []string{"10.0.0.0/33:1"}},
		{PermitOpen: []string{"[fe80::1%eth0]:1"}},
		{PermitOpen: []string{"a b:1"}},
		{PermitOpen: []string{"db:1"}, DialTCP: dialTCP},
		{PermitListen: []string{"db:1"}},
		{PermitListen: []string{"10.0.0.0/8:1"}, GatewayPorts: true},
		{PermitListen: []string{"*.org:1"}, GatewayPorts: true},
		{PermitListen: []string{"192.0.2.1:1"}}, // never in force without gateway ports
		{PermitListen: []string{"localhost:1"}, ListenTCP: listenTCP},
		{PermitSockets: []string{""}},
		{PermitSockets: []string{"/s"}, DialUnix: dialUnix},
		{Sockets: SocketDir{Mode: 0o666}},
		{Sockets: SocketDir{Path: "/s"}, ListenUnix: listenUnix},
	} {
		_, err := p.prepare()
		if e, ok := errors.AsType[*ConfigError](err); !ok || !strings.HasPrefix(e.Setting, "forward: ") {
			t.Errorf("%+v: %v", p, err)
		}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		if err := forwardServer(p).ServeConn(t.Context(), b); err == nil {
			t.Errorf("%+v: the server starts", p)
		}
		_ = a.Close()
	}
}

// openRow is a row of TestOpenRules.
type openRow struct {
	rules string // between spaces
	to    string
	ips   string // what the name leads to, between spaces
	want  string // what is dialled, between spaces; empty is not permitted
}

var openRows = []openRow{
	// names
	{"db:5432", "db:5432", "10.0.0.1", "10.0.0.1:5432"},
	{"db:5432", "DB.:5432", "10.0.0.1", "10.0.0.1:5432"},
	{"db:5432", "db:5433", "10.0.0.1", ""},
	{"db:5432", "db2:5432", "10.0.0.1", ""},
	{"db:5432", "10.0.0.1:5432", "", ""},
	{"db:*", "db:1", "127.0.0.1", "127.0.0.1:1"},
	{"db:10-12", "db:12", "10.0.0.1", "10.0.0.1:12"},
	{"db:10-12", "db:13", "10.0.0.1", ""},
	{"db:*", "db:0", "10.0.0.1", ""},
	{"*.example.org:1", "a.b.example.org:1", "10.0.0.1", "10.0.0.1:1"},
	{"*.example.org:1", "example.org:1", "10.0.0.1", ""},
	{"*.example.org:1", "badexample.org:1", "10.0.0.1", ""},
	// networks
	{"10.0.0.0/8:1", "10.1.2.3:1", "", "10.1.2.3:1"},
	{"10.0.0.0/8:1", "[::ffff:10.1.2.3]:1", "", "[::ffff:10.1.2.3]:1"},
	{"10.0.0.0/8:1", "11.0.0.1:1", "", ""},
	{"10.0.0.0/8:1", "x:1", "11.0.0.1 10.0.0.1", "10.0.0.1:1"}, // only the address that is permitted
	{"[2001:db8::/32]:1", "[2001:db8::1]:1", "", "[2001:db8::1]:1"},
	{"192.0.2.1:1", "192.0.2.1:1", "", "192.0.2.1:1"},
	{"192.0.2.1:1 192.0.2.2:2", "192.0.2.2:2", "", "192.0.2.2:2"},
	{"192.0.2.1:1 192.0.2.2:2", "192.0.2.2:1", "", ""},
	{"127.0.0.1:1", "localhost:1", "127.0.0.1", "127.0.0.1:1"},
	{"192.0.2.0/24:1", "x:1", "192.0.2.1 192.0.2.2", "192.0.2.1:1 192.0.2.2:1"},
	// anything
	{"*:1", "192.0.2.1:1", "", "192.0.2.1:1"},
	{"*:1", "x:1", "10.0.0.1", "10.0.0.1:1"},
	{"", "192.0.2.1:1", "", ""},
}

// inner are addresses that "*" must not reach (cves 11.8).
var inner = []string{
	"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "224.0.0.1", "255.255.255.255", "100.100.100.200", "192.0.0.192",
	"::", "::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "fd00:ec2::254",
	"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::",
}

func TestOpenRules(t *testing.T) { testOpenRows(t, openRows) }

// TestCVE_11_8_InnerAddresses: "*" does not open the way to the server itself nor
// to its cloud's services, whether they are named or are what a name leads to.
func TestCVE_11_8_InnerAddresses(t *testing.T) {
	var rows []openRow
	for _, ip := range inner {
		rows = append(rows, openRow{"*:80 *.example.org:80", net.JoinHostPort(ip, "80"), "", ""})
		if !strings.Contains(ip, "%") {
			rows = append(rows, openRow{"*:80", "innocent.example.org:80", ip, ""})
			rows = append(rows, openRow{"*.example.org:80", "innocent.example.org:80", ip + " 192.0.2.1", "192.0.2.1:80"})
		}
	}
	testOpenRows(t, rows)
}

func testOpenRows(t *testing.T, rows []openRow) {
	t.Helper()
	for _, row := range rows {
		o, err := ParseOpenRules(strings.Fields(row.rules)...)
		if err != nil {
			t.Errorf("%s: %v", row.rules, err)
			continue
		}
		to, err := ParseHostPort(row.to)
		if err != nil {
			t.Fatal(err)
		}
		o.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
			if host != to.Host {
				t.Errorf("looks up %q", host)
			}
			var ips []netip.Addr
			for s := range strings.FieldsSeq(row.ips) {
				ips = append(ips, netip.MustParseAddr(s))
			}
			return ips, nil
		}
		var dialled []string
		o.dial = func(_ context.Context, _, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			return nil, errTest
		}
		_, err = o.Dial(t.Context(), to)
		if got := strings.Join(dialled, " "); got != row.want {
			t.Errorf("%s permits %s, which is %s: dialled %q, want %q", row.rules, row.to, row.ips, got, row.want)
		}
		if row.want == "" && !errors.Is(err, errNotPermitted) || row.want != "" && !errors.Is(err, errTest) {
			t.Errorf("%s, %s: %v", row.rules, row.to, err)
		}
	}
}

func TestListenRules(t *testing.T) {
	for _, tc := range []struct {
		rules   string
		gateway bool
		ask     string
		want    bool
	}{
		{"localhost:8080", false, "localhost:8080", true},
		{"localhost:8080", false, "127.0.0.1:8080", true},
		{"localhost:8080", false, "[::1]:8080", true},
		{"localhost:8080", false, ":8080", true}, // on loopback
		{"localhost:8080", false, "0.0.0.0:8080", true},
		{"localhost:8080", false, "localhost:8081", false},
		{"localhost:8080", true, ":8080", false},
		{"localhost:8080", true, "0.0.0.0:8080", false},
		{"localhost:8080", true, "192.0.2.1:8080", false},
		{"localhost:*", true, "localhost:0", true},
		{"localhost:*", true, "localhost:1024", true},
		{"localhost:*", true, "localhost:1023", false},
		{"localhost:0", true, "localhost:0", true},
		{"localhost:0", true, "localhost:8080", false},
		{"localhost:80", true, "localhost:80", true},
		{"localhost:8000-8999", true, "LOCALHOST:8999", true},
		{"localhost:8000-8999", true, "localhost:9000", false},
		{"*:8080", true, ":8080", true},
		{"*:8080", true, "*:8080", true},
		{"*:8080", true, "[::]:8080", true},
		{"*:8080", true, "192.0.2.1:8080", true},
		{"127.0.0.1:8080", true, "127.0.0.1:8080", true},
		{"127.0.0.1:8080", true, "localhost:8080", false}, // which is ::1 as well
		{"127.0.0.1:8080", true, ":8080", false},
		{"0.0.0.0:8080", true, ":8080", false}, // which is IPv6 as well
		{"", true, "localhost:0", false},
	} {
		o, err := ParseListenRules(tc.gateway, strings.Fields(tc.rules)...)
		if err != nil {
			t.Errorf("%s: %v", tc.rules, err)
			continue
		}
		at, err := ParseHostPort(tc.ask)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.permits(o.place(at)); got != tc.want {
			t.Errorf("%s, gateway %v, permits %s: %v", tc.rules, tc.gateway, tc.ask, got)
		}
	}
}

// TestListenOnLoopbackOnly: without GatewayPorts nobody from outside gets in,
// whatever the client asks for.
func TestListenOnLoopbackOnly(t *testing.T) {
	leakCheck(t)
	c := forwardPair(t, ForwardPolicy{PermitListen: []string{"*:*"}})
	for _, host := range []string{"", "0.0.0.0", "*", "192.0.2.1", "some.name"} {
		l, err := c.Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Errorf("%q: %v", host, err)
			continue
		}
		port := fmt.Sprint(l.(*Listener).Port())
		out, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Error(err)
			continue
		}
		in, err := l.Accept() // though the server reports what was asked for
		if err != nil {
			t.Error(err)
		} else {
			_ = in.Close()
		}
		_ = out.Close()
		if nc, err := net.Dial("tcp", "127.0.0.2:"+port); err == nil {
			_ = nc.Close()
			t.Errorf("%q: listens on more than loopback", host)
		}
		_ = l.Close()
	}
}

func TestBindRefusesNames(t *testing.T) {
	for _, host := range []string{"example.org", "127.1", "localhost.", "::1%"} {
		if l, err := bindTCP(t.Context(), HostPort{host, 0}); err == nil {
			_ = l.Close()
			t.Errorf("%q is listened on", host)
		}
	}
}

// TestCVE_10_9_EachForwardIsItsOwn: what permits one kind of forwarding permits no
// other, and the user's limits forbid them all.
func TestCVE_10_9_EachForwardIsItsOwn(t *testing.T) {
	dir := shortDir(t)
	sock := filepath.Join(dir, "target")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, echoAll)
	addr := serveTCP(t, echoAll)
	ways := []struct {
		name   string
		permit func(*ForwardPolicy)
		try    func(context.Context, *Client) (io.Closer, error)
	}{
		{
			"direct-tcpip", func(p *ForwardPolicy) { p.PermitOpen = []string{addr} },
			func(ctx context.Context, c *Client) (io.Closer, error) { return c.DialContext(ctx, "tcp", addr) },
		},
		{
			"direct-streamlocal", func(p *ForwardPolicy) { p.PermitSockets = []string{sock} },
			func(ctx context.Context, c *Client) (io.Closer, error) { return c.DialContext(ctx, "unix", sock) },
		},
		{
			"tcpip-forward", func(p *ForwardPolicy) { p.PermitListen = []string{"*:*"} },
			func(ctx context.Context, c *Client) (io.Closer, error) { return c.Listen(ctx, "tcp", "localhost:0") },
		},
		{
			"streamlocal-forward", func(p *ForwardPolicy) { p.Sockets.Path = dir },
			func(ctx context.Context, c *Client) (io.Closer, error) {
				return c.Listen(ctx, "unix", filepath.Join(dir, "new"))
			},
		},
	}
	for i, permitted := range ways {
		for _, limited := range []bool{false, true} {
			t.Run(fmt.Sprint(permitted.name, " limited ", limited), func(t *testing.T) {
				leakCheck(t)
				var p ForwardPolicy
				permitted.permit(&p)
				s := forwardServer(p)
				check := s.Auth.Password
				s.Auth.Password = func(ctx context.Context, a *AuthAttempt, pw string) Verdict {
					v := check(ctx, a, pw)
					v.Limits.NoPortForwarding = limited
					return v
				}
				c := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
				for j, way := range ways {
					made, err := way.try(t.Context(), c.Client)
					if want := i == j && !limited; (err == nil) != want {
						t.Errorf("%s: %v", way.name, err)
					}
					if err == nil {
						_ = made.Close()
					}
				}
				if limited {
					for _, conn := range connsOf(t, s, 1) {
						if _, err := conn.OpenForwardedTCP(t.Context(), HostPort{"x", 1}, nil); !errors.Is(err, errNoForwarding) {
							t.Errorf("forwarded-tcpip to a user who may not: %v", err)
						}
					}
				}
				_ = c.close(t)
			})
		}
	}
}

// shortDir returns a directory whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	needUnixSockets(t)
	dir, err := os.MkdirTemp("", "fl") //nolint:usetesting // TempDir's paths are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestCVE_11_4_SocketDir: sockets are made where the server says, for the
// server's user alone, and nothing that is there is overwritten or followed.
func TestCVE_11_4_SocketDir(t *testing.T) {
	leakCheck(t)
	if _, err := (SocketDir{}).Listen(t.Context(), "/tmp/s"); err == nil {
		t.Error("the zero value listens")
	}
	dir := shortDir(t)
	outside := shortDir(t)
	d := SocketDir{Path: dir}
	for _, path := range []string{
		dir, dir + "/", dir + "/.", dir + "/..", dir + "/../x", dir + "//x", dir + "/./x", dir + "/a/x", "x", "./x", "", filepath.Join(outside, "x"), dir + "/x/",
	} {
		if l, err := d.Listen(t.Context(), path); !errors.Is(err, errNotInDir) {
			t.Errorf("%s: %v", path, err)
			if err == nil {
				_ = l.Close()
			}
		}
	}
	path := filepath.Join(dir, "s")
	for what, make := range map[string]func() error{
		"a file":               func() error { return os.WriteFile(path, nil, 0o600) },
		"a link into the void": func() error { return os.Symlink(filepath.Join(outside, "x"), path) },
		"a directory":          func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		for _, d := range []SocketDir{d, {Path: dir, ReplaceStale: true}} {
			if _, err := d.Listen(t.Context(), path); !errors.Is(err, errInTheWay) {
				t.Errorf("%s is in the way, stale %v: %v", what, d.ReplaceStale, err)
			}
		}
		_ = os.Remove(path)
	}
	l, err := SocketDir{Path: dir, Mode: 0o660}.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := (SocketDir{Path: dir, ReplaceStale: true}).Listen(t.Context(), path); !errors.Is(err, errInTheWay) {
		t.Errorf("a socket in use is replaced: %v", err)
	}
	// Closing must not remove what is no longer its own.
	_ = os.Remove(path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
	// A server that is killed leaves its socket.
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	_ = killed.Close()
	if _, err := d.Listen(t.Context(), path); !errors.Is(err, errInTheWay) {
		t.Errorf("a stale socket is replaced unasked: %v", err)
	}
	again, err := SocketDir{Path: dir, ReplaceStale: true}.Listen(t.Context(), path)
	if err != nil {
		t.Fatalf("a stale socket is not replaced: %v", err)
	}
	_ = again.Close()
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("made outside: %v", entries)
	}
}

// TestForwardErrorsStayHere: clients learn the kind of an error, and what an
// OpenError says.
func TestForwardErrorsStayHere(t *testing.T) {
	leakCheck(t)
	errs := []struct {
		err  error
		want OpenError
	}{
		{errors.New("secret"), OpenError{OpenConnectFailed, "connect failed"}},
		{context.DeadlineExceeded, OpenError{OpenConnectFailed, "timed out"}},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errRefused)}, OpenError{OpenConnectFailed, "connection refused"}},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errTimedOut)}, OpenError{OpenConnectFailed, "timed out"}},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errNoNetwork)}, OpenError{OpenConnectFailed, "unreachable"}},
		{&net.DNSError{Err: "secret", Name: "secret", Server: "secret"}, OpenError{OpenConnectFailed, "name not resolved"}},
		{fmt.Errorf("secret: %w", &OpenError{OpenResourceShortage, "come later"}), OpenError{OpenResourceShortage, "come later"}},
		{nil, OpenError{OpenProhibited, "not permitted"}},
	}
	c := forwardPair(t, ForwardPolicy{DialTCP: func(_ context.Context, _ *Conn, to, _ HostPort) (net.Conn, error) { return nil, errs[to.Port].err }})
	for i, tc := range errs {
		_, err := c.DialContext(t.Context(), "tcp", HostPort{"x", i}.String())
		if got, ok := errors.AsType[*OpenError](err); !ok || *got != tc.want {
			t.Errorf("%v: %v", tc.err, err)
		}
	}
}

// TestForwardLimits: connections and listeners beyond the limits are refused, and
// there is room again when some end. Sessions have limits of their own.
func TestForwardLimits(t *testing.T) {
	leakCheck(t)
	addr := serveTCP(t, func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) })
	s := forwardServer(ForwardPolicy{PermitOpen: []string{addr}, PermitListen: []string{"localhost:*"}, MaxConns: 20, MaxListeners: 3})
	s.MaxChannels = 1
	c := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	var conns []net.Conn
	dial := func() error {
		nc, err := c.DialContext(t.Context(), "tcp", addr)
		if err == nil {
			conns = append(conns, nc)
		}
		return err
	}
	for range 20 {
		if err := dial(); err != nil {
			t.Fatal(err)
		}
	}
	var no *OpenError
	if err := dial(); !errors.As(err, &no) || no.Reason != OpenResourceShortage {
		t.Errorf("one too many: %v", err)
	}
	sess, err := c.Session(t.Context())
	if err != nil {
		t.Fatalf("no session beside forwarded connections: %v", err)
	}
	if out, err := sess.Output(t.Context(), "echo x"); string(out) != "x" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	_ = conns[0].Close()
	if !eventually(func() bool { return dial() == nil }) {
		t.Error("no room after one was closed")
	}
	var ls []net.Listener
	for i := range 4 {
		l, err := c.Listen(t.Context(), "tcp", "localhost:0")
		if (err == nil) != (i < 3) {
			t.Errorf("listener %d: %v", i, err)
		}
		if err == nil {
			ls = append(ls, l)
		}
	}
	if err := ls[0].(*Listener).Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Listen(t.Context(), "tcp", "localhost:0"); err != nil {
		t.Errorf("no room after one was closed: %v", err)
	}
	// A listener waits for room: nobody is turned away.
	out, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ls[1].(*Listener).Port()))
	if err != nil {
		t.Fatal(err)
	}
	for _, nc := range conns {
		_ = nc.Close()
	}
	in, err := ls[1].Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = in.Write([]byte("x"))
	if b := make([]byte, 1); true {
		if _, err := io.ReadFull(out, b); err != nil {
			t.Error(err)
		}
	}
	_ = out.Close()
	_ = c.close(t)
}

// TestForwardByHand is a server that answers the requests itself: it gets them
// parsed, and opens channels to the client on its own initiative. Its handlers
// come before those of the policy.
func TestForwardByHand(t *testing.T) {
	leakCheck(t)
	var asked atomic.Int32
	s := forwardServer(ForwardPolicy{ // which would refuse
		DialTCP:   func(context.Context, *Conn, HostPort, HostPort) (net.Conn, error) { return nil, errTest },
		ListenTCP: func(context.Context, *Conn, HostPort) (net.Listener, error) { return nil, errTest },
	})
	wait := &sync.WaitGroup{}
	s.Requests = map[string]GlobalHandler{
		"tcpip-forward": func(_ context.Context, c *Conn, r *Request) (bool, []byte) {
			at, err := r.TCPBind()
			if err != nil || at != (HostPort{"any.name", 0}) {
				t.Errorf("asked to listen at %v, %v", at, err)
				return false, nil
			}
			wait.Add(1)
			r.AfterReply(func() {
				go func() {
					defer wait.Done()
					nc, err := c.OpenForwardedTCP(context.Background(), HostPort{"any.name", 1234}, HostPort{"192.0.2.3", 33})
					if err != nil {
						t.Error(err)
						return
					}
					defer nc.Close()
					if nc.LocalAddr().String() != "any.name:1234" || nc.RemoteAddr().String() != "192.0.2.3:33" {
						t.Errorf("addresses %v and %v", nc.LocalAddr(), nc.RemoteAddr())
					}
					echoAll(nc)
				}()
			})
			return true, PortReply(1234)
		},
		"cancel-tcpip-forward": func(_ context.Context, _ *Conn, r *Request) (bool, []byte) {
			if at, err := r.TCPBind(); err != nil || at != (HostPort{"any.name", 1234}) {
				t.Errorf("asked to listen no more at %v, %v", at, err)
			}
			asked.Add(1)
			return true, nil
		},
		"streamlocal-forward@openssh.com": func(_ context.Context, c *Conn, r *Request) (bool, []byte) {
			path, err := r.SocketPath()
			if err != nil || path != "/any/path" {
				t.Errorf("asked to listen at %q, %v", path, err)
				return false, nil
			}
			wait.Add(1)
			r.AfterReply(func() {
				go func() {
					defer wait.Done()
					nc, err := c.OpenForwardedUnix(context.Background(), path)
					if err != nil {
						t.Error(err)
						return
					}
					defer nc.Close()
					echoAll(nc)
				}()
			})
			return true, nil
		},
		"cancel-streamlocal-forward@openssh.com": func(_ context.Context, _ *Conn, r *Request) (bool, []byte) {
			if path, err := r.SocketPath(); err != nil || path != "/any/path" {
				t.Errorf("asked to listen no more at %q, %v", path, err)
			}
			asked.Add(1)
			return true, nil
		},
	}
	s.Channels = map[string]ChannelHandler{
		"direct-tcpip": func(_ context.Context, n *NewChannel) {
			to, from, err := n.TCP()
			if _, pathErr := n.SocketPath(); err != nil || to != (HostPort{"db", 5}) || from != (HostPort{"192.0.2.1", 6}) || pathErr == nil {
				t.Errorf("%v, %v, %v, %v", to, from, err, pathErr)
			}
			n.Refuse(OpenProhibited, "by hand")
		},
		"direct-streamlocal@openssh.com": func(_ context.Context, n *NewChannel) {
			path, err := n.SocketPath()
			if _, _, tcpErr := n.TCP(); err != nil || path != "/p" || tcpErr == nil {
				t.Errorf("%q, %v, %v", path, err, tcpErr)
			}
			n.Refuse(OpenProhibited, "by hand")
		},
	}
	c := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	for _, at := range [][2]string{{"tcp", "any.name:0"}, {"unix", "/any/path"}} {
		l, err := c.Listen(t.Context(), at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := roundTrip(nc, []byte("hello")); string(got) != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if at[0] == "tcp" && (nc.LocalAddr().String() != "any.name:1234" || nc.RemoteAddr().String() != "192.0.2.3:33") {
			t.Errorf("addresses %v and %v", nc.LocalAddr(), nc.RemoteAddr())
		}
		_ = nc.Close()
		if err := l.(*Listener).Cancel(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("%d cancellations", asked.Load())
	}
	var no *OpenError
	if _, err := c.DialFrom(t.Context(), "tcp", "db:5", HostPort{"192.0.2.1", 6}); !errors.As(err, &no) || no.Text != "by hand" {
		t.Error(err)
	}
	if _, err := c.DialContext(t.Context(), "unix", "/p"); !errors.As(err, &no) || no.Text != "by hand" {
		t.Error(err)
	}
	if _, err := c.OpenForwardedTCP(t.Context(), HostPort{"x", 1}, nil); !errors.Is(err, errNotServer) {
		t.Errorf("a client forwards: %v", err)
	}
	wait.Wait()
	_ = c.close(t)
}

// TestForwardMalformed: what is malformed is refused and asks nobody.
func TestForwardMalformed(t *testing.T) {
	leakCheck(t)
	never := func() { t.Error("a handler of the policy was asked") }
	p := scriptClient(t, forwardServer(ForwardPolicy{
		DialTCP:    func(context.Context, *Conn, HostPort, HostPort) (net.Conn, error) { never(); return nil, nil },
		DialUnix:   func(context.Context, *Conn, string) (net.Conn, error) { never(); return nil, nil },
		ListenTCP:  func(context.Context, *Conn, HostPort) (net.Listener, error) { never(); return nil, nil },
		ListenUnix: func(context.Context, *Conn, string) (net.Listener, error) { never(); return nil, nil },
	}))
	direct := wire.Append(nil, &msg.TCPChannel{Addr: "h", Port: 1, Origin: "o", OriginPort: 2})
	unix := wire.Append(nil, &msg.DirectUnix{Path: "/p"})
	for _, m := range []*msg.ChannelOpen{
		{Type: "direct-tcpip"},
		{Type: "direct-tcpip", Extra: direct[:len(direct)-1]},
		{Type: "direct-tcpip", Extra: append(direct, 0)},
		{Type: "direct-tcpip", Extra: wire.Append(nil, &msg.TCPChannel{Addr: "h", Port: 1 << 16})},
		{Type: "direct-tcpip", Extra: wire.Append(nil, &msg.TCPChannel{Addr: "h", OriginPort: 1 << 16})},
		{Type: "direct-streamlocal@openssh.com"},
		{Type: "direct-streamlocal@openssh.com", Extra: unix[:len(unix)-1]},
		{Type: "direct-streamlocal@openssh.com", Extra: append(unix, 0)},
		{Type: "direct-streamlocal@openssh.com", Extra: wire.Append(nil, &msg.DirectUnix{})},
		{Type: "direct-streamlocal@openssh.com", Extra: wire.Append(nil, &msg.DirectUnix{Path: "/p\x00q"})},
		{Type: "direct-streamlocal@openssh.com", Extra: wire.Append(nil, &msg.DirectUnix{Path: strings.Repeat("/", maxSocketPath+1)})},
	} {
		m.Sender, m.Window, m.MaxPacket = 3, 1, 1
		p.send(m)
		p.want(m.Type, &msg.ChannelOpenFailure{Recipient: 3, Reason: uint32(OpenConnectFailed), Text: "malformed"})
	}
	for _, name := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com"} {
		for _, data := range [][]byte{nil, {0}, wire.Append(nil, &msg.TCPForward{Port: 1 << 16}), append(wire.AppendString(nil, ""), 0), wire.AppendString(nil, "")} {
			p.send(&msg.GlobalRequest{Name: name, WantReply: true, Data: data})
			p.want(name, &msg.RequestFailure{})
		}
	}
	p.send(cancelMsg("localhost", 80))
	p.want("nothing to cancel", &msg.RequestFailure{})
	_ = p.close()
}

// TestForwardReplies: the port is in the reply if the client asked for any, and
// only then (RFC 4254 section 7.1); connections come after the reply; a
// cancellation names the port.
func TestForwardReplies(t *testing.T) {
	leakCheck(t)
	ready := make(chan net.Conn, 1)
	s := forwardServer(ForwardPolicy{ListenTCP: func(_ context.Context, _ *Conn, at HostPort) (net.Listener, error) {
		l := &oneConn{addr: HostPort{"127.0.0.1", 40001}, next: make(chan net.Conn, 1), done: make(chan struct{})}
		if at.Port == 0 {
			a, b := net.Pipe()
			l.next <- a // there is a connection at once
			ready <- b
		}
		return l, nil
	}})
	p := scriptClient(t, s)
	p.send(listenMsg("localhost", 40000))
	p.want("a port of its own", &msg.RequestSuccess{})
	p.send(listenMsg("localhost", 40000))
	p.want("the same again", &msg.RequestFailure{})
	p.send(listenMsg("localhost", 0))
	p.want("any port", &msg.RequestSuccess{Data: PortReply(40001)})
	var m msg.ChannelOpen
	p.get(&m)
	var tcp msg.TCPChannel
	if err := wire.Decode(m.Extra, &tcp); err != nil || m.Type != "forwarded-tcpip" || tcp.Addr != "localhost" || tcp.Port != 40001 {
		t.Errorf("%s, %+v, %v", m.Type, tcp, err)
	}
	p.send(&msg.ChannelOpenFailure{Recipient: m.Sender, Reason: uint32(OpenConnectFailed)})
	if _, err := (<-ready).Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection that the client refused: %v", err)
	}
	p.send(cancelMsg("localhost", 0))
	p.want("cancel without the port", &msg.RequestFailure{})
	p.send(cancelMsg("127.0.0.1", 40001))
	p.want("cancel another spelling", &msg.RequestFailure{})
	for _, port := range []uint32{40000, 40001} {
		p.send(cancelMsg("localhost", port))
		p.want("cancel", &msg.RequestSuccess{})
		p.send(cancelMsg("localhost", port))
		p.want("cancel again", &msg.RequestFailure{})
	}
	// Who does not want to know is not told, and listens nevertheless.
	m1 := listenMsg("localhost", 40000)
	m1.WantReply = false
	p.send(m1, cancelMsg("localhost", 40000))
	p.want("only the second", &msg.RequestSuccess{})
	_ = p.close()
}

// oneConn is a listener that accepts what the test puts into next.
type oneConn struct {
	addr net.Addr
	next chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case nc := <-l.next:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Addr() net.Addr { return l.addr }
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.done) }); return nil }

// TestListenAgainAtOnce: a listener that takes the place of another one stays.
func TestListenAgainAtOnce(t *testing.T) {
	leakCheck(t)
	c := forwardPair(t, ForwardPolicy{PermitListen: []string{"localhost:*"}})
	port := 0
	for range repeat(200) {
		l, err := c.Listen(t.Context(), "tcp", HostPort{"localhost", port}.String())
		if err != nil {
			t.Fatal(err)
		}
		port = l.(*Listener).Port()
		_ = l.Close()
	}
	l, err := c.Listen(t.Context(), "tcp", HostPort{"localhost", port}.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.(*Listener).Cancel(t.Context()); err != nil {
		t.Errorf("the server has forgotten it: %v", err)
	}
}

// TestCVE_5_16_ForwardsRace: listeners and connections are opened and closed from
// both ends at once.
func TestCVE_5_16_ForwardsRace(t *testing.T) {
	leakCheck(t)
	addr := serveTCP(t, func(nc net.Conn) { _, _ = nc.Write(pattern(1000)) })
	c := dialPair(t, forwardServer(ForwardPolicy{PermitOpen: []string{addr}, PermitListen: []string{"localhost:*"}}), testClient(), netsim.Link{}, netsim.Link{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range repeat(500) {
				l, err := c.Listen(t.Context(), "tcp", "localhost:0")
				if err != nil {
					t.Error(err)
					return
				}
				go func() {
					if nc, err := l.Accept(); err == nil {
						_ = nc.Close()
					}
				}()
				if nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.(*Listener).Port())); err == nil {
					_ = nc.Close()
				}
				_ = l.Close()
			}
		})
		wg.Go(func() {
			for i := range repeat(500) {
				ctx, cancel := context.WithCancel(t.Context())
				if i%3 == 0 {
					go cancel()
				}
				if nc, err := c.DialContext(ctx, "tcp", addr); err == nil {
					_, _ = nc.Read(make([]byte, i%2000))
					_ = nc.Close()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if i := c.Info(); i.Channels > 0 && !eventually(func() bool { return c.Info().Channels == 0 }) {
		t.Errorf("%d channels left", c.Info().Channels)
	}
	_ = c.close(t)
}
