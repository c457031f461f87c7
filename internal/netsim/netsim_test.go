package netsim

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func pattern(n int) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func TestDelayAndRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Link{Delay: 100 * time.Millisecond, Rate: 1 << 20}, Link{})
		want := pattern(3 << 20)
		start := time.Now()
		go func() {
			if _, err := a.Write(want); err != nil {
				t.Error(err)
			}
			_ = a.Close()
		}()
		first := make([]byte, 1)
		if _, err := io.ReadFull(b, first); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(first, rest...), want) {
			t.Error("octets differ")
		}
		if took := time.Since(start); took < 3099*time.Millisecond || took > 3110*time.Millisecond {
			t.Errorf("took %v, want 3.1 s", took)
		}
	})
}

func TestSmallReadsAndWrappingRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Link{MaxRead: 1, Buffer: 7}, Link{})
		want := pattern(100)
		go func() {
			_, _ = a.Write(want)
			_ = a.Close()
		}()
		got, p := []byte{}, make([]byte, 10)
		for {
			n, err := b.Read(p)
			if n > 1 {
				t.Fatalf("read %d octets at once", n)
			}
			got = append(got, p[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, want) {
			t.Error("octets differ")
		}
	})
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Link{CutAt: 5}, Link{})
		n, err := a.Write(make([]byte, 10))
		if n != 5 || !errors.Is(err, ErrCut) {
			t.Errorf("wrote %d, %v", n, err)
		}
		got, err := io.ReadAll(b)
		if len(got) != 5 || !errors.Is(err, ErrCut) {
			t.Errorf("read %d, %v", len(got), err)
		}
		if _, err := b.Write([]byte{1}); !errors.Is(err, ErrCut) {
			t.Errorf("other direction: %v", err)
		}
	})
}

func TestStallDeadlineClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Link{}, Link{})
		b.Stall()
		_, _ = a.Write([]byte{1})
		start := time.Now()
		_ = b.SetReadDeadline(start.Add(time.Second))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		_ = b.SetReadDeadline(time.Time{})
		b.Resume()
		if n, err := b.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		got := make(chan error)
		go func() {
			_, err := b.Read(make([]byte, 1))
			got <- err
		}()
		synctest.Wait()
		_ = a.Close()
		if err := <-got; !errors.Is(err, io.EOF) {
			t.Errorf("after the peer closed: %v", err)
		}
		_ = b.Close()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestNoAllocsPerWrite(t *testing.T) {
	a, b := Pipe(Link{}, Link{})
	p, q := make([]byte, 32<<10), make([]byte, 40<<10)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = a.Write(p)
		_, _ = b.Read(q)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
