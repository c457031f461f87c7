package transport

import (
	"compress/flate"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/inflate"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/packet"
)

// A Compression is a row of the table of compression methods. Rows must not be
// changed.
type Compression struct {
	alg.Row
	zlib    bool // RFC 4253 section 6.2
	delayed bool // from USERAUTH_SUCCESS on, draft-miller-secsh-compression-delayed
}

// compressions is in the order of preference. Compression costs far more time
// than encryption, and the length of what is sent tells something of it, also
// of what it has in common with what was sent before: so it is for those who
// ask for it.
var compressions = []Compression{
	{Row: alg.Row{Name: "none", Status: alg.Default, Reference: "RFC 4253 §6.2"}},
	{Row: alg.Row{Name: "zlib@openssh.com", Status: alg.Offered, Reference: "draft-miller-secsh-compression-delayed-00"}, zlib: true, delayed: true},
	{Row: alg.Row{Name: "zlib", Status: alg.Offered, Reference: "RFC 4253 §6.2"}, zlib: true},
}

// Compressions returns the table of compression methods, the preferred ones
// first.
func Compressions() []Compression { return compressions }

func findCompression(name string) (Compression, bool) {
	for _, c := range compressions {
		if c.Name == name {
			return c, true
		}
	}
	return Compression{}, false
}

// zlibMode says whether the packets of one direction are compressed.
type zlibMode uint8

const (
	zlibOff  zlibMode = iota
	zlibWait          // until USERAUTH_SUCCESS
	zlibOn
)

// mode is what begins with NEWKEYS.
func (c *Compression) mode(loggedIn bool) zlibMode {
	switch {
	case !c.zlib:
		return zlibOff
	case c.delayed && !loggedIn:
		return zlibWait
	}
	return zlibOn
}

// The way out. Whoever orders a packet decides under the lock whether it is to
// be compressed, and reserves what it can take at most. The writer compresses,
// frames and seals it in the order of the wire, and the difference is given
// back: to the ring with the slot, to the limits of the keys with the batch.

// reserve prepares the next slot for b, with outbox.mu held, and returns how
// long its payload can become.
func (o *outbox) reserve(s *slot, b *packet.Buf) int {
	n := b.Len()
	s.deflate = o.zlib == zlibOn
	if !o.loggedIn && o.c.cfg.Role == msg.Server && n > 0 && b.Bytes()[0] == msg.NumUserauthSuccess {
		o.loggedIn = true
		if o.zlib == zlibWait {
			o.zlib = zlibOn // the packet after this one
		}
	}
	if s.deflate {
		return deflateBound(n)
	}
	return n
}

// login says that USERAUTH_SUCCESS has come: a client compresses every packet
// from now on.
func (o *outbox) login() {
	o.mu.Lock()
	o.loggedIn = true
	if o.zlib == zlibWait {
		o.zlib = zlibOn
	}
	o.mu.Unlock()
}

const (
	// deflatePiece is how much is compressed without a flush in between. A
	// block that turns out to be larger compressed is stored instead, unless
	// its beginning has left the compressor's window of twice 32 KiB, which
	// moves by half. Within this length it has not, so a packet never grows by
	// more than what is below.
	deflatePiece = 31 << 10
	// deflateGrowth is what a piece takes more than its length at most: two
	// stored blocks, since one has 16384 symbols at most, and the empty one of
	// the flush, of 5 octets and some bits each.
	deflateGrowth = 3 * 6
	zlibHeader    = 2
)

// deflateBound returns how long a payload of n octets can become.
func deflateBound(n int) int {
	return zlibHeader + n + deflateGrowth*(n/deflatePiece+1)
}

// A deflater is the writer's half of compression: one stream for each set of
// keys. It takes some 800 KiB with the first packet.
type deflater struct {
	w     *flate.Writer
	epoch *epoch      // whose stream it is
	buf   *packet.Buf // what is being filled
}

// pack replaces the payload of s, which the peer finds with a partial flush
// after it (RFC 4253 section 6.2). Ours is a sync flush: an empty stored block
// more than that, which every zlib reads.
func (d *deflater) pack(s *slot) {
	p := s.buf.Bytes()
	d.buf = packet.Get(deflateBound(len(p)))
	d.buf.Trim(0)
	if d.epoch != s.epoch {
		d.epoch = s.epoch
		if d.w == nil {
			d.w, _ = flate.NewWriter(d, flate.DefaultCompression) // fails for unknown levels only
		} else {
			d.w.Reset(d)
		}
		_, _ = d.Write([]byte{0x78, 0x9C})
	}
	pieces := (len(p) + deflatePiece - 1) / deflatePiece
	for ; pieces > 0; pieces-- {
		n := (len(p) + pieces - 1) / pieces
		_, _ = d.w.Write(p[:n]) // only d could fail
		_ = d.w.Flush()
		p = p[n:]
	}
	s.buf.Release()
	s.buf, d.buf = d.buf, nil
}

// Write takes what the compressor gives out.
func (d *deflater) Write(p []byte) (int, error) {
	if d.buf.Tail() < len(p)+packet.TailRoom {
		// deflateBound was wrong, which the tests deny. Nothing is lost.
		roomy := packet.Get(2*d.buf.Len() + len(p))
		roomy.Trim(copy(roomy.Bytes(), d.buf.Bytes()))
		d.buf.Release()
		d.buf = roomy
	}
	return copy(d.buf.Extend(len(p)), p), nil
}

// compress makes the packet of a slot ready to be framed, on the writer.
func (o *outbox) compress(d *deflater, s *slot) {
	d.pack(s)
	n := s.buf.Len()
	size := payloadAt + n + s.epoch.sealer.Padding(n) + s.epoch.sealer.Overhead()
	s.epoch.saved += s.size - size
	s.size = size
}

// The way in.

// An inflation is the reader's half of compression.
type inflation struct {
	mode     zlibMode
	loggedIn bool
	// early: the peer, a client, may not know yet that it is logged in, and
	// what it sent before it knew is not compressed.
	early bool
	d     *inflate.Decoder
	buf   *packet.Buf // the packet in clear
}

// begin is for the packets after NEWKEYS.
func (i *inflation) begin(c *Compression) {
	i.mode = c.mode(i.loggedIn)
	i.early = i.early && c.delayed
	if i.d != nil {
		i.d.Reset()
	}
}

// login is for the packets after USERAUTH_SUCCESS: from the server that sent
// it, or from a client some time after it was sent to that.
func (i *inflation) login(client bool) {
	i.loggedIn = true
	if i.mode == zlibWait {
		i.mode, i.early = zlibOn, client
	}
}

func (i *inflation) release() {
	i.buf.Release()
	i.buf = nil
}

// inflate returns the payload that p is compressed from. It is valid until the
// next packet is read.
func (c *Conn) inflate(p []byte) ([]byte, error) {
	i := &c.zlib
	// No message that a client may send before it has read USERAUTH_SUCCESS
	// begins like a stream: KEXGSS_GROUPREQ comes near, but has a zero next.
	if i.early && p[0] <= msg.NumUserauthRequest && !inflate.Begins(p) {
		return p, nil
	}
	i.early = false
	if i.d == nil {
		i.d = new(inflate.Decoder)
	}
	size := readBuf
	if c.small {
		size = smallPayload
	}
	i.buf = packet.Get(size)
	n := 0
	for {
		var full bool
		var err error
		n, p, full, err = i.d.Decode(i.buf.Bytes(), n, p)
		if err != nil {
			return nil, c.violation(ReasonCompressionError, "packet: %v", err)
		}
		if !full {
			break
		}
		// Only what has filled its memory gets more, up to what a packet may
		// have in clear (cves 4.10).
		switch {
		case size < readBuf:
			size = readBuf
		case size < seal.MaxPacket:
			size = seal.MaxPacket
		default:
			return nil, c.violation(ReasonCompressionError, "packet: more than %d octets when decompressed", seal.MaxPacket)
		}
		roomy := packet.Get(size)
		copy(roomy.Bytes(), i.buf.Bytes()[:n])
		i.buf.Release()
		i.buf = roomy
	}
	i.buf.Trim(n)
	if n == 0 {
		return nil, c.violation(ReasonCompressionError, "packet: nothing when decompressed")
	}
	i.d.Keep(i.buf.Bytes())
	return i.buf.Bytes(), nil
}
