package ssh2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// Defaults of Server.
const (
	// DefaultMaxStartups is how many connections may be in the handshake or
	// in authentication at a time.
	DefaultMaxStartups = 100
	// DefaultMaxChannels is how many channels a peer may have open at a time
	// on one connection, forwarded connections apart.
	DefaultMaxChannels = 10
)

// A Server serves SSH connections. Set the fields before the first Serve or
// ServeConn and leave them alone afterwards. What is not set is refused:
// without Auth nobody gets in, without Session nothing is run, without a rule
// in Forward nothing is forwarded.
type Server struct {
	Config

	// Greeting is text for people that goes out before our ident (RFC 4253
	// section 4.2), in lines; at most 4096 octets without control characters
	// except tabs and line ends, and no line may begin with "SSH-". Some old
	// clients do not expect it.
	Greeting string
	// VersionPattern is what a client's ident, such as "SSH-2.0-PuTTY_0.78",
	// must match, anywhere unless the pattern has ^ and $; another client is
	// refused with DISCONNECT and an *IdentError. Idents are claims and prove
	// nothing. Nil accepts all.
	VersionPattern *regexp.Regexp
	// AlgorithmsFor chooses the algorithms for a connection by its addresses and
	// the client's ident, for instance the profile Legacy for one old device.
	// SessionID is not known yet. Nil lists stand for those of Config; an
	// error refuses the connection and becomes an *IdentError. With it set the
	// key exchange begins half a round trip later, once the client has sent its
	// ident. It runs on the connection's own goroutine.
	AlgorithmsFor func(ConnMeta) (*AlgorithmLists, error)

	// HostKeys sign key exchanges: one per algorithm, certificates included.
	// At least one is required, unless ServerAuth.GSSAPI exchanges keys or Prepare
	// brings some.
	// SetHostKeys replaces them later.
	HostKeys []gossh.Signer
	// NoHostKeyUpdates keeps the server from telling clients, once they are
	// logged in, which host keys it has, and from proving that it holds them
	// (OpenSSH PROTOCOL 2.5).
	NoHostKeyUpdates bool
	// Auth says who may log in.
	Auth ServerAuth

	// Session runs the commands, shells and subsystems that clients ask for;
	// ServerSession.Kind tells which. Each call has its own goroutine; the
	// session is over when it returns. The context ends when the client closes
	// the session or the connection ends. Nil refuses sessions. A panic ends
	// the connection it belongs to and no other.
	Session func(context.Context, *ServerSession)
	// AcceptEnv has the names of environment variables that clients may set,
	// exact or with a "*" at their end, as "LC_*". None by default. Choose with
	// care: some variables let the client run commands of its own.
	AcceptEnv []string
	// AllowPTY grants requests for a terminal. The handler finds its
	// description in ServerSession.PTY and has to provide the terminal itself.
	AllowPTY bool
	// AllowX11 grants requests for X11 forwarding: see ServerSession.ListenX11.
	AllowX11 bool
	// AllowAgentForwarding lets clients lend their agents: see
	// ServerSession.Agent and ListenAgent.
	AllowAgentForwarding bool
	// Policy decides on what the settings above do not allow everybody.
	Policy SessionPolicy

	// Channels decides on channels of other types than "session", by type.
	Channels map[string]ChannelHandler
	// Requests answers global requests, by name.
	Requests map[string]GlobalHandler

	// Forward says which TCP ports and Unix sockets are forwarded: none by
	// default. Entries of Channels and Requests for the same types win.
	Forward ForwardPolicy

	// OnConn is called for each connection before anything is read from it, on
	// the connection's goroutine. It may refuse the connection with an error,
	// or return a context derived from the one it got, which every handler of
	// the connection then gets. Cancelling that ends the connection; a cause
	// that is a *DisconnectError, not Remote, is what the client is told then,
	// before login as after it.
	OnConn func(context.Context, net.Conn) (context.Context, error)
	// Prepare, called after OnConn with its context, may change how this
	// connection is dealt with: c is a copy of the server's configuration, and
	// Prepare may keep it. An error, or a configuration that cannot be used,
	// refuses the connection. It must read nothing and write nothing. Nil costs
	// nothing.
	Prepare func(ctx context.Context, nc net.Conn, c *ConnConfig) error
	// OnLogin is called once a user is authenticated, before any channel is
	// opened. An error ends the connection. It must not wait for the peer.
	OnLogin func(context.Context, *Conn) error
	// OnEnd is called when a connection that OnLogin accepted has ended and
	// its handlers have returned.
	OnEnd func(*Conn, error)

	// MaxConns bounds the connections served at a time; 0 means no bound.
	MaxConns int
	// MaxStartups bounds those of them that are not authenticated yet; 0 means
	// DefaultMaxStartups. Connections beyond either bound are closed at once.
	MaxStartups int
	// EarlyDrop refuses some connections before MaxStartups is reached.
	EarlyDrop EarlyDrop
	// Sources bounds what clients from one address or network may do.
	Sources SourceLimits
	// MaxChannels bounds the channels open at a time on one connection,
	// forwarded connections apart; 0 means DefaultMaxChannels.
	MaxChannels int

	once sync.Once
	tcfg *transport.Config
	bad  error // what is wrong with the configuration
	// forward, channels and requests are Forward, Channels and Requests in use.
	forward  ForwardPolicy
	channels map[string]ChannelHandler
	requests map[string]GlobalHandler
	// hostKeys replace HostKeys, once they were replaced.
	hostKeys atomic.Pointer[[]gossh.Signer]
	sources  *sources

	mu        sync.Mutex
	cond      sync.Cond // conns or serving became less
	listeners map[net.Listener]struct{}
	conns     map[*served]struct{}
	startups  int
	over      bool
}

// served is one connection of a server, authenticated or not.
type served struct {
	t        *transport.Conn
	conn     *Conn     // nil before authentication
	prepared *prepared // nil unless Prepare is set

	source      netip.Prefix // zero if it is bound by nothing
	tried       bool         // a login was tried and failed
	refusedByUs bool         // by a hook, or a context ended
}

// prepare checks the configuration, once.
func (s *Server) prepare() error {
	s.once.Do(func() {
		s.cond.L = &s.mu
		s.listeners = map[net.Listener]struct{}{}
		s.conns = map[*served]struct{}{}
		startups := s.MaxStartups
		orDefault(&startups, DefaultMaxStartups)
		s.sources = newSources(s.Sources.withDefaults(startups))
		s.bad = s.configure()
	})
	return s.bad
}

// Check returns the first error in the configuration, which Serve and ServeConn
// would return as well. Call it once the fields are set to find mistakes early.
func (s *Server) Check() error { return s.prepare() }

func (s *Server) configure() error {
	if err := s.Sources.check(); err != nil {
		return err
	}
	var err error
	if s.forward, err = s.Forward.prepare(); err != nil {
		return err
	}
	s.channels, s.requests = s.forwardHandlers(&s.forward)
	own := s.connConfig()
	s.tcfg, err = s.transportFor(&own, s.Prepare != nil)
	return err
}

// Serve accepts connections from l and serves each on goroutines of its own,
// until Shutdown, Close, or a permanent error of l. It closes l and returns
// ErrServerClosed after Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if err := s.prepare(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			go func() { _ = s.ServeConn(context.Background(), nc) }() // ends with the connection; errors are logged
			continue
		}
		s.mu.Lock()
		over := s.over
		s.mu.Unlock()
		var temporary interface{ Temporary() bool }
		switch {
		case over:
			return ErrServerClosed
		case errors.As(err, &temporary) && temporary.Temporary():
			// Out of descriptors, or a client that left again: others are waiting.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.logger().Warn("accept failed", "err", err, "again in", pause)
			time.Sleep(pause)
		default:
			return fmt.Errorf("ssh2: server: accept: %w", err)
		}
	}
}

// ServeConn serves one connection and returns when it has ended and its
// handlers have returned: nil if the client left or the server was shut down
// after authentication, otherwise why. It owns nc. Cancelling ctx ends the
// connection.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	if err := s.prepare(); err != nil {
		_ = nc.Close()
		return err
	}
	log := s.logger()
	sv := &served{t: transport.New(nc, s.configFor(nc, s.tcfg, &s.Auth))}
	if err := s.enter(sv, nc); err != nil {
		_ = nc.Close()
		log.Warn("connection refused", "remote", nc.RemoteAddr(), "err", err)
		return err
	}
	defer s.leave(sv)
	start := time.Now()
	conn, err := s.admit(ctx, sv, nc)
	if p := sv.prepared; p != nil {
		log = p.logger()
	}
	if err != nil {
		s.penalize(ctx, sv, err)
		_ = sv.t.Close()
		log.Info("login failed", "remote", nc.RemoteAddr(), "err", err)
		return err
	}
	if s.OnLogin != nil {
		if err = conn.guard(func() error { return s.OnLogin(conn.ctx, conn) }); err != nil {
			_ = conn.t.Disconnect(uint32(DisconnectByApplication), "not admitted")
			conn.end(err)
			return err
		}
	}
	defer context.AfterFunc(conn.ctx, func() {
		if d := farewell(conn.ctx); d != nil {
			_ = conn.t.Disconnect(d.Reason, d.Text)
		}
		_ = conn.t.Close()
	})()
	conn.announceHostKeys()
	err = conn.run()
	conn.handlers.Wait()
	if s.OnEnd != nil {
		end := err
		if bad := conn.guard(func() error { s.OnEnd(conn, end); return nil }); bad != nil {
			err = bad
		}
	}
	i := sv.t.Info()
	level := slog.LevelDebug // login and sessions have lines of their own
	if !expected(err) {
		level = slog.LevelInfo
	}
	log.Log(conn.ctx, level, "connection ended", "remote", nc.RemoteAddr(), "user", plainAuth(conn.auth.User), "time", time.Since(start).Round(time.Millisecond), "in", i.BytesIn, "out", i.BytesOut, "err", err)
	if expected(err) {
		return nil
	}
	return err
}

// expected tells whether a connection ended as connections do.
func expected(err error) bool {
	var d *DisconnectError
	return errors.Is(err, io.EOF) || errors.Is(err, ErrClosed) || errors.Is(err, errReset) || errors.As(err, &d) && d.Reason == uint32(DisconnectByApplication)
}

// admit does what comes before the connection protocol, on the goroutine that
// will be the connection's reader: handshake and authentication.
func (s *Server) admit(ctx context.Context, sv *served, nc net.Conn) (conn *Conn, err error) {
	defer func() {
		if v := recover(); v != nil { // a handler of Auth, or a mistake of ours
			err = fmt.Errorf("ssh2: authentication: %w", &PanicError{v, debug.Stack()})
		}
		if conn == nil {
			sv.t.ReleaseReader()
			sv.refusedByUs = sv.refusedByUs || ctx.Err() != nil
		}
	}()
	if s.OnConn != nil {
		c, err := s.OnConn(ctx, nc)
		if err != nil {
			sv.refusedByUs = true
			return nil, err
		}
		if c != nil {
			ctx = c
		}
	}
	if s.Prepare != nil {
		if err := s.prepareConn(ctx, sv, nc); err != nil {
			sv.refusedByUs = true
			return nil, err
		}
	}
	cfg, sa := sv.config(s)
	whole := ctx
	if limit := cfg.Timeouts.Login; limit > 0 {
		var cancel context.CancelFunc
		whole, cancel = context.WithTimeoutCause(ctx, limit, &TimeoutError{What: "login"})
		defer cancel()
	}
	if err := sv.t.Handshake(whole); err != nil {
		return nil, err
	}
	limit := cfg.Timeouts.Auth
	orDefault(&limit, defaultServerAuthTimeout)
	timed, cancel := context.WithTimeoutCause(whole, limit, &TimeoutError{What: "authentication"})
	defer cancel()
	// A reader that waits for the client hears of the end of its time by the
	// end of its connection.
	goodbye := func() {
		reason, why := uint32(DisconnectByApplication), "login took too long"
		if d := farewell(ctx); d != nil {
			reason, why = d.Reason, d.Text
		} else if ctx.Err() != nil {
			why = "ended by the server"
		}
		_ = sv.t.Disconnect(reason, why)
	}
	defer context.AfterFunc(timed, goodbye)()
	i := sv.t.Info()
	auth, tried, err := authenticate(timed, cfg, sa, sv.t, ConnMeta{
		RemoteAddr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr(),
		ClientIdent: i.RemoteIdent, ServerIdent: i.LocalIdent, SessionID: i.SessionID, Strict: i.Strict,
	})
	sv.tried = tried && err != nil
	if err != nil {
		if timed.Err() != nil {
			err = context.Cause(timed)
			goodbye() // if a handler saw the end first
		}
		return nil, err
	}
	conn = newConn(ctx, sv.t, cfg, *auth)
	conn.prepared = sv.prepared
	conn.server, conn.openers, conn.globals = s, s.channels, s.requests
	conn.forwards = make(chan struct{}, s.forward.MaxConns)
	return conn, s.authenticated(sv, conn)
}

// farewell is what the client is to be told because ctx has ended, nil if its
// cause says nothing of that.
func farewell(ctx context.Context) *DisconnectError {
	if d, ok := errors.AsType[*DisconnectError](context.Cause(ctx)); ok && !d.Remote {
		return d
	}
	return nil
}

// enter counts a connection, or says why there is no room for it.
func (s *Server) enter(sv *served, nc net.Conn) error {
	startups := s.MaxStartups
	orDefault(&startups, DefaultMaxStartups)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return ErrServerClosed
	case s.MaxConns > 0 && len(s.conns) >= s.MaxConns:
		return errConns
	case s.startups >= startups:
		return errStartups
	case s.EarlyDrop.dropEarly(s.startups, startups):
		return errEarlyDrop
	}
	s.conns[sv] = struct{}{}
	s.startups++
	s.mu.Unlock()
	// To tell where it comes from, a wrapper as of PROXY protocol may first have
	// to read from the connection: then nobody else waits for that.
	source := s.sources.of(nc.RemoteAddr())
	s.mu.Lock()
	if err := s.sources.enter(source, time.Now()); err != nil {
		s.startups--
		delete(s.conns, sv)
		s.cond.Broadcast()
		return err
	}
	sv.source = source
	return nil
}

// authenticated makes room for another start-up.
func (s *Server) authenticated(sv *served, conn *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startups--
	s.sources.started(sv.source)
	sv.conn = conn
	if s.over { // Shutdown saw it unauthenticated
		conn.draining = true
		_ = sv.t.Disconnect(uint32(DisconnectByApplication), "server is shutting down")
	}
	return nil
}

func (s *Server) leave(sv *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sv.conn == nil {
		s.startups--
		s.sources.started(sv.source)
	}
	delete(s.conns, sv)
	s.cond.Broadcast()
}

// penalize notes that a connection ended without a login.
func (s *Server) penalize(ctx context.Context, sv *served, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.sources.penalize(sv.source, s.sources.limits.cost(ctx, sv, err), time.Now())
	}
}
