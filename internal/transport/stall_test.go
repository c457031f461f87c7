package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
)

// sysConn says of a simulated connection that it is a socket of the system, whose writes go on after a deadline.
type sysConn struct{ *netsim.Conn }

func (sysConn) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

const stallLimit = time.Minute

// stalling returns a client, and a server with a stall limit, over links of that rate. The caller reads both.
func stalling(t *testing.T, rate int64) (client, server *Conn, cnc, snc *netsim.Conn) {
	t.Helper()
	cnc, snc = netsim.Pipe(netsim.Link{}, netsim.Link{Rate: rate, Buffer: 8 << 10})
	cc, sc := testConfigs()
	sc.StallTimeout = stallLimit
	client, server = New(cnc, cc), New(sysConn{snc}, sc)
	errs := make(chan error, 1)
	go func() { errs <- server.Handshake(t.Context()) }()
	if err := errors.Join(client.Handshake(t.Context()), <-errs); err != nil {
		t.Fatal(err)
	}
	client.SetPhase(msg.Open)
	server.SetPhase(msg.Open)
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server, cnc, snc
}

// wantStall waits for the end of c and checks that it came by the limit, counted from began.
func wantStall(t *testing.T, c *Conn, began time.Time, what string) {
	t.Helper()
	<-c.Done()
	took := time.Since(began)
	timeout, ok := errors.AsType[*TimeoutError](c.Err())
	if !ok || timeout.What != what || took < stallLimit || took > stallLimit*3/2 {
		t.Errorf("ended after %v with %v, want %s after %v", took, c.Err(), what, stallLimit)
	}
}

// TestStallOutput: a peer that does not read is cut off, and those who write to it hear of it.
func TestStallOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, cnc, _ := stalling(t, 0)
		go func() { _ = drain(server, nil) }()
		cnc.Stall()
		began := time.Now()
		flow := server.NewFlow(0, maxWindow, 32<<10)
		var err error
		for err == nil {
			err = flow.Write(packet.Get(32 << 10))
		}
		if _, ok := errors.AsType[*TimeoutError](err); !ok {
			t.Errorf("the writer got %v", err)
		}
		wantStall(t, server, began, "output")
	})
}

// TestStallWindow: a peer that takes what is in the network but opens no window counts as taking nothing.
func TestStallWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _, _ := stalling(t, 0)
		go func() { _ = drain(server, nil) }()
		go func() { _ = drain(client, nil) }()
		flow := server.NewFlow(0, 10, 32<<10)
		began := time.Now()
		if err := flow.Write(packet.Get(11)); err == nil {
			t.Error("written beyond the window")
		}
		wantStall(t, server, began, "output")
	})
}

// TestStallPacket: a peer that sends the beginning of a packet and no more is cut off, one that goes on octet by octet is not.
func TestStallPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, cnc, _ := stalling(t, 0)
		go func() { _ = drain(server, nil) }()
		began := time.Now()
		for range 3 { // of the length
			if _, err := cnc.Write([]byte{0}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(stallLimit * 9 / 10)
		}
		if err := server.Err(); err != nil {
			t.Fatalf("ended after %v: %v", time.Since(began), err)
		}
		began = time.Now().Add(-stallLimit * 9 / 10)
		wantStall(t, server, began, "packet")
	})
}

// TestStallSilence: who owes nothing and is owed nothing may be silent.
func TestStallSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _, _ := stalling(t, 0)
		go func() { _ = drain(server, nil) }()
		go func() { _ = drain(client, nil) }()
		time.Sleep(100 * stallLimit)
		if err := client.SendMessage(&msg.Ignore{}); err != nil || server.Err() != nil {
			t.Errorf("client %v, server %v", err, server.Err())
		}
	})
}

// TestStallSlowLink: a link that takes longer than the limit for one write, but moves, is not cut
// off; and nothing is lost or doubled where writes were interrupted.
func TestStallSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _, _ := stalling(t, 2000) // a batch of 512 KiB takes over four minutes
		go func() { _ = drain(server, nil) }()
		go func() {
			flow := server.NewFlow(0, maxWindow, 32<<10)
			for range 20 {
				_ = flow.Write(packet.Get(32 << 10))
			}
		}()
		const total = 20 * 32 << 10
		got := 0
		began := time.Now()
		for got < total {
			p, err := client.Next()
			if err != nil {
				t.Fatalf("%d octets in %v: %v, server %v", got, time.Since(began), err, server.Err())
			}
			got += len(p) - msg.ChannelDataHeader
		}
		if took := time.Since(began); took < 4*stallLimit {
			t.Errorf("all in %v: the link is not slow", took)
		}
	})
}

// TestStallChanges: the limit can be changed and switched off while it runs.
func TestStallChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, cnc, _ := stalling(t, 0)
		go func() { _ = drain(server, nil) }()
		if _, err := cnc.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		server.SetStallTimeout(0)
		time.Sleep(10 * stallLimit)
		if err := server.Err(); err != nil {
			t.Fatalf("without a limit: %v", err)
		}
		began := time.Now()
		server.SetStallTimeout(stallLimit)
		wantStall(t, server, began, "packet")
		server.SetStallTimeout(stallLimit) // too late, and harmless
	})
}

// TestStallForeignDeadline: a write deadline that is not ours ends the connection, as without a limit.
func TestStallForeignDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, cnc, snc := stalling(t, 0)
		go func() { _ = drain(server, nil) }()
		cnc.Stall()
		_ = snc.SetWriteDeadline(time.Now().Add(time.Second))
		flow := server.NewFlow(0, maxWindow, 32<<10)
		var err error
		for err == nil {
			err = flow.Write(packet.Get(32 << 10))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		<-server.Done()
	})
}

// TestStallRealSocket: an interrupted writev on TCP goes on where it was.
func TestStallRealSocket(t *testing.T) {
	leaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cc, sc := testConfigs()
	sc.StallTimeout = time.Hour
	client, server := New(a, cc), New(b, sc)
	errs := make(chan error, 1)
	go func() { errs <- server.Handshake(t.Context()) }()
	if err := errors.Join(client.Handshake(t.Context()), <-errs); err != nil {
		t.Fatal(err)
	}
	client.SetPhase(msg.Open)
	server.SetPhase(msg.Open)
	done := make(chan struct{})
	go func() { _ = drain(server, nil); close(done) }()
	stop := make(chan struct{})
	go func() { // interrupts all the time
		defer close(stop)
		for server.Err() == nil {
			server.stall.mu.Lock()
			server.stall.poke(server)
			server.stall.mu.Unlock()
		}
	}()
	const total = 64 << 20
	go func() {
		flow := server.NewFlow(0, maxWindow, 32<<10)
		for range total >> 15 {
			_ = flow.Write(packet.Get(32 << 10))
		}
		_ = server.Disconnect(ReasonByApplication, "")
	}()
	got := 0
	for {
		p, err := client.Next()
		if err != nil {
			if _, ok := errors.AsType[*DisconnectError](err); !ok && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		got += len(p) - msg.ChannelDataHeader
	}
	_, _ = client.Close(), server.Close()
	client.ReleaseReader()
	<-done
	<-stop
	if got != total {
		t.Errorf("%d octets, want %d", got, total)
	}
}
