package transport

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/packet"
)

// TestChainsStayInOnePiece has many senders write chains longer than the ring
// is free for, through a small window: each chain must arrive without anything
// of another in between.
func TestChainsStayInOnePiece(t *testing.T) {
	leaks(t)
	cc, sc := testConfigs()
	client, server := pair(t, cc, sc)
	const (
		senders = 8
		chains  = 40
		links   = 9
		size    = 32 << 10
	)
	flow := client.NewFlow(0, 1<<20, size)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for n := range chains {
				var chain *packet.Buf
				for l := range links {
					b := packet.Get(size)
					for i := 0; i < size; i += 4 {
						binary.BigEndian.PutUint32(b.Bytes()[i:], uint32(s<<24|n<<8|l))
					}
					if chain == nil {
						chain = b
					} else {
						chain.Link(b)
					}
				}
				if err := flow.Write(chain); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() { _ = drain(client, nil) })
	var got []byte
	total := 0
	_ = drain(server, func(p []byte) {
		_, data, ok := msg.ParseChannelData(p)
		if !ok {
			t.Errorf("got %s", msg.Name(p[0]))
			_ = server.Close()
			return
		}
		if err := flow.Grant(uint32(len(data))); err != nil {
			t.Error(err)
		}
		got = append(got, data...)
		for len(got) >= links*size {
			first := binary.BigEndian.Uint32(got)
			for i := 0; i < links*size; i += 4 {
				if w := binary.BigEndian.Uint32(got[i:]); w != first+uint32(i/size) {
					t.Errorf("octet %d of a chain that began with %#x is %#x", i, first, w)
					_ = server.Close()
					return
				}
			}
			got = got[links*size:]
			if total++; total == senders*chains {
				_ = server.Close()
			}
		}
	})
	wg.Wait()
	if total != senders*chains {
		t.Errorf("%d chains arrived", total)
	}
}
