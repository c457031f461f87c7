package sftp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// memConn is one end of a pair of Conns in memory. What is written arrives as it was
// written, or cut into pieces of cut octets.
type memConn struct {
	in, out   chan *packet.Buf
	maxPacket int
	cut       int
	closed    chan struct{} // of both ends
	once      *sync.Once
	outOnce   sync.Once
	lock      chan struct{} // held by who writes: a chain goes out in one piece
	writes    int           // messages written, for who reads it when all is quiet
}

func newPair(maxPacket int) (a, b *memConn) {
	x, y := make(chan *packet.Buf, 1024), make(chan *packet.Buf, 1024)
	closed, once := make(chan struct{}), new(sync.Once)
	a = &memConn{in: x, out: y, maxPacket: maxPacket, closed: closed, once: once, lock: make(chan struct{}, 1)}
	b = &memConn{in: y, out: x, maxPacket: maxPacket, closed: closed, once: once, lock: make(chan struct{}, 1)}
	return a, b
}

func (c *memConn) ReadPacket() (*packet.Buf, error) {
	select {
	case b, ok := <-c.in:
		if !ok {
			return nil, io.EOF
		}
		return b, nil
	case <-c.closed:
		return nil, io.ErrClosedPipe
	}
}

func (c *memConn) WritePacket(b *packet.Buf) error {
	c.lock <- struct{}{}
	defer func() { <-c.lock }()
	c.writes++
	for b != nil {
		next := b.Unlink()
		err := c.write(b)
		if err != nil {
			next.Release()
			return err
		}
		b = next
	}
	return nil
}

func (c *memConn) write(b *packet.Buf) error {
	if c.cut > 0 && b.Len() > c.cut {
		for p := range slices.Chunk(b.Bytes(), c.cut) {
			piece := packet.Get(len(p))
			copy(piece.Bytes(), p)
			if err := c.push(piece); err != nil {
				b.Release()
				return err
			}
		}
		b.Release()
		return nil
	}
	return c.push(b)
}

func (c *memConn) push(b *packet.Buf) error {
	select {
	case <-c.closed:
		b.Release()
		return io.ErrClosedPipe
	default:
	}
	select {
	case <-c.closed:
		b.Release()
		return io.ErrClosedPipe
	case c.out <- b:
		return nil
	}
}

func (c *memConn) MaxPacket() int { return c.maxPacket }

// CloseWrite ends the stream towards the other end.
func (c *memConn) CloseWrite() { c.outOnce.Do(func() { close(c.out) }) }

func (c *memConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// drain releases what nobody read; nobody writes any more.
func (c *memConn) drain() {
	for {
		select {
		case b, ok := <-c.in:
			if !ok {
				return
			}
			b.Release()
		default:
			return
		}
	}
}

// peer is a client that sends what it is told and knows no better.
type peer struct {
	t    testing.TB
	conn *memConn
	buf  []byte
	id   uint32
	v    fxp.Version
	done chan error // of Serve
}

// play runs a session of srv against script, in a bubble of its own, and checks that
// nothing is left of it. The script may end the session itself.
func play(t *testing.T, srv *sftp.Server, info sftp.SessionInfo, script func(p *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, context.Background(), srv, info, 32<<10)
		script(p)
		p.end()
	})
}

func newPeer(t testing.TB, ctx context.Context, srv *sftp.Server, info sftp.SessionInfo, maxPacket int) *peer {
	a, b := newPair(maxPacket)
	p := &peer{t: t, conn: a, v: fxp.V3, done: make(chan error, 1)}
	go func() { p.done <- srv.Serve(ctx, b, info) }()
	return p
}

// end ends the session if it has not ended, and returns what Serve returned.
func (p *peer) end() error {
	p.t.Helper()
	p.conn.CloseWrite()
	err, ok := <-p.done
	if ok {
		close(p.done)
	}
	p.conn.Close()
	p.conn.drain()
	other := &memConn{in: p.conn.out}
	other.drain()
	if n := packet.Live(); n != 0 {
		p.t.Errorf("%d Bufs are left", n)
	}
	return err
}

func (p *peer) sendRaw(data []byte) {
	p.t.Helper()
	b := packet.Get(len(data))
	copy(b.Bytes(), data)
	if err := p.conn.WritePacket(b); err != nil {
		p.t.Fatal("send:", err)
	}
}

// send sends m and returns its request id.
func (p *peer) send(m fxp.Message) uint32 {
	p.t.Helper()
	p.id++
	p.sendRaw(fxp.Append(nil, p.id, m))
	return p.id
}

// sendAll sends all of ms in one packet and returns the first id.
func (p *peer) sendAll(ms ...fxp.Message) uint32 {
	p.t.Helper()
	var out []byte
	first := p.id + 1
	for _, m := range ms {
		p.id++
		out = fxp.Append(out, p.id, m)
	}
	p.sendRaw(out)
	return first
}

var errEnd = errors.New("stream ended")

// next returns the next message of the server, without its length.
func (p *peer) next() ([]byte, error) {
	for {
		if len(p.buf) >= 4 {
			n := int(binary.BigEndian.Uint32(p.buf))
			if len(p.buf) >= 4+n {
				msg := p.buf[4 : 4+n : 4+n]
				p.buf = p.buf[4+n:]
				return msg, nil
			}
		}
		var b *packet.Buf
		var ok bool
		select {
		case b, ok = <-p.conn.in:
		case err := <-p.done:
			p.done <- err
			select { // what it wrote before
			case b, ok = <-p.conn.in:
			default:
			}
		}
		if !ok {
			return nil, errEnd
		}
		p.buf = append(slices.Clip(p.buf), b.Bytes()...)
		b.Release()
	}
}

// recv returns the next reply, decoded.
func (p *peer) recv() (id uint32, m wire.Layouter) {
	p.t.Helper()
	msg, err := p.next()
	if err != nil {
		p.t.Fatal("recv:", err)
	}
	t, id, body, err := fxp.Split(msg)
	if err != nil {
		p.t.Fatal(err)
	}
	op := fxp.OpOf(t, p.v)
	if op == fxp.OpNone {
		p.t.Fatalf("reply of type %s", t)
	}
	m = op.Row().New(p.v)
	if err := wire.Decode(body, m); err != nil {
		p.t.Fatalf("%s: %v: %x", t, err, body)
	}
	return id, m
}

// call sends m and returns its reply, which must be the next message.
func (p *peer) call(m fxp.Message) wire.Layouter {
	p.t.Helper()
	id := p.send(m)
	got, r := p.recv()
	if got != id {
		p.t.Fatalf("answer to %d instead of %d: %s", got, id, wire.Print(r))
	}
	return r
}

func (p *peer) init(v fxp.Version) *fxp.VersionReply {
	p.t.Helper()
	p.sendRaw(fxp.Append(nil, 0, &fxp.Init{Version: v}))
	_, m := p.recv()
	r, ok := m.(*fxp.VersionReply)
	if !ok {
		p.t.Fatalf("answer to INIT: %T", m)
	}
	p.v = min(r.Version, fxp.Newest)
	return r
}

// code returns the status of m, which must be one.
func (p *peer) code(m wire.Layouter) sftp.Code {
	p.t.Helper()
	st, ok := m.(*fxp.Status)
	if !ok {
		p.t.Fatalf("answer is %T %s, not a STATUS", m, wire.Print(m))
	}
	return sftp.Code(st.Code)
}

// want sends m and wants a status: code, or what stands for it in the version.
func (p *peer) want(why string, code sftp.Code, m fxp.Message) {
	p.t.Helper()
	code = code.In(int(max(p.v, fxp.V3)))
	if got := p.code(p.call(m)); got != code {
		p.t.Errorf("%s: %v, want %v", why, got, code)
	}
}

func (p *peer) open(name string, flags uint32) []byte {
	p.t.Helper()
	m := p.call(openOf(p.v, name, flags))
	h, ok := m.(*fxp.Handle)
	if !ok {
		p.t.Fatalf("open %s: %s", name, wire.Print(m))
	}
	return slices.Clone(h.Handle)
}

func (p *peer) opendir(name string) []byte {
	p.t.Helper()
	m := p.call(&fxp.Path{T: fxp.TypeOpendir, Path: name})
	h, ok := m.(*fxp.Handle)
	if !ok {
		p.t.Fatalf("opendir %s: %s", name, wire.Print(m))
	}
	return slices.Clone(h.Handle)
}

func (p *peer) close(h []byte) {
	p.t.Helper()
	p.want("close", sftp.CodeOK, &fxp.Handle{T: fxp.TypeClose, Handle: h})
}

// put makes a file with content.
func (p *peer) put(name, content string) {
	p.t.Helper()
	h := p.open(name, fxp.OpenWrite|fxp.OpenCreate|fxp.OpenTrunc)
	for off, piece := range chunks(content, 32<<10) {
		p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Offset: uint64(off), Data: []byte(piece)})
	}
	p.close(h)
}

func chunks(s string, n int) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		for off := 0; off < len(s); off += n {
			if !yield(off, s[off:min(off+n, len(s))]) {
				return
			}
		}
	}
}

// read reads once and returns the content, or the status.
func (p *peer) read(h []byte, off uint64, n uint32) (string, sftp.Code) {
	p.t.Helper()
	switch m := p.call(&fxp.Read{Handle: h, Offset: off, Length: n}).(type) {
	case *fxp.Data:
		return string(m.Data), sftp.CodeOK
	case *fxp.Status:
		return "", sftp.Code(m.Code)
	default:
		p.t.Fatalf("answer to READ: %T", m)
		return "", 0
	}
}

// get reads a file in one go.
func (p *peer) get(name string) string {
	p.t.Helper()
	h := p.open(name, fxp.OpenRead)
	defer p.close(h)
	var b strings.Builder
	for {
		data, code := p.read(h, uint64(b.Len()), fxp.MaxData)
		if code == sftp.CodeEOF {
			return b.String()
		}
		if code != sftp.CodeOK {
			p.t.Fatalf("read %s: %v", name, code)
		}
		b.WriteString(data)
	}
}

// stat returns the attributes of a name.
func (p *peer) stat(name string) *fxp.Attrs {
	p.t.Helper()
	m := p.call(&fxp.Stat{V: p.v, T: fxp.TypeLstat, Path: name})
	a, ok := m.(*fxp.AttrsReply)
	if !ok {
		p.t.Fatalf("lstat %s: %s", name, wire.Print(m))
	}
	return &a.Attrs
}

// extended sends an extended request.
func (p *peer) extended(name string, data wire.Layouter) wire.Layouter {
	p.t.Helper()
	return p.call(&fxp.Extended{Name: name, Data: wire.Append(nil, data)})
}

// memServer serves a tree in memory.
func memServer(o memfs.Options) (*sftp.Server, *memfs.FS) {
	if o.Names == nil { // so that users-groups-by-id is offered
		nobody := func(uint32) string { return "" }
		o.Names = &sftp.IDNames{LookupUser: nobody, LookupGroup: nobody}
	}
	tree := memfs.New(o)
	return serverOf(tree), tree
}

func serverOf(fsys sftp.FileSystem) *sftp.Server {
	return &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return fsys, nil }}
}

// pause takes d of the bubble's time: for what plays something slow inside of play and meet.
func pause(d time.Duration) { time.Sleep(d) }
