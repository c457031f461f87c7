package ssh2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// A SocketDir is a directory in which clients may have a server listen on Unix
// sockets. The zero value permits none. Nobody but the server should be able to
// write to the directory.
type SocketDir struct {
	// Path is the directory, absolute. Sockets are made directly within, by any
	// name. It must be so short that the path of a socket in it stays 16 octets
	// below the system's limit, which is about 100 octets.
	Path string
	// Mode has the permissions of sockets; 0 means 0600.
	Mode fs.FileMode
	// ReplaceStale removes an existing socket that nobody listens on, such as a
	// killed server leaves behind. Anything else of that name stays, and
	// listening fails.
	ReplaceStale bool
}

var (
	errNotInDir = &OpenError{OpenProhibited, "not permitted"}
	errInTheWay = errors.New("ssh2: forward: there is something by the name of the socket")
)

// Listen makes a socket at path, which must be in the directory, and listens on
// it. Nobody can connect before it has its mode, nothing is overwritten, and
// closing the listener removes it.
func (d SocketDir) Listen(ctx context.Context, path string) (net.Listener, error) {
	dir := filepath.Clean(d.Path)
	name := filepath.Base(path)
	if d.Path == "" || !filepath.IsAbs(dir) || !filepath.IsLocal(name) || name == "." || path != filepath.Join(dir, name) {
		return nil, errNotInDir
	}
	if _, err := os.Lstat(path); err == nil {
		if !d.ReplaceStale || !isStale(ctx, path) {
			return nil, errInTheWay
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("ssh2: forward: %w", err)
		}
	}
	mode := d.Mode.Perm()
	orDefault(&mode, 0o600)
	// Made in a directory that nobody else can enter, the socket gets its name
	// when it has its mode. A link does not overwrite, as renaming would.
	tmp, err := os.MkdirTemp(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("ssh2: forward: %w", err)
	}
	defer os.RemoveAll(tmp)
	made := filepath.Join(tmp, "s")
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", made)
	if err != nil {
		return nil, fmt.Errorf("ssh2: forward: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if ok {
		u.SetUnlinkOnClose(false)
	}
	if err = os.Chmod(made, mode); err == nil {
		err = os.Link(made, path)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = os.Lstat(made)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("ssh2: forward: %w", err)
	}
	return &socketListener{Listener: l, path: path, info: info}, nil
}

// isStale tells whether path is a socket that nobody listens on.
func isStale(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = nc.Close()
	}
	return errors.Is(err, errRefused)
}

// A socketListener removes its socket when it is closed, unless it has been
// replaced by another.
type socketListener struct {
	net.Listener
	path string
	info fs.FileInfo
	once sync.Once
}

// Addr returns the path.
func (l *socketListener) Addr() net.Addr { return unixAddr(l.path) }

// Close implements net.Listener.
func (l *socketListener) Close() error {
	l.once.Do(func() {
		// As long as the listener is open nobody else has its socket's number.
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			_ = os.Remove(l.path)
		}
	})
	return l.Listener.Close()
}
