package ssh2

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// An X11Request is what a client asks for to lend its display (RFC 4254 section
// 6.3.1).
type X11Request struct {
	Single   bool   // one connection, no more
	Protocol string // of authorization; letters, digits and minus
	Cookie   []byte // what programs are to show
	Screen   uint32
}

var errNoX11 = errors.New("ssh2: x11: the client does not lend its display to this session")

func (s *ServerSession) onX11(r *Request) verdict {
	c := s.ch.conn
	var m msg.X11Req
	if s.started() || s.X11 != nil || c.auth.Limits.NoX11Forwarding || !decodeData(r.Data, &m) {
		return refuse
	}
	// Both may end up on the command line of xauth(1), of a server that uses it.
	cookie, err := hex.DecodeString(m.Cookie)
	if err != nil || len(cookie) == 0 || len(cookie) > maxX11Data || !plainProtocol(m.Protocol) {
		return refuse
	}
	x := &X11Request{m.Single, m.Protocol, cookie, m.Screen}
	take := func() { s.X11 = x }
	if c.server.AllowX11 {
		take()
		return accept
	}
	if allow := c.server.Policy.X11; allow != nil {
		return s.ask(r, func(ctx context.Context) bool { return allow(ctx, s, x) }, take)
	}
	return refuse
}

// plainProtocol tells whether s is the name of an authorization protocol.
func plainProtocol(s string) bool {
	other := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	return s != "" && len(s) <= maxX11Protocol && !strings.ContainsFunc(s, other)
}

// OpenX11 opens an X11 connection to the display of the client, for a program
// that connected from originAddr and originPort (RFC 4254 section 6.3.2). The
// program has to show the session's cookie. If one connection was agreed on, it
// works once. The caller closes the channel, which may outlive the session.
func (s *ServerSession) OpenX11(ctx context.Context, originAddr string, originPort uint32) (*Channel, error) {
	if s.X11 == nil {
		return nil, errNoX11
	}
	if s.X11.Single && s.x11Used.Swap(true) {
		return nil, errX11Single
	}
	return s.openToClient(ctx, x11Channel, wire.Append(nil, &msg.X11Open{Addr: originAddr, Port: originPort}))
}

// X11Listen says how ListenX11 makes a display. The zero value does as sshd does.
type X11Listen struct {
	// DisplayOffset is the first number that is tried; 0 means 10, to stay clear
	// of displays that exist.
	DisplayOffset int
	// Dir is where the directory with the file of the cookie is made; empty means
	// the system's directory of temporary files.
	Dir string
}

const (
	defaultX11Offset = 10
	maxX11Displays   = 1000 // numbers that are tried
	maxX11Conns      = 100  // connections of one session at a time
)

// An X11Listener is a display for programs of a session. What they do there
// happens on the display of the client.
type X11Listener struct {
	*sessionListener
	display, authority string
}

// Display returns the name of the display, for DISPLAY.
func (l *X11Listener) Display() string { return l.display }

// Authority returns the path of the file with the cookie, for XAUTHORITY.
func (l *X11Listener) Authority() string { return l.authority }

// Env returns the variables by which programs find the display: DISPLAY and
// XAUTHORITY.
func (l *X11Listener) Env() []string {
	return []string{"DISPLAY=" + l.display, "XAUTHORITY=" + l.authority}
}

// ListenX11 makes a display that programs of the session can use: a TCP port on
// the loopback addresses of all families, 6000 and its number, and a file with
// the cookie, in a directory that only the user of this process may enter. All
// users of the machine can connect to the port; the client refuses connections
// that do not present the cookie. Close, or the end of the session, undoes it.
func (s *ServerSession) ListenX11(o X11Listen) (*X11Listener, error) {
	if s.X11 == nil {
		return nil, errNoX11
	}
	orDefault(&o.DisplayOffset, defaultX11Offset)
	l, number, err := listenX11(s.ch.ctx, o.DisplayOffset)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "ssh-x11-") // 0700
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	x := &X11Listener{
		display:   fmt.Sprintf("localhost:%d.%d", number, s.X11.Screen),
		authority: filepath.Join(dir, "Xauthority"),
	}
	// Of any address, as programs disagree on what localhost is called.
	e := xauthEntry{family: xauthWild, number: strconv.Itoa(number), protocol: s.X11.Protocol, cookie: s.X11.Cookie}
	if err := os.WriteFile(x.authority, e.append(nil), 0o600); err != nil {
		_ = l.Close()
		_ = os.RemoveAll(dir)
		return nil, err
	}
	x.sessionListener = s.listen(l, maxX11Conns, func(nc net.Conn) (*Channel, error) {
		ctx, cancel := context.WithTimeout(s.ch.ctx, openTimeout)
		defer cancel()
		addr, _ := nc.RemoteAddr().(*net.TCPAddr)
		if addr == nil {
			return nil, errors.New("ssh2: x11: no TCP address")
		}
		return s.OpenX11(ctx, addr.IP.String(), uint32(addr.Port))
	}, func() { _ = os.RemoveAll(dir) })
	return x, nil
}

// listenX11 finds a number of a display that nobody uses.
func listenX11(ctx context.Context, offset int) (l net.Listener, number int, err error) {
	if offset < 0 || offset > maxX11Number {
		return nil, 0, fmt.Errorf("ssh2: x11: display offset %d: not from 0 to %d", offset, maxX11Number)
	}
	for number = offset; number < min(offset+maxX11Displays, maxX11Number+1); number++ {
		// On both families, or else somebody could wait on the other for programs
		// that try it first, and read their cookies.
		if l, err = bindLoopback(ctx, x11Port+number); err == nil {
			return l, number, nil
		}
	}
	return nil, 0, fmt.Errorf("ssh2: x11: no free display: %w", err)
}
