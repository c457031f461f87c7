package packet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/packet"
)

func TestRoomOfEveryClass(t *testing.T) {
	for _, n := range []int{0, 1, 3968, 3969, 32 << 10, 36736, 36737, packet.MaxPayload, packet.MaxPayload + 1, 1 << 20} {
		b := packet.Get(n)
		if b.Len() != n || len(b.Bytes()) != n {
			t.Errorf("Get(%d): length %d", n, b.Len())
		}
		if b.Head() != packet.HeadRoom || b.Tail() < packet.TailRoom {
			t.Errorf("Get(%d): head %d tail %d", n, b.Head(), b.Tail())
		}
		b.Release()
	}
}

func TestHeadersAroundPayload(t *testing.T) {
	b := packet.Get(4)
	copy(b.Bytes(), "data")
	copy(b.Prepend(5), "head:")
	copy(b.Extend(5), ":tail")
	if got := string(b.Bytes()); got != "head:data:tail" {
		t.Errorf("payload %q", got)
	}
	b.Skip(5)
	b.Trim(4)
	if got := string(b.Bytes()); got != "data" {
		t.Errorf("payload %q", got)
	}
	b.Release()
}

func TestChain(t *testing.T) {
	before := packet.Live()
	a, b, c := packet.Get(1), packet.Get(1), packet.Get(1)
	a.Link(b)
	a.Link(c)
	if a.Unlink() != b || b.Unlink() != c || c.Unlink() != nil {
		t.Error("chain out of order")
	}
	b.Link(c)
	a.Link(b)
	a.Release()
	if packet.Live() != before {
		t.Errorf("%d Bufs left", packet.Live()-before)
	}
}

func TestReleasedBufIsPoisonedAndReleasedOnce(t *testing.T) {
	if !invariant.Enabled {
		t.Log("checks run in race builds only; here release must just work")
	}
	b := packet.Get(8)
	p := b.Bytes()
	copy(p, "01234567")
	b.Release()
	if invariant.Enabled && !bytes.Equal(p, bytes.Repeat([]byte{0xCC}, 8)) {
		t.Errorf("released payload reads %q", p)
	}
	func() {
		defer func() {
			if (recover() != nil) != invariant.Enabled {
				t.Error("second release: panic does not match the build")
			}
		}()
		if invariant.Enabled {
			b.Release()
		}
	}()
}

func TestNoAllocations(t *testing.T) {
	if invariant.Enabled {
		return // sync.Pool drops objects at random under the race detector
	}
	packet.Get(32 << 10).Release()
	if n := testing.AllocsPerRun(1000, func() { packet.Get(32 << 10).Release() }); n != 0 {
		t.Errorf("%v allocations per Buf", n)
	}
}

func TestPipe(t *testing.T) {
	x, y := net.Pipe()
	a, b := packet.Pipe(x), packet.Pipe(y)
	go func() {
		m := packet.Get(3)
		copy(m.Bytes(), "abc")
		n := packet.Get(2)
		copy(n.Bytes(), "de")
		m.Link(n)
		if err := a.WritePacket(m); err != nil {
			t.Error(err)
		}
		a.Close()
	}()
	var got []byte
	for {
		p, err := b.ReadPacket()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		got = append(got, p.Bytes()...)
		p.Release()
	}
	if string(got) != "abcde" {
		t.Errorf("read %q", got)
	}
	if err := b.WritePacket(packet.Get(1)); err == nil {
		t.Error("write to a closed pipe succeeded")
	}
}
