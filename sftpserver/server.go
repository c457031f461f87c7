package sftpserver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/throttle"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A Server is an SFTP server with events. Set the fields before Start and leave
// them alone while it listens: Update and Config change settings then. Every method may be called by any
// goroutine, also by handlers of events.
type Server struct {
	Options
	Events

	refused atomic.Uint64 // because of MaxConnections

	mu       sync.Mutex
	starting bool      // a Start is under way
	engine   *engine   // of the last Start; nil before the first
	engines  []*engine // those with connections, or a listener
	conns    map[string]*Connection
	lastID   uint64

	changing sync.Mutex // held by who changes the settings, or makes an engine of them
	stash    stash
	of       *Server         // whose settings to come these are; nil for a server
	up, down throttle.Bucket // of all connections
	locks    sftp.LockTable  // of all roots: one may lie inside of another, or be opened anew
}

// New returns a Server with the settings at their defaults: unlike the zero
// value it listens on port 22 and logs what happens.
func New() *Server {
	s := new(Server)
	s.Options.setDefaults()
	return s
}

func (o *Options) setDefaults() {
	*o = Options{LocalPort: 22, LogLevel: LogInfo}
}

// An engine is what one Start made, or a change of settings later. Its Options and Events are those of that moment and stand
// before those of the Server, which may change again while connections are left: each keeps the engine that it came to.
type engine struct {
	*Server
	Options
	Events
	acceptor *acceptor
	hostKeys []gossh.Signer
	certs    []*heldCert // of which some of them are
	// Those of Options, and of the files that settings name.
	trustedKeys, revokedKeys []gossh.PublicKey
	ssh                      *ssh2.Server
	sftp                     *sftp.Server
	roots                    *roots
	clients                  clients

	done     chan struct{} // closed when it has no connections and is to get none
	live     int           // connections, and the acceptor while it has this engine; under Server.mu
	refusing atomic.Int32  // clients that are being told that there are too many
	out      outlets
	lines    queue // what is reported of no connection, or of one that has ended
}

// Start begins to listen and returns; connections are served in the background until Shutdown or Close. ctx bounds the
// start only. A Server that listens already returns ErrAlreadyListening, one without a host key ErrNoHostKey. After
// StopListening, Shutdown or Close it may start again.
func (s *Server) Start(ctx context.Context) error {
	_, err := s.start(func(o *Options) (net.Listener, error) { return o.listen(ctx) })
	return err
}

// Serve is Start with a listener of the caller's, which it owns from then on. LocalHost,
// LocalPort, IPFamily, ConnectionBacklog and ShareAddress do not apply.
func (s *Server) Serve(l net.Listener) error {
	_, err := s.start(func(*Options) (net.Listener, error) { return l, nil })
	if err != nil {
		_ = l.Close()
	}
	return err
}

// ListenAndServe starts the server, serves until ctx ends, and then shuts down, giving transfers a minute to finish. It
// returns nil if all of them did, and also after Shutdown or Close.
func (s *Server) ListenAndServe(ctx context.Context) error {
	e, err := s.start(func(o *Options) (net.Listener, error) { return o.listen(ctx) })
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-e.acceptor.done: // somebody else has ended it
		return nil
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return s.Shutdown(ending)
}

func (s *Server) start(listen func(*Options) (net.Listener, error)) (*engine, error) {
	s.mu.Lock()
	if s.starting || s.listening() {
		s.mu.Unlock()
		return nil, ErrAlreadyListening
	}
	s.starting = true // and not the lock all the time: to listen may take a look-up
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.starting = false
	}()
	s.changing.Lock()
	e, err := s.newEngine()
	s.changing.Unlock()
	if err != nil {
		return nil, err
	}
	l, err := listen(&e.Options)
	if err != nil {
		e.release()
		return nil, &Error{Code: ErrorCode(err), Op: "listen", Err: err}
	}
	a := newAcceptor(s, l, e)
	s.setRates(e)
	s.mu.Lock()
	s.engine = e
	s.engines = append(s.engines, e)
	s.mu.Unlock()
	go a.run()
	return e, nil
}

// newEngine makes the servers below from the settings, and everything that can fail.
func (s *Server) newEngine() (_ *engine, err error) {
	if err := s.checkListening(); err != nil {
		return nil, err
	}
	e := &engine{Server: s, Options: s.Options, Events: s.Events, out: newOutlets(s), live: 1, done: make(chan struct{})}
	defer func() {
		if err != nil {
			e.release()
		}
	}()
	if err := s.takeHostKeys(e); err != nil {
		return nil, &Error{Code: ErrNoHostKey.Code, Op: ErrNoHostKey.Op, Err: err}
	}
	if len(e.hostKeys) == 0 && s.Connected == nil {
		return nil, ErrNoHostKey
	}
	if s.of != nil {
		e.Server = s.of
	}
	if e.trustedKeys, err = publicKeys(s.TrustedUserCAKeys, s.stash.userCAFiles); err != nil {
		return nil, err
	}
	if e.revokedKeys, err = publicKeys(s.RevokedKeys, s.stash.revokedFiles); err != nil {
		return nil, err
	}
	e.KeyboardInteractivePrompts = slices.Clone(s.KeyboardInteractivePrompts) // of which Config changes single ones
	e.lines.engine = e
	if e.clients, err = newClients(&s.Options); err != nil {
		return nil, err
	}
	if e.roots, err = newRoots(&e.Options, &e.Server.locks); err != nil {
		return nil, err
	}
	if e.sftp, err = s.newSFTP(e); err != nil {
		return nil, err
	}
	if e.ssh, err = s.newSSH(e); err != nil {
		return nil, err
	}
	return e, nil
}

// release gives back what the engine holds.
func (e *engine) release() {
	if e.roots != nil {
		e.roots.close()
	}
	for _, c := range e.certs {
		c.leave()
	}
}

// newSSH turns the settings into those of the SSH server.
func (s *Server) newSSH(e *engine) (*ssh2.Server, error) {
	ssh := &ssh2.Server{
		Config: ssh2.Config{
			Profile: s.Profile, KeyExchanges: s.KeyExchanges, HostKeyAlgorithms: s.HostKeyAlgorithms,
			Ciphers: s.Ciphers, MACs: s.MACs, Compression: s.Compression,
			StrictKex: s.StrictKex,
			Rekey:     ssh2.RekeyLimits{Bytes: s.KeyRenegotiationThreshold},
			KeepAlive: ssh2.KeepAlive{Interval: s.SSHKeepAliveInterval, Count: s.SSHKeepAliveCountMax},
			Timeouts:  s.timeouts(),
		},
		HostKeys:    e.hostKeys,
		MaxStartups: s.MaxStartups,
		Session:     e.session,
		OnLogin: func(ctx context.Context, conn *ssh2.Conn) error {
			connectionOf(ctx).loggedIn(conn)
			return nil
		},
	}
	ssh.Log = e.logger()
	if !e.out.quiet() || s.Connected != nil {
		ssh.Prepare = e.prepare
	}
	if ssh.Rekey.Bytes == 0 {
		ssh.Rekey.Bytes = DefaultRekey
	}
	if s.SSHKeepAliveInterval == 0 {
		ssh.KeepAlive.Interval = -1
	}
	if s.ServerVersion != "" {
		const prefix = "SSH-2.0-"
		if len(s.ServerVersion) <= len(prefix) || s.ServerVersion[:len(prefix)] != prefix {
			return nil, fmt.Errorf("sftpserver: server version %q: does not begin with %s", s.ServerVersion, prefix)
		}
		ssh.Version = s.ServerVersion[len(prefix):]
	}
	var err error
	if ssh.Auth, err = e.newAuth(); err != nil {
		return nil, err
	}
	if ssh.VersionPattern, err = versionPattern(s.ClientVersionPatterns); err != nil {
		return nil, err
	}
	if len(ssh.HostKeys) == 0 {
		return ssh, nil // they come with the connections, and so cannot be checked now
	}
	if err := ssh.Check(); err != nil {
		return nil, err
	}
	return ssh, nil
}

// prepare is how a connection differs from what newSSH says.
func (e *engine) prepare(ctx context.Context, _ net.Conn, cfg *ssh2.ConnConfig) error {
	c := connectionOf(ctx)
	if !e.out.quiet() {
		c.observe(&cfg.Config)
	}
	c.prepare(cfg)
	return nil
}

// newSFTP turns the settings into those of the SFTP server.
func (s *Server) newSFTP(e *engine) (*sftp.Server, error) {
	if v := s.ProtocolVersion; v != 0 && (v < sftp.Version3 || v > sftp.Version6) {
		return nil, fmt.Errorf("sftpserver: protocol version %d: must be 3 to 6", v)
	}
	files := &sftp.Server{
		FS: func(ctx context.Context, info sftp.SessionInfo) (sftp.FileSystem, error) {
			c := connectionOf(ctx)
			fsys, err := e.fileSystem(ctx, c)
			if wrap := e.WrapFileSystem; err == nil && wrap != nil {
				fsys, err = wrap(ctx, c, fsys)
			}
			if err != nil {
				return nil, fmt.Errorf("sftpserver: file system of the session: %w", err)
			}
			return e.withEvents(ctx, c, info.User, fsys), nil
		},
		MaxVersion: s.ProtocolVersion,
		Limits:     s.Limits,
		Extensions: s.Extensions,
		ReadOnly:   s.ReadOnly,
		Policy:     s.Policy,
		Newline:    s.ServerEOL,
		Log:        e.logger(),
		NoDots:     s.NoDotEntries || s.filesObserved(), // an eventFS lists them itself
	}
	if s.PlainDates {
		files.Dates = sftp.DatesISO
	}
	if s.CodePage != 0 {
		var err error
		if files.Charset, err = sftp.CodePage(uint32(s.CodePage)); err != nil {
			return nil, fmt.Errorf("sftpserver: code page: %w", err)
		}
	}
	if files.MaxVersion == 0 {
		files.MaxVersion = defaultVersion
	}
	if files.Newline == "" {
		files.Newline = "\n"
	}
	if files.Limits.ListEntries = s.DirListBufferSize; files.Limits.ListEntries == 0 {
		files.Limits.ListEntries = defaultListEntries
	}
	return files, nil
}

// session serves the subsystem sftp and nothing else.
func (e *engine) session(ctx context.Context, s *ssh2.ServerSession) {
	if s.Kind != ssh2.Subsystem || s.Subsystem != "sftp" {
		connectionOf(ctx).step("session refused", slog.String("kind", s.Kind.String()), slog.String("subsystem", s.Subsystem))
		s.Refuse()
		return
	}
	connectionOf(ctx).step("subsystem opened", slog.String("name", s.Subsystem))
	s.Accept()
	drain, stop := context.WithCancel(ctx)
	defer stop()
	s.OnShutdown(stop)
	info := s.Conn().Info()
	files := sftp.SessionInfo{
		User:        s.User(),
		RemoteAddr:  info.RemoteAddr,
		LocalAddr:   info.LocalAddr,
		ClientIdent: info.RemoteIdent,
		SessionID:   info.SessionID,
		Identity:    s.Identity(),
		Policy:      connectionOf(ctx).policy(),
		Drain:       drain,
	}
	e.observeFiles(connectionOf(ctx), &files)
	rooted, leave := e.roots.hold(ctx)
	defer leave()
	err := e.sftp.Serve(rooted, e.throttled(ctx, connectionOf(ctx), s), files)
	if err != nil && !plainEnd(err) {
		e.report(connectionOf(ctx), err)
		s.Exit(1)
	}
}

// StopListening stops accepting new connections; existing ones go on. On a Server that does not listen it does nothing
// and returns nil.
func (s *Server) StopListening() error {
	s.mu.Lock()
	e := s.engine
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.acceptor.stop()
}

// Shutdown stops listening, lets running transfers finish, and disconnects. It returns when the last Disconnected event
// has been handled. If ctx ends first, it closes the remaining connections and returns a [*ssh2.ShutdownError]. An
// event handler should not call it directly, since Shutdown would wait for the handler's own connection until ctx ends:
// call it from another goroutine, or call Close.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.stop(func(e *engine) error { return e.shutdown(ctx) })
}

// Close stops listening and ends every connection at once. It does not wait for handlers.
func (s *Server) Close() error {
	return s.stop(func(e *engine) error { e.cut(); return nil })
}

// stop ends all that was ever started.
func (s *Server) stop(end func(*engine) error) error {
	err := s.StopListening()
	s.mu.Lock()
	engines := slices.Clone(s.engines)
	s.mu.Unlock()
	results := make(chan error, len(engines))
	for _, e := range engines {
		go func() { results <- end(e) }()
	}
	for range engines {
		err = errors.Join(err, <-results)
	}
	return err
}

// Listening tells whether the server accepts connections.
func (s *Server) Listening() bool {
	if s.of != nil {
		return true // or there would be no such copy
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listening()
}

func (s *Server) listening() bool {
	if s.engine == nil {
		return false
	}
	select {
	case <-s.engine.acceptor.accepted:
		return false
	default:
		return true
	}
}

// Addr returns the address that the server listens on, or listened on last; nil before the first Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return nil
	}
	return s.engine.acceptor.listener.Addr()
}

// Connections returns the current connections in the order in which they were accepted.
func (s *Server) Connections() iter.Seq[*Connection] {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.conns))
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *Connection) int {
		if d := len(a.id) - len(b.id); d != 0 {
			return d // ids are numbers
		}
		return strings.Compare(a.id, b.id)
	})
	return slices.Values(all)
}

// Connection finds a connection by its id.
func (s *Server) Connection(id string) (*Connection, bool) {
	if s.of != nil {
		return s.of.Connection(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.conns[id]
	return c, ok
}

// Disconnect ends a connection. It returns ErrUnknownConnection if none has that id.
func (s *Server) Disconnect(id string) error {
	c, ok := s.Connection(id)
	if !ok {
		return ErrUnknownConnection
	}
	return c.Disconnect()
}

// ExchangeKeys is [Connection.ExchangeKeys] of the connection with that id. It returns ErrUnknownConnection if there is
// none.
func (s *Server) ExchangeKeys(ctx context.Context, id string) error {
	c, ok := s.Connection(id)
	if !ok {
		return ErrUnknownConnection
	}
	return c.ExchangeKeys(ctx)
}

// Reset sets every setting back to the default that New gives it. It does not change the events. A Server that listens,
// or is about to, returns ErrListening.
func (s *Server) Reset() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starting || s.listening() {
		return ErrListening
	}
	s.Options.setDefaults()
	s.stash.forget()
	return nil
}
