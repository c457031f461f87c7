package ssh2

import (
	"errors"
	"net"
	"sync"
)

// isTaken tells whether an address is in use by somebody else.
func isTaken(err error) bool {
	return errors.Is(err, errAddrInUse) || errors.Is(err, errAddrRefused)
}

// twoListeners accepts from two listeners of one port.
type twoListeners struct {
	both   [2]net.Listener
	next   chan accepted
	done   chan struct{}
	closed sync.Once
}

type accepted struct {
	nc  net.Conn
	err error
}

func newTwoListeners(a, b net.Listener) *twoListeners {
	t := &twoListeners{both: [2]net.Listener{a, b}, next: make(chan accepted), done: make(chan struct{})}
	for _, l := range t.both {
		go t.accept(l) // ends with Close
	}
	return t
}

func (t *twoListeners) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		select {
		case t.next <- accepted{nc, err}:
		case <-t.done:
			if err == nil {
				_ = nc.Close()
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (t *twoListeners) Accept() (net.Conn, error) {
	select {
	case a := <-t.next:
		return a.nc, a.err
	case <-t.done:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (t *twoListeners) Addr() net.Addr { return t.both[0].Addr() }

// Close implements net.Listener.
func (t *twoListeners) Close() error {
	t.closed.Do(func() {
		close(t.done)
		for _, l := range t.both {
			_ = l.Close()
		}
	})
	return nil
}
