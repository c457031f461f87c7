package sftpserver_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestEventsOfHandles: who keeps the content of a file is told by which handle it is read, written, looked at and
// changed, also once its path leads elsewhere, and of appending, with the offset that the client said.
func TestEventsOfHandles(t *testing.T) {
	s := sftpserver.New()
	var seen []string
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if e.Before {
			e.Handled, e.Handle = true, "h"+e.Handle
		}
	}
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		if e.Before {
			e.Handled = true
			seen = append(seen, fmt.Sprintf("write %s %d %v %s", e.Handle, e.Offset, e.Appends, e.Data))
		}
	}
	s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
		e.Attrs.SetMode(sftp.ModeRegular | 0o644)
		seen = append(seen, "get "+e.Path+" "+e.Handle)
	}
	s.SetAttributes = func(e *sftpserver.SetAttributesEvent) {
		if e.Before {
			e.Handled = true
			seen = append(seen, "set "+e.Path+" "+e.Handle)
		}
	}
	start(t, s)
	conn, err := dial(t, s).Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	p := &wirePeer{t: t, conn: conn}
	hello := fxp.Append(nil, 0, &fxp.Init{Version: fxp.V3})
	b := packet.Get(len(hello))
	copy(b.Bytes(), hello)
	if err := conn.WritePacket(b); err != nil {
		t.Fatal(err)
	}
	p.recv()
	for i, flags := range []sftp.PFlags{sftp.PWrite | sftp.PAppend, sftp.PWrite} {
		p.send(&fxp.Open{Path: "/f", Flags: uint32(flags), Attrs: fxp.Attrs{V: fxp.V3}})
		opened, ok := p.recv().(*fxp.Handle)
		if !ok {
			t.Fatalf("open %d failed", i)
		}
		h := slices.Clone(opened.Handle)
		p.send(&fxp.Write{Handle: h, Offset: 1 << 40, Data: []byte("x")})
		p.recv()
		p.send(&fxp.Handle{T: fxp.TypeFstat, Handle: h})
		p.recv()
		p.send(&fxp.Fsetstat{Handle: h, Attrs: fxp.Attrs{V: fxp.V3}})
		p.recv()
		p.send(&fxp.Write{Handle: h, Offset: 1<<64 - 1, Data: []byte("end")}) // what some clients say who append
		p.recv()
	}
	p.send(&fxp.Path{T: fxp.TypeStat, Path: "/f"})
	p.recv()
	want := []string{
		"write h1 1099511627776 true x", "get /f h1", "set /f h1", "write h1 0 true end",
		"write h2 1099511627776 false x", "get /f h2", "set /f h2", "get /f ",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("%q\nwant %q", seen, want)
	}
}
