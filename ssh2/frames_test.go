package ssh2

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/packet"
)

// TestConcurrentWritersKeepTheirMessagesWhole has several writers send
// messages that do not fit the peer's packets, as an SFTP server does, to a
// peer whose window closes again and again.
func TestConcurrentWritersKeepTheirMessagesWhole(t *testing.T) {
	leakCheck(t)
	const writers, size = 8, 32<<10 + 13
	each := repeat(1000)
	s := testServer(func(_ context.Context, s *ServerSession) {
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for range each {
					b := packet.Get(size)
					p := b.Bytes()
					binary.BigEndian.PutUint32(p, uint32(size))
					for i := 4; i < size; i++ {
						p[i] = byte(w)
					}
					if err := s.WritePacket(b); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
	p := scriptClient(t, s)
	p.send(&msg.ChannelOpen{Type: "session", Sender: 1, Window: 2 << 20, MaxPacket: 32 << 10})
	var ok msg.ChannelOpenConfirmation
	p.get(&ok)
	p.send(exec(ok.Sender, "x"))
	var stream []byte
	used, frames := 0, 0
	for {
		b := p.next()
		if b[0] == msg.NumChannelClose {
			break
		}
		if b[0] != msg.NumChannelData {
			continue
		}
		_, data, _ := msg.ParseChannelData(b)
		stream = append(stream, data...)
		if used += len(data); used > 300_000 {
			p.send(&msg.WindowAdjust{Recipient: ok.Sender, Bytes: uint32(used)})
			used = 0
		}
		for len(stream) >= size {
			if n := binary.BigEndian.Uint32(stream); n != size {
				t.Fatalf("frame %d has length %d", frames, n)
			}
			for i, v := range stream[4:size] {
				if v != stream[4] {
					t.Fatalf("frame %d of writer %d has octet %d at %d", frames, stream[4], v, i)
				}
			}
			frames++
			stream = stream[:copy(stream, stream[size:])]
		}
	}
	if frames != writers*each || len(stream) != 0 {
		t.Errorf("%d frames and %d octets", frames, len(stream))
	}
	_ = p.close()
}
