package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// BenchmarkEtMOverPrimitives compares a packet of 32 KiB sealed with aes128-ctr
// and hmac-sha2-256-etm@openssh.com to the bare AES-CTR and HMAC-SHA2-256 of as
// many octets: 1.00 is what no code can be below. Both take turns, and medians
// are compared, so that a busy machine disturbs neither more than the other.
func BenchmarkEtMOverPrimitives(b *testing.B) {
	const size, batch = 32 << 10, 8
	m := mode{}
	m.cipher, _ = FindCipher("aes128-ctr")
	m.mac, _ = FindMAC("hmac-sha2-256-etm@openssh.com")
	key, iv, macKey := m.keys()
	s := m.sealer(b)
	pkt := append(framed(count(size, 0), s.Padding(size)), make([]byte, s.Overhead())...)
	seq := uint32(0)
	sealing := func() {
		for range batch {
			s.Seal(uint64(seq), seq, pkt)
			seq++
		}
	}

	block, err := aes.NewCipher(key)
	if err != nil {
		b.Fatal(err)
	}
	stream, mac := cipher.NewCTR(block, iv), hmac.New(sha256.New, macKey)
	bare := make([]byte, len(pkt)-s.Overhead())
	var number [4]byte
	sum := make([]byte, 0, sha256.Size)
	primitives := func() {
		for range batch {
			stream.XORKeyStream(bare[lengthSize:], bare[lengthSize:])
			binary.BigEndian.PutUint32(number[:], seq)
			mac.Reset()
			mac.Write(number[:])
			mac.Write(bare)
			sum = mac.Sum(sum[:0])
		}
	}

	var times [2][]time.Duration
	sealing()
	primitives()
	for b.Loop() {
		for i, f := range []func(){sealing, primitives} {
			start := time.Now()
			f()
			times[i] = append(times[i], time.Since(start))
		}
	}
	var median [2]float64
	for i, unit := range []string{"seal-µs/packet", "primitives-µs/packet"} {
		slices.Sort(times[i])
		median[i] = float64(times[i][len(times[i])/2].Nanoseconds()) / 1e3 / batch
		b.ReportMetric(median[i], unit)
	}
	b.ReportMetric(0, "ns/op") // of a pair: says nothing
	b.ReportMetric(median[0]/median[1], "ratio")
}
