package sftpserver

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/throttle"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A Connection is a client's connection, from before its first event until after its
// last. Every method may be called by any goroutine.
type Connection struct {
	engine *engine
	id     string
	nc     net.Conn
	ctx    context.Context // ends with the connection; its cause may be why
	stop   context.CancelCauseFunc

	hostKeys []gossh.Signer // of the Connected event
	timeout  atomic.Int64   // see SetTimeout

	events  sync.Mutex // held while a handler runs, unless ConcurrentEvents
	ended   atomic.Bool
	version atomic.Int32           // of SFTP
	listing atomic.Int32           // entries per READDIR reply; 0: as the server
	handles atomic.Uint64          // how many were proposed for its files
	message atomic.Pointer[string] // for the next failure; nil: the server's own

	up, down throttle.Bucket
	lines    queue        // for SSHStatus, Log and Error
	refusals atomic.Int32 // logins that failed

	mu     sync.Mutex
	inSSH  bool       // ssh2 has it
	strict bool       // strict key exchange is in force
	ssh    *ssh2.Conn // once logged in
	value  any
	lanes  *lanes // once a session is limited
	login  login  // of the user who is in
	// dirList is the event that is being delivered; nil for none.
	dirList *DirListEvent

	fileData atomic.Pointer[[]byte] // of the FileRead or FileWrite event that is being delivered

	auth  authState
	ident string // the client's, once it asks to log in; under mu
}

func newConnection(e *engine, id string, nc net.Conn) *Connection {
	c := &Connection{engine: e, id: id, nc: nc}
	c.ctx, c.stop = context.WithCancelCause(withConnection(context.Background(), c))
	c.timeout.Store(int64(e.DefaultTimeout))
	c.SetRates(e.UploadRate, e.DownloadRate)
	c.lines.engine, c.lines.conn = e, c
	c.auth.base.restrict = e.RestrictUserToHomeDir
	return c
}

type connectionKey struct{}

func withConnection(ctx context.Context, c *Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

func connectionOf(ctx context.Context) *Connection {
	c, _ := ctx.Value(connectionKey{}).(*Connection)
	return c
}

// fire runs a handler: one at a time. If it panics the connection ends, and fire says no.
func (c *Connection) fire(f func()) (ok bool) {
	if !c.engine.ConcurrentEvents {
		c.events.Lock()
		defer c.events.Unlock()
	}
	defer func() {
		if p := recover(); p != nil {
			err := &PanicError{Value: p, Stack: debug.Stack()}
			c.cut(err)
			c.engine.report(c, err)
		}
	}()
	f()
	return true
}

// A PanicError means that an event handler panicked. The panic ended the handler's connection.
type PanicError struct {
	Value any    // what was panicked with
	Stack []byte // of the goroutine
}

// Error tells the value of the panic, without the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("sftpserver: a handler panicked: %v", e.Value)
}

func (c *Connection) loggedIn(conn *ssh2.Conn) {
	c.mu.Lock()
	c.ssh = conn
	if g, ok := conn.Info().Identity.(*login); ok {
		c.login = g.clean()
	}
	c.mu.Unlock()
	conn.SetStallTimeout(c.stallTimeout()) // it may have changed
}

func (c *Connection) policy() *sftp.Policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login.policy
}

func (c *Connection) conn() *ssh2.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ssh
}

func (c *Connection) end() { c.ended.Store(true) }

// ID returns the id of the connection: a decimal number that grows and is unique for the server's life.
func (c *Connection) ID() string { return c.id }

// Connected tells whether the connection is up.
func (c *Connection) Connected() bool { return !c.ended.Load() }

// LocalAddr returns the server's end of the connection.
func (c *Connection) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr returns the client's end of the connection.
func (c *Connection) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// RemoteHost returns the client's IP address.
func (c *Connection) RemoteHost() string {
	host, _ := splitAddr(c.nc.RemoteAddr())
	return host
}

// RemotePort returns the client's TCP port.
func (c *Connection) RemotePort() int {
	_, port := splitAddr(c.nc.RemoteAddr())
	return port
}

// User returns the name of the user who logged in, empty before the login.
func (c *Connection) User() string {
	if conn := c.conn(); conn != nil {
		return conn.User()
	}
	return ""
}

// Info describes the SSH connection. Before login it returns the zero value.
func (c *Connection) Info() ssh2.ConnInfo {
	if conn := c.conn(); conn != nil {
		return conn.Info()
	}
	return ssh2.ConnInfo{}
}

// ProtocolVersion returns the version of SFTP that was negotiated, 0 before that.
func (c *Connection) ProtocolVersion() int { return int(c.version.Load()) }

// ClientVersion returns the ident that the client sent; empty before the first UserAuth event. It is text of the
// client: quote it before printing.
func (c *Connection) ClientVersion() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ident
}

// StrictKex tells whether strict key exchange is in force; false before the first UserAuth event.
func (c *Connection) StrictKex() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.strict
}

// Value returns what SetValue stored, nil if nothing. The server does not use it.
func (c *Connection) Value() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// SetValue stores v with the connection, for [Connection.Value].
func (c *Connection) SetValue(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value = v
}

// Disconnect ends the connection: with DISCONNECT by application where SSH has begun. It does not wait.
func (c *Connection) Disconnect() error {
	c.stop(&ssh2.DisconnectError{Reason: uint32(ssh2.DisconnectByApplication)})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inSSH { // who has it hears of it by its context
		return c.nc.Close()
	}
	return nil
}

// ExchangeKeys starts a key exchange and returns when the new keys are in use, or with an error when ctx ends. Before
// login it returns ErrNotLoggedIn.
func (c *Connection) ExchangeKeys(ctx context.Context) error {
	conn := c.conn()
	if conn == nil {
		return ErrNotLoggedIn
	}
	return conn.Rekey(ctx)
}

// SetDirListBufferSize changes the maximum number of entries in one READDIR reply on this connection, from the next
// listing on; 0 means the server's setting.
func (c *Connection) SetDirListBufferSize(n int) { c.listing.Store(int32(max(n, 0))) }

// listEntries is how many entries READDIR answers on this connection at most.
func (c *Connection) listEntries() int {
	if n := int(c.listing.Load()); n != 0 {
		return n
	}
	if n := c.engine.DirListBufferSize; n != 0 {
		return n
	}
	return defaultListEntries
}
