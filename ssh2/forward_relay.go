package ssh2

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/packet"
)

// linger is how long what is on its way to a forwarded connection may take to
// get there once the client has gone, and how long the other side has to close
// its end once the client has closed the channel.
const linger = time.Second

// stuckTime is how long a forwarded connection of which the client has closed
// its side may take nothing of what the client sent before.
const stuckTime = 2 * time.Minute

// relay moves octets both ways between a channel and a connection until both
// directions have ended, and closes both. The end of one direction is passed on
// as such. Back-pressure is that of the two: a Buf is read when the one before
// was written.
func relay(ch *Channel, nc io.ReadWriteCloser) {
	c := ch.conn
	over, in := make(chan struct{}), make(chan struct{})
	closeSoon := func() {
		t := time.NewTimer(linger)
		defer t.Stop()
		select {
		case <-over:
		case <-t.C:
			_ = nc.Close()
		}
	}
	// What came before the connection ended still goes out.
	defer context.AfterFunc(c.ctx, closeSoon)()
	c.goHandler(func() {
		defer close(in)
		relayIn(ch, nc)
	})
	var out taken
	undo := context.AfterFunc(ch.ctx, func() { out.watch(over, nc) })
	relayOut(nc, ch, &out)
	undo()
	out.end()
	// The client may close the channel from here on, or has done so already:
	// then nobody cares for what the other side still has to say. But closing a
	// socket that octets keep coming from resets it, and what we sent with it.
	defer context.AfterFunc(ch.ctx, func() {
		if c.t.Err() != nil { // c.ctx ends later than that of its channels
			_ = nc.Close()
			return
		}
		closeSoon()
	})()
	<-in
	close(over)
	_ = ch.Close()
	_ = nc.Close()
}

// taken counts what a connection takes, to find out that it takes nothing.
type taken struct {
	n    atomic.Int64
	over atomic.Bool
}

// end says that nothing is left to be taken.
func (k *taken) end() { k.over.Store(true) }

// watch closes nc when it has taken nothing for stuckTime. It ends with the
// relay, or when nothing is left.
func (k *taken) watch(relayed <-chan struct{}, nc io.Closer) {
	t := time.NewTicker(stuckTime)
	defer t.Stop()
	for before := k.n.Load(); ; {
		select {
		case <-relayed:
			return
		case <-t.C:
		}
		now := k.n.Load()
		switch {
		case k.over.Load():
			return
		case now == before:
			_ = nc.Close()
			return
		}
		before = now
	}
}

// relayIn is the direction to the channel.
func relayIn(ch *Channel, nc io.ReadWriteCloser) {
	_, readErr, writeErr := pumpIn(ch, nc)
	switch {
	case writeErr != nil: // closed by the client; see relay on why there is more to read
		_, _ = io.Copy(io.Discard, nc)
	case readErr == nil:
		_ = ch.CloseWrite()
	default: // reset: there is no telling but by closing
		_ = ch.Close()
	}
}

// relayOut is the direction from the channel.
func relayOut(nc io.ReadWriteCloser, ch *Channel, k *taken) {
	_, readErr, writeErr := pumpOut(nc, ch, k)
	if writeErr != nil {
		// Nobody listens, but may still talk. The client must not wait for a window.
		for readErr == nil {
			var b *packet.Buf
			if b, readErr = ch.ReadPacket(); readErr == nil {
				b.Release()
			}
		}
		return
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	// There is no other way to tell, and who waits for an end would wait for ever.
	_ = nc.Close()
}

// pumpIn writes what it reads from r to the channel until r ends, which is no
// error, or either fails.
func pumpIn(ch *Channel, r io.Reader) (n int64, readErr, writeErr error) {
	for {
		b := packet.Get(min(ch.MaxPacket(), 32<<10))
		m, err := r.Read(b.Bytes())
		if m > 0 {
			b.Trim(m)
			if writeErr = ch.WritePacket(b); writeErr != nil {
				return n, nil, writeErr
			}
			n += int64(m)
		} else {
			b.Release()
		}
		switch {
		case errors.Is(err, io.EOF):
			return n, nil, nil
		case err != nil:
			return n, err, nil
		}
	}
}

// pumpOut writes what it reads from the channel to w until the channel ends,
// which is no error, or either fails. k, if not nil, hears of what was taken.
func pumpOut(w io.Writer, ch *Channel, k *taken) (n int64, readErr, writeErr error) {
	for {
		b, err := ch.ReadPacket()
		if errors.Is(err, io.EOF) {
			return n, nil, nil
		}
		if err != nil {
			return n, err, nil
		}
		m, err := w.Write(b.Bytes())
		b.Release()
		n += int64(m)
		if k != nil {
			k.n.Store(n)
		}
		if err != nil {
			return n, nil, err
		}
	}
}

// WriteTo implements io.WriterTo for io.Copy, without a copy.
func (f *forwardConn) WriteTo(w io.Writer) (int64, error) {
	n, readErr, writeErr := pumpOut(w, f.Channel, nil)
	return n, errors.Join(readErr, writeErr)
}

// ReadFrom implements io.ReaderFrom for io.Copy, without a copy.
func (f *forwardConn) ReadFrom(r io.Reader) (int64, error) {
	n, readErr, writeErr := pumpIn(f.Channel, r)
	return n, errors.Join(readErr, writeErr)
}
