package ssh2

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// A SessionKind is what a session was asked to run (RFC 4254 section 6.5).
type SessionKind uint8

// The kinds of sessions.
const (
	Exec      SessionKind = iota + 1 // one command, in Command
	Shell                            // the user's shell
	Subsystem                        // a named service, in Subsystem
)

// String returns the name of the request.
func (k SessionKind) String() string {
	switch k {
	case Exec:
		return "exec"
	case Shell:
		return "shell"
	case Subsystem:
		return "subsystem"
	}
	return "none"
}

// A ServerSession is a session on its server (RFC 4254 section 6). Server.Session
// gets one for each command, shell or subsystem that a client asks for.
//
// The client's request is granted with the first use of the session (reading,
// writing, Accept, Exit), and refused if the handler returns without any, or
// with Refuse. When the handler returns the session ends with exit status 0,
// unless Exit or ExitSignal said otherwise.
//
// It is a packet.Conn and a net.Conn without addresses of its own. The fields
// are set before the handler runs and do not change.
type ServerSession struct {
	Kind      SessionKind // what to run
	Command   string      // Kind Exec: the command line, from the client or Limits.ForceCommand
	Subsystem string      // Kind Subsystem
	// Requested is what the client asked for when Limits.ForceCommand took its
	// place: the command line or the name of the subsystem.
	Requested string
	Env       []string // "NAME=value", of those that the server lets in
	PTY       *PTY     // nil without a terminal
	// X11 is what was agreed on for X11 forwarding; nil is none. See ListenX11.
	X11 *X11Request
	// AgentForward tells whether the client lends its agent. See Agent.
	AgentForward bool

	ch      *Channel
	request *Request // of Kind, until it is answered

	running atomic.Bool // the fields above do not change any more
	x11Used atomic.Bool // a single connection was made
	settled atomic.Bool // request was answered
	exited  atomic.Bool // a status was sent, or none is to be

	mu      sync.Mutex
	cond    sync.Cond
	signals []SessionEvent // not fetched yet; a signal that waits already is not queued again
	size    *SessionEvent  // the latest window-change not fetched yet
}

// A SessionEvent is what a client tells a running session. Exactly one of
// Signal, Resize and Break is set.
type SessionEvent struct {
	Signal Signal // what a client sends (RFC 4254 section 6.9); it has passed Check
	Resize bool   // the terminal has a new size (section 6.7)
	Break  bool   // RFC 4335

	Width, Height, WidthPx, HeightPx uint32        // with Resize
	Length                           time.Duration // with Break
}

const (
	maxEnvNames  = 128      // variables per session
	maxEnvOctets = 32 << 10 // names and values together
	maxSignals   = 16       // different ones that wait to be fetched
)

func newServerSession(ch *Channel) {
	s := &ServerSession{ch: ch}
	ch.unread = true
	s.cond.L = &s.mu
	ch.line.serve, ch.line.reply = s.serve, ch.reply
	// Sizes and signals come while the handler has not decided yet, which may
	// take long. What they look at does not change any more by then.
	ch.line.overtake = func(name string) bool { return s.running.Load() && sessionRequests[name] != nil }
}

// sessionRequests is what a session's channel answers by itself. Each runs on
// the reader, or on the goroutine that settled the request before, and never
// waits.
var sessionRequests = map[string]func(*ServerSession, *Request) verdict{
	"env":           (*ServerSession).onEnv,
	"pty-req":       (*ServerSession).onPTY,
	"exec":          (*ServerSession).onStart,
	"shell":         (*ServerSession).onStart,
	"subsystem":     (*ServerSession).onStart,
	"x11-req":       (*ServerSession).onX11,
	"window-change": (*ServerSession).onWindowChange,
	"signal":        (*ServerSession).onSignal,
	"break":         (*ServerSession).onBreak,
	// The client wants no more output (OpenSSH PROTOCOL 2.1).
	"eow@openssh.com": (*ServerSession).onEOW,
	// OpenSSH's name, which everyone uses (OpenSSH PROTOCOL, section 2).
	"auth-agent-req@openssh.com": (*ServerSession).onAgent,
}

func (s *ServerSession) serve(r *Request) verdict {
	if f := sessionRequests[r.Name]; f != nil {
		return f(s, r)
	}
	if other := s.ch.conn.server.Policy.Other; other != nil {
		return s.ask(r, func(ctx context.Context) bool { return other(ctx, s, r) }, nil)
	}
	return refuse
}

func (s *ServerSession) started() bool { return s.Kind != 0 }

func (s *ServerSession) onEnv(r *Request) verdict {
	var m msg.Env
	if s.started() || !decodeData(r.Data, &m) {
		return refuse
	}
	octets := len(m.Name) + len(m.Value)
	for _, e := range s.Env {
		octets += len(e)
	}
	if len(s.Env) >= maxEnvNames || octets > maxEnvOctets || !envName(m.Name) || !cString(m.Value) {
		return refuse
	}
	take := func() { s.Env = append(s.Env, m.Name+"="+m.Value) }
	server := s.ch.conn.server
	if matchEnv(server.AcceptEnv, m.Name) {
		take()
		return accept
	}
	if env := server.Policy.Env; env != nil {
		return s.ask(r, func(ctx context.Context) bool { return env(ctx, s, m.Name, m.Value) }, take)
	}
	return refuse
}

func (s *ServerSession) onPTY(r *Request) verdict {
	var m msg.PtyReq
	c := s.ch.conn
	if s.started() || s.PTY != nil || c.auth.Limits.NoPTY || !decodeData(r.Data, &m) || !cString(m.Term) {
		return refuse
	}
	var modes TerminalModes
	if modes.UnmarshalBinary(m.Modes) != nil {
		return refuse
	}
	pty := &PTY{m.Term, m.Width, m.Height, m.WidthPx, m.HeightPx, modes}
	take := func() { s.PTY = pty }
	if c.server.AllowPTY {
		take()
		return accept
	}
	if allow := c.server.Policy.PTY; allow != nil {
		return s.ask(r, func(ctx context.Context) bool { return allow(ctx, s, pty) }, take)
	}
	return refuse
}

// cString tells whether s can be handed to an operating system.
func cString(s string) bool { return !slices.Contains([]byte(s), 0) }

// onStart starts the handler. One session runs one thing.
func (s *ServerSession) onStart(r *Request) verdict {
	if s.started() || s.ch.ctx.Err() != nil { // closed while a SessionPolicy thought
		return refuse
	}
	kind, what := Shell, ""
	switch r.Name {
	case "exec", "subsystem":
		var m msg.Text
		if !decodeData(r.Data, &m) || !cString(m.Value) {
			return refuse
		}
		kind, what = Exec, m.Value
		if r.Name == "subsystem" {
			kind = Subsystem
		}
	default:
		if len(r.Data) != 0 {
			return refuse
		}
	}
	c := s.ch.conn
	if force := c.auth.Limits.ForceCommand; force != "" {
		s.Requested = what
		// OpenSSH's name for its built-in SFTP server, in certificates and
		// configurations alike.
		if kind, what = Exec, force; force == "internal-sftp" {
			kind, what = Subsystem, "sftp"
		}
	}
	s.Kind, s.request = kind, r
	switch kind {
	case Exec:
		s.Command = what
	case Subsystem:
		s.Subsystem = what
	case Shell: // has no argument
	}
	s.running.Store(true)
	s.ch.mu.Lock()
	s.ch.busy++
	s.ch.unread = false
	s.ch.mu.Unlock()
	c.goHandler(func() {
		defer s.ch.uncount(0)
		defer s.finish()
		c.server.Session(s.ch.ctx, s)
	})
	return pending
}

// finish ends the session after its handler.
func (s *ServerSession) finish() {
	c := s.ch.conn
	if v := recover(); v != nil {
		_ = c.panicked(v) // and no status: it did not end well
	} else {
		s.Refuse()
		s.Exit(0)
	}
	_ = s.ch.Close()
	c.mu.Lock()
	delete(c.onShutdown, s)
	c.mu.Unlock()
}

func (s *ServerSession) onWindowChange(r *Request) verdict {
	var m msg.WindowChange
	if s.PTY == nil || !decodeData(r.Data, &m) {
		return refuse
	}
	if !s.started() {
		s.PTY.Width, s.PTY.Height, s.PTY.WidthPx, s.PTY.HeightPx = m.Width, m.Height, m.WidthPx, m.HeightPx
		return accept
	}
	s.mu.Lock()
	s.size = &SessionEvent{Resize: true, Width: m.Width, Height: m.Height, WidthPx: m.WidthPx, HeightPx: m.HeightPx}
	s.cond.Broadcast()
	s.mu.Unlock()
	return accept
}

func (s *ServerSession) onSignal(r *Request) verdict {
	var m msg.Text
	if !s.started() || !decodeData(r.Data, &m) {
		return refuse
	}
	sig := Signal(m.Value).plain()
	if sig.Check() != nil {
		return refuse
	}
	return s.signal(SessionEvent{Signal: sig})
}

func (s *ServerSession) onBreak(r *Request) verdict {
	if !s.started() || len(r.Data) != 4 {
		return refuse
	}
	return s.signal(SessionEvent{Break: true, Length: time.Duration(binary.BigEndian.Uint32(r.Data)) * time.Millisecond})
}

// signal queues an event unless the same waits already, as a kernel would.
func (s *ServerSession) signal(e SessionEvent) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.signals, func(o SessionEvent) bool { return o.Signal == e.Signal }) {
		return accept
	}
	if len(s.signals) >= maxSignals {
		return refuse
	}
	s.signals = append(s.signals, e)
	s.cond.Broadcast()
	return accept
}

func (s *ServerSession) onEOW(*Request) verdict {
	s.ch.flow.Close(ErrWriteClosed)
	return accept
}

// Event waits for the next signal, break or change of the terminal's size.
// Nobody has to call it: sizes that were not fetched are replaced by the
// latest, and a signal waits once. The error is that of ctx, or
// ErrChannelClosed at the end of the session.
func (s *ServerSession) Event(ctx context.Context) (SessionEvent, error) {
	wake := func() {
		s.mu.Lock()
		s.cond.Broadcast()
		s.mu.Unlock()
	}
	defer context.AfterFunc(ctx, wake)()
	defer context.AfterFunc(s.ch.ctx, wake)()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case len(s.signals) > 0:
			e := s.signals[0]
			s.signals = slices.Delete(s.signals, 0, 1)
			return e, nil
		case s.size != nil:
			e := *s.size
			s.size = nil
			return e, nil
		case s.ch.ctx.Err() != nil:
			return SessionEvent{}, ErrChannelClosed
		case ctx.Err() != nil:
			return SessionEvent{}, during("session", context.Cause(ctx))
		}
		s.cond.Wait()
	}
}

// settle answers the request that started the session, once.
func (s *ServerSession) settle(ok bool) {
	if s.settled.Load() || s.settled.Swap(true) {
		return
	}
	if !ok {
		s.exited.Store(true) // there is no status of what never ran
	}
	s.ch.line.settle(s.request, ok, nil)
}

// Accept grants the client's request; using the session does the same.
func (s *ServerSession) Accept() { s.settle(true) }

// Refuse refuses the client's request unless it was granted already.
func (s *ServerSession) Refuse() { s.settle(false) }

// Exit ends the session with a status: exit-status goes out before EOF and
// CLOSE, as clients such as scp need it. Everything written before is sent
// before. Further calls do nothing.
func (s *ServerSession) Exit(status uint32) {
	s.exit("exit-status", &msg.ExitStatus{Status: status})
}

// ExitSignal ends the session as killed by a signal. A "SIG" in front of its
// name is left out.
func (s *ServerSession) ExitSignal(sig Signal, coreDumped bool, text string) {
	s.ExitAs(&ExitError{Signal: sig, CoreDumped: coreDumped, Text: text})
}

// ExitAs ends the session with the status or signal in e, such as that of a
// session on another server.
func (s *ServerSession) ExitAs(e *ExitError) {
	if e.Signal == "" {
		s.Exit(e.Status)
		return
	}
	s.exit("exit-signal", &msg.ExitSignal{Signal: string(e.Signal.plain()), CoreDumped: e.CoreDumped, Text: e.Text, Language: e.Language})
}

func (s *ServerSession) exit(name string, m wire.Layouter) {
	s.settle(true)
	if s.exited.Swap(true) {
		return
	}
	ch := s.ch
	ch.flow.Close(ErrWriteClosed)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.usable() != nil {
		return
	}
	_ = ch.conn.t.PostMessage(&msg.ChannelRequest{Recipient: ch.peer, Name: name, Data: wire.Append(nil, m)})
	_ = ch.postEOF()
	ch.postClose()
}

// OnShutdown registers f to be called, on a goroutine of its own, when
// Server.Shutdown begins. It is for handlers that can end early if they have
// nothing to finish. A later call replaces the function.
func (s *ServerSession) OnShutdown(f func()) {
	c := s.ch.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining && !c.ended {
		c.goHandler(f)
		return
	}
	if c.onShutdown == nil {
		c.onShutdown = map[*ServerSession]func(){}
	}
	c.onShutdown[s] = f
}

// Conn returns the connection: who the user is, and everything else about it.
func (s *ServerSession) Conn() *Conn { return s.ch.conn }

// User returns the name that the client logged in with.
func (s *ServerSession) User() string { return s.ch.conn.auth.User }

// Identity returns Verdict.Identity of the Verdict that let the user in.
func (s *ServerSession) Identity() any { return s.ch.conn.auth.Identity }

// Context ends with the session: when the client closes it, or the connection
// ends.
func (s *ServerSession) Context() context.Context { return s.ch.ctx }

// ReadPacket grants the request and reads as Channel.ReadPacket.
func (s *ServerSession) ReadPacket() (*packet.Buf, error) {
	s.settle(true)
	return s.ch.ReadPacket()
}

// WritePacket grants the request and writes as Channel.WritePacket.
func (s *ServerSession) WritePacket(b *packet.Buf) error {
	s.settle(true)
	return s.ch.WritePacket(b)
}

// MaxPacket is the largest payload that leaves in one piece.
func (s *ServerSession) MaxPacket() int { return s.ch.MaxPacket() }

// Read grants the request and reads the client's input.
func (s *ServerSession) Read(p []byte) (int, error) {
	s.settle(true)
	return s.ch.Read(p)
}

// Write grants the request and writes standard output.
func (s *ServerSession) Write(p []byte) (int, error) {
	s.settle(true)
	return s.ch.Write(p)
}

// Stderr grants the request and returns the writer for standard error.
func (s *ServerSession) Stderr() io.Writer {
	s.settle(true)
	return (*stderr)(s.ch)
}

// CloseWrite sends EOF; Exit does so too.
func (s *ServerSession) CloseWrite() error {
	s.settle(true)
	return s.ch.CloseWrite()
}

// CloseRead grants the request and drops the client's input from now on, as when
// the program that read it has closed it; see Channel.CloseRead.
func (s *ServerSession) CloseRead() error {
	s.settle(true)
	return s.ch.CloseRead()
}

// FlowControl tells the client whether it may do flow control of the terminal
// by control-S and control-Q itself (RFC 4254 section 6.8), which it must not
// while a program reads these characters.
func (s *ServerSession) FlowControl(ctx context.Context, clientCanDo bool) error {
	return s.Request(ctx, "xon-xoff", false, wire.Append(nil, &msg.XonXoff{ClientCanDo: clientCanDo}))
}

// Request sends a request of your own to the client, as Channel.Request.
func (s *ServerSession) Request(ctx context.Context, name string, wantReply bool, data []byte) error {
	return during("session", s.ch.Request(ctx, name, wantReply, data))
}

// Close closes the session without a status. Handlers call Exit instead.
func (s *ServerSession) Close() error {
	s.settle(true)
	s.exited.Store(true)
	return s.ch.Close()
}

// SetDeadline works like [Channel.SetDeadline].
func (s *ServerSession) SetDeadline(t time.Time) error { return s.ch.SetDeadline(t) }

// SetReadDeadline works like [Channel.SetReadDeadline].
func (s *ServerSession) SetReadDeadline(t time.Time) error { return s.ch.SetReadDeadline(t) }

// SetWriteDeadline works like [Channel.SetWriteDeadline].
func (s *ServerSession) SetWriteDeadline(t time.Time) error { return s.ch.SetWriteDeadline(t) }

// LocalAddr returns the connection's local address.
func (s *ServerSession) LocalAddr() net.Addr { return s.ch.LocalAddr() }

// RemoteAddr returns the connection's remote address.
func (s *ServerSession) RemoteAddr() net.Addr { return s.ch.RemoteAddr() }

var (
	_ net.Conn    = (*ServerSession)(nil)
	_ packet.Conn = (*ServerSession)(nil)
)
