package sftpserver_test

import (
	"encoding/binary"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// wirePeer is a client that shows what is on the wire, in version 3.
type wirePeer struct {
	t    testing.TB
	conn packet.Conn
	id   uint32
	in   []byte
}

func (p *wirePeer) send(m fxp.Message) {
	p.id++
	data := fxp.Append(nil, p.id, m)
	b := packet.Get(len(data))
	copy(b.Bytes(), data)
	if err := p.conn.WritePacket(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *wirePeer) recv() wire.Layouter {
	p.t.Helper()
	for len(p.in) < 4 || len(p.in) < 4+int(binary.BigEndian.Uint32(p.in)) {
		b, err := p.conn.ReadPacket()
		if err != nil {
			p.t.Fatal(err)
		}
		p.in = append(p.in, b.Bytes()...)
		b.Release()
	}
	n := 4 + int(binary.BigEndian.Uint32(p.in))
	t, _, body, err := fxp.Split(p.in[4:n])
	if err != nil {
		p.t.Fatal(err)
	}
	m := fxp.OpOf(t, fxp.V3).Row().New(fxp.V3)
	if err := wire.Decode(body, m); err != nil {
		p.t.Fatal(err)
	}
	p.in = p.in[n:]
	return m
}

// rawList lists a directory, over a session that has not begun.
func rawList(t testing.TB, conn packet.Conn, name string) (names, long []string, counts []int) {
	t.Helper()
	p := &wirePeer{t: t, conn: conn}
	data := fxp.Append(nil, 0, &fxp.Init{Version: fxp.V3})
	b := packet.Get(len(data))
	copy(b.Bytes(), data)
	if err := conn.WritePacket(b); err != nil {
		t.Fatal(err)
	}
	p.recv()
	p.send(&fxp.Path{T: fxp.TypeOpendir, Path: name})
	h, ok := p.recv().(*fxp.Handle)
	if !ok {
		t.Fatalf("%s cannot be listed", name)
	}
	handle := append([]byte(nil), h.Handle...)
	for {
		p.send(&fxp.Handle{T: fxp.TypeReaddir, Handle: handle})
		m, ok := p.recv().(*fxp.Name)
		if !ok {
			return names, long, counts
		}
		counts = append(counts, len(m.Entries))
		for _, e := range m.Entries {
			names = append(names, e.Name)
			long = append(long, string(e.LongName))
		}
	}
}
