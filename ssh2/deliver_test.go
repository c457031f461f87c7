package ssh2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
)

// TestDeliver: what arrived before, small and large packets, and the end, in order and once.
func TestDeliver(t *testing.T) {
	leakCheck(t)
	var want []byte
	for i := range 300 {
		want = append(want, bytes.Repeat([]byte{byte(i)}, 1+i*i%40_000)...)
	}
	early := make(chan struct{})
	s := testServer(func(_ context.Context, s *ServerSession) {
		_, _ = s.Write(want[:100_000])
		<-early
		for p := want[100_000:]; len(p) > 0; {
			n := min(len(p), 1+len(p)%33_000)
			_, _ = s.Write(p[:n])
			p = p[n:]
		}
	})
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	ch, err := p.Subsystem(context.Background(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	first, err := ch.ReadPacket() // so that some have certainly arrived
	if err != nil {
		t.Fatal(err)
	}
	got := bytes.Clone(first.Bytes())
	first.Release()
	var d packet.Deliverer = ch
	d.Deliver(func(b *packet.Buf) {
		got = append(got, b.Bytes()...)
		b.Release()
	})
	close(early)
	if b, err := ch.ReadPacket(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v %v", b, err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d octets were delivered, not the %d that were sent", len(got), len(want))
	}
	if n := p.Client.queued.Load(); n != 0 {
		t.Errorf("%d octets are still counted as queued", n)
	}
}
