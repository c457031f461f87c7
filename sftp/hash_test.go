package sftp

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/fairlead-ssh/fairlead/packet"
)

// The hashes of "abc": FIPS 180-4 examples, RFC 1321 A.5, and CRC-32 of ISO 3309.
var hashesOfABC = map[string]string{
	"md5":    "900150983cd24fb0d6963f7d28e17f72",
	"sha1":   "a9993e364706816aba3e25717850c26c9cd0d89d",
	"sha224": "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
	"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	"sha384": "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
	"sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	"crc32":  "352441c2",
}

func TestHashTable(t *testing.T) {
	if len(hashes) != len(hashesOfABC) {
		t.Errorf("%d algorithms, %d examples", len(hashes), len(hashesOfABC))
	}
	for _, row := range hashes {
		name, h := hashByName([]string{"whirlpool", "", row.name, "md5"})
		if name != row.name {
			t.Fatalf("%s: chose %q", row.name, name)
		}
		h.Write([]byte("abc"))
		if got := hex.EncodeToString(h.Sum(nil)); got != hashesOfABC[name] {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, list := range [][]string{nil, {""}, {"MD5"}, {"sha3", "md5 "}} {
		if name, h := hashByName(list); h != nil {
			t.Errorf("%q chose %q", list, name)
		}
	}
}

func TestHashBlocks(t *testing.T) {
	ctx := context.Background()
	data := make([]byte, 3*hashChunk+700)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	sum := func(p []byte) []byte {
		_, h := hashByName([]string{"sha256"})
		h.Write(p)
		return h.Sum(nil)
	}
	for _, size := range []int{0, 1, 255, 256, 257, 1000, hashChunk, 2*hashChunk + 1, len(data)} {
		for _, block := range []int{0, 256, 1000, hashChunk - 1, hashChunk, hashChunk + 1, 1 << 30} {
			var want []byte
			if block == 0 {
				want = sum(data[:size])
			} else {
				for p := range chunksOf(data[:size], block) {
					want = append(want, sum(p)...)
				}
			}
			for _, n := range []int{size, size + 100} { // the second: the file is shorter than asked for
				_, h := hashByName([]string{"sha256"})
				got, err := hashBlocks(ctx, iotest.HalfReader(bytes.NewReader(data[:size])), int64(n), int64(block), h, 1<<20)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d octets of %d by %d: %v", n, size, block, err)
				}
			}
		}
	}
	_, h := hashByName([]string{"sha256"})
	if _, err := hashBlocks(ctx, bytes.NewReader(data), int64(len(data)), 256, h, 320); !errors.Is(err, errHashReply) {
		t.Error("reply without bound:", err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := hashBlocks(gone, bytes.NewReader(data), int64(len(data)), 0, h, 320); !errors.Is(err, context.Canceled) {
		t.Error("goes on although nobody waits:", err)
	}
	if _, err := hashBlocks(ctx, iotest.TimeoutReader(bytes.NewReader(data)), int64(len(data)), 0, h, 320); !errors.Is(err, iotest.ErrTimeout) {
		t.Error(err)
	}
	if packet.Live() != 0 {
		t.Error("Bufs are left")
	}
}

func chunksOf(p []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			m := min(n, len(p))
			if !yield(p[:m]) {
				return
			}
			p = p[m:]
		}
	}
}

// TestCVE_12_16_HashInConstantMemory: a terabyte of holes takes no memory to hash, and
// ends when nobody waits any more.
func TestCVE_12_16_HashInConstantMemory(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	zeros := &zeroReader{left: 64, cancel: cancel}
	_, h := hashByName([]string{"crc32"})
	allocs := testing.AllocsPerRun(1, func() {
		zeros.left = 64
		ctx, cancel = context.WithCancel(context.Background())
		zeros.cancel = cancel
		if _, err := hashBlocks(ctx, zeros, 1<<40, 0, h, 320); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	if allocs > 40 {
		t.Errorf("%v allocations", allocs)
	}
}

// zeroReader gives zeros for ever and cancels after so many reads.
type zeroReader struct {
	left   int
	cancel func()
}

func (z *zeroReader) Read(p []byte) (int, error) {
	if z.left--; z.left == 0 {
		z.cancel()
	}
	if z.left < -1 {
		return 0, io.ErrClosedPipe // nobody stopped
	}
	clear(p)
	return len(p), nil
}
