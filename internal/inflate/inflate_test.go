package inflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
)

// decode gives d one packet, in pieces of at most piece octets of input and
// room for at most room more octets of output, and stops beyond limit.
func decode(d *Decoder, src []byte, piece, room, limit int) (packet []byte, err error) {
	defer func() { d.Keep(packet) }()
	var out []byte
	for {
		n := min(piece, len(src))
		if want := min(len(packet)+room, limit); want <= cap(out) {
			out = out[:want]
		} else { // it moves now and then
			out = make([]byte, want, 2*want)
			copy(out, packet)
		}
		now, rest, full, err := d.Decode(out, len(packet), src[:n])
		packet, src = out[:now], src[n-len(rest):]
		switch {
		case err != nil:
			return packet, err
		case full && now < len(out):
			return packet, fmt.Errorf("full with %d octets of room", len(out)-now)
		case full && now == limit:
			return packet, errLimit
		case !full && len(rest) > 0:
			return packet, fmt.Errorf("%d octets of input left and not full", len(rest))
		case !full && len(src) == 0:
			return packet, nil
		}
	}
}

var errLimit = errors.New("beyond the limit")

// TestRFC1951_PartialFlush reads what zlib itself writes with a partial flush
// after each packet: every packet must come out whole, without the next.
func TestRFC1951_PartialFlush(t *testing.T) {
	f, err := os.Open("testdata/partial.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, piece := range []int{1, 3, 1 << 20} {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		var d Decoder
		var stream string
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		packets := 0
		for lines.Scan() {
			line := lines.Text()
			switch line[0] {
			case '#':
				continue
			case '>':
				d.Reset()
				stream, packets = line[2:], 0
				continue
			}
			want, wire, _ := strings.Cut(line, " ")
			src, err := hex.DecodeString(wire)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(&d, src, piece, 100, 1<<20)
			if err != nil || hex.EncodeToString(got) != want {
				t.Fatalf("%s, packet %d, %d octets at a time: %x, %v; want %s", stream, packets, piece, got, err, want)
			}
			packets++
		}
		if packets == 0 {
			t.Error("no packets in the last stream")
		}
	}
}

// A bitWriter writes streams by hand, lowest bit first.
type bitWriter struct {
	out  []byte
	bits uint64
	n    uint
}

func (w *bitWriter) put(v uint64, n uint) {
	w.bits |= v << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.bits))
		w.bits >>= 8
	}
}

// code puts a code, whose highest bit comes first.
func (w *bitWriter) code(v uint64, n uint) {
	for i := n; i > 0; i-- {
		w.put(v>>(i-1)&1, 1)
	}
}

// flush returns the whole octets and keeps the rest for the next packet.
func (w *bitWriter) flush() []byte {
	out := w.out
	w.out = nil
	return out
}

// end pads with zeros.
func (w *bitWriter) end() []byte {
	w.put(0, (8-w.n)&7)
	return w.flush()
}

// fixedPacket writes literals in a block of type 1 and a partial flush as zlib
// does it: an empty block of type 1, of which only whole octets are sent.
func (w *bitWriter) fixedPacket(p []byte) []byte {
	w.put(0b010, 3)
	for _, b := range p {
		if b < 144 {
			w.code(uint64(b)+0x30, 8)
		} else {
			w.code(uint64(b)-144+0x190, 9)
		}
	}
	w.put(0, 7)
	w.put(0b010, 3)
	w.put(0, 7)
	return w.flush()
}

func newStream() *bitWriter { return &bitWriter{out: []byte{0x78, 0x9C}} }

// TestFlushInsideAnOctet has packets end at every bit of an octet.
func TestFlushInsideAnOctet(t *testing.T) {
	w, ends := newStream(), map[uint]bool{}
	var d Decoder
	for i := range 300 {
		p := bytes.Repeat([]byte{byte(i)}, i%11)
		src := w.fixedPacket(p)
		ends[w.n] = true
		got, err := decode(&d, src, 1, 1, 100)
		if err != nil || !bytes.Equal(got, p) {
			t.Fatalf("packet %d: %q, %v; want %q", i, got, err, p)
		}
	}
	if len(ends) != 8 {
		t.Errorf("packets end with %v bits left", ends)
	}
}

// writer is compress/flate's, one stream for many packets.
type writer struct {
	buf bytes.Buffer
	w   *flate.Writer
}

func newWriter(level int) *writer {
	w := &writer{}
	w.buf.Write([]byte{0x78, 0x9C})
	w.w, _ = flate.NewWriter(&w.buf, level)
	return w
}

func (w *writer) packet(p []byte) []byte {
	_, _ = w.w.Write(p)
	_ = w.w.Flush()
	out := bytes.Clone(w.buf.Bytes())
	w.buf.Reset()
	return out
}

// payload returns n octets that compress more or less.
func payload(r *rand.Rand, n, kind int) []byte {
	p := make([]byte, n)
	switch kind % 4 {
	case 0: // text
		for i := range p {
			p[i] = "aaaabbbccdefghijklmnop qrstuvw\n"[r.IntN(31)]
		}
	case 1: // anything
		for i := range p {
			p[i] = byte(r.Uint32())
		}
	case 2: // pieces of itself from far back
		for i := range p {
			p[i] = byte(i)
		}
		for i := 0; i < n; {
			at, l := r.IntN(n), 3+r.IntN(300)
			i += copy(p[i:], p[at:min(n, at+l)])
		}
	}
	return p
}

// TestManyPackets takes every level of compress/flate through packets of every
// size, with little room at a time: matches reach back over packets to the
// whole window, also where a packet is larger than it.
func TestManyPackets(t *testing.T) {
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		r := rand.New(rand.NewPCG(1, uint64(level)))
		w := newWriter(level)
		var d Decoder
		for i := range 60 {
			n := 1 + r.IntN(1<<(1+r.IntN(17)))
			if i == 30 {
				n = 256 << 10
			}
			p := payload(r, n, i)
			got, err := decode(&d, w.packet(p), 1+r.IntN(5000), 1+r.IntN(60_000), 1<<20)
			if err != nil || !bytes.Equal(got, p) {
				t.Fatalf("level %d, packet %d of %d octets: %d octets, %v", level, i, n, len(got), err)
			}
		}
		d.Reset()
		p := payload(r, 1000, 0)
		if got, err := decode(&d, newWriter(level).packet(p), 1000, 1000, 1000); err != nil || !bytes.Equal(got, p) {
			t.Errorf("level %d, after Reset: %d octets, %v", level, len(got), err)
		}
	}
}

// TestWholeWindow: the longest distance is good, one more is not, in the first
// packets of a stream and later, and when a packet is longer than the window.
func TestWholeWindow(t *testing.T) {
	// far is a packet with one match of length 3 at a distance of 24577+extra.
	far := func(w *bitWriter, extra uint64) []byte {
		w.put(0b010, 3)
		w.code(1, 7) // 257: length 3
		w.code(29, 5)
		w.put(extra, 13)
		w.put(0, 7)
		w.put(0b010, 3)
		w.put(0, 7)
		return w.flush()
	}
	for _, sizes := range [][]int{{32768}, {24577, 8191}, {32767, 1}, {32768, 32768}, {100_000}, {70_000, 5}} {
		w := newStream()
		var d Decoder
		r := rand.New(rand.NewPCG(2, 3))
		var all []byte
		for _, n := range sizes {
			p := payload(r, n, 1)
			all = append(all, p...)
			if got, err := decode(&d, w.fixedPacket(p), 9999, 1<<20, 1<<20); err != nil || !bytes.Equal(got, p) {
				t.Fatalf("%v: %d octets, %v", sizes, len(got), err)
			}
		}
		got, err := decode(&d, far(w, 8191), 100, 2, 100)
		if want := all[len(all)-32768:][:3]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %x, %v; want %x", sizes, got, err, want)
		}
	}
	w := newStream()
	var d Decoder
	if _, err := decode(&d, w.fixedPacket(make([]byte, 32767)), 1<<20, 1<<20, 1<<20); err != nil {
		t.Fatal(err)
	}
	if got, err := decode(&d, far(w, 8191), 100, 100, 100); !errors.Is(err, ErrDistance) {
		t.Errorf("32768 back in 32767: %x, %v", got, err)
	}
}

// TestCVE_4_10_Bombs: output stops at the room given, to the octet, whatever
// the input claims.
func TestCVE_4_10_Bombs(t *testing.T) {
	for _, size := range []int{1 << 20, 64 << 20} {
		src := newWriter(9).packet(make([]byte, size))
		t.Logf("%d octets in %d", size, len(src))
		var d Decoder
		out := make([]byte, 256<<10)
		now, rest, full, err := d.Decode(out, 0, src)
		if now != len(out) || !full || len(rest) == 0 || err != nil {
			t.Errorf("%d octets, %d left, full %v, %v", now, len(rest), full, err)
		}
	}
	// Exactly full is not too much.
	var d Decoder
	if got, err := decode(&d, newWriter(9).packet(make([]byte, 4096)), 1<<20, 4096, 4096); err != nil || len(got) != 4096 {
		t.Errorf("%d octets, %v", len(got), err)
	}
	// Input that makes nothing does not spin.
	d.Reset()
	for _, src := range [][]byte{{}, {0x78}, {0x9C}, {}, bytes.Repeat([]byte{0, 0, 0, 0xFF, 0xFF}, 1000)} {
		if got, err := decode(&d, src, 1<<20, 10, 10); err != nil || len(got) != 0 {
			t.Errorf("%d octets, %v", len(got), err)
		}
	}
}

func TestRefused(t *testing.T) {
	bits := func(f func(w *bitWriter)) []byte {
		w := newStream()
		f(w)
		return w.end()
	}
	// dynamic begins a dynamic block with the given lengths of the code length
	// code, in its own order.
	dynamic := func(w *bitWriter, lits, dists uint64, lens ...uint64) {
		w.put(0b100, 3)
		w.put(lits-257, 5)
		w.put(dists-1, 5)
		w.put(uint64(len(lens)-4), 4)
		for _, n := range lens {
			w.put(n, 3)
		}
	}
	for _, tt := range []struct {
		name string
		src  []byte
		want error
	}{
		{"method", []byte{0x77, 0x85}, ErrHeader},
		{"window", []byte{0x88, 0x1C}, ErrHeader},
		{"check", []byte{0x78, 0x9D}, ErrHeader},
		{"gzip", []byte{0x1F, 0x8B}, ErrHeader},
		{"dictionary", []byte{0x78, 0xBB}, ErrDictionary},
		{"final, stored", []byte{0x78, 0x9C, 1, 0, 0, 0xFF, 0xFF}, ErrFinal},
		{"final, fixed", []byte{0x78, 0x9C, 3, 0, 0, 0, 0, 1}, ErrFinal},
		{"type", []byte{0x78, 0x9C, 6}, ErrBlock},
		{"stored length", []byte{0x78, 0x9C, 0, 1, 0, 0xFF, 0xFF}, ErrStored},
		{"287 literals", bits(func(w *bitWriter) { dynamic(w, 287, 1, 0, 0, 0, 0) }), ErrCodes},
		{"31 distances", bits(func(w *bitWriter) { dynamic(w, 257, 31, 0, 0, 0, 0) }), ErrCodes},
		{"no code lengths", bits(func(w *bitWriter) { dynamic(w, 257, 1, 0, 0, 0, 0) }), ErrCodes},
		{"one code length", bits(func(w *bitWriter) { dynamic(w, 257, 1, 0, 0, 0, 1) }), ErrCodes},
		{"too many code lengths", bits(func(w *bitWriter) { dynamic(w, 257, 1, 1, 1, 1, 0) }), ErrCodes},
		{"repeat of nothing", bits(func(w *bitWriter) { dynamic(w, 257, 1, 1, 0, 0, 1); w.put(1, 1) }), ErrCodes},
		{"too many lengths", bits(func(w *bitWriter) {
			dynamic(w, 257, 1, 0, 0, 1, 1)
			w.put(0x7F<<1|1, 8)
			w.put(0x7F<<1|1, 8)
		}), ErrCodes},
		{"no end of block", bits(func(w *bitWriter) {
			dynamic(w, 257, 1, 0, 0, 1, 1)
			w.put(0x7F<<1|1, 8)
			w.put(0x6D<<1|1, 8)
		}), ErrCodes},
		{"one distance of two bits", bits(func(w *bitWriter) {
			// Lengths of 0 many times, of 1 and of 2, in 1, 2 and 2 bits.
			dynamic(w, 257, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2)
			w.put(127<<1, 8) // 138 literals that do not occur
			w.put(107<<1, 8) // 118
			w.code(0b10, 2)  // the end of block: 1 bit
			w.code(0b11, 2)  // the distance: 2
		}), ErrCodes},
		{"length 286", bits(func(w *bitWriter) { w.put(0b010, 3); w.code(0b11000110, 8) }), ErrSymbol},
		{"distance 30", bits(func(w *bitWriter) { w.put(0b010, 3); w.code(1, 7); w.code(30, 5) }), ErrSymbol},
		{"distance 1 at the beginning", bits(func(w *bitWriter) { w.put(0b010, 3); w.code(1, 7); w.code(0, 5) }), ErrDistance},
	} {
		for _, piece := range []int{1, 100} {
			var d Decoder
			_, err := decode(&d, tt.src, piece, 100, 100)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
			if _, err := decode(&d, []byte{0x78, 0x9C}, 1, 100, 100); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v afterwards", tt.name, err)
			}
		}
	}
}

// model reads a whole stream with compress/flate.
func model(src []byte) ([]byte, error) {
	if len(src) < 2 {
		return nil, io.ErrUnexpectedEOF
	}
	return io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(src[2:])), 1<<20))
}

// FuzzDecoder compares the decoder with the reader of compress/flate for any
// input in any pieces, and takes data through the writer of compress/flate.
func FuzzDecoder(f *testing.F) {
	w := newStream()
	f.Add(w.fixedPacket([]byte("hello hello")), uint16(1), uint16(1), uint8(6))
	for level := range uint8(10) {
		f.Add(newWriter(int(level)).packet([]byte(strings.Repeat("the quick brown fox ", 20))), uint16(7), uint16(100), level)
	}
	f.Add([]byte{0x78, 0x9C, 6}, uint16(0), uint16(0), uint8(0))
	f.Fuzz(func(t *testing.T, input []byte, piece, room uint16, level uint8) {
		if len(input) > 64<<10 {
			return
		}
		const limit = 256 << 10
		step, space := 1+int(piece), 1+int(room)
		if step < 16 || space < 16 {
			input = input[:min(len(input), 4<<10)]
			space += 64 // or copies of copies take all the time
		}

		// As a stream. Ours also refuses final blocks, sets without an end of
		// block, and an incomplete code for code lengths; and compress/flate
		// holds back short codes at the end.
		src := input
		if len(src) < 2 || src[0]&15 != 8 {
			src = append([]byte{0x78, 0x9C}, src...)
		}
		var d Decoder
		got, err := decode(&d, src, step, space, limit)
		want, wantErr := model(src)
		switch {
		case len(got) > limit:
			t.Fatalf("%d octets", len(got))
		case errors.Is(err, ErrHeader), errors.Is(err, ErrDictionary):
		case errors.Is(err, ErrFinal), errors.Is(err, ErrCodes), errors.Is(err, errLimit):
			if !bytes.HasPrefix(want, got) {
				t.Fatalf("%d octets and %v; model: %d, %v", len(got), err, len(want), wantErr)
			}
		case err != nil: // refused by both
			var corrupt flate.CorruptInputError
			if !errors.As(wantErr, &corrupt) && !errors.Is(wantErr, io.ErrUnexpectedEOF) || !bytes.HasPrefix(got, want) {
				t.Fatalf("%d octets and %v; model: %d, %v", len(got), err, len(want), wantErr)
			}
		default:
			if !errors.Is(wantErr, io.ErrUnexpectedEOF) || !bytes.HasPrefix(got, want) {
				t.Fatalf("%d octets; model: %d, %v", len(got), len(want), wantErr)
			}
		}

		// As data, cut into packets.
		z := newWriter(int(level % 10))
		d.Reset()
		for i := 0; len(input) > 0; i++ {
			p := input[:min(len(input), 1+step*(i%7+1))]
			input = input[len(p):]
			if got, err := decode(&d, z.packet(p), step, space, limit); err != nil || !bytes.Equal(got, p) {
				t.Fatalf("packet of %d octets: %d octets, %v", len(p), len(got), err)
			}
		}
	})
}

// TestNoAllocations: a packet takes no memory.
func TestNoAllocations(t *testing.T) {
	if invariant.Enabled {
		return
	}
	r := rand.New(rand.NewPCG(4, 5))
	w := newWriter(6)
	var packets [][]byte
	for i := range 1000 {
		packets = append(packets, w.packet(payload(r, 2000, i)))
	}
	var d Decoder
	out := make([]byte, 4000)
	i := 0
	if n := testing.AllocsPerRun(900, func() {
		now, _, full, err := d.Decode(out, 0, packets[i])
		if full || err != nil {
			t.Fatal(full, err)
		}
		d.Keep(out[:now])
		i++
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 7))
	for kind, name := range []string{"text", "random", "matches", "zeros"} {
		b.Run(name, func(b *testing.B) {
			p := payload(r, 32<<10, kind)
			w := newWriter(6)
			first := w.packet(payload(r, 32<<10, 1))
			next := w.packet(p)
			out := make([]byte, 64<<10)
			var d Decoder
			_, _, _, _ = d.Decode(out, 0, first)
			d.Keep(p)
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				n, _, _, err := d.Decode(out, 0, next)
				if err != nil || n != len(p) {
					b.Fatal(n, err)
				}
				d.Keep(out[:n])
			}
		})
	}
}
