package ssh2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

var (
	testCookie = []byte("0123456789abcdef") // of the session
	realCookie = []byte("display's secret") // of the display
)

// testDisplay plays an X11 display: it notes who says what and echoes the rest.
func testDisplay(seen chan<- *x11Setup) func(context.Context, X11Origin) (net.Conn, error) {
	return func(context.Context, X11Origin) (net.Conn, error) {
		a, b := net.Pipe()
		go func() {
			defer b.Close()
			s, err := readX11Setup(b)
			if err != nil {
				seen <- nil
				return
			}
			seen <- s
			_, _ = io.Copy(b, b)
		}()
		return a, nil
	}
}

// x11Server has sessions that hand on their X11 and hang.
func x11Server(sessions chan<- *ServerSession) *Server {
	s := testServer(func(ctx context.Context, s *ServerSession) {
		s.Accept()
		sessions <- s
		<-ctx.Done()
	})
	s.AllowX11 = true
	return s
}

// startX11 starts a session with that display and returns both ends.
func startX11(t *testing.T, p *pair, sessions <-chan *ServerSession, x *X11) (*Session, *ServerSession) {
	t.Helper()
	s, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.X11 = x
	if err := s.Start(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	return s, <-sessions
}

var orders = []*x11Setup{
	{order: binary.BigEndian, major: 11, protocol: MITMagicCookie, data: testCookie},
	{order: binary.LittleEndian, major: 11, protocol: MITMagicCookie, data: testCookie},
}

// TestX11CookieIsReplaced: a program that shows the session's cookie gets to the
// display with the display's, in either byte order (RFC 4254 section 6.3).
func TestX11CookieIsReplaced(t *testing.T) {
	leakCheck(t)
	sessions, seen := make(chan *ServerSession, 1), make(chan *x11Setup, 1)
	p := dialPair(t, x11Server(sessions), testClient(), netsim.Link{}, netsim.Link{MaxRead: 5})
	defer p.close(t)
	origins := make(chan X11Origin, 1)
	dial := testDisplay(seen)
	display := &X11Display{Protocol: MITMagicCookie, Cookie: realCookie}
	_, ss := startX11(t, p, sessions, &X11{Cookie: testCookie, Screen: 3, Display: display, Dial: func(ctx context.Context, o X11Origin) (net.Conn, error) {
		origins <- o
		return dial(ctx, o)
	}})
	if x := *ss.X11; x.Single || x.Screen != 3 || x.Protocol != MITMagicCookie || !bytes.Equal(x.Cookie, testCookie) {
		t.Errorf("server got %+v", x)
	}
	for _, setup := range orders {
		ch, err := ss.OpenX11(t.Context(), "192.0.2.7", 4711)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ch.Write(append(setup.message(setup.protocol, setup.data), "hello"...))
		got := <-seen
		if got == nil || got.order != setup.order || got.major != 11 || got.protocol != MITMagicCookie || !bytes.Equal(got.data, realCookie) {
			t.Errorf("display got %+v", got)
		}
		if o := <-origins; o != (X11Origin{"192.0.2.7", 4711}) || o.String() != "192.0.2.7:4711" {
			t.Errorf("origin %v", o)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(ch, b); err != nil || string(b) != "hello" {
			t.Errorf("echo %q, %v", b, err)
		}
		_ = ch.Close()
	}
}

// TestX11CookieIsRandom: without a choice each session has one of its own, of 16
// octets, and the display behind Dial gets to see just that.
func TestX11CookieIsRandom(t *testing.T) {
	leakCheck(t)
	sessions, seen := make(chan *ServerSession, 1), make(chan *x11Setup, 1)
	p := dialPair(t, x11Server(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	var cookies [][]byte
	for range 2 {
		_, ss := startX11(t, p, sessions, &X11{Dial: testDisplay(seen)})
		cookies = append(cookies, ss.X11.Cookie)
		if ss.X11.Protocol != MITMagicCookie || len(ss.X11.Cookie) != 16 {
			t.Errorf("%+v", ss.X11)
		}
		ch, err := ss.OpenX11(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ch.Write(orders[0].message(MITMagicCookie, ss.X11.Cookie))
		if got := <-seen; got == nil || !bytes.Equal(got.data, ss.X11.Cookie) {
			t.Errorf("display got %+v", got)
		}
		_ = ch.Close()
	}
	if bytes.Equal(cookies[0], cookies[1]) {
		t.Error("two sessions have the same cookie")
	}
}

// TestX11WrongCookies: who does not show the cookie gets the answer of a display
// that does not know him, and the display hears nothing.
func TestX11WrongCookies(t *testing.T) {
	leakCheck(t)
	sessions := make(chan *ServerSession, 1)
	p := dialPair(t, x11Server(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	_, ss := startX11(t, p, sessions, &X11{Cookie: testCookie, Dial: func(context.Context, X11Origin) (net.Conn, error) {
		t.Error("display was reached")
		return nil, errTest
	}})
	good := orders[0]
	for what, b := range map[string][]byte{
		"other cookie":   good.message(MITMagicCookie, []byte("0123456789abcdeF")),
		"short cookie":   good.message(MITMagicCookie, testCookie[:15]),
		"long cookie":    good.message(MITMagicCookie, append(slices.Clone(testCookie), 0)),
		"no cookie":      good.message("", nil),
		"other protocol": good.message("XDM-AUTHORIZATION-1", testCookie),
	} {
		ch, err := ss.OpenX11(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ch.Write(b)
		all, err := io.ReadAll(struct{ io.Reader }{ch})
		if want := good.refusal(errX11Cookie.Error()); !bytes.Equal(all, want) || err != nil {
			t.Errorf("%s: %q, %v", what, all, err)
		}
		_ = ch.Close()
	}
	for what, b := range map[string][]byte{
		"no order":      append([]byte{'x'}, make([]byte, 11)...),
		"long protocol": {'B', 0, 0, 11, 0, 0, 0, maxX11Protocol + 1, 0, 16, 0, 0},
		"long cookie":   {'l', 0, 11, 0, 0, 0, 18, 0, 0xFF, 0xFF, 0, 0},
	} {
		ch, err := ss.OpenX11(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ch.Write(b)
		if all, err := io.ReadAll(struct{ io.Reader }{ch}); len(all) != 0 || err != nil {
			t.Errorf("%s: %q, %v", what, all, err)
		}
		_ = ch.Close()
	}
}

// TestX11Single: one connection means one, on either end and also when the server
// does not keep to it; another session is not concerned.
func TestX11Single(t *testing.T) {
	leakCheck(t)
	sessions, seen := make(chan *ServerSession, 1), make(chan *x11Setup, 1)
	p := dialPair(t, x11Server(sessions), testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	_, ss := startX11(t, p, sessions, &X11{Single: true, Cookie: testCookie, Dial: testDisplay(seen)})
	if !ss.X11.Single {
		t.Error("server was not told")
	}
	ch, err := ss.OpenX11(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ch.Write(orders[1].message(MITMagicCookie, testCookie))
	<-seen
	if _, err := ss.OpenX11(t.Context(), "", 0); !errors.Is(err, errX11Single) {
		t.Errorf("second: %v", err)
	}
	extra := wire.Append(nil, &msg.X11Open{})
	var no *OpenError
	if _, err := ss.Conn().Open(t.Context(), "x11", extra, nil); !errors.As(err, &no) || no.Reason != OpenProhibited {
		t.Errorf("second, without asking: %v", err)
	}
	_, other := startX11(t, p, sessions, &X11{Cookie: realCookie, Dial: testDisplay(seen)})
	ch2, err := other.OpenX11(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ch2.Write(orders[1].message(MITMagicCookie, testCookie)) // the cookie that is used up
	if all, err := io.ReadAll(struct{ io.Reader }{ch2}); err != nil || !bytes.Equal(all, orders[1].refusal(errX11Single.Error())) {
		t.Errorf("with the other session's cookie: %q, %v", all, err)
	}
	_ = ch2.Close()
	ch2, err = other.OpenX11(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ch2.Write(orders[1].message(MITMagicCookie, realCookie))
	if got := <-seen; got == nil || !bytes.Equal(got.data, realCookie) {
		t.Errorf("display got %+v", got)
	}
	_ = ch2.Close()
	_ = ch.Close()
}

// TestCVE_11_1_X11OnlyWhileAsked: x11 channels are refused before a session asks,
// when the server refused, when the session is over, and always on a server; a
// connection that was made goes on (RFC 4254 section 6.3.1).
func TestCVE_11_1_X11OnlyWhileAsked(t *testing.T) {
	leakCheck(t)
	sessions, seen := make(chan *ServerSession, 1), make(chan *x11Setup, 1)
	s := x11Server(sessions)
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	_, ss := startX11(t, p, sessions, nil)
	extra := wire.Append(nil, &msg.X11Open{})
	refused := func(when string) {
		t.Helper()
		var no *OpenError
		if _, err := ss.Conn().Open(t.Context(), "x11", extra, nil); !errors.As(err, &no) || no.Reason != OpenUnknownType {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused("before any session asked")
	if _, err := ss.OpenX11(t.Context(), "", 0); !errors.Is(err, errNoX11) {
		t.Errorf("OpenX11: %v", err)
	}
	if _, err := ss.ListenX11(X11Listen{}); !errors.Is(err, errNoX11) {
		t.Errorf("ListenX11: %v", err)
	}
	s.AllowX11 = false
	sess, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sess.X11 = &X11{Dial: testDisplay(seen)}
	var no *RequestError
	if err := sess.Start(t.Context(), "x"); !errors.As(err, &no) || no.Name != "x11-req" {
		t.Errorf("refused x11-req: %v", err)
	}
	refused("after the server refused")
	s.AllowX11 = true
	sess, ss = startX11(t, p, sessions, &X11{Cookie: testCookie, Dial: testDisplay(seen)})
	if _, err := ss.Conn().Open(t.Context(), "x11", []byte{1}, nil); err == nil {
		t.Error("malformed x11 channel was taken")
	}
	ch, err := ss.OpenX11(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ch.Write(orders[0].message(MITMagicCookie, testCookie))
	<-seen
	_ = sess.Close()
	<-ss.Context().Done()
	refused("after the session")
	if _, err := ss.OpenX11(t.Context(), "", 0); !errors.Is(err, ErrChannelClosed) {
		t.Errorf("OpenX11 after the session: %v", err)
	}
	_, _ = ch.Write([]byte("still"))
	b := make([]byte, 5)
	if _, err := io.ReadFull(ch, b); err != nil || string(b) != "still" {
		t.Errorf("connection made before: %q, %v", b, err)
	}
	_ = ch.Close()
	if _, err := p.Open(t.Context(), "x11", extra, nil); err == nil {
		t.Error("a server takes x11 channels")
	}
}

// TestX11SetupTakesTooLong: a connection that says nothing ends after a while.
func TestX11SetupTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := make(chan *ServerSession, 1)
		p := dialPair(t, x11Server(sessions), testClient(), netsim.Link{}, netsim.Link{})
		_, ss := startX11(t, p, sessions, &X11{Cookie: testCookie, Dial: testDisplay(nil)})
		ch, err := ss.OpenX11(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ch.Write([]byte{'B', 0})
		start := time.Now()
		_, err = ch.Read(make([]byte, 1))
		if took := time.Since(start); !errors.Is(err, io.EOF) || took != x11SetupTime {
			t.Errorf("%v after %v", err, took)
		}
		_ = p.close(t)
	})
}

// TestCVE_11_5_X11RequestsAreChecked: what is no protocol or not hexadecimal never
// gets past the reader, so that no xauth(1) can see it.
func TestCVE_11_5_X11RequestsAreChecked(t *testing.T) {
	leakCheck(t)
	s := testServer(shellServer)
	s.AllowX11 = true
	p := scriptClient(t, s)
	ask := func(protocol, cookie string, want byte) {
		t.Helper()
		id := p.open(1)
		m := &msg.ChannelRequest{Recipient: id, Name: "x11-req", WantReply: true, Data: wire.Append(nil, &msg.X11Req{Protocol: protocol, Cookie: cookie})}
		p.send(m)
		p.want("x11-req", signal(want, 1))
		if want == msg.NumChannelSuccess {
			p.send(m)
			p.want("second x11-req", signal(msg.NumChannelFailure, 1))
		}
		p.send(signal(msg.NumChannelClose, id))
		p.want("close", signal(msg.NumChannelClose, 1))
	}
	ask(MITMagicCookie, "00ff", msg.NumChannelSuccess)
	ask(MITMagicCookie, "00FF", msg.NumChannelSuccess)
	for _, bad := range []string{"", "0", "xy", "00ff\r\n", "00ff\nsource /etc/passwd", " 00ff", "00 ff", "00ff\x00", strings.Repeat("00", maxX11Data+1)} {
		ask(MITMagicCookie, bad, msg.NumChannelFailure)
	}
	for _, bad := range []string{"", "a b", "x\n", "x\r\nadd", "-;", "é", strings.Repeat("x", maxX11Protocol+1)} {
		ask(bad, "00ff", msg.NumChannelFailure)
	}
	_ = p.close()
}

// TestListenX11: programs that connect to the display of a session reach the
// client's, with the cookie that the file has; when the session ends, display and
// file are gone.
func TestListenX11(t *testing.T) {
	leakCheck(t)
	dir := t.TempDir()
	type listener struct {
		*X11Listener
		err error
	}
	listening := make(chan listener, 1)
	s := testServer(func(ctx context.Context, s *ServerSession) {
		s.Accept()
		l, err := s.ListenX11(X11Listen{DisplayOffset: 50, Dir: dir})
		listening <- listener{l, err}
		<-ctx.Done()
	})
	s.AllowX11 = true
	seen := make(chan *x11Setup, 1)
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	sess, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sess.X11 = &X11{Screen: 1, Display: &X11Display{Protocol: MITMagicCookie, Cookie: realCookie}, Dial: testDisplay(seen)}
	if err := sess.Start(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	l := <-listening
	if l.err != nil {
		t.Fatal(l.err)
	}
	if env := l.Env(); len(env) != 2 || env[0] != "DISPLAY="+l.Display() || env[1] != "XAUTHORITY="+l.Authority() || !strings.HasSuffix(l.Display(), ".1") {
		t.Errorf("environment %q", env)
	}
	for path, want := range map[string]os.FileMode{l.Authority(): 0o600, filepath.Dir(l.Authority()): 0o700 | os.ModeDir} {
		if i, err := os.Stat(path); err != nil || i.IsDir() != want.IsDir() || !i.IsDir() && i.Mode() != modeOf(want) || runtime.GOOS != "windows" && i.Mode() != want {
			t.Errorf("%s: %v, %v", path, i, err)
		}
	}
	t.Setenv("XAUTHORITY", l.Authority())
	d, err := FindX11Display(l.Display())
	if err != nil || d.Network != "tcp" || d.Screen != 1 || d.Protocol != MITMagicCookie || len(d.Cookie) != 16 {
		t.Fatalf("%+v, %v", d, err)
	}
	nc, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = nc.Write(append(orders[1].message(d.Protocol, d.Cookie), "hello"...))
	if got := <-seen; got == nil || !bytes.Equal(got.data, realCookie) {
		t.Errorf("display got %+v", got)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(nc, b); err != nil || string(b) != "hello" {
		t.Errorf("echo %q, %v", b, err)
	}
	_ = nc.Close()
	_ = sess.Close()
	<-l.done
	if _, err := os.Stat(filepath.Dir(l.Authority())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory of the cookie: %v", err)
	}
	if nc, err := d.Dial(t.Context()); err == nil {
		_ = nc.Close()
		t.Error("the display is still there")
	}
	_ = l.Close()
}

// TestParseX11Display has the forms of DISPLAY.
func TestParseX11Display(t *testing.T) {
	for in, want := range map[string]X11Display{
		":0":                     {Network: "unix", Address: "/tmp/.X11-unix/X0"},
		":12.3":                  {Network: "unix", Address: "/tmp/.X11-unix/X12", Screen: 3},
		"unix:1":                 {Network: "unix", Address: "/tmp/.X11-unix/X1"},
		"localhost:10.0":         {Network: "tcp", Address: "localhost:6010"},
		"tcp/example.org:1":      {Network: "tcp", Address: "example.org:6001"},
		"[2001:db8::1]:2":        {Network: "tcp", Address: "[2001:db8::1]:6002"},
		"2001:db8::1:2":          {Network: "tcp", Address: "[2001:db8::1]:6002"},
		"/private/tmp/x.org:0":   {Network: "unix", Address: "/private/tmp/x.org:0"},
		"/private/tmp/x.org:0.1": {Network: "unix", Address: "/private/tmp/x.org:0", Screen: 1},
	} {
		if d, _, _, err := parseX11Display(in); err != nil || d.Network != want.Network || d.Address != want.Address || d.Screen != want.Screen {
			t.Errorf("%q: %+v, %v", in, d, err)
		}
	}
	for _, bad := range []string{"", "x", ":", ":x", ":-1", ":0.", ":0.x", ":99999", "host:", "tcp/:1", "[]:1", ":59536"} {
		if d, _, _, err := parseX11Display(bad); err == nil {
			t.Errorf("%q: %+v", bad, d)
		}
	}
}

// TestFindX11Display: DISPLAY and XAUTHORITY say where and with what.
func TestFindX11Display(t *testing.T) {
	name := filepath.Join(t.TempDir(), "xauth")
	t.Setenv("XAUTHORITY", name)
	t.Setenv("DISPLAY", "")
	if _, err := FindX11Display(""); !errors.Is(err, ErrNoX11Display) {
		t.Errorf("without DISPLAY: %v", err)
	}
	t.Setenv("DISPLAY", ":7")
	if d, err := FindX11Display(""); err != nil || d.Cookie != nil {
		t.Errorf("without a file: %+v, %v", d, err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	for _, e := range []xauthEntry{
		{xauthLocal, []byte("elsewhere"), "7", MITMagicCookie, []byte("of another host")},
		{xauthLocal, []byte(host), "7", "XDM-AUTHORIZATION-1", []byte("of another kind")},
		{xauthLocal, []byte(host), "8", MITMagicCookie, []byte("of another number")},
		{xauthLocal, []byte(host), "7", MITMagicCookie, realCookie},
		{xauthInternet, []byte{127, 0, 0, 1}, "9", MITMagicCookie, []byte("of an address")},
		{xauthWild, nil, "", MITMagicCookie, []byte("of any")},
	} {
		file = e.append(file)
	}
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for display, want := range map[string]string{"": string(realCookie), ":7": string(realCookie), ":1": "of any", "127.0.0.1:9": "of an address", "127.0.0.1:7": string(realCookie), "[::1]:9": "of any"} {
		if d, err := FindX11Display(display); err != nil || string(d.Cookie) != want || d.Protocol != MITMagicCookie {
			t.Errorf("%q: %+v, %v", display, d, err)
		}
	}
	if err := os.WriteFile(name, file[:len(file)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FindX11Display(""); !errors.Is(err, errXauthority) {
		t.Errorf("malformed: %v", err)
	}
	if err := os.WriteFile(name, make([]byte, maxXauthority+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FindX11Display(""); err == nil {
		t.Error("a file without end was read")
	}
}

func FuzzXauthority(f *testing.F) {
	e := xauthEntry{xauthLocal, []byte("host"), "10", MITMagicCookie, testCookie}
	f.Add(e.append(nil))
	f.Add(e.append(e.append(nil))[:40])
	f.Fuzz(func(t *testing.T, in []byte) {
		entries, err := parseXauthority(in)
		if err != nil {
			return
		}
		var out []byte
		for _, e := range entries {
			out = e.append(out)
			e.fits(true, "host", nil, 10)
		}
		if !bytes.Equal(in, out) {
			t.Errorf("%x became %x", in, out)
		}
	})
}

func FuzzX11Setup(f *testing.F) {
	for _, s := range orders {
		f.Add(s.message(s.protocol, s.data))
	}
	f.Add([]byte{'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := readX11Setup(bytes.NewReader(in))
		if err != nil {
			return
		}
		out := s.message(s.protocol, s.data)
		again, err := readX11Setup(bytes.NewReader(out))
		if err != nil || again.protocol != s.protocol || !bytes.Equal(again.data, s.data) || again.order != s.order || len(out) > len(in) {
			t.Errorf("%x became %x: %v", in, out, err)
		}
		s.refusal("no")
	})
}

func FuzzX11Display(f *testing.F) {
	f.Add(":0")
	f.Add("host:10.1")
	f.Fuzz(func(t *testing.T, in string) {
		d, _, n, err := parseX11Display(in)
		if err == nil && (n < 0 || n > maxX11Number || d.Address == "" || d.Network != "unix" && d.Network != "tcp") {
			t.Errorf("%q: %+v, %d", in, d, n)
		}
	})
}
