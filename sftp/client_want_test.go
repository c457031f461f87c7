package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestW3_FastOverLongLinks: with 100 ms there and back, a plain Read and a plain Write loop
// move as much as the bulk paths, many times what one request at a time could.
func TestW3_FastOverLongLinks(t *testing.T) {
	const size = 48 << 20
	data := noise(size)
	for name, move := range map[string]func(t *testing.T, c *sftp.Client){
		"WriteTo": func(t *testing.T, c *sftp.Client) {
			if p, err := c.ReadFile(t.Context(), "/big"); err != nil || !bytes.Equal(p, data) {
				t.Errorf("%d octets, %v", len(p), err)
			}
		},
		"Read": func(t *testing.T, c *sftp.Client) {
			f, err := c.Open(t.Context(), "/big")
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			_, err = io.CopyBuffer(&got, struct{ io.Reader }{f}, make([]byte, 32<<10))
			if err != nil || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%d octets, %v", got.Len(), err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		},
		"ReadFrom": func(t *testing.T, c *sftp.Client) {
			f, err := c.Create(t.Context(), "/new")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := f.ReadFrom(bytes.NewReader(data)); n != size || err != nil {
				t.Error(n, err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		},
		"Write": func(t *testing.T, c *sftp.Client) {
			f, err := c.Create(t.Context(), "/new")
			if err != nil {
				t.Fatal(err)
			}
			for p := range slices.Chunk(data, 32<<10) {
				if _, err := f.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, tree := memServer(memfs.Options{})
				fill(t, tree, "/big", data)
				link := netsim.Link{Delay: 50 * time.Millisecond, Buffer: 64 << 20}
				a, b := netsim.Pipe(link, link)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = srv.Serve(context.Background(), packet.Pipe(b), sftp.SessionInfo{})
				}()
				c, err := sftp.NewClient(t.Context(), packet.Pipe(a), nil)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				move(t, c)
				took := time.Since(start)
				// 2 MiB for each round trip would take 2.4 s, and 255 KiB 19 s.
				if rate := size / took.Seconds() / 1e6; rate < 40 {
					t.Errorf("%v for %d MiB: %.0f MB/s", took, size>>20, rate)
				}
				_ = c.Close()
				_ = c.Wait()
				b.Close()
				<-done
			})
		})
	}
}

// fill makes a file of a tree.
func fill(t *testing.T, tree sftp.FileSystem, name string, data []byte) {
	t.Helper()
	how := sftp.HowFromFlags(os.O_WRONLY | os.O_CREATE)
	f, err := tree.Open(t.Context(), name, &how)
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err == nil {
		err = f.Close(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asked counts what a host is asked for, and content of a file that never ends.
type asked struct {
	now atomic.Int64
}

// TestW4_InFlightIsBounded: what was asked for and not taken is bounded, per file and for all
// files together, however slow the taker is.
func TestW4_InFlightIsBounded(t *testing.T) {
	var out asked
	play := func(h *host) {
		h.serve(func(op fxp.Op, id uint32, m wire.Layouter) {
			if op == fxp.OpRead {
				n := int64(m.(*fxp.Read).Length)
				out.now.Add(n)
				h.reply(id, &fxp.Data{Data: make([]byte, n)})
			}
		})
	}
	open := func(t *testing.T, c *sftp.Client) *sftp.RemoteFile {
		t.Helper()
		f, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	meet(t, host{}, nil, play, func(t *testing.T, c *sftp.Client) {
		f := open(t, c)
		if _, err := f.Read(make([]byte, 100)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := out.now.Load(); n > 64<<10 {
			t.Errorf("the first 100 octets made it ask for %d", n)
		}
		out.now.Store(0)
		w := stopper{n: 1}
		if _, err := f.WriteTo(&w); err == nil {
			t.Error("a writer that fails was not heard")
		}
		synctest.Wait()
		if n := out.now.Load(); n > 2<<20 || n < 1<<20 {
			t.Errorf("a writer that takes one octet made it ask for %d", n)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	out.now.Store(0)
	meet(t, host{}, &sftp.ClientConfig{InFlight: 1 << 20}, play, func(t *testing.T, c *sftp.Client) {
		var files []*sftp.RemoteFile
		for range 8 {
			f := open(t, c)
			files = append(files, f)
			_, _ = f.WriteTo(&stopper{n: 1})
		}
		synctest.Wait()
		// For each file one READ that is always let through, and one that was delivered.
		if n := out.now.Load(); n > 1<<20+16*33<<10 {
			t.Errorf("8 files together asked for %d octets", n)
		}
		for _, f := range files {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// stopper takes n octets.
type stopper struct{ n int }

var errStopped = errors.New("stopped")

func (s *stopper) Write(p []byte) (int, error) {
	n := min(s.n, len(p))
	s.n -= n
	if n < len(p) {
		return n, errStopped
	}
	return n, nil
}

// TestW5_WritesInOrder: WRITEs leave in the order of their offsets, without gaps.
func TestW5_WritesInOrder(t *testing.T) {
	var at uint64
	meet(t, host{}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		w := m.(*fxp.Write)
		if w.Offset != at {
			t.Errorf("WRITE at %d, want %d", w.Offset, at)
		}
		at += uint64(len(w.Data))
		h.status(id, sftp.CodeOK)
	}), func(t *testing.T, c *sftp.Client) {
		w, err := c.OpenWriter(t.Context(), "/f", sftp.WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			if i%10 == 0 {
				_, err = w.ReadFrom(bytes.NewReader(make([]byte, 100_000)))
			} else {
				_, err = w.Write(make([]byte, i*100))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if w.Octets() != int64(at) {
			t.Errorf("%d octets were written, %d arrived", w.Octets(), at)
		}
	})
}

// TestW9_MailboxServers: no STAT after OPEN, uploads open for writing only, one file and one
// request at a time where that is all a server can do.
func TestW9_MailboxServers(t *testing.T) {
	content := noise(200_000)
	open, under := 0, 0
	var written []byte
	play := func(h *host) {
		for {
			op, id, m := h.request()
			if len(h.buf) > 0 {
				t.Error("a second request did not wait")
			}
			switch op {
			case fxp.OpNone:
				return
			case fxp.OpOpen:
				if open++; open > 1 {
					t.Error("a second file did not wait")
				}
				if f := m.(*fxp.Open).Flags; f&fxp.OpenWrite != 0 && f&fxp.OpenRead != 0 {
					t.Error("opened for both")
				}
				h.handle(id)
			case fxp.OpClose:
				open--
				h.status(id, sftp.CodeOK)
			case fxp.OpRead:
				r := m.(*fxp.Read)
				if r.Offset >= uint64(len(content)) {
					h.status(id, sftp.CodeEOF)
				} else {
					h.reply(id, &fxp.Data{Data: content[r.Offset:min(uint64(len(content)), r.Offset+uint64(r.Length))]})
				}
			case fxp.OpWrite:
				written = append(written, m.(*fxp.Write).Data...)
				h.status(id, sftp.CodeOK)
			default:
				under++
				h.status(id, sftp.CodePermissionDenied)
			}
		}
	}
	meet(t, host{}, &sftp.ClientConfig{MaxOpenFiles: 1, OneAtATime: true}, play, func(t *testing.T, c *sftp.Client) {
		if p, err := c.ReadFile(t.Context(), "/f"); err != nil || !bytes.Equal(p, content) {
			t.Errorf("%d octets, %v", len(p), err)
		}
		if err := c.WriteFile(t.Context(), "/f", content, 0); err != nil || !bytes.Equal(written, content) {
			t.Errorf("%d octets, %v", len(written), err)
		}
		f, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Open(ctx, "/g"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second file: %v", err)
		}
		second := make(chan error)
		go func() {
			g, err := c.Open(t.Context(), "/g")
			if err == nil {
				err = g.Close()
			}
			second <- err
		}()
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := <-second; err != nil {
			t.Errorf("second file after the first: %v", err)
		}
		if under != 0 {
			t.Errorf("%d requests that nobody made", under)
		}
	})
}

// TestW11_VersionPinning: what is offered, what is taken and what is refused.
func TestW11_VersionPinning(t *testing.T) {
	for _, tt := range []struct {
		min, max int
		server   fxp.Version // what it answers
		versions string
		offered  fxp.Version
		want     int // 0: refused
	}{
		{0, 0, fxp.V6, "", fxp.V6, 6},
		{0, 0, fxp.V3, "", fxp.V6, 3},
		{0, 3, fxp.V3, "", fxp.V3, 3},
		{4, 5, fxp.V5, "", fxp.V5, 5},
		{4, 5, fxp.V3, "", fxp.V5, 0},
		{0, 4, fxp.V6, "", fxp.V4, 0}, // it was not offered
		{0, 0, fxp.V3, "3,4,5,6", fxp.V6, 6},
		{5, 5, fxp.V3, "3,4,5,6", fxp.V5, 5},
		{0, 3, fxp.V3, "3,4,5,6", fxp.V3, 3},
		{0, 0, fxp.V2, "", fxp.V6, 0},
		{7, 0, 0, "", 0, 0},
		{5, 4, 0, "", 0, 0},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newPair(32 << 10)
				h := host{t: t, conn: b, v: fxp.V6}
				done := make(chan struct{})
				go func() {
					defer close(done)
					msg := h.next()
					if msg == nil {
						return
					}
					var m fxp.Init
					if _, err := fxp.Decode(msg, &m); err != nil || m.Version != tt.offered {
						t.Errorf("INIT %v %v", m, err)
					}
					reply := fxp.VersionReply{Version: tt.server}
					if tt.versions != "" {
						reply.Extensions = []fxp.Pair{{Name: "versions", Data: []byte(tt.versions)}}
					}
					h.reply(0, &reply)
					for msg := h.next(); msg != nil; msg = h.next() {
						_, id, _, _ := fxp.Split(msg)
						h.status(id, sftp.CodeOK) // version-select
					}
				}()
				c, err := sftp.NewClient(t.Context(), a, &sftp.ClientConfig{MinVersion: tt.min, MaxVersion: tt.max})
				if (err == nil) != (tt.want != 0) {
					t.Errorf("%v", err)
				}
				if err == nil {
					if c.Version() != tt.want {
						t.Errorf("version %d", c.Version())
					}
					_ = c.Close()
					_ = c.Wait()
				}
				a.Close()
				<-done
				a.drain()
				b.drain()
			})
		})
	}
}

// TestW13_AppendsAtTheEnd: the flag is set, and the offset is right as well, for servers that
// heed it.
func TestW13_AppendsAtTheEnd(t *testing.T) {
	size := uint64(1000)
	meet(t, host{}, nil, func(h *host) {
		for {
			op, id, m := h.request()
			switch op {
			case fxp.OpNone:
				return
			case fxp.OpOpen:
				if f := m.(*fxp.Open).Flags; f != fxp.OpenWrite|fxp.OpenAppend|fxp.OpenCreate {
					t.Errorf("flags %#x", f)
				}
				h.handle(id)
			case fxp.OpFstat:
				h.reply(id, &fxp.AttrsReply{Attrs: fxp.Attrs{V: fxp.V3, Flags: fxp.AttrSize, Size: size}})
			case fxp.OpWrite:
				w := m.(*fxp.Write)
				if w.Offset != size {
					t.Errorf("WRITE at %d of %d", w.Offset, size)
				}
				if len(h.buf) > 0 {
					t.Error("a second WRITE did not wait")
				}
				size += uint64(len(w.Data))
				h.status(id, sftp.CodeOK)
			default:
				h.status(id, sftp.CodeOK)
			}
		}
	}, func(t *testing.T, c *sftp.Client) {
		if err := c.AppendFile(t.Context(), "/log", make([]byte, 100_000), 0); err != nil || size != 101_000 {
			t.Errorf("%v, size %d", err, size)
		}
	})
}

// TestW14_RenameOverwrites: by posix-rename where that is announced, and not at all where
// nothing can do it: never by removing the target first.
func TestW14_RenameOverwrites(t *testing.T) {
	var got []string
	answer := serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		switch m := m.(type) {
		case *fxp.Extended:
			got = append(got, m.Name)
		case *fxp.Rename:
			got = append(got, fmt.Sprint(op, m.Flags))
		default:
			got = append(got, op.String())
		}
		h.status(id, sftp.CodeOK)
	})
	rename := func(flags sftp.RenameFlags, want error) func(t *testing.T, c *sftp.Client) {
		return func(t *testing.T, c *sftp.Client) {
			err := c.Rename(t.Context(), "/a", "/b", flags)
			if !errors.Is(err, want) {
				t.Errorf("flags %d: %v", flags, err)
			}
			if le, ok := errors.AsType[*os.LinkError](err); want != nil && (!ok || le.Old != "/a" || le.New != "/b") {
				t.Errorf("%#v", err)
			}
		}
	}
	posix := []fxp.Pair{{Name: "posix-rename@openssh.com", Data: []byte("1")}}
	meet(t, host{}, nil, answer, rename(0, nil))
	meet(t, host{}, nil, answer, rename(sftp.RenameOverwrite, errors.ErrUnsupported))
	meet(t, host{exts: posix}, nil, answer, rename(sftp.RenameOverwrite, nil))
	meet(t, host{v: fxp.V5}, nil, answer, rename(sftp.RenameOverwrite, nil))
	meet(t, host{v: fxp.V6, exts: posix}, nil, answer, rename(sftp.RenameOverwrite|sftp.RenameAtomic, nil))
	if want := []string{"RENAME 0", "posix-rename@openssh.com", "RENAME 1", "posix-rename@openssh.com"}; !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}

// TestW18_ListingAMillion: in constant memory, and with several READDIRs under way.
func TestW18_ListingAMillion(t *testing.T) {
	const each, replies = 1000, 1000
	entries := make([]string, each)
	for i := range entries {
		entries[i] = fmt.Sprintf("file-%06d", i)
	}
	most := 0
	meet(t, host{}, nil, func(h *host) {
		body := fxp.Append(nil, 0, nameList(entries...))
		left := replies
		for {
			op, id, _ := h.request()
			switch op {
			case fxp.OpNone:
				return
			case fxp.OpOpendir:
				h.handle(id)
			case fxp.OpReaddir:
				under := 1 + bytes.Count(h.buf, []byte{0, 0, 0, 10, byte(fxp.TypeReaddir)})
				most = max(most, under)
				if left--; left < 0 {
					h.status(id, sftp.CodeEOF)
					continue
				}
				p := slices.Clone(body)
				fxp.Finish(append(fxp.AppendHeader(p[:0], fxp.TypeName, id), p[fxp.HeaderSize:]...), 0)
				h.raw(p)
			default:
				h.status(id, sftp.CodeOK)
			}
		}
	}, func(t *testing.T, c *sftp.Client) {
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n := 0
		for e, err := range c.ReadDir(t.Context(), "/") {
			if err != nil || e.Name != entries[n%each] {
				t.Fatalf("entry %d: %q %v", n, e.Name, err)
			}
			if n++; n == each*replies*9/10 {
				runtime.GC()
				runtime.ReadMemStats(&during)
			}
		}
		if n != each*replies {
			t.Errorf("%d entries", n)
		}
		if more := int64(during.HeapAlloc) - int64(before.HeapAlloc); more > 16<<20 {
			t.Errorf("%d octets more at the end of the listing than before", more)
		}
	})
	if most < 2 || most > 16 {
		t.Errorf("%d READDIRs were under way at most", most)
	}
}

// TestW20_NamesInACodePage go both ways, and what the code page lacks is escaped.
func TestW20_NamesInACodePage(t *testing.T) {
	latin, err := sftp.CharsetOf("ISO-8859-1")
	if err != nil {
		t.Fatal(err)
	}
	sent := false
	meet(t, host{}, &sftp.ClientConfig{Charset: latin}, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		switch op {
		case fxp.OpStat:
			if p := m.(*fxp.Stat).Path; p != "/caf\xe9" {
				t.Errorf("STAT of %q", p)
			}
			h.status(id, sftp.CodeNoSuchFile)
		case fxp.OpReaddir:
			if sent {
				h.status(id, sftp.CodeEOF)
				return
			}
			sent = true
			h.reply(id, nameList("na\xefve"))
		case fxp.OpRealpath:
			h.reply(id, nameList("/caf\xe9"))
		default: // serve answers OPENDIR and CLOSE
		}
	}), func(t *testing.T, c *sftp.Client) {
		if _, err := c.Stat(t.Context(), "/café"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		list, err := c.ReadDirAll(t.Context(), "/")
		if err != nil || len(list) != 1 || list[0].Name != "naïve" {
			t.Errorf("%+v %v", list, err)
		}
		if p, err := c.RealPath(t.Context(), "x"); p != "/café" || err != nil {
			t.Error(p, err)
		}
	})
}

// TestW21_SymlinkOrderOfServers: target first, as OpenSSH, but for servers that are known to
// read the draft's order, or as it is set; LINK of version 6 has one order.
func TestW21_SymlinkOrderOfServers(t *testing.T) {
	for _, tt := range []struct {
		ident string
		order sftp.SymlinkOrder
		first string
	}{
		{"", 0, "target"},
		{"SSH-2.0-OpenSSH_9.9", 0, "target"},
		{"SSH-2.0-mod_sftp", 0, "target"},
		{"SSH-2.0-APACHE-SSHD-2.15.0", 0, "target"},
		{"SSH-2.0-Go", 0, "target"},
		{"SSH-2.0-AsyncSSH_2.24.0", 0, "link"},
		{"SSH-2.0-ssh2js1.17.0srv", 0, "link"},
		{"SSH-2.0-AsyncSSH_2.24.0", sftp.SymlinkTargetFirst, "target"},
		{"SSH-2.0-OpenSSH_9.9", sftp.SymlinkLinkFirst, "link"},
	} {
		meet(t, host{}, &sftp.ClientConfig{ServerIdent: tt.ident, SymlinkOrder: tt.order}, serving(func(h *host, _ fxp.Op, id uint32, m wire.Layouter) {
			if p := m.(*fxp.TwoPaths); p.First != tt.first {
				t.Errorf("%q: %s comes first", tt.ident, p.First)
			}
			h.status(id, sftp.CodeOK)
		}), func(t *testing.T, c *sftp.Client) {
			if err := c.Symlink(t.Context(), "target", "link"); err != nil {
				t.Error(err)
			}
		})
	}
	meet(t, host{v: fxp.V6}, nil, serving(func(h *host, _ fxp.Op, id uint32, m wire.Layouter) {
		if l := m.(*fxp.Link); l.New != "link" || l.Target != "target" || !l.Symbolic {
			t.Errorf("%+v", l)
		}
		h.status(id, sftp.CodeOK)
	}), func(t *testing.T, c *sftp.Client) {
		if err := c.Symlink(t.Context(), "target", "link"); err != nil {
			t.Error(err)
		}
	})
}

// TestShortReads: what a server leaves out is asked for again, and once it is known to give
// less, less is asked for.
func TestShortReads(t *testing.T) {
	content := noise(500_000)
	const most = 10_000
	var last uint32
	h := host{exts: []fxp.Pair{{Name: "limits@openssh.com", Data: []byte("1")}}}
	meet(t, h, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		if op == fxp.OpExtended {
			h.reply(id, &fxp.ExtendedReply{Data: wire.Append(nil, &fxp.ReplyLimits{MaxRead: 100_000, MaxWrite: 100_000})})
			return
		}
		r := m.(*fxp.Read)
		last = r.Length
		if r.Offset >= uint64(len(content)) {
			h.status(id, sftp.CodeEOF)
			return
		}
		h.reply(id, &fxp.Data{Data: content[r.Offset:min(uint64(len(content)), r.Offset+min(most, uint64(r.Length)))]})
	}), func(t *testing.T, c *sftp.Client) {
		for range 2 {
			if p, err := c.ReadFile(t.Context(), "/f"); err != nil || !bytes.Equal(p, content) {
				t.Fatalf("%d octets, %v", len(p), err)
			}
		}
		if last > most {
			t.Errorf("READs of %d octets, of which only %d come", last, most)
		}
		f, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 123_456)
		if n, err := f.ReadAt(p, 77); n != len(p) || err != nil || !bytes.Equal(p, content[77:77+len(p)]) {
			t.Errorf("ReadAt: %d %v", n, err)
		}
		_ = f.Close()
	})
}

// TestErrorsOfWriteBehind come with a later Write and with Close, and what was acknowledged
// before is known.
func TestErrorsOfWriteBehind(t *testing.T) {
	n := 0
	meet(t, host{}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		if n++; n == 3 {
			h.reply(id, &fxp.Status{V: fxp.V3, Code: uint32(sftp.CodeFailure), Text: "disk full"})
			return
		}
		h.status(id, sftp.CodeOK)
	}), func(t *testing.T, c *sftp.Client) {
		f, err := c.Create(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if m, err := f.Write(make([]byte, 1000)); m != 1000 || err != nil {
				t.Error(m, err)
			}
		}
		synctest.Wait()
		m, err := f.Write(make([]byte, 1000))
		if pe, ok := errors.AsType[*fs.PathError](err); m != 0 || !ok || pe.Op != "write" || !strings.Contains(err.Error(), "disk full") {
			t.Error(m, err)
		}
		if f.Acked() != 2000 {
			t.Errorf("%d octets acknowledged", f.Acked())
		}
		if err := f.Close(); !errors.Is(err, sftp.CodeFailure) {
			t.Errorf("close: %v", err)
		}
	})
}

// TestGivingUp: every wait ends with its context or with Close, and nothing is left.
func TestGivingUp(t *testing.T) {
	silent := serving(func(*host, fxp.Op, uint32, wire.Layouter) {})
	for name, call := range map[string]func(c *sftp.Client, f *sftp.RemoteFile) error{
		"read":     func(_ *sftp.Client, f *sftp.RemoteFile) error { _, err := f.Read(make([]byte, 10)); return err },
		"readat":   func(_ *sftp.Client, f *sftp.RemoteFile) error { _, err := f.ReadAt(make([]byte, 1<<20), 5); return err },
		"writeto":  func(_ *sftp.Client, f *sftp.RemoteFile) error { _, err := f.WriteTo(io.Discard); return err },
		"readfrom": func(_ *sftp.Client, f *sftp.RemoteFile) error { _, err := f.ReadFrom(zeros{}); return err },
		"writeat":  func(_ *sftp.Client, f *sftp.RemoteFile) error { _, err := f.WriteAt(make([]byte, 10), 5); return err },
		"write": func(_ *sftp.Client, f *sftp.RemoteFile) error {
			for {
				if _, err := f.Write(make([]byte, 100_000)); err != nil {
					return err
				}
			}
		},
	} {
		for _, by := range []string{"context", "close", "client"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				meet(t, host{}, nil, silent, func(t *testing.T, c *sftp.Client) {
					f, err := c.OpenFile(t.Context(), "/f", sftp.HowFromFlags(os.O_RDWR))
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					f.SetContext(ctx)
					result := make(chan error)
					go func() { result <- call(c, f) }()
					synctest.Wait()
					want := context.Canceled
					switch by {
					case "context":
						cancel()
					case "client":
						want = sftp.ErrClientClosed
						_ = c.Close()
					default:
						want = fs.ErrClosed
						timer := time.AfterFunc(time.Second, cancel) // the server acknowledges nothing
						_ = f.Close()
						timer.Stop()
					}
					if err := <-result; !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
					cancel()
					_ = f.Close()
				})
			})
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestClientStreams: the options of streams.
func TestClientStreams(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	fill(t, tree, "/f", []byte("0123456789"))
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		for _, tt := range []struct {
			o    sftp.ReadOptions
			want string
		}{
			{sftp.ReadOptions{}, "0123456789"},
			{sftp.ReadOptions{Start: 4}, "456789"},
			{sftp.ReadOptions{Start: 4, Length: 3}, "456"},
			{sftp.ReadOptions{Start: 20}, ""},
		} {
			r, err := c.OpenReader(ctx, "/f", tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := io.ReadAll(r); string(p) != tt.want || err != nil || r.Octets() != int64(len(p)) {
				t.Errorf("%+v: %q %v", tt.o, p, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.OpenReader(ctx, "/none", sftp.ReadOptions{}); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		w, err := c.OpenWriter(ctx, "/g", sftp.WriteOptions{Mode: 0o604})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "hello world"); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil || w.Octets() != 11 {
			t.Error(err, w.Octets())
		}
		if a, err := c.Stat(ctx, "/g"); err != nil || a.Mode&0o777 != 0o604 {
			t.Errorf("%+v %v", a, err)
		}
		rw, err := sftp.ParseOpenFlags("r+")
		if err != nil {
			t.Fatal(err)
		}
		how, err := rw.How()
		if err != nil {
			t.Fatal(err)
		}
		if w, err = c.OpenWriter(ctx, "/g", sftp.WriteOptions{How: how, Start: 6, KeepOpen: true}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, "earth")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		r, err := w.File().Reader(sftp.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := io.ReadAll(r); string(p) != "hello earth" || err != nil {
			t.Errorf("%q %v", p, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Remove(ctx, "/g"); err != nil {
			t.Error(err)
		}
	})
}

// TestOpenFlagTexts: the texts of fopen, their masks and back.
func TestOpenFlagTexts(t *testing.T) {
	for text, want := range map[string]struct {
		flags sftp.PFlags
		back  string
	}{
		"r": {0x01, "r"}, "r+": {0x03, "r+"}, "w": {0x1A, "w"}, "wx": {0x3A, "wx"}, "xw": {0x3A, "wx"}, "w+": {0x1B, "w+"},
		"wx+": {0x3B, "wx+"}, "xw+": {0x3B, "wx+"}, "a": {0x0E, "a"}, "ax": {0x2E, "ax"}, "xa": {0x2E, "ax"},
		"a+": {0x0F, "a+"}, "ax+": {0x2F, "ax+"}, "xa+": {0x2F, "ax+"},
	} {
		got, err := sftp.ParseOpenFlags(text)
		if err != nil || got != want.flags || got.String() != want.back {
			t.Errorf("%s: %#x %s %v", text, uint32(got), got, err)
		}
		if how, err := got.How(); err != nil || how.Reads() != (got&sftp.PRead != 0) || how.Writes() != (got&sftp.PWrite != 0) || how.Appends() != (got&sftp.PAppend != 0) {
			t.Errorf("%s: %+v %v", text, how, err)
		}
	}
	for _, text := range []string{"", "x", "rw", "r++", "R"} {
		if _, err := sftp.ParseOpenFlags(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if _, ok := (sftp.PTrunc | sftp.PExcl).Text(); ok || (sftp.PTrunc|sftp.PExcl).String() != "0x30" {
		t.Error("a mask without a text has one")
	}
}

// TestClientExtensions asks our server for everything.
func TestClientExtensions(t *testing.T) {
	srv, tree := memServer(memfs.Options{Names: &sftp.IDNames{
		LookupUser:  func(id uint32) string { return map[uint32]string{0: "root", 7: "ann"}[id] },
		LookupGroup: func(id uint32) string { return map[uint32]string{0: "wheel"}[id] },
	}})
	fill(t, tree, "/f", []byte("abc"))
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		check := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("version %d: %s: %v", c.Version(), what, err)
			}
		}
		if l := c.Limits(); l.MaxRead != 261120 || l.MaxHandles == 0 || c.Extensions()["limits@openssh.com"] != "1" {
			t.Errorf("limits %+v", l)
		}
		i, err := c.StatFS(ctx, "/f")
		check("statfs", err)
		if i == nil || i.BlockSize == 0 {
			t.Errorf("%+v", i)
		}
		users, groups, err := c.LookupIDs(ctx, []uint32{7, 8, 0}, []uint32{0, 1})
		check("ids", err)
		if !slices.Equal(users, []string{"ann", "", "root"}) || !slices.Equal(groups, []string{"wheel", ""}) {
			t.Errorf("%q %q", users, groups)
		}
		home, err := c.HomeDir(ctx, "")
		check("home", err)
		p, err := c.ExpandPath(ctx, "~/x/..")
		check("expand", err)
		if p != home {
			t.Errorf("home %q, ~ %q", home, p)
		}
		check("symlink", c.Symlink(ctx, "f", "/l"))
		check("lsetstat", c.LSetStat(ctx, "/l", &sftp.Attrs{Valid: sftp.AttrMtime | sftp.AttrAtime, Mtime: time.Unix(5, 0), Atime: time.Unix(5, 0)}))
		if a, err := c.Lstat(ctx, "/l"); err != nil || a.Mtime.Unix() != 5 {
			t.Errorf("%+v %v", a, err)
		}
		check("remove", c.Remove(ctx, "/l"))

		f, err := c.OpenFile(ctx, "/f", sftp.HowFromFlags(os.O_RDWR))
		if err != nil {
			t.Fatal(err)
		}
		g, err := c.OpenFile(ctx, "/g", sftp.HowFromFlags(os.O_RDWR|os.O_CREATE))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.StatFS(ctx)
		check("fstatfs", err)
		check("copy-data", c.CopyData(ctx, f, 1, 2, g, 3))
		if p, err := c.ReadFile(ctx, "/g"); string(p) != "\x00\x00\x00bc" || err != nil {
			t.Errorf("copied %q %v", p, err)
		}
		check("sync", g.Sync(ctx))
		check("fchmod", g.Chmod(ctx, 0o600))
		check("fchown", g.Chown(ctx, 7, 0))
		check("futimes", g.Chtimes(ctx, time.Unix(1, 0), time.Unix(2, 0)))
		check("ftruncate", g.Truncate(ctx, 2))
		check("chown", c.Chown(ctx, "/g", 7, 0))
		check("utimes", c.Chtimes(ctx, "/g", time.Unix(1, 0), time.Unix(2, 0)))
		if a, err := g.Stat(ctx); err != nil || a.Size != 2 || a.Mode&0o777 != 0o600 || a.Mtime.Unix() != 2 {
			t.Errorf("%+v %v", a, err)
		}
		r := sftp.Range{Offset: 0, Length: 10, Mask: sftp.RangeWrite}
		if err := g.Lock(ctx, r); c.Version() < 6 {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("lock: %v", err)
			}
		} else {
			check("lock", err)
			check("unlock", g.Unlock(ctx, r))
			if err := g.Unlock(ctx, r); !errors.Is(err, sftp.CodeNoMatchingRangeLock) {
				t.Errorf("second unlock: %v", err)
			}
		}
		h, err := c.Hash(ctx, "/f", sftp.HashRange{Algorithms: []string{"md5"}})
		check("hash", err)
		if h != nil && (h.Algorithm != "md5" || fmt.Sprintf("%x", h.Sum) != "900150983cd24fb0d6963f7d28e17f72") {
			t.Errorf("%+v", h)
		}
		h, err = f.Hash(ctx, sftp.HashRange{Start: 1})
		check("hash of a handle", err)
		if h != nil && (h.Algorithm != "sha256" || len(h.Sum) != 32) {
			t.Errorf("%+v", h)
		}
		if s, err := c.SpaceAvailable(ctx, "/"); err != nil || s.Total == 0 {
			t.Errorf("space %+v %v", s, err)
		}
		check("close", f.Close())
		check("close", g.Close())
		check("remove", c.Remove(ctx, "/g"))
		if _, err := c.Extended(ctx, "nobody@example.com", nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("unknown extension: %v", err)
		}
		d, err := c.OpenDir(ctx, "/")
		if err != nil {
			t.Fatal(err)
		}
		list, err := d.Next(ctx)
		if len(list) != 1 || list[0].Name != "f" || err != nil || c.Version() == 3 && !strings.HasSuffix(list[0].LongName, " f") {
			t.Errorf("%+v %v", list, err)
		}
		if list, err := d.Next(ctx); len(list) != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%+v %v", list, err)
		}
		check("close of a directory", d.Close(ctx))
		if err := d.Close(ctx); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
	})
	// What is not announced is not sent.
	meet(t, host{}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		t.Errorf("sent %s", wire.Print(m))
		h.status(id, sftp.CodeOK)
	}), func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		_, err1 := c.StatFS(ctx, "/")
		_, err2 := c.HomeDir(ctx, "")
		_, _, err3 := c.LookupIDs(ctx, nil, nil)
		err4 := c.Link(ctx, "a", "b")
		_, err5 := c.Hash(ctx, "a", sftp.HashRange{})
		for i, err := range []error{err1, err2, err3, err4, err5} {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

// TestAllocsClient: bulk transfers allocate nothing per packet.
func TestAllocsClient(t *testing.T) {
	if invariant.Enabled {
		return // sync.Pool drops objects at random under the race detector
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it empties the pools
	const size = 8 << 20                             // 256 READs or WRITEs of 32 KiB
	a, b := newPair(34 << 10)
	h := host{t: t, conn: b, v: fxp.V3}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.hello()
		pumpHost(&h, size)
	}()
	c, err := sftp.NewClient(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.OpenFile(t.Context(), "/f", sftp.HowFromFlags(os.O_RDWR))
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if n, err := f.WriteTo(io.Discard); n != size || err != nil {
			t.Fatal(n, err)
		}
	}
	src := &limited{}
	write := func() {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		src.n = size
		if n, err := f.ReadFrom(src); n != size || err != nil {
			t.Fatal(n, err)
		}
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for name, run := range map[string]func(){"read": read, "write": write} {
		for range 5 {
			run() // fill the pools
		}
		// Both ends are counted. How far they are apart varies, and with that how many Bufs and
		// calls there are; one for each packet would be 256 and more.
		if n := testing.AllocsPerRun(10, run); n > size>>15/2 {
			t.Errorf("%s: %v allocations for %d packets", name, n, size>>15)
		}
	}
	_ = f.Close()
	_ = c.Close()
	_ = c.Wait()
	b.Close()
	<-done
}

// limited is n octets of anything.
type limited struct{ n int }

func (l *limited) Read(p []byte) (int, error) {
	if l.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), l.n)
	l.n -= n
	return n, nil
}

// pumpHost is a server of one file that allocates nothing per request.
func pumpHost(h *host, size uint64) {
	var in []byte
	for {
		b, err := h.conn.ReadPacket()
		if err != nil {
			return
		}
		in = append(in, b.Bytes()...)
		b.Release()
		rest := in
		for len(rest) >= 4 {
			n := 4 + int(uint32(rest[0])<<24|uint32(rest[1])<<16|uint32(rest[2])<<8|uint32(rest[3]))
			if len(rest) < n {
				break
			}
			t, id, body, _ := fxp.Split(rest[4:n])
			rest = rest[n:]
			switch t {
			case fxp.TypeOpen:
				h.handle(id)
			case fxp.TypeRead:
				_, off, length, _ := fxp.ParseRead(body)
				if off >= size {
					pumpStatus(h, id, sftp.CodeEOF)
					continue
				}
				out := packet.Get(fxp.DataHeaderSize + int(length))
				fxp.PutDataHeader(out.Bytes(), id, int(length))
				_ = h.conn.WritePacket(out)
			default:
				pumpStatus(h, id, sftp.CodeOK)
			}
		}
		in = in[:copy(in, rest)]
	}
}

func pumpStatus(h *host, id uint32, code sftp.Code) {
	out := packet.Get(17)
	p := out.Bytes()
	clear(p)
	p[3], p[4] = 13, byte(fxp.TypeStatus)
	p[5], p[6], p[7], p[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
	p[12] = byte(code)
	_ = h.conn.WritePacket(out)
}
