package sftp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// everyPolicy runs a test with READ and WRITE in and beside the loop.
func everyPolicy(t *testing.T, o memfs.Options, script func(p *peer)) {
	t.Helper()
	for name, set := range policies {
		t.Run(name, func(t *testing.T) {
			srv, _ := memServer(o)
			set(srv)
			play(t, srv, sftp.SessionInfo{User: "anna"}, func(p *peer) {
				p.init(3)
				script(p)
			})
		})
	}
}

// everyVersion runs a test in each version that has a draft of its own.
func everyVersion(t *testing.T, srv *sftp.Server, script func(p *peer)) {
	t.Helper()
	for v := fxp.V3; v <= fxp.Newest; v++ {
		t.Run(fmt.Sprint("v", v), func(t *testing.T) {
			play(t, srv, sftp.SessionInfo{User: "anna"}, func(p *peer) {
				if r := p.init(v); r.Version != v {
					p.t.Fatalf("INIT %d is answered with %d", v, r.Version)
				}
				script(p)
			})
		})
	}
}

func TestCVE_12_1_RequestsSplitAnywhere(t *testing.T) {
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		h := p.open("file", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
		content := strings.Repeat("content ", 8)
		batch := fxp.Append(nil, 1, &fxp.Write{Handle: h, Offset: 3, Data: []byte(content)})
		batch = fxp.Append(batch, 2, &fxp.Read{Handle: h, Offset: 3, Length: uint32(len(content))})
		batch = fxp.Append(batch, 3, &fxp.Path{T: fxp.TypeStat, Path: "file"})
		check := func(how string) {
			seen := map[uint32]string{}
			for range 3 {
				id, m := p.recv()
				seen[id] = wire.Print(m)
			}
			if seen[1] != `0 "success" ""` || seen[2] != fmt.Sprintf("%x", content) || !strings.HasPrefix(seen[3], "15 67 ") {
				p.t.Fatalf("%s: %v", how, seen)
			}
		}
		for cut := 1; cut < len(batch); cut++ {
			p.sendRaw(batch[:cut])
			p.sendRaw(batch[cut:])
			check(fmt.Sprint("cut at ", cut))
		}
		for _, size := range []int{1, 2, 3, 5, 7, 50} {
			p.conn.cut = size
			p.sendRaw(batch)
			check(fmt.Sprint("pieces of ", size))
		}
		p.conn.cut = 0
		p.sendRaw(batch)
		check("whole")

		// A message above the largest pooled tail is assembled, and one behind it found.
		big := strings.Repeat("x", 200_000)
		for _, size := range []int{32 << 10, 4 << 10, 100_000} {
			p.conn.cut = size
			first := p.sendAll(&fxp.Write{Handle: h, Data: []byte(big)}, &fxp.Read{Handle: h, Offset: 199_990, Length: 20})
			seen := map[uint32]string{}
			for range 2 {
				id, m := p.recv()
				seen[id-first] = wire.Print(m)
			}
			if seen[0] != `0 "success" ""` || seen[1] != strings.Repeat("78", 10) {
				p.t.Fatalf("pieces of %d: %v", size, seen)
			}
		}
	})
}

func TestCVE_12_2_Lengths(t *testing.T) {
	for _, n := range []uint32{0, fxp.MaxLength + 1, 1 << 31, math.MaxUint32} {
		srv, _ := memServer(memfs.Options{})
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
			p.init(3)
			p.sendRaw(binary.BigEndian.AppendUint32(nil, n))
			var violation *sftp.ProtocolError
			if err := p.end(); !errors.As(err, &violation) {
				t.Errorf("length %d: %v", n, err)
			}
		})
	}
	for n := range uint32(5) { // too short for a request id
		srv, _ := memServer(memfs.Options{})
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
			p.init(3)
			msg := binary.BigEndian.AppendUint32(nil, n)
			msg = append(msg, []byte{byte(fxp.TypeStat), 0, 0, 0}[:min(n, 4)]...)
			p.sendRaw(msg)
			var violation *sftp.ProtocolError
			if err := p.end(); !errors.As(err, &violation) {
				t.Errorf("message of %d octets: %v", n, err)
			}
		})
	}
	srv, _ := memServer(memfs.Options{})
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
		p.init(3)
		p.sendRaw([]byte{0, 4, 0, 0, byte(fxp.TypeStat), 0, 0, 0, 1}) // the rest never comes
		if err := p.end(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("end inside a message: %v", err)
		}
	})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) { // the largest message there may be
		p.init(3)
		h := p.open("f", fxp.OpenWrite|fxp.OpenCreate)
		w := &fxp.Write{Handle: h, Data: make([]byte, fxp.MaxLength-1-4-4-4-8-4)}
		if n := len(fxp.Append(nil, 0, w)); n != fxp.LengthSize+fxp.MaxLength {
			p.t.Fatalf("message of %d octets", n)
		}
		p.want("largest message", sftp.CodeOK, w)
	})
}

func TestCVE_12_3_AttributeCounts(t *testing.T) {
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		body := wire.AppendString(nil, "f")
		body = append(body, 0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF)
		p.want("extended_count 2^32-1", sftp.CodeBadMessage, &raw{fxp.TypeSetstat, body})
	})
	srv, _ := memServer(memfs.Options{})
	everyVersion(t, srv, func(p *peer) {
		if p.v == fxp.V3 {
			return
		}
		for what, m := range map[string]fxp.Message{
			"extended_count 2^32-1":  &raw{fxp.TypeSetstat, append(wire.AppendString(nil, "f"), 0x80, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF)},
			"nanoseconds of seconds": &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: fxp.Attrs{V: p.v, Flags: fxp.AttrModifyTime | fxp.AttrSubsecond, Mtime: fxp.Time{Nsec: 1_000_000_000}}},
			"ACL of 2^32-1 entries": &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{
				V: p.v, Flags: fxp.AttrACL, ACL: append(make([]byte, 4*(p.v/fxp.V6)), 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0),
			}},
			"ACL that is longer than it says": &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{V: p.v, Flags: fxp.AttrACL, ACL: make([]byte, 100)}},
		} {
			p.want(what, sftp.CodeBadMessage, m)
		}
	})
}

// raw is any body.
type raw struct {
	t    fxp.Type
	body []byte
}

func (m *raw) Type() fxp.Type       { return m.t }
func (m *raw) Layout(c *wire.Coder) { c.Rest(&m.body) }

func TestCVE_12_4_Handles(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	everyVersion(t, srv, func(p *peer) {
		t := p.t
		file := p.open("file", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
		closed := p.open("file", fxp.OpenRead)
		p.close(closed)

		q := newPeer(t, context.Background(), srv, sftp.SessionInfo{User: "bert"}, 32<<10)
		q.init(p.v)
		other := q.open("file", fxp.OpenRead)

		next := slices.Clone(file)
		binary.BigEndian.PutUint32(next, binary.BigEndian.Uint32(next)+1)
		low := slices.Clone(file)
		low[0] ^= 0x80
		bad := map[string][]byte{
			"n+1": next, "changed": low, "empty": {}, "256 octets": make([]byte, 256), "257 octets": make([]byte, 257),
			"3 octets": file[:3], "5 octets": append(slices.Clone(file), 0), "closed": closed, "other session's": other,
		}
		perHandle := func(h []byte) map[string]fxp.Message {
			return map[string]fxp.Message{
				"READ":      &fxp.Read{Handle: h, Length: 10},
				"WRITE":     &fxp.Write{Handle: h, Data: []byte("x")},
				"FSTAT":     &fxp.Fstat{V: p.v, Handle: h},
				"FSETSTAT":  &fxp.Fsetstat{Handle: h, Attrs: fxp.Attrs{V: p.v, Flags: fxp.AttrPermissions}},
				"fsync":     &fxp.Extended{Name: "fsync@openssh.com", Data: wire.Append(nil, &fxp.ExtHandle{Handle: h})},
				"fstatvfs":  &fxp.Extended{Name: "fstatvfs@openssh.com", Data: wire.Append(nil, &fxp.ExtHandle{Handle: h})},
				"copy to":   &fxp.Extended{Name: "copy-data", Data: wire.Append(nil, &fxp.ExtCopyData{From: file, To: h})},
				"copy from": &fxp.Extended{Name: "copy-data", Data: wire.Append(nil, &fxp.ExtCopyData{From: h, To: file})},
				"hash": &fxp.Extended{Name: "check-file-handle", Data: wire.Append(nil, &fxp.ExtCheckHandle{
					Handle: h, HashRange: fxp.HashRange{Algorithms: []string{"md5"}},
				})},
				"md5": &fxp.Extended{Name: "md5-hash-handle", Data: wire.Append(nil, &fxp.ExtMD5Handle{Handle: h})},
			}
		}
		for what, h := range bad {
			for op, m := range perHandle(h) {
				p.want(what+" handle for "+op, sftp.CodeInvalidHandle, m)
			}
			if p.v >= fxp.V4 {
				p.want(what+" handle for text-seek", sftp.CodeInvalidHandle, &fxp.Extended{
					Name: "text-seek", Data: wire.Append(nil, &fxp.ExtTextSeek{Handle: h}),
				})
			}
			if p.v >= fxp.V6 {
				p.want(what+" handle for BLOCK", sftp.CodeInvalidHandle, &fxp.Block{Handle: h, Length: 1, Mask: uint32(sftp.RangeRead)})
				p.want(what+" handle for UNBLOCK", sftp.CodeInvalidHandle, &fxp.Unblock{Handle: h, Length: 1})
			}
			p.want(what+" handle for READDIR", sftp.CodeInvalidHandle, &fxp.Handle{T: fxp.TypeReaddir, Handle: h})
			p.want(what+" handle for CLOSE", sftp.CodeInvalidHandle, &fxp.Handle{T: fxp.TypeClose, Handle: h})
		}
		dir := p.opendir("/")
		for op, m := range perHandle(dir) {
			if p.v >= fxp.V6 && (op == "FSTAT" || op == "FSETSTAT") {
				continue // filexfer-13 section 8.5
			}
			p.want("directory's handle for "+op, sftp.CodeInvalidHandle, m)
		}
		p.want("file's handle for READDIR", sftp.CodeInvalidHandle, &fxp.Handle{T: fxp.TypeReaddir, Handle: file})
		p.close(file)
		p.close(dir)
		q.close(other)
		if len(other) != 4 {
			t.Errorf("W8: handle of %d octets", len(other))
		}
		q.conn.CloseWrite()
		if err := <-q.done; err != nil {
			t.Error(err)
		}
	})
}

func TestCVE_12_4_HandleIDsDoNotComeBackSoon(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		seen := map[string]bool{}
		for range 2000 {
			h := p.open("f", fxp.OpenRead|fxp.OpenCreate)
			if seen[string(h)] {
				p.t.Fatalf("handle %x again after %d", h, len(seen))
			}
			seen[string(h)] = true
			p.close(h)
		}
	})
}

func TestCVE_12_5_HandleLimit(t *testing.T) {
	closed := 0
	srv, _ := memServer(memfs.Options{OnClose: func(string, error) { closed++ }})
	srv.Limits.Handles = 10
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "")
		h := p.open("f", fxp.OpenRead)
		for range 4 {
			p.open("f", fxp.OpenRead)
			p.opendir("/")
		}
		p.open("f", fxp.OpenRead)
		for range 100 {
			st, ok := p.call(&fxp.Open{Path: "new", Flags: fxp.OpenWrite | fxp.OpenCreate, Attrs: fxp.Attrs{V: 3}}).(*fxp.Status)
			if !ok || st.Code != uint32(sftp.CodeFailure) || st.Text != "too many open handles" {
				p.t.Fatalf("open beyond the limit: %+v", st)
			}
			p.want("opendir beyond the limit", sftp.CodeFailure, &fxp.Path{T: fxp.TypeOpendir, Path: "/"})
		}
		p.want("what was refused was not made", sftp.CodeNoSuchFile, &fxp.Path{T: fxp.TypeStat, Path: "new"})
		p.close(h)
		p.open("f", fxp.OpenRead)
		if err := p.end(); err != nil {
			p.t.Error(err)
		}
		if closed != 8 {
			p.t.Errorf("%d files closed", closed)
		}
	})
}

// TestCVE_12_5_HandlesOfAllSessions: those that open what they can leave files to others, and
// the process room for connections.
func TestCVE_12_5_HandlesOfAllSessions(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	srv.MaxHandles = 64
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		// greedy opens all it gets.
		greedy := func(p *peer) (n int) {
			for {
				if _, ok := p.call(&fxp.Path{T: fxp.TypeOpendir, Path: "/"}).(*fxp.Handle); !ok {
					return n
				}
				n++
			}
		}
		p.init(3)
		if n := greedy(p); n != 32 {
			p.t.Errorf("one session has %d of 64", n)
		}
		for _, want := range []int{16, 8, 4, 2, 1, 1, 0} {
			q := newPeer(p.t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
			q.init(3)
			if n := greedy(q); n != want {
				p.t.Errorf("the next session has %d, want %d", n, want)
			}
			defer q.end()
		}
		if n := greedy(p); n != 0 {
			p.t.Errorf("%d more", n)
		}
	})
	// What was closed by the ends of the sessions is free again.
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		for range 32 {
			p.opendir("/")
		}
	})
	// Without a number the system's counts.
	srv, _ = memServer(memfs.Options{})
	srv.Limits.Handles = 1 << 16
	most := int(sftp.OpenFiles() / 4 * 3 / 2)
	if most == 0 || most > 20000 {
		return // the system does not tell, or lets open so many that it would take long
	}
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		for range most {
			p.opendir("/")
		}
		p.want("one more", sftp.CodeFailure, &fxp.Path{T: fxp.TypeOpendir, Path: "/"})
	})
}

// named are all requests that carry a name, by row of the table.
func named(v fxp.Version, name string) map[fxp.Op]fxp.Message {
	ext := func(op fxp.Op, data wire.Layouter) fxp.Message {
		return &fxp.Extended{Name: op.Row().Extension, Data: wire.Append(nil, data)}
	}
	attrs := fxp.Attrs{V: v, Flags: fxp.AttrPermissions, Permissions: 0o600}
	all := map[fxp.Op]fxp.Message{
		fxp.OpOpen:          openOf(v, name, fxp.OpenRead),
		fxp.OpOpendir:       &fxp.Path{T: fxp.TypeOpendir, Path: name},
		fxp.OpStat:          &fxp.Stat{V: v, T: fxp.TypeStat, Path: name},
		fxp.OpLstat:         &fxp.Stat{V: v, T: fxp.TypeLstat, Path: name},
		fxp.OpRemove:        &fxp.Path{T: fxp.TypeRemove, Path: name},
		fxp.OpRmdir:         &fxp.Path{T: fxp.TypeRmdir, Path: name},
		fxp.OpRealpath:      &fxp.Realpath{V: v, Path: name},
		fxp.OpReadlink:      &fxp.Path{T: fxp.TypeReadlink, Path: name},
		fxp.OpSetstat:       &fxp.PathAttrs{T: fxp.TypeSetstat, Path: name, Attrs: attrs},
		fxp.OpMkdir:         &fxp.PathAttrs{T: fxp.TypeMkdir, Path: name, Attrs: attrs},
		fxp.OpRename:        &fxp.Rename{V: v, Old: name, New: "other"},
		fxp.OpSymlink:       &fxp.TwoPaths{T: fxp.TypeSymlink, First: "target", Second: name},
		fxp.OpPosixRename:   ext(fxp.OpPosixRename, &fxp.ExtPaths{Old: name, New: "other"}),
		fxp.OpHardlink:      ext(fxp.OpHardlink, &fxp.ExtPaths{Old: name, New: "other"}),
		fxp.OpStatVFS:       ext(fxp.OpStatVFS, &fxp.ExtText{Text: name}),
		fxp.OpLsetstat:      ext(fxp.OpLsetstat, &fxp.ExtSetstat{Path: name, Attrs: attrs}),
		fxp.OpExpandPath:    ext(fxp.OpExpandPath, &fxp.ExtText{Text: name}),
		fxp.OpHomeDirectory: ext(fxp.OpHomeDirectory, &fxp.ExtText{Text: name}),

		fxp.OpLink:           &fxp.Link{New: name, Target: "target", Symbolic: true},
		fxp.OpCheckFileName:  ext(fxp.OpCheckFileName, &fxp.ExtCheckName{Path: name, HashRange: fxp.HashRange{Algorithms: []string{"md5"}}}),
		fxp.OpMD5Hash:        ext(fxp.OpMD5Hash, &fxp.ExtMD5Name{Path: name}),
		fxp.OpCopyFile:       ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: name, To: "other"}),
		fxp.OpSpaceAvailable: ext(fxp.OpSpaceAvailable, &fxp.ExtText{Text: name}),
	}
	for op := range all {
		if v < op.Row().Since {
			delete(all, op)
		}
	}
	return all
}

// openOf is an OPEN of any version that says what flags of version 3 say.
func openOf(v fxp.Version, name string, flags uint32) *fxp.Open {
	m := &fxp.Open{Path: name, Flags: flags, Attrs: fxp.Attrs{V: v}}
	if v >= fxp.V5 {
		m.Access, m.Flags = sftp.NewOpen(flags)
	}
	return m
}

func TestCVE_8_2_12_5_NamesThatNoRequestTakes(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	everyVersion(t, srv, func(p *peer) {
		for what, name := range map[string]string{
			"4097 octets": strings.Repeat("a/", 2048) + "a", "100000 octets": strings.Repeat("x", 100_000),
			"NUL": "a\x00b", "NUL alone": "\x00", "NUL at the end": "file\x00",
		} {
			for op, m := range named(p.v, name) {
				p.want(what+": "+op.String(), sftp.CodeInvalidFilename, m)
			}
			p.want(what+": RENAME to", sftp.CodeInvalidFilename, &fxp.Rename{V: p.v, Old: "f", New: name})
			p.want(what+": SYMLINK target", sftp.CodeInvalidFilename, &fxp.TwoPaths{T: fxp.TypeSymlink, First: name, Second: "l"})
			p.want(what+": copy-file to", sftp.CodeInvalidFilename, &fxp.Extended{
				Name: "copy-file", Data: wire.Append(nil, &fxp.ExtCopyFile{From: "f", To: name}),
			})
			if p.v >= fxp.V6 {
				p.want(what+": LINK target", sftp.CodeInvalidFilename, &fxp.Link{New: "l", Target: name})
				p.want(what+": REALPATH compose", sftp.CodeInvalidFilename, &fxp.Realpath{V: p.v, Control: 1, Compose: []string{"a", name}})
			}
		}
		for op, m := range named(p.v, "no/such/file") {
			switch op {
			case fxp.OpStatVFS, fxp.OpSpaceAvailable:
				p.call(m)
			case fxp.OpRealpath:
				if p.v >= fxp.V6 { // does not look
					p.call(m)
					continue
				}
				fallthrough
			default:
				code := p.code(p.call(m))
				if code != sftp.CodeNoSuchFile && (code != sftp.CodeNoSuchPath || p.v < fxp.V4) {
					p.t.Errorf("missing: %s: %v", op, code)
				}
			}
		}
	})
}

func TestCVE_8_2_HandlesActOnTheObject(t *testing.T) {
	dir := t.TempDir()
	fsys, err := osfs.New(dir, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "opened")
		h := p.open("f", fxp.OpenRead|fxp.OpenWrite)
		p.want("rename", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeRename, First: "f", Second: "moved"})
		p.put("f", "another, and longer")
		if a := p.call(&fxp.Handle{T: fxp.TypeFstat, Handle: h}).(*fxp.AttrsReply); a.Attrs.Size != 6 {
			p.t.Errorf("FSTAT sees %d octets", a.Attrs.Size)
		}
		p.want("FSETSTAT", sftp.CodeOK, &fxp.Fsetstat{Handle: h, Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrSize, Size: 2}})
		p.want("WRITE", sftp.CodeOK, &fxp.Write{Handle: h, Offset: 2, Data: []byte("!")})
		p.close(h)
		if got := p.get("moved"); got != "op!" {
			p.t.Errorf("object opened holds %q", got)
		}
		if got := p.get("f"); got != "another, and longer" {
			p.t.Errorf("object of the name holds %q", got)
		}
	})
}

func TestCVE_12_6_ReadLengths(t *testing.T) {
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		content := strings.Repeat("0123456789", 60_000)
		p.put("f", content)
		h := p.open("f", fxp.OpenRead)
		for _, c := range []struct {
			off  uint64
			n    uint32
			want int // octets; -1: EOF; -2: failure
		}{
			{0, math.MaxUint32, fxp.MaxData},
			{0, fxp.MaxData, fxp.MaxData},
			{0, fxp.MaxData - 1, fxp.MaxData - 1},
			{0, 32 << 10, 32 << 10},
			{5, 32<<10 + 51, 32<<10 + 51},
			{5, 32<<10 + 52, 32<<10 + 52},
			{0, 64 << 10, 64 << 10},
			{599_999, 100, 1},
			{600_000 - 40_000, 50_000, 40_000},
			{600_000 - 32<<10 + 13, 50_000, 32<<10 - 13},
			{0, 1, 1},
			{0, 1023, 1023},
			{0, 1024, 1024},
			{0, 1025, 1025},
			{0, 0, -1},
			{600_000, 10, -1},
			{600_000, 0, -1},
			{1 << 62, math.MaxUint32, -1},
			{math.MaxInt64, 1, -1},
			{math.MaxInt64 - 5, math.MaxUint32, -1},
			{1 << 63, 10, -2},
			{math.MaxUint64, 10, -2},
			{math.MaxUint64, math.MaxUint32, -2},
		} {
			got, code := p.read(h, c.off, c.n)
			switch {
			case c.want >= 0:
				if code != sftp.CodeOK || got != content[c.off:int(c.off)+c.want] {
					p.t.Errorf("READ %d at %d: %d octets, %v; want %d", c.n, c.off, len(got), code, c.want)
				}
			case c.want == -1 && code != sftp.CodeEOF, c.want == -2 && code != sftp.CodeFailure:
				p.t.Errorf("READ %d at %d: %v", c.n, c.off, code)
			}
		}
		p.close(h)
	})
}

func TestCVE_12_8_WriteOfNothing(t *testing.T) {
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		h := p.open("f", fxp.OpenWrite|fxp.OpenCreate)
		p.want("empty WRITE", sftp.CodeOK, &fxp.Write{Handle: h, Offset: 100})
		p.want("WRITE at 2^63", sftp.CodeFailure, &fxp.Write{Handle: h, Offset: 1 << 63, Data: []byte("x")})
		p.want("WRITE across 2^63", sftp.CodeFailure, &fxp.Write{Handle: h, Offset: math.MaxInt64, Data: []byte("x")})
		p.want("READ of what is written only", sftp.CodePermissionDenied, &fxp.Read{Handle: h, Length: 1})
		p.close(h)
		if a := p.stat("f"); a.Size != 0 {
			p.t.Errorf("%d octets", a.Size)
		}
		h = p.open("f", fxp.OpenRead)
		p.want("WRITE to what is read only", sftp.CodePermissionDenied, &fxp.Write{Handle: h, Data: []byte("x")})
	})
}

func TestCVE_12_9_LongNames(t *testing.T) {
	fsys := &listFS{entries: []sftp.Entry{
		{Name: strings.Repeat("\U0001F600", 255), Attrs: sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrUIDGID | sftp.AttrOwnerGroup, Size: math.MaxUint64, UID: math.MaxUint32, Owner: strings.Repeat("o", 1024), Group: strings.Repeat("g g", 1024)}},
		{Name: "own", LongName: strings.Repeat("L", 20_000)},
		{Name: strings.Repeat("n", 100_000)}, // fits no reply: left out
		{Name: "last"},
	}}
	play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		names := p.list("/")
		if len(names) != 5 || names[2] != fsys.entries[0].Name || names[3] != "own" || names[4] != "last" {
			p.t.Errorf("%d names", len(names))
		}
	})
}

// listFS lists what it is told.
type listFS struct {
	sftp.Unsupported
	entries []sftp.Entry
}

func (f *listFS) OpenDir(context.Context, string) (sftp.Dir, error) {
	return &listDir{fs: f, left: f.entries}, nil
}

type listDir struct {
	sftp.UnsupportedDir
	fs   *listFS
	left []sftp.Entry
}

func (d *listDir) Next(_ context.Context, n int) ([]sftp.Entry, error) {
	n = min(n, len(d.left))
	out := d.left[:n]
	d.left = d.left[n:]
	if len(d.left) == 0 {
		return out, io.EOF
	}
	return out, nil
}

// list returns all names of a directory.
func (p *peer) list(name string) (names []string) {
	p.t.Helper()
	d := p.opendir(name)
	for {
		switch m := p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: d}).(type) {
		case *fxp.Name:
			if len(m.Entries) == 0 {
				p.t.Fatal("empty NAME")
			}
			for _, e := range m.Entries {
				names = append(names, e.Name)
			}
		case *fxp.Status:
			if m.Code != uint32(sftp.CodeEOF) {
				p.t.Fatal(wire.Print(m))
			}
			p.close(d)
			return names
		}
	}
}

// every makes one well-formed request of each row.
func every(p *peer, h []byte) map[fxp.Op]fxp.Message {
	all := named(p.v, "f")
	all[fxp.OpClose] = &fxp.Handle{T: fxp.TypeClose, Handle: []byte("none")}
	all[fxp.OpRead] = &fxp.Read{Handle: h, Length: 10}
	all[fxp.OpWrite] = &fxp.Write{Handle: h, Data: []byte("data")}
	all[fxp.OpFstat] = &fxp.Fstat{V: p.v, Handle: h}
	all[fxp.OpFsetstat] = &fxp.Fsetstat{Handle: h, Attrs: fxp.Attrs{V: p.v, Flags: fxp.AttrPermissions, Permissions: 0o600}}
	all[fxp.OpReaddir] = &fxp.Handle{T: fxp.TypeReaddir, Handle: h}
	for op, data := range map[fxp.Op]wire.Layouter{
		fxp.OpFstatVFS: &fxp.ExtHandle{Handle: h}, fxp.OpFsync: &fxp.ExtHandle{Handle: h}, fxp.OpLimits: &fxp.ExtNothing{},
		fxp.OpCopyData: &fxp.ExtCopyData{From: h, To: h}, fxp.OpUsersGroupsByID: &fxp.ExtIDs{UIDs: []uint32{0}},
		fxp.OpCheckFileHandle: &fxp.ExtCheckHandle{Handle: h, HashRange: fxp.HashRange{Algorithms: []string{"md5"}}},
		fxp.OpMD5HashHandle:   &fxp.ExtMD5Handle{Handle: h}, fxp.OpTextSeek: &fxp.ExtTextSeek{Handle: []byte("none")},
		fxp.OpVendorID: &fxp.VendorID{Product: "test"}, fxp.OpFilenameTranslation: &fxp.ExtFlag{On: true},
		fxp.OpGetTempFolder: &fxp.ExtNothing{}, fxp.OpMakeTempFolder: &fxp.ExtNothing{},
	} {
		all[op] = &fxp.Extended{Name: op.Row().Extension, Data: wire.Append(nil, data)}
	}
	all[fxp.OpExtended] = &fxp.Extended{Name: "nobody@example.com", Data: []byte("data")}
	all[fxp.OpBlock] = &fxp.Block{Handle: h, Offset: 1000, Length: 1, Mask: uint32(sftp.RangeWrite)}
	all[fxp.OpUnblock] = &fxp.Unblock{Handle: h, Offset: 1000, Length: 1}
	for op := range all {
		if p.v < op.Row().Since {
			delete(all, op)
		}
	}
	return all
}

func TestEveryRequestIsServed(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	srv.TempFolder = "/"
	srv.Charset, _ = sftp.CodePage(1252)
	everyVersion(t, srv, func(p *peer) {
		h := p.open("f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
		all := every(p, h)
		for _, row := range fxp.Rows()[1:] {
			if row.Reply == 0 || row.Op == fxp.OpInit || row.Op == fxp.OpVersionSelect || p.v < row.Since {
				continue
			}
			m, ok := all[row.Op]
			if !ok {
				p.t.Errorf("%s: no request to try", row.Name)
				continue
			}
			if st, ok := p.call(m).(*fxp.Status); ok && (st.Code == uint32(sftp.CodeOpUnsupported)) != (row.Op == fxp.OpExtended) {
				p.t.Errorf("%s: %s", row.Name, wire.Print(st))
			}
		}
	})
}

func TestCVE_12_11_RequestsCutShort(t *testing.T) {
	for name, set := range policies {
		t.Run(name, func(t *testing.T) {
			srv, _ := memServer(memfs.Options{})
			set(srv)
			everyVersion(t, srv, func(p *peer) {
				h := p.open("f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
				for op, m := range every(p, h) {
					body := wire.Append(nil, m)
					for n := range body {
						if wholeAt(p.v, op, body[:n]) {
							continue
						}
						got := p.call(&raw{m.Type(), body[:n]})
						code := p.code(got)
						// The data of an unknown extension, and of one cut inside its name,
						// cannot be judged.
						if code != sftp.CodeBadMessage && !(op == fxp.OpExtended && code == sftp.CodeOpUnsupported) {
							p.t.Errorf("%s cut at %d of %d: %v", op, n, len(body), code)
						}
					}
				}
				p.want("the session lives", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{V: p.v}})
				p.want("octets behind the last field are let pass", sftp.CodeOK, &raw{fxp.TypeRmdir, append(wire.AppendString(nil, "d"), 1, 2, 3)})
			})
		})
	}
}

// wholeAt tells whether what is left of a request is one still: the last fields of some may
// be left out.
func wholeAt(v fxp.Version, op fxp.Op, body []byte) bool {
	row := op.Row()
	if row.Extension != "" {
		var m fxp.Extended
		if wire.Decode(body, &m) != nil || m.Name != row.Extension {
			return false
		}
		body = m.Data
	}
	return v >= fxp.V4 && wire.Decode(body, row.New(v)) == nil
}

func TestCVE_12_12_W11_VersionIsTheLower(t *testing.T) {
	for _, c := range []struct{ offered, answer fxp.Version }{{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}, {6, 6}, {7, 6}, {99, 6}, {math.MaxUint32, 6}} {
		srv, _ := memServer(memfs.Options{})
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			r := p.init(c.offered)
			if r.Version != c.answer || (len(r.Extensions) > 0) != (c.answer >= 3) {
				p.t.Errorf("INIT %d: %+v", c.offered, r)
			}
			p.put("f", "content")
			if got := p.get("f"); got != "content" {
				p.t.Errorf("version %d reads %q", c.answer, got)
			}
			p.v = 3 // so that the answer is understood whatever it is
			code := p.code(p.call(&fxp.Path{T: fxp.TypeReadlink, Path: "f"}))
			if (code == sftp.CodeOpUnsupported) != (c.answer < 3) {
				p.t.Errorf("version %d: READLINK %v", c.answer, code)
			}
		})
	}
	srv, _ := memServer(memfs.Options{})
	srv.MaxVersion = 2
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		if r := p.init(3); r.Version != 2 {
			p.t.Errorf("server limited to 2 answers %d", r.Version)
		}
	})
	srv.MaxVersion = 0
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.sendRaw(fxp.Append(nil, 0, &fxp.Init{Version: 3}))
		if _, m := p.recv(); p.code(m) != sftp.CodeFailure {
			p.t.Errorf("second INIT: %s", wire.Print(m))
		}
		p.put("f", "the session lives")
	})
	synctest.Test(t, func(t *testing.T) {
		for _, m := range every(&peer{v: fxp.V6}, []byte("none")) {
			p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
			p.send(m)
			if _, err := p.next(); err == nil {
				t.Errorf("%s before INIT is answered", m.Type())
			}
			var violation *sftp.ProtocolError
			if err := p.end(); !errors.As(err, &violation) {
				t.Errorf("%s before INIT: %v", m.Type(), err)
			}
		}
		p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
		p.sendRaw([]byte{0, 0, 0, 3, byte(fxp.TypeInit), 0, 0})
		if err := p.end(); err == nil {
			t.Error("INIT cut short: no error")
		}
	})
}

func TestCVE_12_13_WritesInAnyOrder(t *testing.T) {
	const size, count = 10_000, 64
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		a := p.open("f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
		b := p.open("/f", fxp.OpenRead|fxp.OpenWrite)
		rng := rand.New(rand.NewPCG(1, 2))
		want := make([]byte, size*count)
		var batch []byte
		replies := 0
		reads := map[uint32]string{}
		// Whatever is sent, answers must be as if each request had been waited for.
		for i := range 400 {
			h := a
			if i%3 == 0 {
				h = b
			}
			off := rng.IntN(size*count - size)
			if i < count {
				off = []int{i, count - 1 - i}[i%2] * size / 2
			}
			p.id++
			if rng.IntN(3) > 0 {
				data := []byte(strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(size)))
				copy(want[off:], data)
				batch = fxp.Append(batch, p.id, &fxp.Write{Handle: h, Offset: uint64(off), Data: data})
			} else {
				n := rng.IntN(size)
				reads[p.id] = string(want[off : off+n])
				batch = fxp.Append(batch, p.id, &fxp.Read{Handle: h, Offset: uint64(off), Length: uint32(n)})
			}
			replies++
		}
		p.want("size", sftp.CodeOK, &fxp.Fsetstat{Handle: a, Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrSize, Size: size * count}})
		p.conn.cut = 20_000
		p.sendRaw(batch)
		for range replies {
			id, m := p.recv()
			data, ok := m.(*fxp.Data)
			if want, read := reads[id]; read && want != "" && (!ok || string(data.Data) != want) {
				p.t.Errorf("READ %d differs from what was written before it", id)
			} else if !read && p.code(m) != sftp.CodeOK {
				p.t.Errorf("WRITE %d: %s", id, wire.Print(m))
			}
		}
		if got := p.get("f"); got != string(want) {
			p.t.Error("content differs")
		}
	})
}

func TestCVE_12_14_AttributesOfOpen(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "content")
		attrs := fxp.Attrs{V: 3, Flags: fxp.AttrPermissions | fxp.AttrSize | fxp.AttrACModTime, Permissions: 0o600, Atime: fxp.Time{Sec: 1}, Mtime: fxp.Time{Sec: 2}}
		before := *p.stat("f")
		for _, flags := range []uint32{fxp.OpenRead, fxp.OpenRead | fxp.OpenWrite, fxp.OpenWrite | fxp.OpenCreate, fxp.OpenAppend} {
			h, ok := p.call(&fxp.Open{Path: "f", Flags: flags, Attrs: attrs}).(*fxp.Handle)
			if !ok {
				p.t.Fatalf("OPEN %x fails", flags)
			}
			p.close(slices.Clone(h.Handle))
			if after := p.stat("f"); after.Permissions != before.Permissions || after.Mtime != before.Mtime || after.Size != before.Size {
				p.t.Errorf("OPEN %x applied attributes: %+v", flags, after)
			}
		}
		h := p.call(&fxp.Open{Path: "new", Flags: fxp.OpenWrite | fxp.OpenCreate, Attrs: attrs}).(*fxp.Handle)
		p.close(slices.Clone(h.Handle))
		if a := p.stat("new"); a.Permissions&0o777 != 0o600 || a.Size != 0 {
			p.t.Errorf("new file: %+v", a)
		}
	})
}

func TestCVE_12_15_AttributeValues(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "")
		p.want("mode 06777", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrPermissions, Permissions: 0o106777}})
		if a := p.stat("f"); a.Permissions != 0o100777 {
			p.t.Errorf("mode %o: set-id bits must go", a.Permissions)
		}
		for _, secs := range []int64{0, 1 << 31, math.MaxUint32} {
			p.want("times", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrACModTime, Atime: fxp.Time{Sec: secs}, Mtime: fxp.Time{Sec: secs}}})
			if a := p.stat("f"); a.Atime.Sec != secs || a.Mtime.Sec != secs {
				p.t.Errorf("times %d become %d, %d", secs, a.Atime, a.Mtime)
			}
		}
		p.want("owner 2^32-2", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrUIDGID, UID: math.MaxUint32 - 1, GID: math.MaxUint32 - 1}})
		if a := p.stat("f"); a.UID != math.MaxUint32-1 {
			p.t.Errorf("uid %d", a.UID)
		}
		p.want("size 2^64-1", sftp.CodeBadMessage, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrSize, Size: math.MaxUint64}})
	})
}

func TestCVE_12_17_IDsAndTypes(t *testing.T) {
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		p.put("f", strings.Repeat("x", 100_000))
		h := p.open("f", fxp.OpenRead)
		var batch []byte
		for range 20 { // one id for all
			batch = fxp.Append(batch, 7, &fxp.Read{Handle: h, Length: 50_000})
		}
		p.sendRaw(batch)
		for range 20 {
			if id, m := p.recv(); id != 7 || len(m.(*fxp.Data).Data) != 50_000 {
				p.t.Errorf("answer to %d: %T", id, m)
			}
		}
		for typ := range 256 {
			if row := fxp.OpOf(fxp.Type(typ), 3).Row(); row.Reply != 0 {
				continue
			}
			if typ == int(fxp.TypeVersion) {
				continue // has no id
			}
			p.want(fmt.Sprint("type ", typ), sftp.CodeOpUnsupported, &raw{fxp.Type(typ), []byte("anything")})
		}
	})
}

func TestCVE_8_3_ReadOnly(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	srv.TempFolder = "/d"
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "content")
		p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{V: 3}})
	})
	srv.ReadOnly = true
	everyVersion(t, srv, func(p *peer) {
		before := *p.stat("f")
		for flags := range uint32(64) {
			m := p.call(openOf(p.v, "f", flags))
			h, ok := m.(*fxp.Handle)
			if reads := flags&^(fxp.OpenRead|fxp.OpenExcl) == 0; ok != reads {
				p.t.Errorf("OPEN with flags %#x: %s", flags, wire.Print(m))
			}
			if ok {
				p.close(slices.Clone(h.Handle))
			}
			if _, ok := p.call(openOf(p.v, "new", flags)).(*fxp.Handle); ok {
				p.t.Errorf("OPEN with flags %#x makes a file", flags)
			}
		}
		h := p.open("f", fxp.OpenRead)
		for op, m := range every(p, h) {
			row := op.Row()
			if row.Effect == fxp.Reads || op == fxp.OpOpen {
				continue
			}
			want := sftp.CodeWriteProtect.In(int(p.v))
			if code := p.code(p.call(m)); code != want && (row.Type != fxp.TypeExtended || code != sftp.CodeOpUnsupported) {
				p.t.Errorf("%s: %v", row.Name, code)
			}
		}
		if after := p.stat("f"); after.Size != before.Size || after.Mtime != before.Mtime || after.Permissions != before.Permissions {
			p.t.Errorf("%+v became %+v", before, *after)
		}
		if names := p.list("/"); len(names) != 4 {
			p.t.Errorf("tree holds %q", names)
		}
		if names := p.list("/d"); len(names) != 2 {
			p.t.Errorf("folder for temporary files holds %q", names)
		}
	})
}

// TestCVE_8_3_NoRowReachesAReadOnlyTree walks the whole table: whatever changes something, or
// might, is neither announced by a read-only server nor comes to its file system.
func TestCVE_8_3_NoRowReachesAReadOnlyTree(t *testing.T) {
	tree := &noWrites{FS: memfs.New(memfs.Options{})}
	srv := serverOf(tree)
	srv.TempFolder = "/"
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "content")
	})
	srv.ReadOnly = true
	tree.fail = t.Errorf
	for v := fxp.V3; v <= fxp.Newest; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			said := names(p.init(v))
			h := p.open("f", fxp.OpenRead)
			all := every(p, h)
			for _, row := range fxp.Rows()[1:] {
				if row.Effect == fxp.Reads || row.Since > v {
					continue
				}
				if row.Extension != "" && (slices.Contains(said, row.Extension) || slices.Contains(said, row.AnnouncedAs)) {
					p.t.Errorf("version %d: %s is announced", v, row.Name)
				}
				m, ok := all[row.Op]
				if !ok {
					p.t.Fatalf("%s: no request to try", row.Name)
				}
				if open, ok := m.(*fxp.Open); ok {
					*open = *openOf(v, "f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate|fxp.OpenTrunc)
				}
				tree.what = row.Name
				p.call(m)
			}
		})
	}
}

// noWrites notices whoever would change it.
type noWrites struct {
	*memfs.FS
	what string
	fail func(format string, args ...any)
}

func (f *noWrites) asked(op string) {
	if f.fail != nil {
		f.fail("%s reaches %s", f.what, op)
	}
}

func (f *noWrites) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if how.Modifies() {
		f.asked("Open")
	}
	return f.FS.Open(ctx, name, how)
}

func (f *noWrites) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	f.asked("SetStat")
	return f.FS.SetStat(ctx, name, a, follow)
}

func (f *noWrites) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	f.asked("Mkdir")
	return f.FS.Mkdir(ctx, name, a)
}

func (f *noWrites) Remove(ctx context.Context, name string) error {
	f.asked("Remove")
	return f.FS.Remove(ctx, name)
}

func (f *noWrites) Rmdir(ctx context.Context, name string) error {
	f.asked("Rmdir")
	return f.FS.Rmdir(ctx, name)
}

func (f *noWrites) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	f.asked("Rename")
	return f.FS.Rename(ctx, from, to, flags)
}

func (f *noWrites) Link(ctx context.Context, target, name string, symbolic bool) error {
	f.asked("Link")
	return f.FS.Link(ctx, target, name, symbolic)
}

func (f *noWrites) Extended(ctx context.Context, name string, data []byte) ([]byte, error) {
	f.asked("Extended")
	return f.FS.Extended(ctx, name, data)
}

func TestCVE_8_5_NoHostPaths(t *testing.T) {
	dir := t.TempDir()
	fsys, err := osfs.New(dir, osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fsys.Close()
	if err := os.Symlink(filepath.Join(dir, "f"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(dir)
	play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		for _, name := range []string{"f", "", "/", "..", "../..", "missing", "missing/x", "link", "f/x"} {
			for op, m := range named(p.v, name) {
				if op == fxp.OpRmdir || op == fxp.OpRemove || op == fxp.OpRename || op == fxp.OpPosixRename {
					continue // the tree is to stay
				}
				id := p.send(m)
				msg, err := p.next()
				if err != nil {
					p.t.Fatal(err)
				}
				if strings.Contains(string(msg), base) || strings.Contains(string(msg), dir) {
					p.t.Errorf("%s %q (%d) names the host's path: %q", op, name, id, msg)
				}
			}
		}
		d := p.opendir("/")
		p.send(&fxp.Handle{T: fxp.TypeReaddir, Handle: d})
		if msg, err := p.next(); err != nil || strings.Contains(string(msg), base) {
			p.t.Errorf("READDIR: %q %v", msg, err)
		}
	})
}

func TestCVE_8_8_CopyData(t *testing.T) {
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		content := strings.Repeat("0123456789", 100_000)
		p.put("from", content)
		from := p.open("from", fxp.OpenRead)
		same := p.open("from", fxp.OpenWrite)
		to := p.open("to", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
		copyData := func(m fxp.ExtCopyData) sftp.Code {
			return p.code(p.extended("copy-data", &m))
		}
		for why, c := range map[string]struct {
			m    fxp.ExtCopyData
			want sftp.Code
		}{
			"one handle":          {fxp.ExtCopyData{From: to, To: to, Length: 1}, sftp.CodeBadMessage},
			"to the end, onto it": {fxp.ExtCopyData{From: from, To: same, ToOffset: 1_000_000 - 1}, sftp.CodeBadMessage},
			"overlap":             {fxp.ExtCopyData{From: from, To: same, Length: 100, ToOffset: 50}, sftp.CodeBadMessage},
			"unreadable":          {fxp.ExtCopyData{From: same, To: to}, sftp.CodePermissionDenied},
			"unwritable":          {fxp.ExtCopyData{From: to, To: from}, sftp.CodePermissionDenied},
			"offset 2^63":         {fxp.ExtCopyData{From: from, FromOffset: 1 << 63, To: to}, sftp.CodeFailure},
			"length 2^64-1":       {fxp.ExtCopyData{From: from, Length: math.MaxUint64, To: to}, sftp.CodeFailure},
		} {
			if got := copyData(c.m); got != c.want {
				p.t.Errorf("%s: %v, want %v", why, got, c.want)
			}
		}
		if got := copyData(fxp.ExtCopyData{From: from, To: to}); got != sftp.CodeOK {
			p.t.Errorf("whole file: %v", got)
		}
		if got := p.get("to"); got != content {
			p.t.Errorf("copied %d octets", len(got))
		}
		// What follows on the handles waits for the copy.
		first := p.sendAll(
			&fxp.Extended{Name: "copy-data", Data: wire.Append(nil, &fxp.ExtCopyData{From: from, Length: 10, FromOffset: 5, To: to, ToOffset: 100})},
			&fxp.Read{Handle: to, Offset: 100, Length: 10},
			&fxp.Handle{T: fxp.TypeClose, Handle: from})
		for range 3 {
			id, m := p.recv()
			if data, ok := m.(*fxp.Data); ok != (id == first+1) || ok && string(data.Data) != "5678901234" {
				p.t.Errorf("answer %d: %s", id-first, wire.Print(m))
			}
		}
	})
}
