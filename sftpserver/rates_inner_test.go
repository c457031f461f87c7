package sftpserver

import (
	"net"
	"testing"

	"github.com/fairlead-ssh/fairlead/packet"
)

// TestRatesOff: without a limit a session is what it is: nothing stands in between, and nothing is made.
func TestRatesOff(t *testing.T) {
	s := New()
	e := &engine{Server: s}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c := newConnection(e, "1", a)
	session := packet.Pipe(a)
	if got := e.throttled(t.Context(), c, session); got != session || c.lanes != nil {
		t.Error("something stands in between")
	}
	if n := testing.AllocsPerRun(100, func() { e.throttled(t.Context(), c, session) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	c.SetRates(0, 1)
	limited := e.throttled(t.Context(), c, session)
	if limited == session || c.lanes == nil {
		t.Error("nothing stands in between")
	}
	if limited.MaxPacket() != session.MaxPacket() {
		t.Error("another size of packets")
	}
}
