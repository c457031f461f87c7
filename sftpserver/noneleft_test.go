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
// no goroutine of a server is left.
func noneLeft(t *testing.T) {
	t.Helper()
	bufs := packet.Live()
	t.Cleanup(func() {
		stacks := make([]byte, 1<<20)
		for late := time.Now().Add(5 * time.Second); ; {
			s := string(stacks[:runtime.Stack(stacks, true)])
			left := 0
			for g := range strings.SplitSeq(s, "\n\n") {
				if strings.Contains(g, "fairlead/sftpserver.") || strings.Contains(g, "fairlead/ssh2.(*Server)") {
					left++
				}
			}
			if left == 0 && packet.Live() == bufs {
				return
			}
			if time.Now().After(late) {
				t.Errorf("%d goroutines and %d Bufs are left:\n%s", left, packet.Live()-bufs, s)
				return
			}
			runtime.Gosched()
		}
	})
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
