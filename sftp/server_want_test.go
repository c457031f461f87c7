package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

func TestW10_SetStatPolicy(t *testing.T) {
	all := fxp.Attrs{
		V: 3, Flags: fxp.AttrPermissions | fxp.AttrUIDGID | fxp.AttrACModTime,
		Permissions: 0o600, UID: 7, GID: 8, Atime: fxp.Time{Sec: 9}, Mtime: fxp.Time{Sec: 10},
	}
	for name, c := range map[string]struct {
		policy sftp.SetStatPolicy
		code   sftp.Code
		mode   uint32
		uid    uint32
		mtime  int64
	}{
		"apply":         {sftp.SetStatPolicy{}, sftp.CodeOK, 0o600, 7, 10},
		"ignore owner":  {sftp.SetStatPolicy{Owner: sftp.AttrIgnore}, sftp.CodeOK, 0o600, 0, 10},
		"ignore all":    {sftp.SetStatPolicy{Owner: sftp.AttrIgnore, Mode: sftp.AttrIgnore, Times: sftp.AttrIgnore}, sftp.CodeOK, 0o666, 0, 0},
		"refuse mode":   {sftp.SetStatPolicy{Mode: sftp.AttrRefuse}, sftp.CodePermissionDenied, 0o666, 0, 0},
		"refuse a part": {sftp.SetStatPolicy{Owner: sftp.AttrIgnore, Times: sftp.AttrRefuse}, sftp.CodePermissionDenied, 0o666, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := memServer(memfs.Options{Now: func() time.Time { return time.Unix(0, 0) }})
			srv.SetStat = c.policy
			play(t, srv, sftp.SessionInfo{}, func(p *peer) {
				p.init(3)
				for op, m := range map[string]func(h []byte) fxp.Message{
					"SETSTAT":  func([]byte) fxp.Message { return &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: all} },
					"FSETSTAT": func(h []byte) fxp.Message { return &fxp.Fsetstat{Handle: h, Attrs: all} },
				} {
					h := p.open("f", fxp.OpenWrite|fxp.OpenCreate)
					p.want(op, c.code, m(h))
					p.close(h)
					if a := p.stat("f"); a.Permissions&0o777 != c.mode || a.UID != c.uid || a.Mtime.Sec != c.mtime {
						t.Errorf("%s: %+v", op, a)
					}
					// What is ignored does not stop the size.
					if c.code == sftp.CodeOK {
						size := all
						size.Flags |= fxp.AttrSize
						size.Size = 5
						p.want(op+" with size", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: size})
						if a := p.stat("f"); a.Size != 5 {
							t.Errorf("size %d", a.Size)
						}
					}
					p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: "f"})
				}
			})
		})
	}
}

// keepsNothing is storage without attributes.
type keepsNothing struct{ *memfs.FS }

func (f keepsNothing) Capabilities() sftp.Capabilities {
	c := f.FS.Capabilities()
	c.Attrs = sftp.AttrSize
	return c
}

func (f keepsNothing) SetStat(context.Context, string, *sftp.Attrs, bool) error {
	return sftp.CodeOpUnsupported
}

func TestW10_StorageThatCannotKeepTheAttribute(t *testing.T) {
	play(t, serverOf(keepsNothing{memfs.New(memfs.Options{})}), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.put("f", "uploaded")
		attrs := fxp.Attrs{V: 3, Flags: fxp.AttrPermissions | fxp.AttrACModTime | fxp.AttrUIDGID}
		p.want("mode and times after an upload", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: attrs})
		attrs.Flags = fxp.AttrSize
		p.want("size", sftp.CodeOpUnsupported, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: attrs})
	})
}

func TestW13_AppendIgnoresOffsets(t *testing.T) {
	everyPolicy(t, memfs.Options{}, func(p *peer) {
		p.put("f", "start")
		for _, flags := range []uint32{fxp.OpenAppend, fxp.OpenWrite | fxp.OpenAppend, fxp.OpenWrite | fxp.OpenAppend | fxp.OpenCreate} {
			h := p.open("f", flags)
			// All at once: they must land in the order sent.
			p.sendAll(
				&fxp.Write{Handle: h, Offset: 0, Data: []byte("1")},
				&fxp.Write{Handle: h, Offset: 1 << 63, Data: []byte("2")},
				&fxp.Write{Handle: h, Offset: 5, Data: []byte("3")},
				&fxp.Write{Handle: h, Offset: 5, Data: []byte("4")})
			for range 4 {
				if _, m := p.recv(); p.code(m) != sftp.CodeOK {
					p.t.Error(wire.Print(m))
				}
			}
			p.close(h)
		}
		if got := p.get("f"); got != "start123412341234" {
			p.t.Errorf("file holds %q", got)
		}
	})
}

func TestW17_CauseOfClose(t *testing.T) {
	for _, how := range []string{"close", "end", "cut", "context", "violation"} {
		t.Run(how, func(t *testing.T) {
			causes := map[string]error{}
			srv, _ := memServer(memfs.Options{OnClose: func(name string, cause error) { causes[name] = cause }})
			stop := errors.New("stopped by the operator")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(context.Background())
				p := newPeer(t, ctx, srv, sftp.SessionInfo{}, 32<<10)
				p.init(3)
				h := p.open("f", fxp.OpenWrite|fxp.OpenCreate)
				p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: []byte("half of it")})
				var want, notAlso error = sftp.ErrDisconnected, nil
				var served error
				switch how {
				case "close":
					p.close(h)
					want = nil
				case "cut":
					p.conn.Close()
					synctest.Wait() // before end sends an orderly end
					notAlso = io.EOF
					served = io.ErrClosedPipe
				case "context":
					cancel(stop)
					synctest.Wait()
					served, want = stop, stop
				case "violation":
					p.sendRaw([]byte{0, 0, 0, 0})
				}
				err := p.end()
				cause, closed := causes["f"]
				if !closed || !errors.Is(cause, want) || notAlso != nil && errors.Is(cause, notAlso) {
					t.Errorf("closed %v because of %v", closed, cause)
				}
				if served != nil && !errors.Is(err, served) {
					t.Errorf("Serve: %v, want %v", err, served)
				}
				if (how == "close" || how == "end") != (err == nil) {
					t.Errorf("Serve: %v", err)
				}
				cancel(nil)
			})
		})
	}
}

func TestW18_LargeDirectories(t *testing.T) {
	const n = 20_000
	fsys := &listFS{}
	for i := range n {
		fsys.entries = append(fsys.entries, sftp.Entry{
			Name: fmt.Sprintf("a file with the number %06d", i),
			Attrs: sftp.Attrs{
				Valid: sftp.AttrsBasic | sftp.AttrLinks | sftp.AttrOwnerGroup, Mode: sftp.ModeRegular | 0o644, Size: uint64(i), Links: 1,
				UID: 1000, GID: 100, Owner: "anna", Group: "users", Atime: time.Unix(1e9, 0), Mtime: time.Unix(1e9, 0),
			},
		})
	}
	play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		d := p.opendir("/")
		var names, replies int
		for {
			p.send(&fxp.Handle{T: fxp.TypeReaddir, Handle: d})
			msg, err := p.next()
			if err != nil {
				p.t.Fatal(err)
			}
			if len(msg) > 34_000-4 {
				p.t.Errorf("reply of %d octets", len(msg))
			}
			m := fxp.Name{V: 3}
			if _, err := fxp.Decode(msg, &m); err != nil {
				break
			}
			if replies == 1 && (!strings.HasPrefix(string(m.Entries[0].LongName), "-rw-r--r--   1 anna     users         ") || len(msg) < 30_000) {
				p.t.Errorf("%q; reply of %d octets", m.Entries[0].LongName, len(msg))
			}
			names += len(m.Entries)
			replies++
		}
		if names != n+2 || replies > n/180 {
			p.t.Errorf("%d names in %d replies", names, replies)
		}
		p.close(d)
	})
}

func TestW21_SymlinkOrder(t *testing.T) {
	for ident, c := range map[string]struct {
		order sftp.SymlinkOrder
		first string // what the first path of SYMLINK is
	}{
		"":                                     {sftp.SymlinkByIdent, "target"},
		"SSH-2.0-OpenSSH_9.9":                  {sftp.SymlinkByIdent, "target"},
		"SSH-2.0-libssh2_1.11.0":               {sftp.SymlinkByIdent, "target"},
		"SSH-2.0-paramiko_3.4.0":               {sftp.SymlinkByIdent, "target"},
		"SSH-2.0-AsyncSSH_2.24.0":              {sftp.SymlinkByIdent, "link"},
		"SSH-2.0-phpseclib_3.0 (openssl, gmp)": {sftp.SymlinkByIdent, "link"},
		"SSH-2.0-libssh_0.10.6":                {sftp.SymlinkByIdent, "link"},
		"SSH-2.0-Ruby/Net::SSH_7.2.0 x86":      {sftp.SymlinkByIdent, "link"},
		"SSH-2.0-Erlang/4.15.2":                {sftp.SymlinkByIdent, "link"},
		"SSH-2.0-Twisted_26.10.0":              {sftp.SymlinkByIdent, "link"},
		"SSH-2.0-OpenSSH_9.9 ":                 {sftp.SymlinkLinkFirst, "link"},
		"SSH-2.0-AsyncSSH_2.24.0 ":             {sftp.SymlinkTargetFirst, "target"},
	} {
		t.Run(ident, func(t *testing.T) {
			srv, _ := memServer(memfs.Options{})
			srv.SymlinkOrder = c.order
			play(t, srv, sftp.SessionInfo{ClientIdent: ident}, func(p *peer) {
				p.init(3)
				m := &fxp.TwoPaths{T: fxp.TypeSymlink, First: "the/target", Second: "thelink"}
				if c.first == "link" {
					m.First, m.Second = m.Second, m.First
				}
				p.want("symlink", sftp.CodeOK, m)
				got, ok := p.call(&fxp.Path{T: fxp.TypeReadlink, Path: "thelink"}).(*fxp.Name)
				if !ok || len(got.Entries) != 1 || got.Entries[0].Name != "the/target" {
					t.Errorf("link: %+v", got)
				}
			})
		})
	}
}

func TestExtensions(t *testing.T) {
	names := &sftp.IDNames{
		LookupUser:  func(id uint32) string { return map[uint32]string{0: "root", 7: "anna"}[id] },
		LookupGroup: func(id uint32) string { return map[uint32]string{5: "staff"}[id] },
	}
	srv, _ := memServer(memfs.Options{Names: names})
	srv.Limits.Handles = 77
	play(t, srv, sftp.SessionInfo{User: "anna"}, func(p *peer) {
		var got []string
		for _, x := range p.init(3).Extensions {
			got = append(got, x.Name+"="+string(x.Data))
		}
		for _, want := range []string{
			"posix-rename@openssh.com=1", "statvfs@openssh.com=2", "fstatvfs@openssh.com=2", "hardlink@openssh.com=1", "fsync@openssh.com=1",
			"lsetstat@openssh.com=1", "limits@openssh.com=1", "expand-path@openssh.com=1", "copy-data=1", "home-directory=1",
			"users-groups-by-id@openssh.com=1",
		} {
			if !slices.Contains(got, want) {
				t.Errorf("%s is not announced: %q", want, got)
			}
		}
		reply := func(name string, data, into wire.Layouter) {
			t.Helper()
			m, ok := p.extended(name, data).(*fxp.ExtendedReply)
			if !ok {
				t.Fatalf("%s: no reply", name)
			}
			if err := wire.Decode(m.Data, into); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		ok := func(name string, data wire.Layouter) {
			t.Helper()
			if code := p.code(p.extended(name, data)); code != sftp.CodeOK {
				t.Errorf("%s: %v", name, code)
			}
		}
		path := func(name, text string) string {
			t.Helper()
			switch m := p.extended(name, &fxp.ExtText{Text: text}).(type) {
			case *fxp.Name:
				if len(m.Entries) == 1 {
					return m.Entries[0].Name
				}
			case *fxp.Status:
				return sftp.Code(m.Code).String()
			}
			return "?"
		}
		p.put("f", "content")
		p.put("g", "")
		h := p.open("f", fxp.OpenWrite)

		var limits fxp.ReplyLimits
		reply("limits@openssh.com", &fxp.ExtNothing{}, &limits)
		if limits != (fxp.ReplyLimits{MaxPacket: 262144, MaxRead: 261120, MaxWrite: 261120, MaxHandles: 77}) {
			t.Errorf("limits %+v", limits)
		}
		var ids fxp.ReplyNames
		reply("users-groups-by-id@openssh.com", &fxp.ExtIDs{UIDs: []uint32{7, 9, 0}, GIDs: []uint32{5}}, &ids)
		if !slices.Equal(ids.Users, []string{"anna", "", "root"}) || !slices.Equal(ids.Groups, []string{"staff"}) {
			t.Errorf("names %+v", ids)
		}
		if code := p.code(p.extended("users-groups-by-id@openssh.com", &fxp.ExtIDs{UIDs: make([]uint32, 50_000)})); code != sftp.CodeFailure {
			t.Errorf("50000 ids: %v", code)
		}
		var vfs, fvfs fxp.ReplyStatVFS
		reply("statvfs@openssh.com", &fxp.ExtText{Text: "/"}, &vfs)
		reply("fstatvfs@openssh.com", &fxp.ExtHandle{Handle: h}, &fvfs)
		if vfs.FrSize == 0 || vfs.Blocks == 0 || vfs != fvfs {
			t.Errorf("statvfs %+v, fstatvfs %+v", vfs, fvfs)
		}
		ok("fsync@openssh.com", &fxp.ExtHandle{Handle: h})
		p.want("rename onto a file", sftp.CodeFailure, &fxp.TwoPaths{T: fxp.TypeRename, First: "f", Second: "g"})
		ok("posix-rename@openssh.com", &fxp.ExtPaths{Old: "f", New: "g"})
		ok("hardlink@openssh.com", &fxp.ExtPaths{Old: "g", New: "h"})
		if got := p.get("h"); got != "content" {
			t.Errorf("hard link holds %q", got)
		}
		p.want("symlink", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeSymlink, First: "h", Second: "link"})
		ok("lsetstat@openssh.com", &fxp.ExtSetstat{Path: "link", Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrACModTime, Mtime: fxp.Time{Sec: 5}}})
		if l, f := p.stat("link").Mtime.Sec, p.stat("h").Mtime.Sec; l != 5 || f == 5 {
			t.Errorf("lsetstat: link %d, file %d", l, f)
		}
		for in, want := range map[string]string{"~": "/", "~/x": "/x", "~anna": "/", "~anna/../y": "/y", "": "/", ".": "/", "a/./b/..": "/a", "a/b": "SSH_FX_NO_SUCH_FILE", "g": "/g", "~nobody": "SSH_FX_NO_SUCH_FILE"} {
			if got := path("expand-path@openssh.com", in); got != want {
				t.Errorf("expand-path %q: %q, want %q", in, got, want)
			}
		}
		for in, want := range map[string]string{"": "/", "anna": "/", "nobody": "SSH_FX_NO_SUCH_FILE"} {
			if got := path("home-directory", in); got != want {
				t.Errorf("home-directory %q: %q, want %q", in, got, want)
			}
		}
	})

	srv.Extensions = []string{"limits@openssh.com", "hardlink@openssh.com"}
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		if x := p.init(3).Extensions; len(x) != 2 || x[0].Name != "hardlink@openssh.com" || x[1].Name != "limits@openssh.com" {
			t.Errorf("announced %+v", x)
		}
		if code := p.code(p.extended("statvfs@openssh.com", &fxp.ExtText{Text: "/"})); code != sftp.CodeOpUnsupported {
			t.Errorf("extension that is not offered: %v", code)
		}
	})
}

// ownExtension answers a request of its own.
type ownExtension struct{ *memfs.FS }

func (ownExtension) Capabilities() sftp.Capabilities {
	return sftp.Capabilities{Extensions: []string{"echo@example.com"}}
}

func (ownExtension) Extended(_ context.Context, name string, data []byte) ([]byte, error) {
	switch name {
	case "echo@example.com":
		return data, nil
	case "quiet@example.com":
		return nil, nil
	case "flood@example.com":
		return make([]byte, 1<<20), nil
	}
	return nil, errors.ErrUnsupported
}

// names returns what VERSION announces, without the data.
func names(r *fxp.VersionReply) (names []string) {
	for _, x := range r.Extensions {
		names = append(names, x.Name)
	}
	return names
}

func TestExtensionsOfTheFileSystem(t *testing.T) {
	play(t, serverOf(ownExtension{memfs.New(memfs.Options{})}), sftp.SessionInfo{}, func(p *peer) {
		if x := names(p.init(3)); !slices.Equal(x, []string{"limits@openssh.com", "check-file", "md5-hash", "md5-hash-handle", "echo@example.com", "versions"}) {
			t.Errorf("announced %q", x)
		}
		if m, ok := p.call(&fxp.Extended{Name: "echo@example.com", Data: []byte("hi")}).(*fxp.ExtendedReply); !ok || string(m.Data) != "hi" {
			t.Errorf("echo: %+v", m)
		}
		p.want("no data", sftp.CodeOK, &fxp.Extended{Name: "quiet@example.com"})
		p.want("too much data", sftp.CodeFailure, &fxp.Extended{Name: "flood@example.com"})
		p.want("unknown", sftp.CodeOpUnsupported, &fxp.Extended{Name: "none@example.com"})
		p.want("not able", sftp.CodeOpUnsupported, &fxp.Extended{Name: "copy-data"})
	})
	srv := serverOf(ownExtension{memfs.New(memfs.Options{})})
	srv.ReadOnly = true
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		if x := names(p.init(3)); slices.Contains(x, "echo@example.com") {
			t.Errorf("read-only server announces %q", x)
		}
		p.want("what may write", sftp.CodePermissionDenied, &fxp.Extended{Name: "echo@example.com"})
		p.want("unknown", sftp.CodeOpUnsupported, &fxp.Extended{Name: "none@example.com"})
	})
}

// slowFS has files that take a second to read and to write, and counts.
type slowFS struct {
	sftp.Unsupported
	busy, most atomic.Int32
	closed     atomic.Bool
}

func (f *slowFS) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) {
	return &slowFile{fs: f}, nil
}

func (f *slowFS) Stat(context.Context, string, sftp.StatOpt) (*sftp.Attrs, error) {
	return &sftp.Attrs{}, nil
}

type slowFile struct {
	sftp.UnsupportedFile
	fs *slowFS
}

func (f *slowFile) wait() {
	f.fs.most.Store(max(f.fs.most.Load(), f.fs.busy.Add(1)))
	time.Sleep(time.Second)
	f.fs.busy.Add(-1)
}

func (f *slowFile) ReadAt(p []byte, _ int64) (int, error) { f.wait(); return len(p), nil }

func (f *slowFile) WriteAt(p []byte, _ int64) (int, error) { f.wait(); return len(p), nil }

func (f *slowFile) Close(error) error {
	if f.fs.busy.Load() > 0 {
		return errors.New("closed under way")
	}
	f.fs.closed.Store(true)
	return nil
}

func TestSlowFilesAreReadAtOnce(t *testing.T) {
	fsys := &slowFS{}
	play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		h := p.open("f", fxp.OpenRead|fxp.OpenWrite)
		start := time.Now()
		var batch []fxp.Message
		for i := range 16 {
			batch = append(batch, &fxp.Read{Handle: h, Offset: uint64(i) * 1000, Length: 1000})
		}
		batch = append(batch, &fxp.Handle{T: fxp.TypeClose, Handle: h})
		first := p.sendAll(batch...)
		for i := range batch {
			id, m := p.recv()
			if st, ok := m.(*fxp.Status); ok && (id != first+16 || i != 16 || st.Code != 0) {
				t.Errorf("answer %d to %d: %s", i, id-first, wire.Print(m))
			}
		}
		// The first shows that the storage is slow; the others go eight at a time.
		if took := time.Since(start); took != 3*time.Second || fsys.most.Load() != 8 || !fsys.closed.Load() {
			t.Errorf("16 reads took %v, %d at once", took, fsys.most.Load())
		}
	})
}

func (f *slowFile) Stat(context.Context, sftp.AttrMask) (*sftp.Attrs, error) {
	return &sftp.Attrs{Valid: sftp.AttrSize, Size: 100 << 20}, nil
}

func (f *slowFS) Capabilities() sftp.Capabilities {
	return sftp.Capabilities{Features: sftp.FeatureWrite | sftp.FeatureCopy}
}

func TestCVE_12_16_CopyDataRunsBesideOthersAndEndsWithTheSession(t *testing.T) {
	for _, concurrency := range []int{1, 8} {
		fsys := &slowFS{}
		srv := serverOf(fsys)
		srv.Limits.Concurrency = concurrency
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
			p.init(3)
			from, to, other := p.open("from", fxp.OpenRead), p.open("to", fxp.OpenWrite), p.open("other", fxp.OpenRead)
			start := time.Now()
			p.send(&fxp.Extended{Name: "copy-data", Data: wire.Append(nil, &fxp.ExtCopyData{From: from, To: to})})
			p.send(&fxp.Read{Handle: other, Length: 10})
			if _, m := p.recv(); len(m.(*fxp.Data).Data) != 10 || time.Since(start) != time.Second {
				t.Errorf("READ beside a copy took %v", time.Since(start))
			}
			if err := p.end(); err != nil || time.Since(start) > 4*time.Second {
				t.Errorf("session ended after %v: %v", time.Since(start), err)
			}
		})
	}
}

func TestRepliesDoNotWaitForLaterRequests(t *testing.T) {
	fsys := &slowFS{}
	srv := serverOf(fsys)
	srv.SetIO(sftp.IOSpawn)
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		a, b := p.open("a", fxp.OpenWrite), p.open("b", fxp.OpenWrite)
		start := time.Now()
		p.send(&fxp.Write{Handle: a, Data: []byte("x")})
		time.Sleep(500 * time.Millisecond)
		// The second WRITE overlaps the first, so the loop waits for that, and the
		// answers to STAT and to the first must not wait for the second.
		p.sendAll(&fxp.Write{Handle: b, Data: []byte("x")}, &fxp.Write{Handle: a, Data: []byte("x")}, &fxp.Write{Handle: b, Offset: 5, Data: []byte("x")})
		var at []time.Duration
		for range 4 {
			if _, m := p.recv(); p.code(m) != sftp.CodeOK {
				t.Error(wire.Print(m))
			}
			at = append(at, time.Since(start))
		}
		want := []time.Duration{1000 * time.Millisecond, 1500 * time.Millisecond, 2000 * time.Millisecond, 2000 * time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("answers after %v, want %v", at, want)
		}
	})
}

func TestSmallRepliesLeaveTogether(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(32 << 10)
		p := &peer{t: t, conn: a, v: 3, done: make(chan error, 1)}
		go func() { p.done <- srv.Serve(context.Background(), b, sftp.SessionInfo{}) }()
		p.init(3)
		p.put("f", "content")
		synctest.Wait()
		before := b.writes
		var batch []fxp.Message
		for range 64 {
			batch = append(batch, &fxp.Path{T: fxp.TypeStat, Path: "f"})
		}
		first := p.sendAll(batch...)
		for i := range batch {
			if id, m := p.recv(); id != first+uint32(i) {
				t.Errorf("answer %d to %d: %s", i, id, wire.Print(m))
			}
		}
		synctest.Wait()
		if n := b.writes - before; n != 1 {
			t.Errorf("64 answers in %d writes", n)
		}
		p.end()
	})
}

func TestDataIsCutForTheConn(t *testing.T) {
	for _, maxPacket := range []int{32 << 10, 16 << 10, 100, 1 << 30, packet.MaxPayload} {
		srv, _ := memServer(memfs.Options{})
		synctest.Test(t, func(t *testing.T) {
			p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, maxPacket)
			p.init(3)
			content := strings.Repeat("0123456789abcdef", 20_000)
			p.put("f", content)
			h := p.open("f", fxp.OpenRead)
			p.send(&fxp.Read{Handle: h, Length: fxp.MaxData})
			var sizes []int
			for total := 0; total < fxp.MaxData+fxp.DataHeaderSize; {
				b, err := p.conn.ReadPacket()
				if err != nil {
					t.Fatal(err)
				}
				sizes = append(sizes, b.Len())
				total += b.Len()
				p.buf = append(p.buf, b.Bytes()...)
				b.Release()
			}
			if _, m := p.recv(); string(m.(*fxp.Data).Data) != content[:fxp.MaxData] {
				t.Errorf("%d: content differs", maxPacket)
			}
			if maxPacket == 32<<10 || maxPacket == 16<<10 {
				for _, n := range sizes[:len(sizes)-1] {
					if n != maxPacket {
						t.Errorf("%d: pieces of %v", maxPacket, sizes)
						break
					}
				}
			}
			p.end()
		})
	}
}

// brokenFile fails, or counts, as no File should.
type brokenFS struct {
	sftp.Unsupported
	read func(p []byte, off int64) (int, error)
}

func (f *brokenFS) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) {
	return &brokenFile{fs: f}, nil
}

type brokenFile struct {
	sftp.UnsupportedFile
	fs *brokenFS
}

func (f *brokenFile) ReadAt(p []byte, off int64) (int, error) { return f.fs.read(p, off) }
func (f *brokenFile) WriteAt(p []byte, _ int64) (int, error)  { return len(p) / 2, nil }

func TestBackEndsThatMisbehave(t *testing.T) {
	fsys := &brokenFS{}
	play(t, serverOf(fsys), sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		h := p.open("f", fxp.OpenRead|fxp.OpenWrite)
		for what, c := range map[string]struct {
			read func(p []byte, off int64) (int, error)
			n    int // -1: failure
		}{
			"bits at a time":       {func(p []byte, _ int64) (int, error) { return min(7, len(p)), nil }, 100_000},
			"all of it and EOF":    {func(p []byte, _ int64) (int, error) { return len(p), io.EOF }, 100_000},
			"nothing":              {func([]byte, int64) (int, error) { return 0, nil }, -1},
			"too much":             {func(p []byte, _ int64) (int, error) { return len(p) + 1, nil }, -1},
			"less than nothing":    {func([]byte, int64) (int, error) { return -1, nil }, -1},
			"an error in between":  {func(p []byte, off int64) (int, error) { return min(40_000, len(p)), errorAt(off, 40_000) }, -1},
			"an error with a part": {func([]byte, int64) (int, error) { return 5, io.ErrUnexpectedEOF }, -1},
		} {
			fsys.read = c.read
			m := p.call(&fxp.Read{Handle: h, Length: 100_000})
			data, ok := m.(*fxp.Data)
			if ok != (c.n > 0) || ok && len(data.Data) != c.n {
				t.Errorf("%s: %T", what, m)
			}
		}
		p.want("short write", sftp.CodeFailure, &fxp.Write{Handle: h, Data: []byte("four")})
	})
}

func errorAt(off, limit int64) error {
	if off >= limit {
		return errors.New("disk is on fire")
	}
	return nil
}

func TestDrain(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	synctest.Test(t, func(t *testing.T) {
		drain, start := context.WithCancel(context.Background())
		p := newPeer(t, context.Background(), srv, sftp.SessionInfo{Drain: drain}, 32<<10)
		p.init(3)
		h := p.open("f", fxp.OpenWrite|fxp.OpenCreate)
		start()
		synctest.Wait()
		for _, m := range []fxp.Message{&fxp.Open{Path: "g", Flags: fxp.OpenRead, Attrs: fxp.Attrs{V: 3}}, &fxp.Path{T: fxp.TypeOpendir, Path: "/"}} {
			st, ok := p.call(m).(*fxp.Status)
			if !ok || st.Text != "server is shutting down" {
				t.Errorf("%s while draining: %+v", m.Type(), st)
			}
		}
		p.want("transfers go on", sftp.CodeOK, &fxp.Write{Handle: h, Data: []byte("x")})
		p.close(h)
		if err := <-p.done; err != nil {
			t.Error(err)
		}
		p.done <- nil
		p.end()

		idle, start := context.WithCancel(context.Background())
		q := newPeer(t, context.Background(), srv, sftp.SessionInfo{Drain: idle}, 32<<10)
		q.init(3)
		synctest.Wait()
		start()
		if err := <-q.done; err != nil {
			t.Error("idle session:", err)
		}
		q.done <- nil
		q.end()
	})
}

// TestW33_DrainOfASessionThatDoesNotMove: who leaves a file open and does nothing, or
// asks and does not read, ends a minute into the drain, and not before; who goes on,
// however slowly, is let finish.
func TestW33_DrainOfASessionThatDoesNotMove(t *testing.T) {
	for name, script := range map[string]func(p *peer, h []byte){
		"idle": func(*peer, []byte) {},
		"does not read": func(p *peer, h []byte) {
			for range cap(p.conn.in) + 100 { // more than the pair holds
				p.send(&fxp.Read{Handle: h, Length: 5000})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var why error
			srv, _ := memServer(memfs.Options{OnClose: func(_ string, cause error) { why = cause }})
			synctest.Test(t, func(t *testing.T) {
				drain, start := context.WithCancel(t.Context())
				p := newPeer(t, context.Background(), srv, sftp.SessionInfo{Drain: drain}, 32<<10)
				p.init(3)
				h := p.open("f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
				p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: make([]byte, 5000)})
				synctest.Wait()
				start()
				for range 10 { // slow, and yet a transfer
					time.Sleep(50 * time.Second)
					p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: []byte("x")})
				}
				script(p, h)
				last := time.Now()
				err := <-p.done
				if took := time.Since(last); err == nil || !strings.Contains(err.Error(), "drain") || took < time.Minute || took > 2*time.Minute {
					t.Errorf("%v after %v", err, took)
				}
				if !errors.Is(why, sftp.ErrDisconnected) {
					t.Errorf("the file was closed because of %v", why)
				}
				p.done <- nil
				p.end()
			})
		})
	}
}

func TestNoFileSystem(t *testing.T) {
	none := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return nil, nil }}
	for _, srv := range []*sftp.Server{{}, none} {
		if err := srv.Serve(context.Background(), nil, sftp.SessionInfo{}); err == nil {
			t.Error("served without a file system")
		}
	}
	refused := errors.New("no home for you")
	srv := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return nil, refused }}
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
		if err := p.end(); !errors.Is(err, refused) {
			t.Error(err)
		}
	})
}

// deafConn cannot be written to.
type deafConn struct{ *memConn }

func (deafConn) WritePacket(b *packet.Buf) error {
	b.Release()
	return errors.New("deaf")
}

func TestWriteErrorEndsTheSession(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	synctest.Test(t, func(t *testing.T) {
		a, b := newPair(32 << 10)
		p := &peer{t: t, conn: a, v: 3, done: make(chan error, 1)}
		go func() { p.done <- srv.Serve(context.Background(), deafConn{b}, sftp.SessionInfo{}) }()
		p.sendRaw(fxp.Append(nil, 0, &fxp.Init{Version: 3}))
		err := <-p.done
		if err == nil || !strings.Contains(err.Error(), "deaf") {
			t.Error(err)
		}
		p.done <- err
		p.end()
	})
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	srv, _ := memServer(memfs.Options{})
	srv.Log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	play(t, srv, sftp.SessionInfo{User: "anna"}, func(p *peer) {
		p.init(3)
		p.put("f", "content")
		p.want("missing", sftp.CodeNoSuchFile, &fxp.Path{T: fxp.TypeStat, Path: "no\nsuch"})
	})
	for _, want := range []string{
		`msg="sftp open" user=anna path=f read=false write=true`, `msg="sftp close" user=anna path=f read=0 written=7`,
		`msg="sftp request" op=STAT id=4 path="\"no\\nsuch\"" status=SSH_FX_NO_SUCH_FILE`, `msg="sftp session ended" user=anna requests=4 files=1 read=0 written=7`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, out.String())
		}
	}
}

// FuzzServer sends arbitrary octets behind an INIT and an open file and directory, whose
// handles stand where the input has FILE and DIR!. The upper bits of cut are the version.
func FuzzServer(f *testing.F) {
	for v := fxp.V3; v <= fxp.V6; v++ {
		var all []byte
		for _, h := range []string{"FILE", "DIR!"} {
			for _, m := range every(&peer{v: v}, []byte(h)) {
				f.Add(fxp.Append(nil, 1, m), uint8(v-fxp.V3)<<6)
				all = fxp.Append(all, 1, m)
			}
		}
		f.Add(all, uint8(v-fxp.V3)<<6|1)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		if len(data) > 16<<10 {
			return
		}
		srv, _ := memServer(memfs.Options{MaxBytes: 1 << 20, MaxNodes: 100})
		srv.SetIO(sftp.IOAuto)
		if cut%2 == 1 {
			srv.SetIO(sftp.IOSpawn)
		}
		p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
		p.init(fxp.V3 + fxp.Version(cut>>6))
		file, dir := p.open("f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate), p.opendir("/")
		data = bytes.ReplaceAll(data, []byte("FILE"), file)
		data = bytes.ReplaceAll(data, []byte("DIR!"), dir)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			p.conn.cut = 1 + int(cut&63)*32
			if len(data) > 0 {
				b := packet.Get(len(data))
				copy(b.Bytes(), data)
				_ = p.conn.WritePacket(b)
			}
			p.conn.CloseWrite()
		}()
		for {
			msg, err := p.next()
			if err != nil {
				break
			}
			typ, _, body, err := fxp.Split(msg)
			if err != nil {
				t.Fatal(err)
			}
			m := fxp.OpOf(typ, p.v).Row().New(p.v)
			if err := wire.Decode(body, m); err != nil {
				t.Fatalf("malformed %s: %v", typ, err)
			}
		}
		p.conn.Close()
		<-sent
		p.end()
	})
}
