package sftpserver_test

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/packet"
)

// noneLeft checks at the end of a test, after everything that it cleans up later, that no Buf and
// no goroutine of a server is left. First it waits for what earlier tests have left to end.
func noneLeft(t *testing.T) {
	t.Helper()
	settle(0)
	bufs := packet.Live()
	t.Cleanup(func() {
		if left, s := settle(bufs); s != "" {
			t.Errorf("%d goroutines and %d Bufs are left:\n%s", left, packet.Live()-bufs, s)
		}
	})
}

// settle waits until servers have no goroutine and no more than so many Bufs are in use. If that takes too
// long it returns all stacks.
func settle(bufs int64) (left int, s string) {
	stacks := make([]byte, 1<<20)
	for late := time.Now().Add(5 * time.Second); ; {
		s = string(stacks[:runtime.Stack(stacks, true)])
		left = 0
		for g := range strings.SplitSeq(s, "\n\n") {
			if strings.Contains(g, "fairlead/sftpserver.") || strings.Contains(g, "fairlead/ssh2.(*Server)") {
				left++
			}
		}
		if left == 0 && packet.Live() <= bufs {
			return 0, ""
		}
		if time.Now().After(late) {
			return left, s
		}
		runtime.Gosched()
	}
}

// memory is a listener whose connections are made by hand.
type memory struct {
	conns chan any // net.Conn or error
	done  chan struct{}
}

func newMemory() *memory { return &memory{make(chan any, 100), make(chan struct{})} }

func (l *memory) Accept() (net.Conn, error) {
	select {
	case x := <-l.conns:
		if err, bad := x.(error); bad {
			return nil, err
		}
		return x.(net.Conn), nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memory) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (l *memory) Addr() net.Addr { return &net.TCPAddr{} }
