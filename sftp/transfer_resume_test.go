package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// hashing and blind are the extensions of servers that can hash and that cannot.
var (
	hashing = []string{"check-file-name", "check-file-handle", "posix-rename@openssh.com"}
	blind   = []string{"posix-rename@openssh.com"}
)

// The connection is cut at every octet in turn; the transfer is resumed; the file is whole
// and what was there was not transferred again.
func TestResumeAfterACutAtEveryOctet(t *testing.T) {
	const size = 200
	for _, put := range []bool{false, true} {
		for _, exts := range [][]string{hashing, blind} {
			atomic := put == (len(exts) > 1)
			t.Run(fmt.Sprintf("put=%v hash=%v atomic=%v", put, len(exts) > 1, atomic), func(t *testing.T) {
				resumed, cuts := 0, 0
				step := int64(1)
				if !atomic {
					step = 7 // the same paths but for the name of what is there
				}
				for at := int64(1); ; at += step {
					kept, whole := resumeAfterCut(t, put, exts, atomic, size, at)
					if t.Failed() {
						t.Fatal("at octet", at)
					}
					if whole {
						break
					}
					if cuts++; kept > 0 {
						resumed++
					}
				}
				if n := size / int(step); cuts < n || resumed < n/2 {
					t.Errorf("%d cuts, %d resumed", cuts, resumed)
				}
			})
		}
	}
}

func resumeAfterCut(t *testing.T, put bool, exts []string, atomic bool, size int, at int64) (kept int64, whole bool) {
	synctest.Test(t, func(t *testing.T) {
		srv, tree := memServer(memfs.Options{})
		srv.Extensions = exts
		want, dir := noise(size), t.TempDir()
		local := filepath.Join(dir, "x")
		o := sftp.TransferOptions{
			Resume: sftp.ResumeOrFail, Atomic: atomic, ChunkSize: 32, Concurrency: 3, Verify: sftp.VerifyBest, NoSync: true, ResumeTail: 50,
		}
		run := func(up, down netsim.Link) (sftp.TransferResult, error) {
			c, err := overLink(t, srv, nil, up, down)
			if err != nil {
				return sftp.TransferResult{}, err
			}
			defer c.end()
			if put {
				return c.PutFile(t.Context(), local, "/f", o)
			}
			return c.GetFile(t.Context(), "/f", local, o)
		}
		source := func() {
			if put {
				writeLocal(t, local, want)
				older(t, local)
				return
			}
			f, err := tree.Open(t.Context(), "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(want, 0)
			if err := errors.Join(err, f.Close(nil)); err != nil {
				t.Fatal(err)
			}
		}
		source()
		up, down := netsim.Link{}, netsim.Link{}
		if put {
			up.CutAt = at
		} else {
			down.CutAt = at
		}
		_, err := run(up, down)
		if whole = err == nil; whole {
			return
		}
		if _, refused := errors.AsType[*sftp.StatusError](err); refused {
			t.Errorf("cut: %v", err)
		}
		if atomic { // nothing of it is to be seen
			if put {
				_, err = tree.Stat(t.Context(), "/f", sftp.StatOpt{})
			} else {
				_, err = os.Stat(local)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
		r, err := run(netsim.Link{}, netsim.Link{})
		if err != nil {
			t.Errorf("resumed: %v", err)
			return
		}
		if kept = r.Resumed; r.Resumed+r.Transferred != int64(size) {
			t.Errorf("%+v", r)
		}
		if kept > 0 && r.Kept != map[bool]sftp.Check{true: sftp.CheckHash, false: sftp.CheckTail}[len(exts) > 1] {
			t.Errorf("compared by %v", r.Kept)
		}
		got := readLocal(t, local)
		if put {
			got = fileOf(t, tree, "/f")
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d octets, kept %d, other content", len(got), kept)
		}
		left := localNames(t, dir)
		if left != "x" {
			t.Error("left:", left)
		}
		if n := packet.Live(); n != 0 {
			t.Errorf("%d Bufs are left", n)
		}
	})
	return kept, whole
}

// older makes a local file older than what a memfs has, whose clock is that of a bubble.
func older(t testing.TB, name string) {
	t.Helper()
	long := time.Unix(100_000_000, 0)
	if err := os.Chtimes(name, long, long); err != nil {
		t.Fatal(err)
	}
}

// fileOf reads a file of a file system.
func fileOf(t testing.TB, fsys sftp.FileSystem, name string) []byte {
	t.Helper()
	f, err := fsys.Open(context.Background(), name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(nil)
	p, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is there is another file's: with a hash that is found wherever they differ, without
// one at the end.
func TestW13_ResumeOfSomethingElse(t *testing.T) {
	for _, exts := range [][]string{hashing, blind} {
		srv, tree := memServer(memfs.Options{})
		srv.Extensions = exts
		hash := len(exts) > 1
		visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
			ctx, local, want := t.Context(), filepath.Join(t.TempDir(), "x"), noise(300_000)
			for _, tt := range []struct {
				what  string
				there []byte
				found bool // as another file's
			}{
				{"the beginning differs", append([]byte("other"), want[5:200_000]...), hash},
				{"the end differs", append(bytes.Clone(want[:199_999]), want[199_999]+1), true},
				{"all of it and more", append(bytes.Clone(want), 'x'), true},
				{"the beginning", want[:200_000], false},
				{"all of it", want, false},
			} {
				for _, put := range []bool{false, true} {
					// A hole near the end of an upload is written again, not found.
					found := tt.found && (hash || !put || len(tt.there) > len(want))
					for _, resume := range []sftp.Resume{sftp.ResumeOrFail, sftp.ResumeOrRestart} {
						there, whole := local, "/f"
						if put {
							writeLocal(t, local, want)
							older(t, local)
							if err := c.WriteFile(ctx, "/f", tt.there, 0o644); err != nil {
								t.Fatal(err)
							}
						} else {
							writeLocal(t, local, tt.there)
							if err := c.WriteFile(ctx, "/f", want, 0o644); err != nil {
								t.Fatal(err)
							}
						}
						o := sftp.TransferOptions{Resume: resume, ResumeTail: 1000}
						var err error
						var r sftp.TransferResult
						if put {
							r, err = c.PutFile(ctx, there, whole, o)
						} else {
							r, err = c.GetFile(ctx, whole, there, o)
						}
						got := readLocal(t, local)
						if put {
							got = fileOf(t, tree, "/f")
						}
						if resume == sftp.ResumeOrFail && found {
							if !errors.Is(err, sftp.ErrMismatch) || !bytes.Equal(got, tt.there) {
								t.Errorf("hash %v, put %v, %s: %v", hash, put, tt.what, err)
							}
							continue
						}
						if err != nil {
							t.Errorf("hash %v, put %v, %s: %v", hash, put, tt.what, err)
							continue
						}
						if found != (r.Resumed == 0) || found && r.Kept != sftp.CheckNone {
							t.Errorf("hash %v, put %v, %s: %+v", hash, put, tt.what, r)
						}
						if bytes.Equal(got, want) != (hash || tt.what != "the beginning differs") {
							t.Errorf("hash %v, put %v, %s: content", hash, put, tt.what)
						}
					}
				}
			}
			// Reading all of it again finds what the tail does not.
			if !hash {
				writeLocal(t, local, append([]byte("other"), want[5:200_000]...))
				o := sftp.TransferOptions{Resume: sftp.ResumeOrFail, Verify: sftp.VerifyContent}
				if _, err := c.GetFile(ctx, "/f", local, o); !errors.Is(err, sftp.ErrMismatch) {
					t.Error("get:", err)
				}
			}
		})
	}
}

// A server that writes out of order and is cut off leaves holes near the end, which a
// resume without a hash writes again.
func TestW13_ResumeOverHoles(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	srv.Extensions = blind
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, want := t.Context(), noise(6<<20)
		there := bytes.Clone(want[:5<<20])
		clear(there[3<<20 : 4<<20])
		if err := c.WriteFile(ctx, "/f", there, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(ctx, "/f", bytes.NewReader(want), sftp.TransferOptions{Resume: sftp.ResumeOrFail}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fileOf(t, tree, "/f"), want) {
			t.Error("a hole is left")
		}
	})
}

// A server that announces hashes and then refuses them is one that cannot hash.
func TestResumeOfARefusedHash(t *testing.T) {
	srv, s := tapped()
	srv.Extensions = append([]string{}, hashing...)
	want := noise(100_000)
	s.file = func(_ string, f sftp.File) sftp.File { return f }
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, local := t.Context(), filepath.Join(t.TempDir(), "x")
		if err := c.WriteFile(ctx, "/f", want, 0o200); err != nil {
			t.Fatal(err)
		}
		writeLocal(t, local, want[:50_000])
		r, err := c.GetFile(ctx, "/f", local, sftp.TransferOptions{Resume: sftp.ResumeOrFail})
		if err != nil || r.Resumed != 50_000 || !bytes.Equal(readLocal(t, local), want) {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// ctx ends a transfer at once, and what is there can be resumed.
func TestW38_CancelledTransferCanBeResumed(t *testing.T) {
	for _, put := range []bool{false, true} {
		for _, atomic := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				srv, tree := memServer(memfs.Options{})
				link := netsim.Link{Delay: 50 * time.Millisecond, Rate: 1 << 20}
				c, err := overLink(t, srv, nil, link, link)
				if err != nil {
					t.Fatal(err)
				}
				defer c.end()
				local, want := filepath.Join(t.TempDir(), "x"), noise(8<<20)
				if put {
					writeLocal(t, local, want)
				} else if _, err := c.Put(t.Context(), "/f", bytes.NewReader(want), sftp.TransferOptions{}); err != nil {
					t.Fatal(err)
				}
				o := sftp.TransferOptions{Resume: sftp.ResumeOrFail, Atomic: atomic}
				run := func(ctx context.Context) (sftp.TransferResult, error) {
					if put {
						return c.PutFile(ctx, local, "/f", o)
					}
					return c.GetFile(ctx, "/f", local, o)
				}
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				_, err = run(ctx)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error("cancelled:", err)
				}
				if d := time.Since(begin); d > 4500*time.Millisecond {
					t.Error("took", d)
				}
				time.Sleep(10 * time.Second) // what was under way arrives
				r, err := run(t.Context())
				if err != nil || r.Resumed < 1<<20 {
					t.Errorf("put %v atomic %v: %+v %v", put, atomic, r, err)
				}
				got := readLocal(t, local)
				if put {
					got = fileOf(t, tree, "/f")
				}
				if !bytes.Equal(got, want) {
					t.Error("other content")
				}
			})
		}
	}
}

// An atomic Put: the old file is there until the new one is, whatever goes wrong.
func TestW14_PutAtomic(t *testing.T) {
	srv, s := tapped()
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		atomic := sftp.TransferOptions{Atomic: true}
		if err := c.WriteFile(ctx, "/f", []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.log()
		if _, err := c.Put(ctx, "/f", strings.NewReader("new"), atomic); err != nil {
			t.Fatal(err)
		}
		if got := s.log(); !strings.HasSuffix(got, "fsync close rename") {
			t.Error("in this order:", got)
		}
		if got, _ := c.ReadFile(ctx, "/f"); string(got) != "new" {
			t.Errorf("%q", got)
		}

		// A source that fails.
		_, err := c.Put(ctx, "/f", io.MultiReader(strings.NewReader("newer"), failing{}), atomic)
		if !errors.Is(err, errFailing) {
			t.Error(err)
		}
		if te, ok := errors.AsType[*sftp.TransferError](err); !ok || te.Step != "local read" {
			t.Errorf("%#v", err)
		}
		// A rename that fails.
		s.ren = func(string, string, sftp.RenameFlags) error { return sftp.CodePermissionDenied }
		if _, err := c.Put(ctx, "/f", strings.NewReader("newer"), atomic); !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
		s.ren = nil
		// A context that ends while the source is read.
		gone, cancel := context.WithCancelCause(ctx)
		r := io.MultiReader(strings.NewReader("newer"), readFunc(func([]byte) (int, error) { cancel(errFailing); return 0, nil }), strings.NewReader("x"))
		if _, err := c.Put(gone, "/f", r, atomic); !errors.Is(err, errFailing) {
			t.Error(err)
		}
		if got, _ := c.ReadFile(ctx, "/f"); string(got) != "new" {
			t.Errorf("%q", got)
		}
		if got := remoteNames(t, c, "/"); got != "f" {
			t.Error("left:", got)
		}
	})
}

var errFailing = errors.New("source failed")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) {
	if f == nil {
		return 0, io.EOF
	}
	return f(p)
}

// A server of version 3 without posix-rename@openssh.com cannot replace: the old file is
// kept, or moved aside on request, and back if that fails.
func TestW14_PutAtomicWithoutReplace(t *testing.T) {
	srv, s := tapped()
	without(srv, "posix-rename")
	visitV3(t, srv, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		o := sftp.TransferOptions{Atomic: true}
		if _, err := c.Put(ctx, "/f", strings.NewReader("old"), o); err != nil {
			t.Fatal("nothing to replace:", err)
		}
		if _, err := c.Put(ctx, "/f", strings.NewReader("new"), o); err == nil || !strings.Contains(err.Error(), "MoveAside") {
			t.Error(err)
		}
		if got, _ := c.ReadFile(ctx, "/f"); string(got) != "old" {
			t.Errorf("%q", got)
		}
		o.MoveAside = true
		s.ren = func(from, to string, _ sftp.RenameFlags) error {
			// The old file goes aside; the new one cannot take its place.
			if strings.HasSuffix(from, ".filepart") && to == "/f" && len(fileOf(t, s.FileSystem, from)) == 5 {
				return sftp.CodePermissionDenied
			}
			return nil
		}
		if _, err := c.Put(ctx, "/f", strings.NewReader("newer"), o); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, sftp.CodeFailure) {
			t.Error(err)
		}
		if got, _ := c.ReadFile(ctx, "/f"); string(got) != "old" {
			t.Errorf("%q", got)
		}
		s.ren = nil
		if _, err := c.Put(ctx, "/f", strings.NewReader("newer"), o); err != nil {
			t.Error(err)
		}
		if got, _ := c.ReadFile(ctx, "/f"); string(got) != "newer" {
			t.Errorf("%q", got)
		}
		if got := remoteNames(t, c, "/"); got != "f" {
			t.Error("left:", got)
		}
		if err := c.Remove(ctx, "/f"); err != nil {
			t.Error(err)
		}
	})
}

// A Get that fails leaves the old file.
func TestGetFileAtomic(t *testing.T) {
	srv, s := tapped()
	s.file = func(_ string, f sftp.File) sftp.File { return &broken{File: f, at: 500_000} }
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		local := filepath.Join(dir, "x")
		writeLocal(t, local, []byte("old"))
		if err := os.Chmod(local, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(ctx, "/f", bytes.NewReader(noise(1_000_000)), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetFile(ctx, "/f", local, sftp.TransferOptions{Atomic: true}); !errors.Is(err, sftp.CodeFailure) {
			t.Error(err)
		}
		if got := readLocal(t, local); string(got) != "old" {
			t.Errorf("%d octets", len(got))
		}
		if got := localNames(t, dir); got != "x" {
			t.Error("left:", got)
		}
		if _, err := c.Put(ctx, "/f", strings.NewReader("new"), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetFile(ctx, "/f", local, sftp.TransferOptions{Atomic: true}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(local)
		if got := readLocal(t, local); string(got) != "new" || err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%q %v %v", got, info.Mode(), err)
		}
	})
}

// broken is a file that cannot be read from some octet on.
type broken struct {
	sftp.File
	at int64
}

func (b *broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.at {
		if off >= b.at {
			return 0, sftp.CodeFailure
		}
		p = p[:b.at-off]
		n, err := b.File.ReadAt(p, off)
		if err == nil {
			err = sftp.CodeFailure
		}
		return n, err
	}
	return b.File.ReadAt(p, off)
}

// What a server changes on the way is found by a hash, and by reading again, and by no size.
func TestVerifyFindsWhatTheServerChanged(t *testing.T) {
	for _, exts := range [][]string{hashing, blind} {
		srv, s := tapped()
		srv.Extensions = exts
		hash := len(exts) > 1
		bad := false
		s.file = func(_ string, f sftp.File) sftp.File { return &flipping{File: f, bad: &bad} }
		visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
			ctx, dir, want := t.Context(), t.TempDir(), noise(400_000)
			local := filepath.Join(dir, "x")
			writeLocal(t, local, want)
			for _, tt := range []struct {
				v           sftp.Verify
				found, runs bool
			}{
				{sftp.VerifyNone, false, true},
				{sftp.VerifySize, false, true},
				{sftp.VerifyBest, hash, true},
				{sftp.VerifyHash, hash, hash},
				{sftp.VerifyContent, true, true},
			} {
				for _, bad = range []bool{false, true} {
					if err := c.WriteFile(ctx, "/f", []byte("old"), 0o644); err != nil {
						t.Fatal(err)
					}
					_, err := c.PutFile(ctx, local, "/f", sftp.TransferOptions{Verify: tt.v, Atomic: true})
					switch {
					case !tt.runs:
						if !errors.Is(err, errors.ErrUnsupported) {
							t.Errorf("verify %d: %v", tt.v, err)
						}
						continue
					case errors.Is(err, sftp.ErrMismatch) != (bad && tt.found), err != nil && !errors.Is(err, sftp.ErrMismatch):
						t.Errorf("hash %v, verify %d, bad %v: %v", hash, tt.v, bad, err)
					}
					if got, _ := c.ReadFile(ctx, "/f"); err != nil && string(got) != "old" {
						t.Error("the old file is gone")
					}
					if got := remoteNames(t, c, "/"); got != "f" {
						t.Error("left:", got)
					}
				}
			}
		})
	}
}

// flipping is a file that does not keep what it is given.
type flipping struct {
	sftp.File
	bad *bool
}

func (f *flipping) WriteAt(p []byte, off int64) (int, error) {
	if *f.bad && off == 0 && len(p) > 100 {
		p = bytes.Clone(p)
		p[50] ^= 1
	}
	return f.File.WriteAt(p, off)
}

// A local file that changes while it is sent is noticed if anybody wants to know.
func TestPutOfAFileThatChanges(t *testing.T) {
	srv, s := tapped()
	local := ""
	s.file = func(_ string, f sftp.File) sftp.File {
		g, err := os.OpenFile(local, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, _ = g.WriteString("more")
			_ = g.Close()
		}
		return f
	}
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		local = filepath.Join(t.TempDir(), "x")
		writeLocal(t, local, []byte("content"))
		if _, err := c.PutFile(t.Context(), local, "/f", sftp.TransferOptions{Verify: sftp.VerifySize}); !errors.Is(err, sftp.ErrChanged) {
			t.Error(err)
		}
		if _, err := c.PutFile(t.Context(), local, "/f", sftp.TransferOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// Servers that take no attributes: an error, or on request none.
func TestW10_AttributesThatTheServerRefuses(t *testing.T) {
	srv, s := tapped()
	s.set = func(string) error { return sftp.CodePermissionDenied }
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, local := t.Context(), filepath.Join(t.TempDir(), "x")
		writeLocal(t, local, []byte("content"))
		for _, o := range []sftp.TransferOptions{
			{Mode: 0o600}, {Preserve: sftp.PreserveTimes}, {Preserve: sftp.PreserveTimes | sftp.PreserveMode, Atomic: true},
		} {
			if _, err := c.PutFile(ctx, local, "/f", o); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%+v: %v", o, err)
			}
			o.BestEffortAttrs = true
			if r, err := c.PutFile(ctx, local, "/f", o); err != nil || !errors.Is(r.AttrsErr, fs.ErrPermission) {
				t.Errorf("%+v: %+v %v", o, r, err)
			}
		}
		// Nobody asked for the mode that an atomic Put keeps.
		if _, err := c.PutFile(ctx, local, "/f", sftp.TransferOptions{Atomic: true}); err != nil {
			t.Error(err)
		}
		// Without options nothing is set at all.
		s.log()
		if _, err := c.PutFile(ctx, local, "/f", sftp.TransferOptions{}); err != nil {
			t.Error(err)
		}
		if got := s.log(); strings.Contains(got, "set") {
			t.Error(got)
		}
	})
}
