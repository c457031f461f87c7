// Package throttle holds packets back, so that no more octets pass in a second than a limit allows. It sits between a
// [packet.Conn] and who uses it, above the windows of SSH: what is held back fills a window, which stops the
// peer, while messages that keep the connection alive pass below.
package throttle

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/fairlead-ssh/fairlead/packet"
)

const (
	// share is the part of a second's octets that may pass at once after a pause: enough to make up for timers that
	// come late, and too little to be seen in a mean.
	share = 50
	// quantum is how many octets a lane waits for at a time at most, some for packets to come. Whoever shares a limit takes turns by it, so that
	// small packets and large ones come to the same number of octets.
	quantum = 16 << 10
	// least is the smallest burst, lest a slow limit wakes somebody for each octet.
	least = 512
)

// A Bucket is a limit, which any number of connections may share. The zero value lets everything pass.
type Bucket struct {
	mu      sync.Mutex
	limit   int64
	limiter *rate.Limiter // nil: everything passes
}

// New returns a Bucket for that many octets a second; 0 or less lets everything pass.
func New(perSecond int64) *Bucket {
	b := new(Bucket)
	b.Set(perSecond)
	return b
}

// Set changes the limit, also of those that wait.
func (b *Bucket) Set(perSecond int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = max(perSecond, 0)
	if b.limit == 0 {
		if b.limiter != nil {
			b.limiter.SetLimit(rate.Inf) // for those that wait
			b.limiter = nil
		}
		return
	}
	burst := int(min(max(b.limit/share, min(b.limit, least)), math.MaxInt32))
	if b.limiter == nil {
		b.limiter = rate.NewLimiter(rate.Limit(b.limit), burst)
		return
	}
	b.limiter.SetLimit(rate.Limit(b.limit))
	b.limiter.SetBurst(burst)
}

// Limit is the limit in octets a second; 0 is none.
func (b *Bucket) Limit() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit
}

// current is what to wait for now; nil is nothing.
func (b *Bucket) current() *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limiter
}

// step is how many octets to wait for at a time: the same for all who share the bucket.
func (b *Bucket) step() int {
	if l := b.current(); l != nil {
		return min(quantum, max(l.Burst(), 1))
	}
	return quantum
}

// wait waits until n octets may pass.
func (b *Bucket) wait(ctx context.Context, n int) error {
	for n > 0 {
		l := b.current()
		if l == nil {
			return nil
		}
		some := min(n, max(l.Burst(), 1))
		if err := l.WaitN(ctx, some); err == nil {
			n -= some
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		} else if some <= max(l.Burst(), 1) { // a deadline comes before: there is no need to look until then
			<-ctx.Done()
			return context.Cause(ctx)
		} // or else the burst became smaller meanwhile: once more
	}
	return nil
}

// A Lane is one direction of a connection. Its packets wait for one another, and for the buckets: one lane waits in one place
// at a time, however many goroutines send on it, and so lanes share a bucket evenly.
type Lane struct {
	turn    chan struct{} // holds a place while a packet waits
	buckets []*Bucket
	credit  []int // octets that were waited for at each and have not passed; of who has the turn
}

// NewLane returns a lane that goes by all of the buckets.
func NewLane(buckets ...*Bucket) *Lane {
	return &Lane{turn: make(chan struct{}, 1), buckets: buckets, credit: make([]int, len(buckets))}
}

// Limited tells whether anything is held back now.
func (l *Lane) Limited() bool {
	for _, b := range l.buckets {
		if b.Limit() > 0 {
			return true
		}
	}
	return false
}

// wait waits until n octets may pass, or ctx ends. It counts what was waited for as it goes.
func (l *Lane) wait(ctx context.Context, n int, count *atomic.Uint64) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for i, b := range l.buckets {
		for l.credit[i] < n {
			step := b.step()
			if err := b.wait(ctx, step); err != nil {
				return err
			}
			l.credit[i] += step
			count.Add(uint64(step))
		}
		l.credit[i] -= n
	}
	return nil
}

// conn is a Conn that is held back.
type conn struct {
	packet.Conn
	ctx     context.Context
	stop    context.CancelFunc
	in, out *Lane
	passed  atomic.Uint64 // octets, as they are waited for
}

// Conn returns c with what is read waiting for in, and what is written for out; nil is no limit. The end of ctx, and Close, end
// the waiting. It is no packet.Deliverer.
func Conn(ctx context.Context, c packet.Conn, in, out *Lane) packet.Conn {
	t := &conn{Conn: c, in: in, out: out}
	t.ctx, t.stop = context.WithCancel(ctx)
	return t
}

// Passed grows while packets wait for their limits and these let octets pass, also in the middle of a packet: then the peer
// is not to blame that no packet comes or goes.
func (c *conn) Passed() uint64 { return c.passed.Load() }

// ReadPacket returns a packet once it may have passed. It is there by then: the peer was stopped by the window.
func (c *conn) ReadPacket() (*packet.Buf, error) {
	b, err := c.Conn.ReadPacket()
	if err != nil || c.in == nil {
		return b, err
	}
	if err := c.in.wait(c.ctx, b.Len(), &c.passed); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// WritePacket sends a packet once it may pass.
func (c *conn) WritePacket(b *packet.Buf) error {
	if c.out == nil {
		return c.Conn.WritePacket(b)
	}
	if err := c.out.wait(c.ctx, b.Total(), &c.passed); err != nil {
		b.Release()
		return err
	}
	return c.Conn.WritePacket(b)
}

// Close ends the stream, and all waiting.
func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}
