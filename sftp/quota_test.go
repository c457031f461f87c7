package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

func newQuota(t testing.TB, tree string, bytes, files int64) *sftp.Quota {
	t.Helper()
	q, err := sftp.NewQuota(tree, sftp.Usage{Bytes: bytes, Files: files}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func wantUsage(t testing.TB, what string, q *sftp.Quota, bytes, files int64) {
	t.Helper()
	if u, err := q.Usage(); err != nil || u != (sftp.Usage{Bytes: bytes, Files: files}) {
		t.Errorf("%s: usage %+v, %v, want %d bytes and %d files", what, u, err, bytes, files)
	}
}

// TestW23_Quota: what each operation costs and gives back; what would pass the limit is
// refused before anything is written.
func TestW23_Quota(t *testing.T) {
	ctx := context.Background()
	tree := memfs.New(memfs.Options{})
	q := newQuota(t, "", 100, 5)
	fsys := q.Wrap(tree)
	if got, want := fsys.Capabilities(), tree.Capabilities(); got.Features != want.Features&^sftp.FeatureDeleteOnClose|sftp.FeatureStatFS || got.Attrs != want.Attrs {
		t.Errorf("the quota takes something away: %+v", got)
	}
	size := func(name string) uint64 {
		a, err := tree.Stat(ctx, name, sftp.StatOpt{})
		if err != nil {
			t.Fatal(err)
		}
		return a.Size
	}
	wantCode(t, "put", putFile(fsys, "/a", strings.Repeat("x", 60)), sftp.CodeOK)
	wantUsage(t, "put", q, 60, 1)
	wantCode(t, "put again", putFile(fsys, "/a", strings.Repeat("y", 80)), sftp.CodeOK)
	wantUsage(t, "put again", q, 80, 1)
	wantCode(t, "too much", putFile(fsys, "/b", strings.Repeat("x", 21)), sftp.CodeQuotaExceeded)
	wantUsage(t, "too much", q, 80, 2) // there is an empty file now, as there is on a full disk
	if size("/b") != 0 {
		t.Error("part of what was too much was written")
	}
	wantCode(t, "just enough", putFile(fsys, "/b", strings.Repeat("x", 20)), sftp.CodeOK)
	wantCode(t, "overwrite in place", writeFile(fsys, "/b", strings.Repeat("z", 20), sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenExisting}), sftp.CodeOK)
	wantUsage(t, "full", q, 100, 2)
	wantCode(t, "grow", fsys.SetStat(ctx, "/b", &sftp.Attrs{Valid: sftp.AttrSize, Size: 21}, true), sftp.CodeQuotaExceeded)
	wantCode(t, "grow to the end of the world", fsys.SetStat(ctx, "/b", &sftp.Attrs{Valid: sftp.AttrSize, Size: 1 << 63}, true), sftp.CodeInvalidParameter)
	wantCode(t, "shrink", fsys.SetStat(ctx, "/b", &sftp.Attrs{Valid: sftp.AttrSize, Size: 5}, true), sftp.CodeOK)
	wantUsage(t, "shrunk", q, 85, 2)
	wantCode(t, "mode", fsys.SetStat(ctx, "/b", &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o600}, true), sftp.CodeOK)
	wantCode(t, "mkdir", fsys.Mkdir(ctx, "/d", nil), sftp.CodeOK)
	wantCode(t, "mkdir again", fsys.Mkdir(ctx, "/d", nil), sftp.CodeFileAlreadyExists)
	wantCode(t, "hard link", fsys.Link(ctx, "/b", "/d/l", false), sftp.CodeOK)
	wantCode(t, "symlink", fsys.Link(ctx, "b", "/d/s", true), sftp.CodeOK)
	wantUsage(t, "five names", q, 85, 5)
	wantCode(t, "a sixth name", fsys.Mkdir(ctx, "/e", nil), sftp.CodeQuotaExceeded)
	wantCode(t, "a sixth file", putFile(fsys, "/e", ""), sftp.CodeQuotaExceeded)
	wantCode(t, "a sixth link", fsys.Link(ctx, "x", "/e", true), sftp.CodeQuotaExceeded)
	wantCode(t, "remove one of two names", fsys.Remove(ctx, "/d/l"), sftp.CodeOK)
	wantUsage(t, "one name less", q, 85, 4)
	wantCode(t, "remove nothing", fsys.Remove(ctx, "/d/l"), sftp.CodeNoSuchFile)
	wantCode(t, "remove", fsys.Remove(ctx, "/d/s"), sftp.CodeOK)
	wantCode(t, "rename", fsys.Rename(ctx, "/b", "/d/b", 0), sftp.CodeOK)
	wantUsage(t, "renamed", q, 85, 3)
	wantCode(t, "rename over", fsys.Rename(ctx, "/d/b", "/a", sftp.RenameOverwrite), sftp.CodeOK)
	wantUsage(t, "renamed over", q, 5, 2)
	wantCode(t, "rename to itself", fsys.Rename(ctx, "/a", "/a", sftp.RenameOverwrite), sftp.CodeOK)
	wantCode(t, "rmdir", fsys.Rmdir(ctx, "/d"), sftp.CodeOK)
	wantUsage(t, "rmdir", q, 5, 1)

	// Open files: append, a hole, a copy, removal under the handle.
	f, err := fsys.Open(ctx, "/a", &sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData | sftp.AccessAppendData, Disposition: sftp.OpenExisting, Flags: sftp.OpenAppend})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("12345"), 0); err != nil {
		t.Error(err)
	}
	wantUsage(t, "append", q, 10, 1)
	g, err := fsys.Open(ctx, "/g", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.WriteAt([]byte("x"), 90)
	wantCode(t, "a hole too far", err, sftp.CodeQuotaExceeded)
	_, err = g.WriteAt([]byte("x"), 1<<62)
	wantCode(t, "a hole far too far", err, sftp.CodeQuotaExceeded)
	if _, err := g.WriteAt([]byte("x"), 79); err != nil {
		t.Error(err)
	}
	wantUsage(t, "a hole", q, 90, 2)
	n, err := sftp.CopyRange(ctx, g, 80, f, 0, 0)
	if n != 10 || err != nil {
		t.Error(n, err)
	}
	_, err = sftp.CopyRange(ctx, g, 95, f, 0, 0)
	wantCode(t, "copy", err, sftp.CodeQuotaExceeded)
	wantUsage(t, "copied", q, 100, 2)
	wantCode(t, "remove under the handle", fsys.Remove(ctx, "/g"), sftp.CodeOK)
	wantUsage(t, "removed, but there as long as it is open", q, 100, 1)
	wantCode(t, "size by handle", g.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 50}), sftp.CodeOK)
	wantUsage(t, "shorter", q, 60, 1)
	wantCode(t, "size by handle", g.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 91}), sftp.CodeQuotaExceeded)
	if err := errors.Join(g.Close(nil), f.Close(nil)); err != nil {
		t.Error(err)
	}
	wantUsage(t, "closed", q, 10, 1)

	// What the peer is told is free.
	info, err := fsys.StatFS(ctx, "/")
	if err != nil {
		t.Fatal(err)
	}
	if free := info.Avail * info.FragmentSize; free > 90 || info.FilesAvail != 4 || info.Files != 5 {
		t.Errorf("%+v", info)
	}
}

// TestW23_Scan: what is there already counts, each file once whatever its names.
func TestW23_Scan(t *testing.T) {
	ctx := context.Background()
	tree := memfs.New(memfs.Options{})
	if err := errors.Join(tree.Mkdir(ctx, "/home", nil), tree.Mkdir(ctx, "/home/d", nil), putFile(tree, "/home/d/f", "12345"), putFile(tree, "/out", "1"),
		tree.Link(ctx, "/home/d/f", "/home/g", false), tree.Link(ctx, "..", "/home/d/up", true)); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string][2]int64{"/": {6, 6}, "/home": {5, 4}} {
		q := newQuota(t, name, 0, 0)
		if err := q.Scan(ctx, tree, 100); err != nil {
			t.Fatal(err)
		}
		wantUsage(t, name, q, row[0], row[1])
		if err := q.Scan(ctx, tree, 3); err == nil {
			t.Error("no bound")
		}
		if err := q.Scan(ctx, tree, 0); err != nil { // without limit
			t.Fatal(err)
		}
		wantUsage(t, name+" again", q, row[0], row[1])
	}
	if err := newQuota(t, "/none", 0, 0).Scan(ctx, tree, 10); err == nil {
		t.Error("what is not there was counted")
	}
	if _, err := sftp.NewQuota("/", sftp.Usage{Bytes: -1}, nil); err == nil {
		t.Error("negative limit")
	}
}

// TestW23_Tree: a quota for part of the tree counts what comes in and goes out, also by links.
func TestW23_Tree(t *testing.T) {
	ctx := context.Background()
	tree := memfs.New(memfs.Options{})
	q := newQuota(t, "/q", 10, 10)
	fsys := q.Wrap(tree)
	if err := errors.Join(fsys.Mkdir(ctx, "/q", nil), fsys.Mkdir(ctx, "/d", nil), putFile(fsys, "/d/f", "12345"), putFile(fsys, "/big", strings.Repeat("x", 99)),
		fsys.Link(ctx, "/q", "/link", true)); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, "outside", q, 0, 0)
	wantCode(t, "through a link", putFile(fsys, "/link/f", "1"), sftp.CodeOK)
	wantUsage(t, "through a link", q, 1, 1)
	wantCode(t, "move in", fsys.Rename(ctx, "/d", "/q/d", 0), sftp.CodeOK)
	wantUsage(t, "moved in", q, 6, 3)
	wantCode(t, "move in too much", fsys.Rename(ctx, "/big", "/q/big", 0), sftp.CodeQuotaExceeded)
	wantCode(t, "link in too much", fsys.Link(ctx, "/big", "/q/big", false), sftp.CodeQuotaExceeded)
	wantCode(t, "move in onto nothing", fsys.Rename(ctx, "/none", "/q/big", 0), sftp.CodeNoSuchFile)
	wantUsage(t, "not moved in", q, 6, 3)
	wantCode(t, "move out", fsys.Rename(ctx, "/q/d/f", "/f", 0), sftp.CodeOK)
	wantUsage(t, "moved out", q, 1, 2)
	if info, err := fsys.StatFS(ctx, "/"); err != nil || info.Files == 10 {
		t.Error("the quota speaks for all", info, err)
	}
	if info, err := fsys.StatFS(ctx, "/q"); err != nil || info.Files != 10 {
		t.Error(info, err)
	}
}

// noIDs is a file system that does not say who is who.
type noIDs struct{ sftp.FileSystem }

const noIDsMask = ^(sftp.AttrFileID | sftp.AttrLinks)

func (s noIDs) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	a, err := s.FileSystem.Stat(ctx, name, opt)
	if a != nil {
		a.Valid &= noIDsMask
	}
	return a, err
}

func (s noIDs) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	f, err := s.FileSystem.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	return noIDsFile{f}, nil
}

type noIDsFile struct{ sftp.File }

func (f noIDsFile) Stat(ctx context.Context, want sftp.AttrMask) (*sftp.Attrs, error) {
	a, err := f.File.Stat(ctx, want)
	if a != nil {
		a.Valid &= noIDsMask
	}
	return a, err
}

// TestW23_Model does random things through two file systems within one quota: at no time is
// there more than allowed, and in the end the quota knows exactly what there is.
func TestW23_Model(t *testing.T) {
	ctx := context.Background()
	const maxBytes, maxFiles = 300, 20
	for _, ids := range []bool{true, false} {
		for seed := range uint64(16) {
			r := rand.New(rand.NewPCG(seed, 23))
			tree := anyTree(t, seed)
			under := tree
			if !ids {
				under = noIDs{tree}
			}
			q := newQuota(t, "/", maxBytes, maxFiles)
			sides := []sftp.FileSystem{q.Wrap(under), q.Wrap(under)}
			var files []sftp.File
			elems := []string{"a", "b", "c", "d"}
			name := func() string {
				s := "/" + elems[r.IntN(len(elems))]
				if r.IntN(2) == 0 {
					s += "/" + elems[r.IntN(len(elems))]
				}
				return s
			}
			refused := 0
			for step := range 1500 {
				fsys := sides[r.IntN(2)]
				a, b := name(), name()
				var err error
				switch r.IntN(12) {
				case 0:
					err = fsys.Mkdir(ctx, a, nil)
				case 1:
					err = fsys.Rmdir(ctx, a)
				case 2, 3:
					err = fsys.Remove(ctx, a)
				case 4:
					err = fsys.Rename(ctx, a, b, sftp.RenameFlags(r.IntN(3)))
				case 5:
					if ids { // without them nobody can tell that two names are one file
						err = fsys.Link(ctx, a, b, false)
					} else {
						err = fsys.Link(ctx, a, b, true)
					}
				case 6:
					err = fsys.SetStat(ctx, a, &sftp.Attrs{Valid: sftp.AttrSize, Size: uint64(r.IntN(150))}, false)
				case 7, 8:
					how := sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.Disposition(r.IntN(5)), Flags: sftp.OpenNoFollow}
					if r.IntN(4) == 0 {
						how.Flags |= sftp.OpenAppend
					}
					var f sftp.File
					if f, err = fsys.Open(ctx, a, &how); err == nil {
						files = append(files, f)
					}
				case 9, 10:
					if len(files) > 0 {
						f := files[r.IntN(len(files))]
						switch r.IntN(4) {
						case 0:
							err = f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: uint64(r.IntN(150))})
						case 1:
							_, err = sftp.CopyRange(ctx, f, int64(r.IntN(100)), files[r.IntN(len(files))], 0, int64(r.IntN(50)))
						default:
							_, err = f.WriteAt(make([]byte, r.IntN(60)), int64(r.IntN(100)))
						}
					}
				default:
					if len(files) > 0 {
						i := r.IntN(len(files))
						if err := files[i].Close(nil); err != nil {
							t.Fatal(err)
						}
						files = append(files[:i], files[i+1:]...)
					}
				}
				if errors.Is(err, sftp.CodeQuotaExceeded) {
					refused++
				}
				if step%20 == 0 {
					if is := scan(t, tree); is.Bytes > maxBytes || is.Files > maxFiles {
						t.Fatalf("seed %d, ids %v, step %d: there is %+v", seed, ids, step, is)
					}
				}
			}
			for _, f := range files {
				if err := f.Close(errors.New("cut off")); err != nil {
					t.Fatal(err)
				}
			}
			is := scan(t, tree)
			if u, _ := q.Usage(); u != is {
				t.Fatalf("seed %d, ids %v: there is %+v, counted %+v", seed, ids, is, u)
			}
			if refused == 0 {
				t.Errorf("seed %d: nothing was refused", seed)
			}
		}
	}
}

func scan(t *testing.T, fsys sftp.FileSystem) sftp.Usage {
	t.Helper()
	q := newQuota(t, "/", 0, 0)
	if err := q.Scan(context.Background(), fsys, 1000); err != nil {
		t.Fatal(err)
	}
	u, _ := q.Usage()
	return u
}

// TestW23_Concurrent: eight at once stay within one limit and use all of it.
func TestW23_Concurrent(t *testing.T) {
	tree := memfs.New(memfs.Options{})
	q := newQuota(t, "/", 1000, 0)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			f, err := q.Wrap(tree).Open(context.Background(), fmt.Sprint("/", i%4), &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenOrCreate})
			if err != nil {
				t.Error(err)
				return
			}
			for off := range int64(100) {
				if _, err := f.WriteAt(make([]byte, 10), off*10); err != nil {
					wantCode(t, "write", err, sftp.CodeQuotaExceeded)
					break
				}
			}
			if err := f.Close(nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if is := scan(t, tree); is.Bytes > 1000 || is.Bytes < 990 {
		t.Error(is)
	}
	is := scan(t, tree)
	wantUsage(t, "all", q, is.Bytes, is.Files)
}

// failingStore cannot be reached.
type failingStore struct{}

func (failingStore) Charge(sftp.Usage, sftp.Usage) error { return errors.New("store is down") }
func (failingStore) Usage() (sftp.Usage, error)          { return sftp.Usage{}, errors.New("store is down") }

// TestW25_QuotaStore: counting elsewhere; what cannot be counted is not written.
func TestW25_QuotaStore(t *testing.T) {
	q, err := sftp.NewQuota("/", sftp.Usage{Bytes: 1}, failingStore{})
	if err != nil {
		t.Fatal(err)
	}
	tree := memfs.New(memfs.Options{})
	wantCode(t, "put", putFile(q.Wrap(tree), "/f", "x"), sftp.CodeFailure)
	if is := scan(t, tree); is.Files != 0 {
		t.Error(is)
	}
	if _, err := q.Wrap(tree).StatFS(context.Background(), "/"); err == nil {
		t.Error("statfs")
	}
}

// TestW23_Session: over the wire: a refusal as each version says it, and the free space.
func TestW23_Session(t *testing.T) {
	for v, code := range map[fxp.Version]sftp.Code{3: sftp.CodeFailure, 4: sftp.CodeFailure, 5: sftp.CodeQuotaExceeded, 6: sftp.CodeQuotaExceeded} {
		q := newQuota(t, "/", 1<<20, 100)
		play(t, serverOf(q.Wrap(memfs.New(memfs.Options{}))), sftp.SessionInfo{}, func(p *peer) {
			p.init(v)
			h := p.open("/f", fxp.OpenWrite|fxp.OpenCreate)
			p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: make([]byte, 1000)})
			p.want("write", code, &fxp.Write{Handle: h, Offset: 1 << 20, Data: make([]byte, 1)})
			m, ok := p.extended("space-available", &fxp.ExtText{Text: "/"}).(*fxp.ExtendedReply)
			if !ok {
				t.Fatal("space-available")
			}
			var space fxp.ReplySpace
			if err := wire.Decode(m.Data, &space); err != nil || space.UserFree > 1<<20-1000 || space.UserFree < 1<<20-1000-uint64(space.Unit) {
				t.Errorf("%+v, %v", space, err)
			}
			p.close(h)
		})
	}
}
