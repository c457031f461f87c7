package sftp_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// host is a server that answers what it is told and knows no better.
type host struct {
	t    testing.TB
	conn *memConn
	buf  []byte
	v    fxp.Version
	exts []fxp.Pair
	asks uint32 // the version in INIT
}

// meet runs script with a client whose server is play, in a bubble of its own, and checks that
// nothing is left. play starts behind VERSION, and returns when request says so.
func meet(t *testing.T, h host, cfg *sftp.ClientConfig, play func(h *host), script func(t *testing.T, c *sftp.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(32 << 10)
		h := h
		h.t, h.conn = t, b
		if h.v == 0 {
			h.v = fxp.V3
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.hello()
			play(&h)
		}()
		c, err := sftp.NewClient(t.Context(), a, cfg)
		if err != nil {
			t.Fatal(err)
		}
		script(t, c)
		_ = c.Close()
		_ = c.Wait()
		<-done
		a.drain()
		b.drain()
		if n := packet.Live(); n != 0 {
			t.Errorf("%d Bufs are left", n)
		}
	})
}

func (h *host) hello() {
	msg := h.next()
	if len(msg) < 5 || fxp.Type(msg[0]) != fxp.TypeInit {
		h.t.Errorf("not INIT: %x", msg)
		return
	}
	h.asks = binary.BigEndian.Uint32(msg[1:])
	h.reply(0, &fxp.VersionReply{Version: h.v, Extensions: h.exts})
}

// next returns the next message, without its length; nil at the end.
func (h *host) next() []byte {
	for {
		if len(h.buf) >= 4 {
			n := int(binary.BigEndian.Uint32(h.buf))
			if len(h.buf) >= 4+n {
				msg := h.buf[4 : 4+n : 4+n]
				h.buf = h.buf[4+n:]
				return msg
			}
		}
		b, err := h.conn.ReadPacket()
		if err != nil {
			return nil
		}
		h.buf = append(slices.Clip(h.buf), b.Bytes()...)
		b.Release()
	}
}

// request returns the next request; op is OpNone at the end.
func (h *host) request() (op fxp.Op, id uint32, m wire.Layouter) {
	msg := h.next()
	if msg == nil {
		return fxp.OpNone, 0, nil
	}
	t, id, body, err := fxp.Split(msg)
	if err != nil {
		h.t.Error(err)
		return fxp.OpNone, 0, nil
	}
	op = fxp.OpOf(t, h.v)
	if op == fxp.OpNone {
		h.t.Errorf("client sent %s", t)
		return op, id, nil
	}
	m = op.Row().New(h.v)
	if err := wire.Decode(body, m); err != nil {
		h.t.Errorf("client sent %s: %v", t, err)
	}
	return op, id, m
}

func (h *host) raw(p []byte) {
	b := packet.Get(len(p))
	copy(b.Bytes(), p)
	_ = h.conn.WritePacket(b)
}

func (h *host) reply(id uint32, m fxp.Message) { h.raw(fxp.Append(nil, id, m)) }

func (h *host) status(id uint32, code sftp.Code) {
	h.reply(id, &fxp.Status{V: h.v, Code: uint32(code), Text: code.Text(), Lang: "en"})
}

func (h *host) handle(id uint32) { h.reply(id, &fxp.Handle{T: fxp.TypeHandle, Handle: []byte("h")}) }

// serve answers OPEN, OPENDIR and CLOSE as they should be, and everything else by answer.
func (h *host) serve(answer func(op fxp.Op, id uint32, m wire.Layouter)) {
	for {
		op, id, m := h.request()
		switch op {
		case fxp.OpNone:
			return
		case fxp.OpOpen, fxp.OpOpendir:
			h.handle(id)
		case fxp.OpClose:
			h.status(id, sftp.CodeOK)
		default:
			answer(op, id, m)
		}
	}
}

// serving is serve as a play of meet.
func serving(answer func(h *host, op fxp.Op, id uint32, m wire.Layouter)) func(*host) {
	return func(h *host) {
		h.serve(func(op fxp.Op, id uint32, m wire.Layouter) { answer(h, op, id, m) })
	}
}
