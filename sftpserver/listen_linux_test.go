package sftpserver

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// option reads an option of a socket.
func option(t *testing.T, c any, level, name int) (value int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		err = control(raw, func(fd uintptr) error {
			var err error
			value, err = unix.GetsockoptInt(int(fd), level, name)
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestConnectionBacklog: the queue of connections that are not accepted yet is as long as asked.
func TestConnectionBacklog(t *testing.T) {
	longest := 0
	for _, want := range []int{0, 1, 5, 100} {
		l, err := (&Options{LocalHost: "127.0.0.1", ConnectionBacklog: want}).listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if err := control(raw, func(fd uintptr) error {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err == nil {
				got = int(info.Sacked) // of a socket that listens: the length of its queue (tcp(7), struct tcp_info)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if want == 0 {
			longest = got
			want = got
		}
		if got != want || longest < 128 {
			t.Errorf("%d long, want %d; at most %d", got, want, longest)
		}
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Errorf("backlog %d: %v", want, err)
		} else {
			_ = nc.Close()
		}
		_ = l.Close()
	}
}

// TestBindExclusively: an address is shared only if both want it.
func TestBindExclusively(t *testing.T) {
	for _, tt := range []struct{ first, second, ok bool }{{false, false, false}, {true, false, false}, {false, true, false}, {true, true, true}} {
		a, err := (&Options{LocalHost: "127.0.0.1", ShareAddress: tt.first}).listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o := Options{LocalHost: "127.0.0.1", LocalPort: a.Addr().(*net.TCPAddr).Port, ShareAddress: tt.second}
		b, err := o.listen(t.Context())
		if (err == nil) != tt.ok || err != nil && ErrorCode(err) != 10048 {
			t.Errorf("%+v: %v", tt, err)
		}
		if err == nil {
			_ = b.Close()
		}
		_ = a.Close()
	}
}

// TestSocketOptions: InBufferSize, OutBufferSize, KeepAlive and TcpNoDelay, and nothing of them unless asked.
func TestSocketOptions(t *testing.T) {
	l, err := (&Options{LocalHost: "127.0.0.1"}).listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := func(o Options) net.Conn {
		t.Helper()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		if err := o.setUp(nc); err != nil {
			t.Fatal(err)
		}
		return nc
	}
	plain := accepted(Options{})
	set := accepted(Options{
		InBufferSize: 10_000, OutBufferSize: 20_000, Nagle: true,
		KeepAliveTime: 90 * time.Second, KeepAliveInterval: 1500 * time.Millisecond, KeepAliveRetryCount: 4,
	})
	for _, tt := range []struct {
		what         string
		level, name  int
		plain, wants int
	}{
		{"InBufferSize", unix.SOL_SOCKET, unix.SO_RCVBUF, -1, 20_000}, // the system doubles it (socket(7))
		{"OutBufferSize", unix.SOL_SOCKET, unix.SO_SNDBUF, -1, 40_000},
		{"TcpNoDelay", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, 0},
		{"KeepAlive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1, 1},
		{"KeepAliveTime", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15, 90},
		{"KeepAliveInterval", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15, 2}, // whole seconds
		{"KeepAliveRetryCount", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9, 4},
	} {
		if got := option(t, plain, tt.level, tt.name); tt.plain >= 0 && got != tt.plain || got == tt.wants && tt.plain < 0 {
			t.Errorf("%s is %d unless it is set", tt.what, got)
		}
		if got := option(t, set, tt.level, tt.name); got != tt.wants {
			t.Errorf("%s is %d, want %d", tt.what, got, tt.wants)
		}
	}
	// What is no TCP has no such options, and that is no error.
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := (&Options{Nagle: true, InBufferSize: 1, KeepAliveTime: time.Second}).setUp(a); err != nil {
		t.Error(err)
	}
	// One that is closed already has them no more.
	_ = set.Close()
	for _, o := range []Options{{Nagle: true}, {InBufferSize: 1}, {OutBufferSize: 1}, {KeepAliveRetryCount: 1}} {
		if err := o.setUp(set); ErrorCode(err) == 0 {
			t.Errorf("%+v on a closed socket: %v", o, err)
		}
	}
}

// TestListenIsCancelled: Start's context bounds the look-up of LocalHost.
func TestListenIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := (&Options{LocalHost: "host.invalid"}).listen(ctx); err == nil {
		_ = l.Close()
		t.Error("listens on a host that does not exist")
	}
}
