package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// A Session runs one command, shell or subsystem on the server, much like an
// exec.Cmd: set the fields, call Run, Output or Start and Wait. It is used
// once. Run, Wait and the like close it; Close ends it early.
type Session struct {
	// Stdin is what the command reads; nil is an empty input. It is read by a
	// goroutine that ends when Stdin does or the session is over and Read
	// returns; Wait does not wait for it.
	Stdin io.Reader
	// Stdout and Stderr take what the command writes; nil drops it. Two
	// goroutines write, but one at a time if both are the same.
	Stdout, Stderr io.Writer
	// Env has environment variables, "NAME=value", to set as far as the server
	// allows. Servers refuse most names, which is no error unless StrictEnv is
	// set.
	Env []string
	// StrictEnv makes a variable that the server refuses a *RequestError.
	StrictEnv bool
	// PTY asks for a terminal.
	PTY *PTY
	// X11 lends a display to what is run. A server that refuses makes it fail
	// with a *RequestError.
	X11 *X11
	// AgentForward lends the agent of Client.ForwardAgent to what is run. A
	// server that refuses makes it fail with a *RequestError.
	AgentForward bool
	// FlowControl is told whether the client may do flow control of the
	// terminal by control-S and control-Q itself (RFC 4254 section 6.8). It may
	// be called many times, one call at a time.
	FlowControl func(clientCanDo bool)
	// Requests answers what else the server asks of the session; nil refuses it.
	Requests RequestHandler

	ch      *Channel
	started bool
	piped   [3]bool // standard input, output and error have a pipe
	copies  sync.WaitGroup
	copyErr [2]error

	mu       sync.Mutex
	kind     SessionKind
	status   *ExitError     // what the server said, even if it is 0
	requests RequestHandler // Requests and FlowControl, once started
	flow     func(bool)
}

// An ExitError means that a command ended with a status other than 0 or by a
// signal (RFC 4254 section 6.10).
type ExitError struct {
	Status     uint32 // 0 with a signal
	Signal     Signal // empty when it ended by itself; what a server says may fail Check
	CoreDumped bool
	Text       string // what the server says about it, untrusted
	Language   string // the language tag of Text, usually empty
}

// Error says how it ended.
func (e *ExitError) Error() string {
	if e.Signal != "" {
		return fmt.Sprintf("ssh2: session: killed by signal %+q", clip(string(e.Signal)))
	}
	return fmt.Sprintf("ssh2: session: exit status %d", e.Status)
}

// ErrNoExitStatus means that a session ended without the server saying how.
var ErrNoExitStatus = errors.New("ssh2: session: ended without exit status")

// Session opens a session.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	s := &Session{}
	ch, err := c.open(ctx, "session", nil, func(ch *Channel) {
		ch.line.serve, ch.line.reply = s.serve, ch.reply
		ch.line.overtake = func(name string) bool { return sessionNews[name] != nil }
	})
	if err != nil {
		return nil, during("session", err)
	}
	s.ch = ch
	return s, nil
}

// Subsystem opens a session, starts the named subsystem and returns its
// channel, such as for "sftp". What the subsystem writes to stderr is dropped.
// env has environment variables, "NAME=value", to set before, as in
// Session.Env.
func (c *Client) Subsystem(ctx context.Context, name string, env ...string) (*Channel, error) {
	s, err := c.Session(ctx)
	if err != nil {
		return nil, during("subsystem", err)
	}
	s.Env = env
	if err := s.setUp(ctx); err != nil {
		_ = s.ch.Close()
		return nil, during("subsystem", err)
	}
	if err := s.ch.Request(ctx, "subsystem", true, wire.Append(nil, &msg.Text{Value: name})); err != nil {
		_ = s.ch.Close()
		return nil, during("subsystem", err)
	}
	return s.ch, nil
}

// sessionNews is what the server tells a session, which comes through even while
// a handler thinks about a request.
var sessionNews = map[string]func(*Session, *Request) verdict{
	"exit-status": (*Session).onExitStatus,
	"exit-signal": (*Session).onExitSignal,
	// The command takes no more input (OpenSSH PROTOCOL 2.1).
	"eow@openssh.com": (*Session).onEOW,
}

// serve answers what the server asks of a session.
func (s *Session) serve(r *Request) verdict {
	if f := sessionNews[r.Name]; f != nil {
		return f(s, r)
	}
	s.mu.Lock()
	requests, flow := s.requests, s.flow
	s.mu.Unlock()
	switch {
	case r.Name == "xon-xoff":
		var m msg.XonXoff
		if !decodeData(r.Data, &m) || flow == nil {
			return refuse
		}
		s.ch.conn.goHandler(func() {
			flow(m.ClientCanDo)
			s.ch.line.settle(r, true, nil)
		})
		return pending
	case requests != nil:
		s.ch.conn.goHandler(func() {
			ok, _ := requests(s.ch.ctx, r)
			s.ch.line.settle(r, ok, nil)
		})
		return pending
	}
	return refuse
}

// onExitStatus notes how the session ended. What is malformed is refused, and so
// leaves it without a status.
func (s *Session) onExitStatus(r *Request) verdict {
	var m msg.ExitStatus
	if !decodeData(r.Data, &m) {
		return refuse
	}
	return s.ended(&ExitError{Status: m.Status})
}

func (s *Session) onExitSignal(r *Request) verdict {
	e := exitSignal(r.Data)
	if e == nil {
		return refuse
	}
	return s.ended(e)
}

func (s *Session) onEOW(*Request) verdict {
	s.ch.flow.Close(ErrWriteClosed)
	return accept
}

// ended notes the first word on how the session ended.
func (s *Session) ended(e *ExitError) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != nil {
		return refuse
	}
	s.status = e
	return accept
}

// Start runs a command and returns once the server has agreed. Call Wait.
func (s *Session) Start(ctx context.Context, command string) error {
	return s.start(ctx, Exec, wire.Append(nil, &msg.Text{Value: command}))
}

// Shell starts the user's shell. Call Wait.
func (s *Session) Shell(ctx context.Context) error { return s.start(ctx, Shell, nil) }

// Subsystem starts a subsystem, as Start starts a command. For subsystems that
// speak a protocol and do not use stderr, [Client.Subsystem] is simpler.
func (s *Session) Subsystem(ctx context.Context, name string) error {
	return s.start(ctx, Subsystem, wire.Append(nil, &msg.Text{Value: name}))
}

// Kind returns what was started: 0 before that.
func (s *Session) Kind() SessionKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kind
}

// Channel returns the channel, for requests that this library does not know, and
// for reading and writing what has neither a field nor a pipe here.
func (s *Session) Channel() *Channel { return s.ch }

// Run runs a command and waits for its end.
func (s *Session) Run(ctx context.Context, command string) error {
	if err := s.Start(ctx, command); err != nil {
		return err
	}
	return s.Wait(ctx)
}

// Output runs a command and returns what it wrote to standard output.
func (s *Session) Output(ctx context.Context, command string) ([]byte, error) {
	if s.Stdout != nil || s.piped[1] {
		return nil, errors.New("ssh2: session: Stdout is set already")
	}
	var out bytes.Buffer
	s.Stdout = &out
	err := s.Run(ctx, command)
	return out.Bytes(), err
}

// CombinedOutput runs a command and returns what it wrote to standard output and
// to standard error.
func (s *Session) CombinedOutput(ctx context.Context, command string) ([]byte, error) {
	if s.Stdout != nil || s.Stderr != nil || s.piped[1] || s.piped[2] {
		return nil, errors.New("ssh2: session: Stdout or Stderr is set already")
	}
	var out bytes.Buffer
	s.Stdout, s.Stderr = &out, &out
	err := s.Run(ctx, command)
	return out.Bytes(), err
}

// sharedWriter is a writer that two goroutines write to.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

var errStarted = errors.New("ssh2: session: started already")

func (s *Session) start(ctx context.Context, kind SessionKind, data []byte) error {
	if s.started {
		return errStarted
	}
	s.started = true
	s.mu.Lock()
	s.kind, s.requests, s.flow = kind, s.Requests, s.FlowControl
	s.mu.Unlock()
	err := s.setUp(ctx)
	if err == nil {
		s.listen()
		err = s.ch.Request(ctx, kind.String(), true, data)
	}
	if err != nil {
		_ = s.ch.Close()
		s.copies.Wait()
		return during("session", err)
	}
	switch {
	case s.piped[0]:
		return nil
	case s.Stdin == nil:
		return ignoreClosed(s.ch.CloseWrite())
	}
	go func() { // ends with Stdin, or with its first Read after the end of the session
		_, _ = io.Copy(s.ch, s.Stdin) // a command may stop reading; its status tells how it went
		_ = s.ch.CloseWrite()
	}()
	return nil
}

// setUp asks for what has to be there before the command.
func (s *Session) setUp(ctx context.Context) error {
	for _, e := range s.Env {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			return fmt.Errorf("ssh2: session: environment %q: no =", name)
		}
		if err := s.ch.Request(ctx, "env", s.StrictEnv, wire.Append(nil, &msg.Env{Name: name, Value: value})); err != nil {
			return err
		}
	}
	if s.X11 != nil {
		if err := s.lendDisplay(ctx); err != nil {
			return err
		}
	}
	if s.AgentForward {
		if err := s.lendAgent(ctx); err != nil {
			return err
		}
	}
	if p := s.PTY; p != nil {
		modes, err := p.Modes.MarshalBinary()
		if err != nil {
			return err
		}
		d := p.withDefaults()
		m := msg.PtyReq{Term: d.Term, Width: d.Width, Height: d.Height, WidthPx: d.WidthPx, HeightPx: d.HeightPx, Modes: modes}
		return s.ch.Request(ctx, "pty-req", true, wire.Append(nil, &m))
	}
	return nil
}

// listen starts taking what the command writes.
func (s *Session) listen() {
	copyTo := func(i int, w io.Writer, r io.Reader) {
		s.copies.Go(func() {
			_, err := io.Copy(w, r)
			s.copyErr[i] = err
			if err != nil {
				if i == 0 {
					s.ch.sayEOW()
				}
				_, _ = io.Copy(io.Discard, r) // so that the command can end
			}
		})
	}
	stdout, stderr := s.Stdout, s.Stderr
	if stdout != nil && sameWriter(stdout, stderr) {
		stdout = &sharedWriter{w: stdout}
		stderr = stdout
	}
	switch {
	case s.piped[1]:
	case stdout == nil:
		s.ch.mu.Lock()
		s.ch.discard = true
		s.ch.mu.Unlock()
	default:
		copyTo(0, stdout, struct{ io.Reader }{s.ch})
	}
	if stderr != nil && !s.piped[2] {
		copyTo(1, stderr, s.ch.Stderr())
	}
}

// sameWriter tells whether a and b are one. Those of types that cannot be
// compared are not.
func sameWriter(a, b io.Writer) bool {
	defer func() { _ = recover() }() // of ==
	return a == b
}

// Wait waits until the server has closed the session and everything it sent has
// been written, and closes the session. The error is nil for exit status 0, an
// *ExitError for another or a signal, ErrNoExitStatus if there was none, or
// what kept the output from being written. If ctx ends first, the session is
// closed, which makes most servers kill the command; Wait then waits at most
// another second for Stdout or Stderr to return from Write.
func (s *Session) Wait(ctx context.Context) error {
	if !s.started {
		return errors.New("ssh2: session: not started")
	}
	stop := context.AfterFunc(ctx, func() { _ = s.ch.Close() })
	defer stop()
	<-s.ch.ctx.Done()
	if !s.copied(ctx) {
		return during("session", context.Cause(ctx))
	}
	_ = s.ch.Close()
	s.mu.Lock()
	status := s.status
	s.mu.Unlock()
	lost := context.Cause(s.ch.ctx)
	switch {
	case status != nil && (status.Status != 0 || status.Signal != ""):
		return status
	case status == nil && ctx.Err() != nil:
		return during("session", context.Cause(ctx))
	case status == nil && !errors.Is(lost, ErrChannelClosed):
		return lost
	case status == nil:
		return ErrNoExitStatus
	}
	return ignoreClosed(errors.Join(s.copyErr[0], s.copyErr[1]))
}

// writeDelay is how long Wait waits for the user's writers once its context has ended.
const writeDelay = time.Second

// copied waits until all output has been written, or, with a false result, not
// longer than writeDelay after the end of ctx: a writer of the user's may be stuck.
func (s *Session) copied(ctx context.Context) bool {
	done := make(chan struct{})
	go func() { // ends with the copies, which end with the channel or their writers
		s.copies.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	t := time.NewTimer(writeDelay)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// Signal sends a signal (RFC 4254 section 6.9); a "SIG" in front of its name is
// left out. A name that fails Signal.Check is an error. Servers do not say
// whether they delivered it.
func (s *Session) Signal(ctx context.Context, sig Signal) error {
	sig = sig.plain()
	if err := sig.Check(); err != nil {
		return err
	}
	return during("session", s.ch.Request(ctx, "signal", false, wire.Append(nil, &msg.Text{Value: string(sig)})))
}

// Break asks for a break of that length, in whole milliseconds, at a serial
// console or the like (RFC 4335). 0 leaves the length to the server. The error is
// a *RequestError if the server does not do it.
func (s *Session) Break(ctx context.Context, length time.Duration) error {
	ms := min(max(length.Milliseconds(), 0), math.MaxUint32)
	return during("session", s.ch.Request(ctx, "break", true, wire.AppendUint32(nil, uint32(ms))))
}

// Resize tells the server a new size of the terminal, in characters (RFC 4254
// section 6.7).
func (s *Session) Resize(ctx context.Context, width, height uint32) error {
	return s.ResizePx(ctx, width, height, 0, 0)
}

// ResizePx is Resize with the size in pixels besides; 0 is unknown. Characters
// count before pixels.
func (s *Session) ResizePx(ctx context.Context, width, height, widthPx, heightPx uint32) error {
	m := &msg.WindowChange{Width: width, Height: height, WidthPx: widthPx, HeightPx: heightPx}
	return during("session", s.ch.Request(ctx, "window-change", false, wire.Append(nil, m)))
}

// Close ends the session. Wait does so too.
func (s *Session) Close() error { return s.ch.Close() }

// ignoreClosed drops errors that only say that the session was over by then.
func ignoreClosed(err error) error {
	if isClosed(err) {
		return nil
	}
	return err
}
