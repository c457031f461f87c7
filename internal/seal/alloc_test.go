//go:build !race && !purego

package seal

import (
	"bytes"
	"sync"
	"testing"
)

// Not under the race detector, where sync.Pool drops some of what it is given
// on purpose, nor with the tag purego, where x/crypto compares addresses through
// reflection, which makes its arguments escape.

func TestNoAllocationPerPacket(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		for _, size := range []int{1, 100, 32 << 10} {
			s, o := m.sealer(t), m.opener(t)
			pkt := append(framed(count(size, 0), s.Padding(size)), make([]byte, s.Overhead())...)
			wire := bytes.Clone(pkt)
			var i uint64
			allocs := testing.AllocsPerRun(max(20, 10_000/size), func() {
				copy(wire, pkt)
				s.Seal(i, uint32(i), wire)
				n, err := o.Length(i, uint32(i), wire[:o.Head()])
				if err != nil {
					t.Fatal(err)
				}
				if _, err := o.Open(i, uint32(i), wire[:n]); err != nil {
					t.Fatal(err)
				}
				i++
			})
			if allocs != 0 {
				t.Errorf("payload of %d: %v allocations per packet", size, allocs)
			}
		}
	})
}

func TestNoAllocationPerPacketConcurrently(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		s := m.sealer(t)
		if s.Ordered() {
			return
		}
		const workers, packets = 4, 1000
		wire := make([][]byte, workers)
		for w := range wire {
			wire[w] = append(framed(count(100, 0), s.Padding(100)), make([]byte, s.Overhead())...)
		}
		// The goroutines themselves, and what the pool keeps per processor,
		// are a few allocations: far fewer than packets.
		allocs := testing.AllocsPerRun(1, func() {
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := range uint64(packets) {
						n := i*workers + uint64(w)
						s.Seal(n, uint32(n), wire[w])
					}
				})
			}
			wg.Wait()
		})
		if allocs > workers*packets/20 {
			t.Errorf("%v allocations for %d packets", allocs, workers*packets)
		}
	})
}

// A refused length costs no memory either (house rule 8).
func TestCVE_6_2_RefusalTakesNoMemory(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		if !m.lengthInClear() {
			return // any head is some other length there
		}
		o := m.opener(t)
		head := []byte{0xff, 0xff, 0xff, 0xff}
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := o.Length(0, 0, head); err == nil {
				t.Fatal("accepted")
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}
