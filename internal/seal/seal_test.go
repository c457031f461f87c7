package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/rc4"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/blowfish" //nolint:staticcheck // a cipher under test
	"golang.org/x/crypto/cast5"    //nolint:staticcheck // likewise
	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the construction under test needs it

	"github.com/fairlead-ssh/fairlead/packet"
)

// A mode is what two peers can have negotiated: one cipher with one MAC.
type mode struct {
	cipher *Cipher // nil before the first NEWKEYS
	mac    *MAC    // nil under an AEAD
}

func (m mode) String() string {
	switch {
	case m.cipher == nil:
		return "plain"
	case m.mac == nil:
		return m.cipher.Name
	}
	return m.cipher.Name + "," + m.mac.Name
}

func (m mode) keys() (key, iv, macKey []byte) {
	if m.cipher == nil {
		return nil, nil, nil
	}
	if m.mac != nil {
		macKey = count(m.mac.KeyLen, 9)
	}
	iv = bytes.Repeat([]byte{0xff}, m.cipher.IVLen) // the counters of GCM and CTR wrap at once
	return count(m.cipher.KeyLen, 1), iv, macKey
}

func (m mode) names() (cipher, mac string) {
	if m.mac != nil {
		mac = m.mac.Name
	}
	return m.cipher.Name, mac
}

func (m mode) sealer(t testing.TB) Sealer {
	t.Helper()
	if m.cipher == nil {
		return Plain{}
	}
	c, a := m.names()
	key, iv, macKey := m.keys()
	s, err := NewSealer(c, a, key, iv, macKey)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (m mode) opener(t testing.TB) Opener {
	t.Helper()
	if m.cipher == nil {
		return Plain{}
	}
	c, a := m.names()
	key, iv, macKey := m.keys()
	o, err := NewOpener(c, a, key, iv, macKey)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// lengthInClear tells whether packet_length can be read on the wire.
func (m mode) lengthInClear() bool {
	return m.cipher == nil || m.cipher.AEAD && m.cipher.Block == 16 || m.mac != nil && m.mac.EtM
}

// pairs is every combination of the tables, and none.
func pairs() []mode {
	all := []mode{{}}
	for c := range Ciphers() {
		if c.AEAD {
			all = append(all, mode{cipher: c})
			continue
		}
		for m := range MACs() {
			all = append(all, mode{c, m})
		}
	}
	return all
}

// modes is every row of the tables in every kind of combination, and none: each
// cipher with a MAC of either order, each MAC with a cipher of either kind.
func modes() []mode {
	return slices.DeleteFunc(pairs(), func(m mode) bool {
		if m.mac == nil {
			return false
		}
		usual := m.mac.Name == "hmac-sha2-256-etm@openssh.com" || m.mac.Name == "umac-64@openssh.com"
		return !usual && m.cipher.Name != "aes128-ctr" && m.cipher.Name != "aes128-cbc"
	})
}

func eachMode(t *testing.T, f func(*testing.T, mode)) { each(t, modes(), f) }

func each(t *testing.T, modes []mode, f func(*testing.T, mode)) {
	t.Helper()
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) { f(t, m) })
	}
}

// hidesLength tells whether a wrong length looks like a wrong MAC.
func (m mode) hidesLength() bool { return m.cipher != nil && m.cipher.CBC && !m.mac.EtM }

// reference composes the wire form of packets from primitives, out of place.
type reference struct {
	mode
	crypt func(src []byte) []byte
	umac  *slowUMAC
}

func newReference(m mode) *reference {
	r := &reference{mode: m}
	if m.mac != nil {
		key, iv, macKey := m.keys()
		r.crypt = referenceCipher(m.cipher.Name, key, iv)
		if m.mac.hash == nil {
			r.umac = newSlowUMAC(macKey, m.mac.Size)
		}
	}
	return r
}

// referenceCipher encrypts what it is given, one piece after the other.
func referenceCipher(name string, key, iv []byte) func([]byte) []byte {
	switch name {
	case "arcfour", "arcfour128", "arcfour256":
		s, _ := rc4.NewCipher(key)
		if name != "arcfour" {
			for range 1536 {
				s.XORKeyStream(make([]byte, 1), make([]byte, 1))
			}
		}
		return func(src []byte) []byte {
			out := make([]byte, len(src))
			s.XORKeyStream(out, src)
			return out
		}
	}
	var b cipher.Block
	family, chain := name[:strings.LastIndexByte(name, '-')], strings.HasSuffix(name, "-cbc") || name == "rijndael-cbc@lysator.liu.se"
	switch family {
	case "3des":
		b, _ = des.NewTripleDESCipher(key)
	case "blowfish":
		b, _ = blowfish.NewCipher(key)
	case "cast128":
		b, _ = cast5.NewCipher(key)
	default:
		b, _ = aes.NewCipher(key)
	}
	n, state := b.BlockSize(), bytes.Clone(iv)
	return func(src []byte) []byte {
		out := make([]byte, len(src))
		for i := 0; i < len(src); i += n {
			if chain {
				subtle.XORBytes(state, state, src[i:i+n])
				b.Encrypt(state, state)
				copy(out[i:], state)
				continue
			}
			b.Encrypt(out[i:i+n], state)
			subtle.XORBytes(out[i:i+n], out[i:i+n], src[i:i+n])
			for j := n - 1; j >= 0; j-- {
				if state[j]++; state[j] != 0 {
					break
				}
			}
		}
		return out
	}
}

func (r *reference) mac(seq uint32, b []byte) []byte {
	if r.umac != nil {
		return r.umac.sum(uint64(seq), b)
	}
	_, _, macKey := r.keys()
	mac := hmac.New(r.mode.mac.hash, macKey)
	mac.Write(binary.BigEndian.AppendUint32(nil, seq))
	mac.Write(b)
	return mac.Sum(nil)[:r.mode.mac.Size]
}

func (r *reference) seal(nonce uint64, seq uint32, clear []byte) []byte {
	if r.cipher == nil {
		return bytes.Clone(clear)
	}
	key, iv, _ := r.keys()
	if r.mode.mac == nil && r.cipher.Block == 16 {
		b, _ := aes.NewCipher(key)
		g, _ := cipher.NewGCM(b)
		for range nonce { // 8 octets, most significant first; no carry beyond them
			for i := 11; i >= 4; i-- {
				if iv[i]++; iv[i] != 0 {
					break
				}
			}
		}
		return g.Seal(bytes.Clone(clear[:4]), iv, clear[4:], clear[:4])
	}
	if r.mode.mac == nil {
		n := binary.BigEndian.AppendUint32(make([]byte, 8), seq)
		out, once := make([]byte, len(clear)), new([64]byte)
		s, _ := chacha20.NewUnauthenticatedCipher(key[32:], n)
		s.XORKeyStream(out[:4], clear[:4])
		s, _ = chacha20.NewUnauthenticatedCipher(key[:32], n)
		s.XORKeyStream(once[:], once[:])
		s.XORKeyStream(out[4:], clear[4:])
		var tag [16]byte
		poly1305.Sum(&tag, out, (*[32]byte)(once[:]))
		return append(out, tag[:]...)
	}
	if r.mode.mac.EtM {
		out := append(bytes.Clone(clear[:4]), r.crypt(clear[4:])...)
		return append(out, r.mac(seq, out)...)
	}
	return append(r.crypt(clear), r.mac(seq, clear)...)
}

func count(n int, from byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// framed returns a packet in clear, without room for a tag.
func framed(payload []byte, pad int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+pad))
	b = append(b, byte(pad))
	b = append(b, payload...)
	return append(b, count(pad, 0)...)
}

// sealed returns what s makes of a packet in clear.
func sealed(s Sealer, nonce uint64, seq uint32, clear []byte) []byte {
	b := append(bytes.Clone(clear), make([]byte, s.Overhead())...)
	s.Seal(nonce, seq, b)
	return b
}

// open is what the reader does with the octets that arrive.
func open(o Opener, nonce uint64, seq uint32, wire []byte) ([]byte, error) {
	if len(wire) < o.Head() {
		return nil, ErrTooShort
	}
	n, err := o.Length(nonce, seq, wire[:o.Head()])
	if err != nil {
		return nil, err
	}
	if n > len(wire) {
		wire = append(wire, make([]byte, n-len(wire))...)
	}
	return o.Open(nonce, seq, wire[:n])
}

// lengths of payloads: for every pair all that makes a difference to padding, for
// every row all small ones and some of bulk, and all around 32 KiB where it is
// fast.
func (m mode) lengths() []int {
	small, bulk := 130, 0
	if slices.Contains(modes(), m) {
		small, bulk = 300, 1
	}
	switch {
	case m.mac == nil:
		small, bulk = 600, 40
	case m.mac.Name == "hmac-sha2-256-etm@openssh.com" || m.cipher.Name == "aes128-ctr" && m.mac.hash == nil:
		small, bulk = 600, 4
		if strings.HasPrefix(m.cipher.Name, "aes") {
			bulk = 40
		}
	}
	var all []int
	for n := 1; n <= small; n++ {
		all = append(all, n)
	}
	for n := -bulk; n < bulk; n++ {
		all = append(all, 32<<10+n)
	}
	return all
}

func TestEveryLengthInPlace(t *testing.T) {
	each(t, pairs(), func(t *testing.T, m mode) {
		s, o, ref := m.sealer(t), m.opener(t), newReference(m)
		// One array for all packets, with octets behind each that nobody may touch.
		untouched := bytes.Repeat([]byte{0xa5}, 34<<10)
		mem := make([]byte, len(untouched))
		text := count(len(mem), 0x20)
		for i, n := range m.lengths() {
			nonce, seq := uint64(i), uint32(0xffffff00)+uint32(i) // wraps
			pkt := framed(text[:n], s.Padding(n))
			want := ref.seal(nonce, seq, pkt)
			size := len(pkt) + s.Overhead()
			copy(mem, untouched)
			copy(mem, pkt)
			s.Seal(nonce, seq, mem[:size])
			if !bytes.Equal(mem[:size], want) {
				t.Fatalf("payload of %d: sealed packet differs from the one composed by hand", n)
			}
			total, err := o.Length(nonce, seq, mem[:o.Head()])
			if err != nil || total != size {
				t.Fatalf("payload of %d: Length = %d, %v; want %d", n, total, err, size)
			}
			got, err := o.Open(nonce, seq, mem[:total])
			if err != nil || !bytes.Equal(got, text[:n]) {
				t.Fatalf("payload of %d: Open: %v, or wrong payload", n, err)
			}
			if &got[0] != &mem[5] || cap(got) != len(got) {
				t.Fatalf("payload of %d: not the packet's own memory, or with room behind", n)
			}
			if !bytes.Equal(mem[size:], untouched[size:]) {
				t.Fatalf("payload of %d: octets behind the packet were overwritten", n)
			}
		}
	})
}

// RFC 4253 §6: at least four octets of padding, a multiple of the block, not
// below 16 octets; and never more padding than that needs.
func TestPadding(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		s := m.sealer(t)
		block, counted := 8, 4
		if m.cipher != nil {
			block = m.cipher.Block
			if m.cipher.AEAD || m.mac.EtM {
				counted = 0
			}
		}
		for n := 1; n < 1000; n++ {
			pad := s.Padding(n)
			total := 4 + 1 + n + pad
			if (counted+1+n+pad)%block != 0 || pad < 4 || total < 16 {
				t.Fatalf("payload of %d: illegal padding %d", n, pad)
			}
			if pad >= 4+block && total-block >= 16 {
				t.Fatalf("payload of %d: padding %d is more than needed", n, pad)
			}
		}
	})
}

func TestLimitHoldsWhatPacketsHold(t *testing.T) {
	if biggest := 4 + MaxPacket + 64; biggest > packet.MaxPayload {
		t.Errorf("a packet of %d octets does not come from a pool, which ends at %d", biggest, packet.MaxPayload)
	}
}

func TestWrongNumberRefused(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		if m.cipher == nil {
			return // nothing is authenticated in clear
		}
		s := m.sealer(t)
		wire := sealed(s, 7, 7, framed(count(50, 0), s.Padding(50)))
		if _, err := open(m.opener(t), 8, 8, wire); err == nil {
			t.Error("accepted under another number")
		}
	})
}

// CVE-2023-48795, row 1.4c: after a packet was cut out or put in, nothing opens.
func TestCVE_1_4_CutOrReplayedPacket(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		if m.cipher == nil {
			return
		}
		s := m.sealer(t)
		var wire [3][]byte
		for i := range wire {
			wire[i] = sealed(s, uint64(i), uint32(i), framed(count(40, byte(i)), s.Padding(40)))
		}
		for _, order := range [][]int{{0, 2}, {1}, {0, 0}, {0, 1, 1}} {
			o := m.opener(t)
			for i, which := range order {
				_, err := open(o, uint64(i), uint32(i), bytes.Clone(wire[which]))
				if last := i == len(order)-1; last != (err != nil) {
					t.Errorf("order %v, packet %d: %v", order, i, err)
				}
			}
		}
	})
}

// Row 1.14: packet_length = padding_length + 1.
func TestCVE_1_14_EmptyPayload(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		s := m.sealer(t)
		if _, err := open(m.opener(t), 0, 0, sealed(s, 0, 0, framed(nil, s.Padding(0)))); !errors.Is(err, ErrEmpty) {
			t.Errorf("got %v, want %v", err, ErrEmpty)
		}
	})
}

// Row 6.1: every padding length in packets of every small size, under a right tag.
func TestCVE_6_1_PaddingMatrix(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		accepted, seq := 0, uint32(0)
		// Both go on after a refusal, as no connection does: what was
		// authentic has brought them to the same place.
		s, o := m.sealer(t), m.opener(t)
		f := frameOf(s)
		for size := range 80 {
			if _, err := f.total(uint32(size)); err != nil {
				continue // row 6.2
			}
			for pad := range 256 {
				pkt := framed(count(size-1, 0), 0)
				pkt[4] = byte(pad)
				got, err := open(o, uint64(seq), seq, sealed(s, uint64(seq), seq, pkt))
				seq++
				var want error
				switch payload := size - 1 - pad; {
				case pad < 4 || payload < 0:
					want = ErrPadding
				case payload == 0:
					want = ErrEmpty
				default:
					accepted++
					if !bytes.Equal(got, pkt[5:5+payload]) {
						t.Fatalf("length %d, padding %d: wrong payload", size, pad)
					}
				}
				if !errors.Is(err, want) || err != nil && got != nil {
					t.Fatalf("length %d, padding %d: got %v, want %v", size, pad, err, want)
				}
			}
		}
		if accepted == 0 {
			t.Error("nothing was accepted: the matrix proves nothing")
		}
	})
}

// Row 6.2: lengths that are too small, too large or misaligned, for each mode.
// The smallest legal length is one block where the length stands aside (8 under
// chacha20: OpenSSH sends it), 12 where it counts towards the block.
func TestCVE_6_2_LengthMatrix(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		block, counted, least := uint32(8), uint32(4), uint32(12)
		switch {
		case m.cipher == nil:
		case m.cipher.AEAD || m.mac.EtM:
			block = uint32(m.cipher.Block)
			counted, least = 0, block
		default:
			block = uint32(m.cipher.Block)
		}
		try := []uint32{MaxPacket - 4, MaxPacket - 1, MaxPacket, MaxPacket + 1, MaxPacket + 4, MaxPacket + 12, MaxPacket + 16, 1 << 24, 1<<31 - 16, 1<<31 - 4, 1 << 31, 1<<32 - 16, 1<<32 - 4, 1<<32 - 1}
		for n := range uint32(100) {
			try = append(try, n)
		}
		for _, n := range try {
			pkt := framed(count(64+frameOf(m.sealer(t)).aside-5, 0), 0)
			binary.BigEndian.PutUint32(pkt, n)
			o := m.opener(t)
			got, err := o.Length(0, 0, sealed(m.sealer(t), 0, 0, pkt)[:o.Head()])
			var want error
			switch {
			case n < 6:
				want = ErrTooShort
			case n > MaxPacket:
				want = ErrTooLong
			case (n+counted)%block != 0:
				want = ErrMisaligned
			case n < least:
				t.Fatalf("length %d ought to be refused", n)
			}
			if want != nil && m.hidesLength() {
				want = ErrTag
			}
			if !errors.Is(err, want) {
				t.Errorf("length %d: got %v, want %v", n, err, want)
			}
			if size := 4 + int(n) + m.sealer(t).Overhead(); err == nil && got != size {
				t.Errorf("length %d: %d octets on the wire, want %d", n, got, size)
			}
		}
	})
}

// Row 6.2 again: a caller that gives less than a packet gets an error.
func TestCVE_6_2_CutPacket(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		s := m.sealer(t)
		wire := sealed(s, 0, 0, framed(count(50, 0), s.Padding(50)))
		for n := range wire {
			if m.cipher == nil && n >= lengthSize+minLength {
				break // in clear, the length alone tells where a packet ends
			}
			o := m.opener(t)
			cut := bytes.Clone(wire[:n])
			if got, err := o.Open(0, 0, cut); err == nil || got != nil {
				t.Fatalf("Open accepted %d of %d octets", n, len(wire))
			}
			if n < o.Head() {
				if _, err := o.Length(0, 0, cut); !errors.Is(err, ErrTooShort) {
					t.Fatalf("Length of %d octets: %v", n, err)
				}
			}
		}
	})
}

// Row 6.14: each bit of length, ciphertext and tag counts, and what does not
// verify shows nothing of the text.
func TestCVE_6_14_EveryBit(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		if m.cipher == nil {
			return // nothing is authenticated in clear
		}
		s := m.sealer(t)
		text := []byte("nothing of this may be seen before the tag is right")
		pkt := framed(text, s.Padding(len(text)))
		wire := sealed(s, 3, 3, pkt)
		lengthBits := 32
		if m.hidesLength() {
			lengthBits = 8 * m.cipher.Block // each of them changes all of the block
		}
		if got, err := open(m.opener(t), 3, 3, bytes.Clone(wire)); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("unchanged packet: %v", err)
		}
		for bit := range len(wire) * 8 {
			bad := bytes.Clone(wire)
			bad[bit/8] ^= 1 << (bit % 8)
			o := m.opener(t)
			total, err := o.Length(3, 3, bad[:o.Head()])
			if err != nil {
				if bit >= lengthBits {
					t.Fatalf("bit %d: is not of the length, yet Length says %v", bit, err)
				}
				continue
			}
			if bit >= lengthBits && total != len(wire) {
				t.Fatalf("bit %d: is not of the length, yet the packet is %d octets", bit, total)
			}
			if total > len(bad) {
				bad = append(bad, make([]byte, total-len(bad))...)
			}
			bad = bad[:total]
			got, err := o.Open(3, 3, bad)
			if !errors.Is(err, ErrTag) || got != nil {
				t.Fatalf("bit %d: got %v and %d octets, want %v and none", bit, err, len(got), ErrTag)
			}
			// Encrypt-and-MAC cannot verify before it decrypts.
			if (m.mac == nil || m.mac.EtM) && bytes.Contains(bad, text[8:24]) {
				t.Fatalf("bit %d: the text was decrypted", bit)
			}
		}
	})
}

// Several goroutines seal under one key set, as producers of packets do.
func TestConcurrentSeal(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		s := m.sealer(t)
		if s.Ordered() {
			if m.mac == nil {
				t.Fatal("an AEAD, or no cipher, keeps state")
			}
			return
		}
		const packets, workers = 400, 8
		wire := make([][]byte, packets)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < packets; i += workers {
					wire[i] = sealed(s, uint64(i), uint32(i), framed(count(1+i, byte(i)), s.Padding(1+i)))
				}
			})
		}
		wg.Wait()
		o := m.opener(t)
		for i, b := range wire {
			if got, err := open(o, uint64(i), uint32(i), b); err != nil || !bytes.Equal(got, count(1+i, byte(i))) {
				t.Fatalf("packet %d: %v", i, err)
			}
		}
	})
}

// FuzzOpen gives every pair octets from anywhere: nothing panics, and what opens
// is inside the packet.
func FuzzOpen(f *testing.F) {
	all := pairs()
	for i, m := range all {
		if !slices.Contains(modes(), m) {
			continue
		}
		s := m.sealer(f)
		f.Add(uint16(i), []byte{}, false)
		f.Add(uint16(i), sealed(s, 1, 1, framed(count(20, 0), s.Padding(20))), false) // right under another number
		f.Add(uint16(i), framed(count(20, 0), s.Padding(20)), true)
		f.Add(uint16(i), framed(nil, s.Padding(0)), true)
		f.Add(uint16(i), bytes.Repeat([]byte{0xff}, 64), true)
	}
	f.Fuzz(func(t *testing.T, which uint16, in []byte, seal bool) {
		if len(in) > 1<<16 {
			return
		}
		m := all[int(which)%len(all)]
		// With a right tag the fuzzer gets at what comes after it.
		if seal && len(in) >= lengthSize+minLength {
			s := m.sealer(t)
			f := frameOf(s)
			in = sealed(s, 0, 0, in[:len(in)-(len(in)-f.aside)%f.block])
		}
		o := m.opener(t)
		if _, err := o.Open(0, 0, bytes.Clone(in)); err == nil && m.cipher != nil && !seal {
			t.Fatal("a tag was guessed")
		}
		o = m.opener(t)
		if len(in) < o.Head() {
			return
		}
		total, err := o.Length(0, 0, in[:o.Head()])
		if d, ok := o.(Discarder); ok {
			if total > d.Discards() {
				t.Fatalf("a packet of %d octets, longer than %d", total, d.Discards())
			}
			if err != nil {
				d.Discard(in[o.Head():])
			}
		}
		if err != nil || total > len(in) {
			return
		}
		if got, err := o.Open(0, 0, in[:total]); err == nil && (len(got) == 0 || len(got) > total-4-1-4) {
			t.Fatalf("payload of %d octets in a packet of %d", len(got), total)
		}
	})
}

func BenchmarkSeal(b *testing.B) { benchmark(b, false) }

// BenchmarkSealOpen is both ends: an Opener cannot be timed alone, as CTR opens
// no packet twice.
func BenchmarkSealOpen(b *testing.B) { benchmark(b, true) }

func benchmark(b *testing.B, opening bool) {
	for _, m := range modes()[1:] {
		for _, size := range []int{64, 32 << 10} {
			b.Run(fmt.Sprintf("%s/%d", m, size), func(b *testing.B) {
				s, o := m.sealer(b), m.opener(b)
				pkt := framed(count(size, 0), s.Padding(size))
				wire := append(bytes.Clone(pkt), make([]byte, s.Overhead())...)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := uint64(0); b.Loop(); i++ {
					copy(wire, pkt[:4]) // some modes leave it encrypted
					s.Seal(i, uint32(i), wire)
					if !opening {
						continue
					}
					if _, err := open(o, i, uint32(i), wire); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSealChaChaAlone is the path not taken: see ADR 0008.
func BenchmarkSealChaChaAlone(b *testing.B) {
	for _, size := range []int{64, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c, _ := FindCipher("chacha20-poly1305@openssh.com")
			key, _, _ := mode{cipher: c}.keys()
			pkt := make([]byte, 4+size+16)
			n := new(nonce)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				binary.BigEndian.PutUint32(n[8:], i)
				length, _ := chacha20.NewUnauthenticatedCipher(key[32:], n[:])
				length.XORKeyStream(pkt[:4], pkt[:4])
				rest, _ := chacha20.NewUnauthenticatedCipher(key[:32], n[:])
				var once [64]byte
				rest.XORKeyStream(once[:], once[:])
				rest.XORKeyStream(pkt[4:4+size], pkt[4:4+size])
				poly1305.Sum((*[16]byte)(pkt[4+size:]), pkt[:4+size], (*[32]byte)(once[:]))
			}
		})
	}
}

// frameOf digs out the arithmetic of a mode.
func frameOf(s Sealer) *frame {
	switch s := s.(type) {
	case *gcm:
		return &s.frame
	case *chacha:
		return &s.frame
	case *encryptThenMAC:
		return &s.frame
	case *encryptAndMAC:
		return &s.frame
	case *cbcAndMAC:
		return &s.frame
	}
	return &plainFrame
}
