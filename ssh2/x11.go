package ssh2

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// MITMagicCookie is the authorization protocol that X11 displays and programs
// agree on: a secret that both know.
const MITMagicCookie = "MIT-MAGIC-COOKIE-1"

// x11SetupTime bounds how long a program on the server may take to say who it is.
const x11SetupTime = 30 * time.Second

// X11 lends a display to what runs in a session (RFC 4254 section 6.3). X11 has
// no access control within a display: whoever controls the server while the
// session is open can read the display's screen and keyboard, and type.
//
// The server is given a cookie made for this session instead of the display's
// own. A connection that does not present it is refused; in one that does, it
// is replaced by the display's own cookie, which the server never sees.
type X11 struct {
	// Single lets only one connection be made.
	Single bool
	// Screen is the number of the screen to use, mostly 0.
	Screen uint32
	// Protocol and Cookie are the authorization data that the server is given.
	// Empty means MITMagicCookie and 16 random octets; set them only if the
	// server must get a certain cookie.
	Protocol string
	Cookie   []byte
	// Display is what connections go to. Nil means FindX11Display(""), when the
	// session starts, unless there is Dial.
	Display *X11Display
	// Dial, if not nil, is called instead of Display.Dial for each connection
	// that presented the cookie. Without a Display, the data that the program
	// sent is passed on unchanged, with the cookie of the session.
	Dial func(ctx context.Context, origin X11Origin) (net.Conn, error)
}

// An X11Origin says which program on the server made an X11 connection, as far
// as the server tells (RFC 4254 section 6.3.2).
type X11Origin struct {
	Addr string // its address, untrusted
	Port uint32
}

// String returns both, as of a network address.
func (o X11Origin) String() string {
	return net.JoinHostPort(plainAuth(o.Addr), strconv.FormatUint(uint64(o.Port), 10))
}

// x11Lease is a display lent to one session.
type x11Lease struct {
	X11              // with nothing left to choose
	used atomic.Bool // Single, and a connection was made
}

// lease settles what is left to choose.
func (x *X11) lease() (*x11Lease, error) {
	l := &x11Lease{X11: *x}
	if l.Display == nil && l.Dial == nil {
		d, err := FindX11Display("")
		if err != nil {
			return nil, err
		}
		l.Display = d
	}
	orDefault(&l.Protocol, MITMagicCookie)
	if l.Cookie == nil {
		l.Cookie = make([]byte, 16)
		_, _ = rand.Read(l.Cookie) // it never fails
	}
	if len(l.Cookie) == 0 || len(l.Cookie) > maxX11Data || len(l.Protocol) > maxX11Protocol {
		return nil, errors.New("ssh2: x11: protocol or cookie: empty or too long")
	}
	return l, nil
}

// lendDisplay asks the server to use a display of the client.
func (s *Session) lendDisplay(ctx context.Context) error {
	x, err := s.X11.lease()
	if err != nil {
		return err
	}
	takeBack := s.ch.conn.lent.lendDisplay(x)
	m := &msg.X11Req{Single: x.Single, Protocol: x.Protocol, Cookie: hex.EncodeToString(x.Cookie), Screen: x.Screen}
	if err := s.ch.Request(ctx, "x11-req", true, wire.Append(nil, m)); err != nil {
		takeBack()
		return err
	}
	context.AfterFunc(s.ch.ctx, takeBack)
	return nil
}

// serveX11 decides on an X11 channel that the server opens.
func (l *lending) serveX11(ctx context.Context, n *NewChannel) {
	log := n.conn.log
	origin, ok := parseX11Origin(n.extra)
	if !ok {
		n.Refuse(OpenConnectFailed, "malformed x11 channel")
		return
	}
	if !l.takesX11() {
		n.Refuse(OpenProhibited, "one connection was agreed on")
		return
	}
	ch, err := n.Accept(nil)
	if err != nil {
		return
	}
	nc, first, err := l.admitX11(ctx, ch, origin)
	if err != nil {
		log.Warn("x11 connection refused", "origin", origin.String(), "err", err)
		_ = ch.Close()
		return
	}
	if _, err := nc.Write(first); err != nil {
		log.Debug("x11 display lost", "err", err)
		_ = ch.Close()
		_ = nc.Close()
		return
	}
	relay(ch, nc)
}

// admitX11 checks who connects and returns a connection to the display, and what
// it is to be told first.
func (l *lending) admitX11(ctx context.Context, ch *Channel, origin X11Origin) (nc net.Conn, first []byte, err error) {
	_ = ch.SetReadDeadline(time.Now().Add(x11SetupTime))
	setup, err := readX11Setup(ch)
	if err != nil {
		return nil, nil, err
	}
	_ = ch.SetReadDeadline(time.Time{})
	x, why := l.find(setup)
	if x == nil {
		tell(ch, setup.refusal(why.Error()))
		return nil, nil, why
	}
	if x.Dial != nil {
		nc, err = x.Dial(ctx, origin)
	} else {
		nc, err = x.Display.Dial(ctx)
	}
	if err != nil {
		tell(ch, setup.refusal("display not reached"))
		return nil, nil, err
	}
	if x.Display != nil {
		return nc, setup.message(x.Display.Protocol, x.Display.Cookie), nil
	}
	return nc, setup.message(setup.protocol, setup.data), nil
}

// tell writes the last words on a channel. They fit the window of any program
// that waits for an answer; one that gave none must not make us wait.
func tell(ch *Channel, b []byte) {
	_ = ch.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = ch.Write(b)
	_ = ch.CloseWrite()
}

var (
	errX11Cookie = errors.New("ssh2: x11: wrong cookie")
	errX11Single = errors.New("ssh2: x11: one connection was agreed on, and made")
)

// find returns the lease whose cookie a connection shows. All cookies are
// compared, so that the time taken tells nothing of them.
func (l *lending) find(setup *x11Setup) (*x11Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var x *x11Lease
	for _, o := range l.displays {
		if setup.shows(o.Protocol, o.Cookie) {
			x = o
		}
	}
	switch {
	case x == nil:
		return nil, errX11Cookie
	case x.Single && x.used.Swap(true):
		return nil, errX11Single
	}
	return x, nil
}

// takesX11 tells whether any session would take another connection.
func (l *lending) takesX11() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.displays {
		if !x.Single || !x.used.Load() {
			return true
		}
	}
	return false
}

// parseX11Origin reads what an x11 channel adds to CHANNEL_OPEN.
func parseX11Origin(extra []byte) (X11Origin, bool) {
	var m msg.X11Open
	ok := decodeData(extra, &m)
	return X11Origin{m.Addr, m.Port}, ok
}
