package sftp_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

func checkName(name string, r fxp.HashRange) fxp.Message {
	return ext(fxp.OpCheckFileName, &fxp.ExtCheckName{Path: name, HashRange: r})
}

func checkHandle(h []byte, r fxp.HashRange) fxp.Message {
	return ext(fxp.OpCheckFileHandle, &fxp.ExtCheckHandle{Handle: h, HashRange: r})
}

// TestW12_CheckFile: in every version, by name and by handle, in the form that MINA reads
// and writes: "check-file", the algorithm, and the hashes without lengths.
func TestW12_CheckFile(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1000)
	for name, set := range policies {
		t.Run(name, func(t *testing.T) {
			srv, _ := memServer(memfs.Options{})
			set(srv)
			everyVersion(t, srv, func(p *peer) {
				p.put("f", content)
				h := p.open("f", fxp.OpenRead)
				for _, c := range []struct {
					ask  fxp.HashRange
					alg  string
					want []string // what is hashed
				}{
					{fxp.HashRange{Algorithms: []string{"sha256"}}, "sha256", []string{content}},
					{fxp.HashRange{Algorithms: []string{"blake3", "crc32", "md5"}}, "crc32", []string{content}},
					{fxp.HashRange{Algorithms: []string{"sha512"}, Start: 3, Length: 10}, "sha512", []string{content[3:13]}},
					{fxp.HashRange{Algorithms: []string{"md5"}, Start: 15_000, Length: 1 << 40}, "md5", []string{content[15_000:]}},
					{fxp.HashRange{Algorithms: []string{"sha1"}, Start: 15_000, BlockSize: 256}, "sha1", []string{content[15_000:15_256], content[15_256:15_512], content[15_512:15_768], content[15_768:]}},
					{fxp.HashRange{Algorithms: []string{"sha1"}, Start: 16_000}, "sha1", []string{""}},
				} {
					var sum strings.Builder
					for _, part := range c.want {
						sum.WriteString(hashOf(c.alg, part))
					}
					p.wantHash(c.alg, sum.String(), checkName("f", c.ask))
					p.wantHash(c.alg, sum.String(), checkHandle(h, c.ask))
				}
				r := p.call(checkName("f", fxp.HashRange{Algorithms: []string{"md5"}})).(*fxp.ExtendedReply)
				sum := md5.Sum([]byte(content))
				if want := wire.AppendString(wire.AppendString(nil, "check-file"), "md5"); string(r.Data) != string(want)+string(sum[:]) {
					p.t.Errorf("%q", r.Data)
				}
				md5 := []string{"md5"}
				for _, m := range []func(fxp.HashRange) fxp.Message{
					func(r fxp.HashRange) fxp.Message { return checkName("f", r) }, func(r fxp.HashRange) fxp.Message { return checkHandle(h, r) },
				} {
					p.want("no algorithm that is known", sftp.CodeOpUnsupported, m(fxp.HashRange{Algorithms: []string{"whirlpool"}}))
					p.want("no algorithm", sftp.CodeOpUnsupported, m(fxp.HashRange{}))
					p.want("small blocks", sftp.CodeInvalidParameter, m(fxp.HashRange{Algorithms: md5, BlockSize: 255}))
					p.want("behind the end", sftp.CodeInvalidParameter, m(fxp.HashRange{Algorithms: md5, Start: 16_001}))
					p.want("far behind the end", sftp.CodeFailure, m(fxp.HashRange{Algorithms: md5, Start: 1 << 63}))
				}
				p.want("missing", sftp.CodeNoSuchFile, checkName("none", fxp.HashRange{Algorithms: md5}))
				p.want("directory", sftp.CodeIsADirectory, checkName("/", fxp.HashRange{Algorithms: md5}))
				w := p.open("f", fxp.OpenWrite)
				p.want("handle that does not read", sftp.CodePermissionDenied, checkHandle(w, fxp.HashRange{Algorithms: md5}))
				// What was written before is hashed.
				p.sendAll(&fxp.Write{Handle: w, Data: []byte("XX")}, checkName("f", fxp.HashRange{Algorithms: md5, Length: 4}))
				p.recv()
				if _, m := p.recv(); !strings.HasSuffix(string(m.(*fxp.ExtendedReply).Data), hashOf("md5", "XX23")) {
					p.t.Error("hash overtakes a write")
				}
				p.want("rewrite", sftp.CodeOK, &fxp.Write{Handle: w, Data: []byte("01")})
				p.close(w)
				p.close(h)
			})
		})
	}
}

// TestW12_HashesForMINA: its client wants lengths, its own names, and supported2 in every
// version.
func TestW12_HashesForMINA(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	for v := fxp.V3; v <= fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{ClientIdent: "SSH-2.0-APACHE-SSHD-2.16.0"}, func(p *peer) {
			data, _ := said(p.init(v), "supported2")
			var m fxp.Supported2
			if err := wire.Decode([]byte(data), &m); err != nil || !slices.Contains(m.Extensions, "check-file-name") || !slices.Contains(m.Extensions, "copy-data") {
				p.t.Errorf("version %d: %q %v", v, m.Extensions, err)
			}
			p.put("f", strings.Repeat("x", 300))
			h := p.open("f", fxp.OpenRead)
			sums := string(wire.AppendString(wire.AppendString(nil, hashOf("md5", strings.Repeat("x", 256))), hashOf("md5", strings.Repeat("x", 44))))
			p.wantHash("md5", sums, checkName("f", fxp.HashRange{Algorithms: []string{"md5"}, BlockSize: 256}))
			for op, m := range map[fxp.Op]wire.Layouter{fxp.OpMD5Hash: &fxp.ExtMD5Name{Path: "f"}, fxp.OpMD5HashHandle: &fxp.ExtMD5Handle{Handle: h}} {
				want := string(wire.AppendString(wire.AppendString(nil, op.String()), hashOf("md5", strings.Repeat("x", 300))))
				if r, ok := p.call(ext(op, m)).(*fxp.ExtendedReply); !ok || string(r.Data) != want {
					p.t.Errorf("%s: %+v", op, r)
				}
			}
		})
	}
}

func TestMD5Hash(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1000)
	srv, _ := memServer(memfs.Options{})
	everyVersion(t, srv, func(p *peer) {
		p.put("f", content)
		p.put("small", "small")
		h := p.open("f", fxp.OpenRead)
		ask := func(m fxp.Message) string {
			p.t.Helper()
			r, ok := p.call(m).(*fxp.ExtendedReply)
			if !ok {
				p.t.Fatal("no hash")
			}
			var reply fxp.ReplyMD5
			if err := wire.Decode(r.Data, &reply); err != nil {
				p.t.Fatal(err)
			}
			return string(reply.Hash)
		}
		for _, c := range []struct {
			r    fxp.MD5Range
			want string
		}{
			{fxp.MD5Range{}, content},
			{fxp.MD5Range{Start: 100, Length: 5000}, content[100:5100]},
			{fxp.MD5Range{QuickCheck: []byte(hashOf("md5", content[:2048]))}, content},
			{fxp.MD5Range{Start: 1, Length: 10, QuickCheck: []byte(hashOf("md5", content[1:11]))}, content[1:11]},
		} {
			if got := ask(ext(fxp.OpMD5Hash, &fxp.ExtMD5Name{Path: "f", MD5Range: c.r})); got != hashOf("md5", c.want) {
				p.t.Errorf("%+v: %x", c.r, got)
			}
			if got := ask(ext(fxp.OpMD5HashHandle, &fxp.ExtMD5Handle{Handle: h, MD5Range: c.r})); got != hashOf("md5", c.want) {
				p.t.Errorf("%+v: %x", c.r, got)
			}
		}
		if got := ask(ext(fxp.OpMD5Hash, &fxp.ExtMD5Name{Path: "f", MD5Range: fxp.MD5Range{QuickCheck: []byte("wrong")}})); got != "" {
			p.t.Errorf("hashes all although the first octets differ: %x", got)
		}
		if got := ask(ext(fxp.OpMD5Hash, &fxp.ExtMD5Name{Path: "small", MD5Range: fxp.MD5Range{QuickCheck: []byte(hashOf("md5", "small"))}})); got != hashOf("md5", "small") {
			p.t.Errorf("%x", got)
		}
		p.close(h)
	})
}

// holeFS has one file, of a terabyte of zeros, and notes how much of it is read.
type holeFS struct {
	sftp.Unsupported
	open atomic.Int32
}

func (f *holeFS) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) {
	f.open.Add(1)
	return &holeFile{fs: f}, nil
}

type holeFile struct {
	sftp.UnsupportedFile
	fs *holeFS
}

func (f *holeFile) Stat(context.Context, sftp.AttrMask) (*sftp.Attrs, error) {
	return &sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrMode, Mode: sftp.ModeRegular, Size: 1 << 40}, nil
}

func (f *holeFile) ReadAt(p []byte, _ int64) (int, error) {
	time.Sleep(time.Millisecond) // of the bubble
	clear(p)
	return len(p), nil
}

func (f *holeFile) Close(error) error {
	f.fs.open.Add(-1)
	return nil
}

// TestCVE_12_16_HashesAreBounded: two at a time, small blocks of a large file refused before
// any work, and all over when the client has gone.
func TestCVE_12_16_HashesAreBounded(t *testing.T) {
	tree := &holeFS{}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		p := newPeer(t, ctx, serverOf(tree), sftp.SessionInfo{}, 32<<10)
		p.init(6)
		start := time.Now()
		p.want("a reply of gigabytes", sftp.CodeFailure, checkName("f", fxp.HashRange{Algorithms: []string{"md5"}, BlockSize: 256}))
		if time.Since(start) != 0 || tree.open.Load() != 0 {
			p.t.Errorf("took %v, %d files are open", time.Since(start), tree.open.Load())
		}
		ask := func() {
			p.send(checkName("f", fxp.HashRange{Algorithms: []string{"crc32"}}))
			synctest.Wait()
		}
		ask()
		ask()
		// Nothing but a change waits for them.
		h := p.open("f", fxp.OpenRead)
		if text, code := p.read(h, 0, 10); len(text) != 10 || time.Since(start) > time.Second {
			t.Errorf("after %v: %v", time.Since(start), code)
		}
		ask()
		ask()
		if n := tree.open.Load(); n != 3 {
			p.t.Errorf("%d files are open, of which one is ours", n)
		}
		begin := time.Now()
		cancel() // as the connection does when it ends
		if err := p.end(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if time.Since(begin) > time.Second || tree.open.Load() != 0 {
			p.t.Errorf("after %v, %d files are open", time.Since(begin), tree.open.Load())
		}
	})
}

func TestCopyFile(t *testing.T) {
	content := strings.Repeat("content ", 100_000)
	srv, tree := memServer(memfs.Options{MaxBytes: 2 << 20})
	copyFile := func(from, to string, over bool) fxp.Message {
		return ext(fxp.OpCopyFile, &fxp.ExtCopyFile{From: from, To: to, Overwrite: over})
	}
	ctx := context.Background()
	everyVersion(t, srv, func(p *peer) {
		for _, name := range []string{"f", "g", "small", "l"} {
			_ = tree.Remove(ctx, name)
		}
		p.put("f", content)
		p.put("small", "small")
		when := time.Unix(1_000_000, 0)
		if err := tree.SetStat(ctx, "f", &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrAtime | sftp.AttrMtime, Mode: 0o751, Atime: when, Mtime: when}, true); err != nil {
			p.t.Fatal(err)
		}
		p.want("copy", sftp.CodeOK, copyFile("f", "g", false))
		a := p.stat("g")
		if p.get("g") != content || a.Permissions&0o7777 != 0o751 || a.Mtime.Sec != when.Unix() || a.Atime.Sec != when.Unix() {
			p.t.Errorf("%+v", a)
		}
		p.want("onto what exists", sftp.CodeFileAlreadyExists, copyFile("small", "g", false))
		if p.get("g") != content {
			p.t.Error("overwritten all the same")
		}
		p.want("overwrite", sftp.CodeOK, copyFile("small", "g", true))
		if got := p.get("g"); got != "small" {
			p.t.Errorf("%.20q", got)
		}
		// cves 8.8: a file onto itself, by whatever name, is not emptied.
		if err := tree.Link(ctx, "f", "l", true); err != nil {
			p.t.Fatal(err)
		}
		for _, to := range []string{"f", "./f", "l"} {
			p.want("onto itself", sftp.CodeInvalidParameter, copyFile("f", to, true))
		}
		if p.get("f") != content {
			p.t.Error("a copy onto itself changes the file")
		}
		p.want("directory", sftp.CodeIsADirectory, copyFile("/", "h", true))
		p.want("into a directory", sftp.CodeIsADirectory, copyFile("f", "/", true))
		p.want("as a directory", sftp.CodeIsADirectory, copyFile("f", "h/", false))
		p.want("missing", sftp.CodeNoSuchFile, copyFile("none", "h", false))
		// What cannot be copied in full leaves nothing.
		p.put("fill", strings.Repeat("x", 1<<20))
		p.want("no space", sftp.CodeNoSpace, copyFile("fill", "h", false))
		p.want("no space", sftp.CodeNoSpace, copyFile("fill", "g", true))
		for _, name := range []string{"h", "g"} {
			p.want("what is left of "+name, sftp.CodeNoSuchFile, &fxp.Stat{V: p.v, T: fxp.TypeStat, Path: name})
		}
		p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: "fill"})
	})
}

// spaceFS answers StatFS with what it is told.
type spaceFS struct {
	sftp.Unsupported
	info sftp.FSInfo
	err  error
}

func (f *spaceFS) Capabilities() sftp.Capabilities {
	return sftp.Capabilities{Features: sftp.FeatureStatFS}
}

func (f *spaceFS) StatFS(context.Context, string) (*sftp.FSInfo, error) { return &f.info, f.err }

func TestSpaceAvailable(t *testing.T) {
	tree := &spaceFS{}
	everyVersion(t, serverOf(tree), func(p *peer) {
		for _, c := range []struct {
			info sftp.FSInfo
			want fxp.ReplySpace
		}{
			{sftp.FSInfo{BlockSize: 1 << 20, FragmentSize: 4096, Blocks: 1000, Free: 500, Avail: 450}, fxp.ReplySpace{Device: 4096_000, DeviceFree: 2048_000, User: 950 * 4096, UserFree: 450 * 4096, Unit: 4096}},
			{sftp.FSInfo{BlockSize: 512, Blocks: 10, Free: 5, Avail: 5}, fxp.ReplySpace{Device: 5120, DeviceFree: 2560, User: 5120, UserFree: 2560, Unit: 512}},
			{sftp.FSInfo{}, fxp.ReplySpace{Unit: 1}},
			{sftp.FSInfo{FragmentSize: 1 << 40, Blocks: 1 << 40, Free: 1, Avail: 2}, fxp.ReplySpace{Device: 1<<64 - 1, DeviceFree: 1 << 40, User: 1<<64 - 1, UserFree: 2 << 40, Unit: 1<<32 - 1}},
		} {
			tree.info = c.info
			r, ok := p.call(ext(fxp.OpSpaceAvailable, &fxp.ExtText{Text: "/"})).(*fxp.ExtendedReply)
			var got fxp.ReplySpace
			if !ok || wire.Decode(r.Data, &got) != nil || got != c.want {
				p.t.Errorf("%+v: %+v", c.info, got)
			}
		}
		tree.err = sftp.CodeNoSuchFile
		p.want("missing", sftp.CodeNoSuchFile, ext(fxp.OpSpaceAvailable, &fxp.ExtText{Text: "/none"}))
		tree.err = nil
	})
}

func TestTempFolder(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	srv.TempFolder = "tmp"
	everyVersion(t, srv, func(p *peer) {
		p.call(&fxp.PathAttrs{T: fxp.TypeMkdir, Path: "tmp", Attrs: fxp.Attrs{V: p.v}})
		folder := func(op fxp.Op) string {
			p.t.Helper()
			m, ok := p.call(ext(op, &fxp.ExtNothing{})).(*fxp.Name)
			if !ok || len(m.Entries) != 1 {
				p.t.Fatalf("%s: no name", op)
			}
			return m.Entries[0].Name
		}
		if got := folder(fxp.OpGetTempFolder); got != "/tmp" {
			p.t.Errorf("%q", got)
		}
		a, b := folder(fxp.OpMakeTempFolder), folder(fxp.OpMakeTempFolder)
		if a == b || !strings.HasPrefix(a, "/tmp/") || p.stat(a).Permissions&0o7777 != 0o700 {
			p.t.Errorf("%q %q", a, b)
		}
	})
	srv.TempFolder = ""
	everyVersion(t, srv, func(p *peer) {
		p.want("not configured", sftp.CodeOpUnsupported, ext(fxp.OpGetTempFolder, &fxp.ExtNothing{}))
		p.want("not configured", sftp.CodeOpUnsupported, ext(fxp.OpMakeTempFolder, &fxp.ExtNothing{}))
	})
}

// TestByteRangeLocks: BLOCK and UNBLOCK, between two sessions on one tree.
func TestByteRangeLocks(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	if !tree.Capabilities().Features.Has(sftp.FeatureRangeLock | sftp.FeatureRangeLockAdvisory) {
		t.Fatal("memfs has no locks")
	}
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		r := p.init(6)
		data, _ := said(r, "supported2")
		var m fxp.Supported2
		if err := wire.Decode([]byte(data), &m); err != nil || m.BlockVector != 0xFFFF {
			p.t.Errorf("block vector %#x", m.BlockVector)
		}
		p.put("f", strings.Repeat("x", 1000))
		h := p.open("f", fxp.OpenRead|fxp.OpenWrite)
		g := p.open("f", fxp.OpenRead|fxp.OpenWrite)
		block := func(h []byte, off, n uint64, mask sftp.RangeMask) fxp.Message {
			return &fxp.Block{Handle: h, Offset: off, Length: n, Mask: uint32(mask)}
		}
		unblock := func(h []byte, off, n uint64) fxp.Message { return &fxp.Unblock{Handle: h, Offset: off, Length: n} }
		write := func(h []byte, off uint64, s string) fxp.Message {
			return &fxp.Write{Handle: h, Offset: off, Data: []byte(s)}
		}
		const both = sftp.RangeRead | sftp.RangeWrite
		p.want("lock", sftp.CodeOK, block(h, 100, 100, both))
		for what, m := range map[string]fxp.Message{
			"the same, of another handle": block(g, 100, 100, both), "overlap": block(g, 199, 1, sftp.RangeRead), "of one's own": block(h, 150, 10, both),
			"advisory": block(g, 0, 101, both|sftp.RangeAdvisory), "to the end": block(g, 10, 0, both),
		} {
			p.want(what, sftp.CodeRangeLockRefused, m)
		}
		p.want("beside it", sftp.CodeOK, block(g, 200, 10, sftp.RangeWrite))
		p.want("behind the end", sftp.CodeOK, block(g, 1<<40, 10, sftp.RangeWrite))
		p.want("READ against it", sftp.CodeRangeLockConflict, &fxp.Read{Handle: g, Offset: 150, Length: 10})
		p.want("WRITE against it", sftp.CodeRangeLockConflict, write(g, 199, "y"))
		p.want("WRITE of the owner", sftp.CodeOK, write(h, 199, "y"))
		p.want("WRITE beside it", sftp.CodeOK, write(g, 99, "y"))
		if text, code := p.read(h, 200, 5); code != sftp.CodeOK || len(text) != 5 {
			p.t.Errorf("READ where only writing is forbidden: %v", code)
		}
		p.want("WRITE against another's", sftp.CodeRangeLockConflict, write(h, 205, "y"))
		for what, m := range map[string]fxp.Message{
			"other length": unblock(h, 100, 99), "other offset": unblock(h, 101, 100), "other handle": unblock(g, 100, 100), "never locked": unblock(h, 500, 1),
		} {
			p.want("UNBLOCK: "+what, sftp.CodeNoMatchingRangeLock, m)
		}
		p.want("unlock", sftp.CodeOK, unblock(h, 100, 100))
		p.want("unlock again", sftp.CodeNoMatchingRangeLock, unblock(h, 100, 100))
		p.want("WRITE then", sftp.CodeOK, write(g, 150, "y"))
		p.want("lock again", sftp.CodeOK, block(h, 100, 100, both))
		p.close(h)
		p.want("CLOSE ends locks", sftp.CodeOK, write(g, 150, "y"))

		p.want("no mask", sftp.CodeInvalidParameter, block(g, 0, 1, 0))
		p.want("advisory alone", sftp.CodeInvalidParameter, block(g, 0, 1, sftp.RangeAdvisory))
		p.want("unknown mask", sftp.CodeInvalidParameter, block(g, 0, 1, both|1))
		p.want("beyond 64 bits", sftp.CodeInvalidParameter, block(g, 1<<63, 1<<63+1, both))
		d := p.opendir("/")
		p.want("directory", sftp.CodeOpUnsupported, block(d, 0, 1, both))
		p.want("directory", sftp.CodeOpUnsupported, unblock(d, 0, 1))
		// A session that ends takes its locks along.
		q := newPeer(p.t, context.Background(), srv, sftp.SessionInfo{User: "bert"}, 32<<10)
		q.init(6)
		o := q.open("f", fxp.OpenRead|fxp.OpenWrite)
		q.want("lock of another session", sftp.CodeOK, block(o, 500, 10, both))
		p.want("against it", sftp.CodeRangeLockConflict, write(g, 505, "y"))
		q.conn.CloseWrite()
		if err := <-q.done; err != nil {
			p.t.Error(err)
		}
		p.want("when it has ended", sftp.CodeOK, write(g, 505, "y"))
	})
	// Without the feature there is nothing of it.
	play(t, serverOf(newAttrsFS()), sftp.SessionInfo{}, func(p *peer) {
		p.init(6)
		h := p.open("f", fxp.OpenRead)
		p.want("no locks", sftp.CodeOpUnsupported, &fxp.Block{Handle: h, Length: 1, Mask: uint32(sftp.RangeWrite)})
		p.want("no locks", sftp.CodeOpUnsupported, &fxp.Unblock{Handle: h, Length: 1})
	})
	// Older versions do not have the requests.
	for v := fxp.V3; v < fxp.V6; v++ {
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			h := p.open("f", fxp.OpenRead)
			p.want(fmt.Sprint("BLOCK in version ", v), sftp.CodeOpUnsupported, &fxp.Block{Handle: h, Length: 1, Mask: uint32(sftp.RangeWrite)})
			p.want(fmt.Sprint("UNBLOCK in version ", v), sftp.CodeOpUnsupported, &fxp.Unblock{Handle: h, Length: 1})
			p.want(fmt.Sprint("LINK in version ", v), sftp.CodeOpUnsupported, &fxp.Link{New: "x", Target: "f"})
		})
	}
}

// TestHandlesOfDirectories: filexfer-13 sections 8.5 and 8.6.
func TestHandlesOfDirectories(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	everyVersion(t, srv, func(p *peer) {
		p.call(&fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d", Attrs: fxp.Attrs{V: p.v}})
		d := p.opendir("d")
		set := &fxp.Fsetstat{Handle: d, Attrs: fxp.Attrs{V: p.v, Flags: fxp.AttrPermissions, Permissions: 0o711}}
		if p.v < fxp.V6 {
			p.want("FSTAT", sftp.CodeInvalidHandle, &fxp.Fstat{V: p.v, Handle: d})
			p.want("FSETSTAT", sftp.CodeInvalidHandle, set)
			return
		}
		p.want("FSETSTAT", sftp.CodeOK, set)
		if m, ok := p.call(&fxp.Fstat{V: p.v, Handle: d}).(*fxp.AttrsReply); !ok || m.Attrs.Type != byte(sftp.TypeDirectory) || m.Attrs.Permissions != 0o711 {
			p.t.Errorf("%+v", m)
		}
	})
}

var errRead = errors.New("disk on fire")

// TestTextReadsCanBeRepeated: an error does not move on.
func TestTextReadsCanBeRepeated(t *testing.T) {
	for name, set := range policies {
		tree := &failingText{text: strings.Repeat("line\n", 20_000)}
		srv := serverOf(tree)
		srv.Newline = "\r\n"
		set(srv)
		t.Run(name, func(t *testing.T) {
			play(t, srv, sftp.SessionInfo{}, func(p *peer) {
				p.init(6)
				h := p.open("f", fxp.OpenRead|fxp.OpenText)
				var got strings.Builder
				for {
					text, code := p.read(h, 0, 50_000)
					if got.WriteString(text); code == sftp.CodeEOF {
						break
					}
				}
				if want := strings.ReplaceAll(tree.text, "\n", "\r\n"); got.String() != want {
					p.t.Errorf("%d octets, want %d", got.Len(), len(want))
				}
				if tree.failed == 0 {
					p.t.Error("nothing failed")
				}
			})
		})
	}
}

// failingText has a text file of which every third read fails.
type failingText struct {
	sftp.Unsupported
	text          string
	reads, failed int
}

func (f *failingText) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) {
	return &failingFile{fs: f}, nil
}

type failingFile struct {
	sftp.UnsupportedFile
	fs *failingText
}

func (f *failingFile) ReadAt(p []byte, off int64) (int, error) {
	if f.fs.reads++; f.fs.reads%7 == 3 {
		f.fs.failed++
		return 0, errRead
	}
	return strings.NewReader(f.fs.text).ReadAt(p, off)
}
