package throttle

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/packet"
)

// sink is a Conn that takes everything at once, and gives packets of a size without end.
type sink struct {
	size   int
	closed chan struct{}
}

func newSink(size int) *sink { return &sink{size, make(chan struct{})} }

func (s *sink) ReadPacket() (*packet.Buf, error) {
	select {
	case <-s.closed:
		return nil, io.EOF
	default:
		return packet.Get(s.size), nil
	}
}

func (s *sink) WritePacket(b *packet.Buf) error {
	b.Release()
	select {
	case <-s.closed:
		return net.ErrClosed
	default:
		return nil
	}
}
func (s *sink) MaxPacket() int { return 32 << 10 }
func (s *sink) Close() error   { close(s.closed); return nil }

// send writes packets for that long and returns how many octets went.
func send(t *testing.T, c packet.Conn, size int, d time.Duration) (n int) {
	for end := time.Now().Add(d); ; n += size {
		if err := c.WritePacket(packet.Get(size)); err != nil {
			t.Error(err)
			return n
		}
		if !time.Now().Before(end) {
			return n
		}
	}
}

// near tells whether got is want within 5 %, a packet apart.
func near(got, want float64, packet int) bool {
	return math.Abs(got-want) <= 0.05*want+float64(packet)
}

// TestRate: over ten seconds the mean is the limit, whatever the limit and the packets.
func TestRate(t *testing.T) {
	for _, limit := range []int64{1000, 20_000, 1 << 20, 100 << 20} {
		for _, size := range []int{100, 32 << 10, 256 << 10} {
			synctest.Test(t, func(t *testing.T) {
				const d = 10 * time.Second
				if n := limit * int64(d/time.Second) / int64(size); n < 2 || n > 20_000 {
					return // not even a few packets, or a test for a minute
				}
				out := Conn(t.Context(), newSink(size), nil, NewLane(New(limit)))
				if got := send(t, out, size, d); !near(float64(got)/d.Seconds(), float64(limit), size) {
					t.Errorf("limit %d, packets of %d: %d octets written in %v", limit, size, got, d)
				}
				in := Conn(t.Context(), newSink(size), NewLane(New(limit)), nil)
				got := 0
				for end := time.Now().Add(d); time.Now().Before(end); got += size {
					b, err := in.ReadPacket()
					if err != nil {
						t.Fatal(err)
					}
					b.Release()
				}
				if !near(float64(got)/d.Seconds(), float64(limit), size) {
					t.Errorf("limit %d, packets of %d: %d octets read in %v", limit, size, got, d)
				}
				_, _ = out.Close(), in.Close()
			})
		}
	}
}

// TestShared: connections that share a limit get the same each, however many goroutines they send with and however
// large their packets are; one that is limited further leaves the rest to the others.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, d = 1 << 20, 20 * time.Second
		all := New(limit)
		kinds := []struct{ size, senders int }{{32 << 10, 1}, {32 << 10, 8}, {1000, 1}, {256 << 10, 2}}
		got := make(chan [2]int, 100)
		lanes := []*Lane{}
		for range kinds {
			lanes = append(lanes, NewLane(New(0), all))
		}
		lanes = append(lanes, NewLane(New(limit/10), all))
		kinds = append(kinds, struct{ size, senders int }{32 << 10, 2})
		n := 0
		for i, k := range kinds {
			c := Conn(t.Context(), newSink(k.size), nil, lanes[i])
			for range k.senders {
				n++
				go func() { got <- [2]int{i, send(t, c, k.size, d)} }()
			}
		}
		sums := make([]int, len(kinds))
		for range n {
			r := <-got
			sums[r[0]] += r[1]
		}
		total, own := 0, sums[4]
		for i, sum := range sums {
			total += sum
			mean := float64(sum) / d.Seconds()
			if i == 4 {
				if mean > 0.105*limit || mean < 0.05*limit {
					t.Errorf("the one that is limited further: %.0f octets a second", mean)
				}
			} else if want := (limit - float64(own)/d.Seconds()) / 4; math.Abs(mean-want) > 0.1*want {
				t.Errorf("connection %d: %.0f octets a second, want %.0f", i, mean, want)
			}
		}
		if mean := float64(total) / d.Seconds(); math.Abs(mean-limit) > 0.06*limit {
			t.Errorf("%.0f octets a second together", mean)
		}
	})
}

// TestEnds: Close and the end of the context end all waiting, at once.
func TestEnds(t *testing.T) {
	for what, end := range map[string]func(packet.Conn, context.CancelFunc){
		"Close":   func(c packet.Conn, _ context.CancelFunc) { _ = c.Close() },
		"context": func(_ packet.Conn, stop context.CancelFunc) { stop() },
	} {
		synctest.Test(t, func(t *testing.T) {
			before := packet.Live()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			lane := NewLane(New(10))
			c := Conn(ctx, newSink(1000), lane, NewLane(New(10)))
			errs := make(chan error, 3)
			for range 2 {
				go func() { errs <- c.WritePacket(packet.Get(1000)) }()
			}
			go func() {
				_, err := c.ReadPacket()
				errs <- err
			}()
			synctest.Wait()
			began := time.Now()
			end(c, stop)
			for range 3 {
				if err := <-errs; !errors.Is(err, context.Canceled) && !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if d := time.Since(began); d != 0 {
				t.Errorf("%s: after %v", what, d)
			}
			if n := packet.Live() - before; n != 0 {
				t.Errorf("%s: %d Bufs are left", what, n)
			}
		})
	}
}

// TestDeadline: who will not have it before a deadline hears of that then, and looks no more often.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		began := time.Now()
		c := Conn(ctx, newSink(1000), nil, NewLane(New(10)))
		if err := c.WritePacket(packet.Get(1000)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestPassed: a Conn tells that a limit lets octets pass while a packet waits, and that nothing does without one.
func TestPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Conn(t.Context(), newSink(1000), nil, NewLane(New(10)))
		p, ok := c.(interface{ Passed() uint64 })
		if !ok || p.Passed() != 0 {
			t.Fatal("octets without a packet")
		}
		done := make(chan error, 1)
		go func() { done <- c.WritePacket(packet.Get(1000)) }()
		for last := uint64(0); last < 900; last = p.Passed() {
			time.Sleep(10 * time.Second)
			if p.Passed() == last {
				t.Fatal("nothing passed")
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		last := p.Passed()
		time.Sleep(time.Hour)
		if p.Passed() != last {
			t.Error("octets without a packet")
		}
	})
}

// TestSet: a limit changes for those that wait, and goes away.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(0)
		lane := NewLane(b)
		if lane.Limited() || b.Limit() != 0 {
			t.Error("limited by nothing")
		}
		began := time.Now()
		if err := lane.wait(t.Context(), 1<<30, new(atomic.Uint64)); err != nil || time.Since(began) != 0 {
			t.Errorf("without a limit: %v after %v", err, time.Since(began))
		}
		b.Set(100 << 20) // from a large burst to a small one while somebody waits
		if !lane.Limited() || b.Limit() != 100<<20 {
			t.Error("not limited")
		}
		done := make(chan time.Duration, 1)
		go func() {
			if err := lane.wait(t.Context(), 4<<20, new(atomic.Uint64)); err != nil { // of which half passes at once
				t.Error(err)
			}
			done <- time.Since(began)
		}()
		synctest.Wait()
		b.Set(1000)
		if d := <-done; d < 1800*time.Second || d > 2300*time.Second {
			t.Errorf("the other half in %v", d)
		}
		go func() {
			if err := lane.wait(t.Context(), 1<<30, new(atomic.Uint64)); err != nil {
				t.Error(err)
			}
			done <- 0
		}()
		synctest.Wait()
		began = time.Now()
		b.Set(0)
		<-done
		if d := time.Since(began); d > 20*time.Second { // what was waited for already is waited for
			t.Errorf("%v after the limit went away", d)
		}
	})
}
