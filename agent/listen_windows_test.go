package agent

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/windows"
)

// localListener listens where an agent of this host would: on a named pipe.
func localListener(t *testing.T) (net.Listener, string) {
	t.Helper()
	name := `\\.\pipe\fairlead-test-` + rand.Text()
	l := &pipeListener{name: name}
	if err := l.next(); err != nil {
		t.Fatal(err)
	}
	return l, name
}

// pipeListener has one instance of a pipe at any time that waits for a client.
type pipeListener struct {
	name string

	mu     sync.Mutex
	handle windows.Handle
	closed bool
}

func (l *pipeListener) next() error {
	text, err := windows.UTF16PtrFromString(l.name)
	if err != nil {
		return err
	}
	l.handle, err = windows.CreateNamedPipe(text, windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_OVERLAPPED, windows.PIPE_TYPE_BYTE|windows.PIPE_WAIT|windows.PIPE_REJECT_REMOTE_CLIENTS,
		windows.PIPE_UNLIMITED_INSTANCES, 4096, 4096, 0, nil)
	return err
}

func (l *pipeListener) Accept() (net.Conn, error) {
	event, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(event)
	o := windows.Overlapped{HEvent: event}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, net.ErrClosed
	}
	h := l.handle
	err = windows.ConnectNamedPipe(h, &o)
	l.mu.Unlock()
	if errors.Is(err, windows.ERROR_IO_PENDING) {
		var n uint32
		err = windows.GetOverlappedResult(h, &o, &n, true)
	}
	if err != nil && !errors.Is(err, windows.ERROR_PIPE_CONNECTED) {
		return nil, errors.Join(net.ErrClosed, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	conn := pipeConn{File: os.NewFile(uintptr(h), l.name)}
	if l.closed {
		return conn, nil
	}
	return conn, l.next()
}

func (l *pipeListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	_ = windows.CancelIoEx(l.handle, nil)
	return windows.CloseHandle(l.handle)
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: l.name, Net: "pipe"} }

// pipeConn is the server's end of a pipe.
type pipeConn struct{ *os.File }

func (c pipeConn) LocalAddr() net.Addr  { return &net.UnixAddr{Name: c.Name(), Net: "pipe"} }
func (c pipeConn) RemoteAddr() net.Addr { return c.LocalAddr() }
