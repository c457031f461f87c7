//go:build linux || darwin || freebsd

package osfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const secret = "OUTSIDE-SECRET"

var (
	ctx   = context.Background()
	epoch = time.Unix(0, 0)
)

// jail makes outer/bob (the root), its sibling outer/bob2 with a secret, and a tree inside:
// /d/e/f (file), /f, and links of all kinds.
func jail(t *testing.T, o Options) (s *FS, outer string) {
	t.Helper()
	outer = t.TempDir()
	root := filepath.Join(outer, "bob")
	for _, dir := range []string{"bob/d/e", "bob2/sub", "bob/etc"} {
		if err := os.MkdirAll(filepath.Join(outer, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"bob/f": "inside", "bob/d/e/f": "deep inside", "bob/etc/passwd": "jail passwd",
		"bob2/secret": secret, "bob2/only-outside": secret, "bob2/sub/secret": secret, "secret": secret,
	} {
		if err := os.WriteFile(filepath.Join(outer, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"abs": "/d/e/f", "absdir": "/d", "passwd": "/etc/passwd", "out": "../bob2", "outfile": "../bob2/secret",
		"d/up": "../../bob2/secret", "d/rel": "e/f", "loop": "loop", "loop1": "loop2", "loop2": "/loop1", "dangling": "/nowhere",
		"hostabs": filepath.Join(outer, "bob2", "secret"), "hostabs2": filepath.Join(outer, "bob2", "missing"), "hostin": filepath.Join(root, "d"), "self": ".", "rootlink": "/",
		"chain1": "chain2", "chain2": "/chain3", "chain3": "d/e/f", "up2": "d/../../secret", "absup": "/../../bob2/secret",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, outer
}

// bothWays runs a test with the kernel's walk and with os.Root's.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Run("kernel", test)
	slowWalk(t)
	t.Run("os.Root", test)
}

// snapshot returns everything below dir that the jail must not change, but for skip.
func snapshot(t *testing.T, dir, skip string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == skip {
			return fs.SkipDir
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v", p, fi.Mode())
		if fi.Mode().IsRegular() {
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %v %q", fi.ModTime(), data)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	reading   = sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting}
	rewriting = sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.CreateTruncate}
)

func content(s *FS, name string) (string, error) {
	f, err := s.Open(ctx, name, &reading)
	if err != nil {
		return "", err
	}
	defer f.Close(nil)
	p := make([]byte, 4096)
	n, err := f.ReadAt(p, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(p[:n]), err
}

// methods is every method that takes a path. It answers text that must not hold
// anything of the outside.
var methods = map[string]func(s *FS, name string) (string, error){
	"OPEN read": func(s *FS, name string) (string, error) { return content(s, name) },
	"OPEN write": func(s *FS, name string) (string, error) {
		f, err := s.Open(ctx, name, &rewriting)
		if err != nil {
			return "", err
		}
		_, err = f.WriteAt([]byte("overwritten"), 0)
		return "", errors.Join(err, f.Close(nil))
	},
	"OPEN new": func(s *FS, name string) (string, error) {
		f, err := s.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
		if err != nil {
			return "", err
		}
		return "", f.Close(nil)
	},
	"OPENDIR": func(s *FS, name string) (string, error) {
		d, err := s.OpenDir(ctx, name)
		if err != nil {
			return "", err
		}
		defer d.Close(nil)
		var b strings.Builder
		for {
			entries, err := d.Next(ctx, 100)
			for _, e := range entries {
				b.WriteString(e.Name + " ")
			}
			if err != nil {
				return b.String(), nil
			}
		}
	},
	"STAT": func(s *FS, name string) (string, error) {
		_, err := s.Stat(ctx, name, sftp.StatOpt{Follow: true})
		return "", err
	},
	"LSTAT": func(s *FS, name string) (string, error) {
		_, err := s.Stat(ctx, name, sftp.StatOpt{})
		return "", err
	},
	"SETSTAT": func(s *FS, name string) (string, error) {
		return "", s.SetStat(ctx, name, &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrMtime | sftp.AttrAtime | sftp.AttrSize, Mode: 0o700, Size: 3, Atime: epoch, Mtime: epoch}, true)
	},
	"LSETSTAT": func(s *FS, name string) (string, error) {
		return "", s.SetStat(ctx, name, &sftp.Attrs{Valid: sftp.AttrMtime | sftp.AttrAtime, Atime: epoch, Mtime: epoch}, false)
	},
	"REMOVE":        func(s *FS, name string) (string, error) { return "", s.Remove(ctx, name) },
	"MKDIR":         func(s *FS, name string) (string, error) { return "", s.Mkdir(ctx, name, nil) },
	"RMDIR":         func(s *FS, name string) (string, error) { return "", s.Rmdir(ctx, name) },
	"RENAME from":   func(s *FS, name string) (string, error) { return "", s.Rename(ctx, name, "/moved", 0) },
	"RENAME to":     func(s *FS, name string) (string, error) { return "", s.Rename(ctx, "/f", name, 0) },
	"posix-rename":  func(s *FS, name string) (string, error) { return "", s.Rename(ctx, "/f", name, sftp.RenameAtomic) },
	"hardlink from": func(s *FS, name string) (string, error) { return "", s.Link(ctx, name, "/linked", false) },
	"hardlink to":   func(s *FS, name string) (string, error) { return "", s.Link(ctx, "/f", name, false) },
	"SYMLINK":       func(s *FS, name string) (string, error) { return "", s.Link(ctx, "f", name, true) },
	"SYMLINK target": func(s *FS, name string) (string, error) {
		if err := s.Link(ctx, name, "/sym", true); err != nil {
			return "", err
		}
		text, _ := content(s, "/sym")
		return text, nil
	},
	"READLINK": func(s *FS, name string) (string, error) { return s.ReadLink(ctx, name) },
	"REALPATH": func(s *FS, name string) (string, error) {
		p, _, err := s.RealPath(ctx, name, sftp.RealPathOpt{})
		return p, err
	},
	"REALPATH stat": func(s *FS, name string) (string, error) {
		p, _, err := s.RealPath(ctx, name, sftp.RealPathOpt{Control: sftp.RealPathStatIf})
		return p, err
	},
	"statvfs": func(s *FS, name string) (string, error) { _, err := s.StatFS(ctx, name); return "", err },
	"STAT all": func(s *FS, name string) (string, error) {
		a, err := s.Stat(ctx, name, sftp.StatOpt{Follow: true, Want: ^sftp.AttrMask(0)})
		return fmt.Sprint(a), err
	},
	"SETSTAT all": func(s *FS, name string) (string, error) {
		return "", s.SetStat(ctx, name, everything(), true)
	},
	"MKDIR all": func(s *FS, name string) (string, error) { return "", s.Mkdir(ctx, name, everything()) },
	"OPEN all": func(s *FS, name string) (string, error) {
		f, err := s.Open(ctx, name, &sftp.OpenHow{
			Access: sftp.AccessReadData | sftp.AccessWriteData | sftp.AccessAppendData, Disposition: sftp.CreateTruncate, Attrs: everything(),
			Flags: sftp.OpenAppendAtomic | sftp.OpenBlockRead | sftp.OpenBlockWrite | sftp.OpenBlockDelete,
		})
		if err != nil {
			return "", err
		}
		_, err = f.WriteAt([]byte("overwritten"), 0)
		return "", errors.Join(err, f.Lock(ctx, sftp.Range{Mask: sftp.RangeWrite}), f.SetStat(ctx, everything()), f.Close(nil))
	},
	"OPEN doomed": func(s *FS, name string) (string, error) {
		f, err := s.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenOrCreate, Flags: sftp.OpenDeleteOnClose})
		if err != nil {
			return "", err
		}
		p := make([]byte, 100)
		n, _ := f.ReadAt(p, 0)
		return string(p[:n]), f.Close(nil)
	},
}

// everything are attributes of all kinds that SETSTAT takes.
func everything() *sftp.Attrs {
	return &sftp.Attrs{
		Valid: sftp.AttrSize | sftp.AttrMtime | sftp.AttrAtime | sftp.AttrSubsecond | sftp.AttrOwnerGroup | sftp.AttrACL | hostSettable | hostXattrs,
		Size:  3, Allocation: 4096, Mtime: epoch, Atime: epoch, Owner: strconv.Itoa(os.Getuid()), ACL: sftp.ACLOfMode(0o640),
		Extended: []sftp.ExtAttr{{Name: "user.new", Data: "yes"}},
	}
}

var hostile = []string{
	"..", "/..", "../bob2/secret", "/../bob2/secret", "/a/../../bob2/secret", "d/../../bob2/secret", "d/e/../../../secret",
	`..\bob2\secret`, "//../bob2/secret", "/./../bob2/secret", "a/../..", "out", "out/secret", "out/sub/secret", "outfile", "d/up",
	"hostabs", "absup", "up2", "secret", "f\x00/../../secret", strings.Repeat("a/../", 900) + "../secret", strings.Repeat("x", 5000),
	"d/../out/secret", "absdir/../out/secret", "absdir/up", "rootlink/../bob2/secret", "self/../bob2/secret", "rootlink/out/secret",
	"../bob2/", "../bob2/secret/", "../bob2/secret ", "../bob2/secret.", "..\xc0\xaf../secret", "%2e%2e/secret", "..%2fsecret",
	"\uff0e\uff0e/secret", "loop", "loop/x", "dangling/x", "",
}

// TestCVE_8_1_SiblingPrefix: a root of /x/bob says nothing about /x/bob2.
func TestCVE_8_1_SiblingPrefix(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s, outer := jail(t, Options{Xattrs: true})
		for _, name := range []string{"../bob2/secret", "/../bob2/secret", filepath.Join(outer, "bob2", "secret"), "out/secret", "2/secret"} {
			for verb, method := range methods {
				if verb == "SYMLINK target" || strings.HasSuffix(verb, " to") || verb == "REALPATH stat" {
					continue // covered by the matrix of 8.2
				}
				text, err := method(s, name)
				if c := sftp.CodeOf(err); c.In(3) != sftp.CodeNoSuchFile && c != sftp.CodePermissionDenied {
					t.Errorf("%s %q: %v %q", verb, name, c, text)
				}
			}
		}
	})
}

// TestCVE_8_2_EveryMethodEveryPath: no method with no spelling reads or changes anything
// outside, or tells of it.
func TestCVE_8_2_EveryMethodEveryPath(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		for verb, method := range methods {
			s, outer := jail(t, Options{Xattrs: true})
			before := snapshot(t, outer, filepath.Join(outer, "bob"))
			for _, name := range append([]string{outer + "/bob2/secret", outer}, hostile...) {
				text, err := method(s, name)
				if verb == "READLINK" && name == "hostabs" {
					// The text of a link that somebody on the host wrote; it leads nowhere
					// (8.4) and names the root only if it lies in it (8.5).
					continue
				}
				if strings.Contains(text, secret) || strings.Contains(text, outer) && !strings.HasPrefix(verb, "REALPATH") {
					t.Errorf("%s %q answered %q", verb, name, text)
				}
				if err != nil && strings.Contains(err.Error(), outer) && !strings.Contains(name, outer) {
					t.Errorf("%s %q: error names the host's path: %v", verb, name, err)
				}
				if st := sftp.ToStatus(err); strings.Contains(st.Text, outer) {
					t.Errorf("%s %q: status text names the host's path: %q", verb, name, st.Text)
				}
				if now := snapshot(t, outer, filepath.Join(outer, "bob")); now != before {
					t.Fatalf("%s %q changed the outside:\n%s\nwas\n%s", verb, name, now, before)
				}
			}
		}
	})
}

// TestCVE_8_2_OneVerdictPerObject: all spellings of one name get one answer.
func TestCVE_8_2_OneVerdictPerObject(t *testing.T) {
	s, _ := jail(t, Options{})
	for _, name := range []string{"f", "/f", "./f", "//f", "/./f", "d/../f", "/../f", "../../f", "f/", "/x/../f", "d/e/../../f"} {
		if text, err := content(s, name); err != nil || text != "inside" {
			t.Errorf("%q: %q %v", name, text, err)
		}
		if p, _, err := s.RealPath(ctx, name, sftp.RealPathOpt{}); err != nil || p != "/f" {
			t.Errorf("REALPATH %q: %q %v", name, p, err)
		}
	}
}

// TestCVE_8_2_HandlesKeepTheirObject: what was opened is what FSTAT, FSETSTAT, WRITE and
// fsync act on, whatever stands at the path now.
func TestCVE_8_2_HandlesKeepTheirObject(t *testing.T) {
	s, outer := jail(t, Options{})
	f, err := s.Open(ctx, "/d/e/f", &sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(nil)
	was, err := f.Stat(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(outer, "bob")
	for _, step := range []func() error{
		func() error { return os.Rename(filepath.Join(root, "d/e/f"), filepath.Join(root, "kept")) },
		func() error { return os.Symlink(filepath.Join(outer, "secret"), filepath.Join(root, "d/e/f")) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t, outer, root)
	if _, err := f.WriteAt([]byte("new"), 0); err != nil {
		t.Error(err)
	}
	when := time.Unix(1_000_000_000, 0)
	if err := f.SetStat(ctx, &sftp.Attrs{
		Valid: sftp.AttrMode | sftp.AttrSize | sftp.AttrAtime | sftp.AttrMtime, Mode: 0o600, Size: 3, Atime: when, Mtime: when,
	}); err != nil {
		t.Error(err)
	}
	if err := f.Sync(ctx); err != nil {
		t.Error(err)
	}
	now, err := f.Stat(ctx, 0)
	if err != nil || !now.SameFile(was) {
		t.Errorf("FSTAT moved to another file: %+v, was %+v, %v", now, was, err)
	}
	fi, err := os.Stat(filepath.Join(root, "kept"))
	if err != nil || fi.Size() != 3 || fi.Mode() != 0o600 || !fi.ModTime().Equal(when) {
		t.Errorf("the opened file has %v, %v", fi, err)
	}
	if after := snapshot(t, outer, root); after != before {
		t.Error("a handle operation changed the outside")
	}
}

// TestCVE_8_3_ReadOnlyOpen: no combination of access, disposition and flags changes anything
// in a read-only tree.
func TestCVE_8_3_ReadOnlyOpen(t *testing.T) {
	s, outer := jail(t, Options{ReadOnly: true})
	before := snapshot(t, outer, "")
	opened := 0
	for access := range sftp.Access(0x200) {
		for disp := sftp.CreateNew; disp <= sftp.TruncateExisting+1; disp++ {
			for _, flags := range []sftp.OpenFlags{0, sftp.OpenAppend, sftp.OpenAppendAtomic, sftp.OpenNoFollow, sftp.OpenDeleteOnClose, sftp.OpenText, sftp.OpenOverrideOwner} {
				for _, name := range []string{"/f", "/new", "/abs", "/dangling"} {
					f, err := s.Open(ctx, name, &sftp.OpenHow{Access: access, Disposition: disp, Flags: flags, Attrs: &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o777}})
					if err != nil {
						continue
					}
					opened++
					if _, err := f.WriteAt([]byte("x"), 0); err == nil {
						t.Errorf("%#x %d %#x: written", access, disp, flags)
					}
					if err := f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrMode}); sftp.CodeOf(err) != sftp.CodeWriteProtect {
						t.Errorf("%#x %d %#x: FSETSTAT %v", access, disp, flags, err)
					}
					if err := f.Close(nil); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
	if opened == 0 {
		t.Error("nothing could be opened for reading")
	}
	if after := snapshot(t, outer, ""); after != before {
		t.Errorf("changed:\n%s\nwas\n%s", after, before)
	}
}

// TestCVE_8_3_ReadOnlyMethods: nor does any other method.
func TestCVE_8_3_ReadOnlyMethods(t *testing.T) {
	s, outer := jail(t, Options{ReadOnly: true})
	before := snapshot(t, outer, "")
	for verb, method := range methods {
		for _, name := range []string{"/f", "/d/e", "/new", "/abs", "/d/new", "/dangling"} {
			_, err := method(s, name)
			switch verb {
			case "OPEN read", "OPENDIR", "STAT", "LSTAT", "READLINK", "REALPATH", "REALPATH stat", "statvfs", "STAT all":
			default:
				if sftp.CodeOf(err) != sftp.CodeWriteProtect {
					t.Errorf("%s %s: %v", verb, name, err)
				}
			}
		}
	}
	if after := snapshot(t, outer, ""); after != before {
		t.Errorf("changed:\n%s\nwas\n%s", after, before)
	}
}

// TestCVE_8_4_SymlinkSwap: while a directory and a link to the outside take turns at one
// name, nothing opened is ever an outside file and nothing outside changes.
func TestCVE_8_4_SymlinkSwap(t *testing.T) {
	rounds := 10_000
	bothWays(t, func(t *testing.T) {
		s, outer := jail(t, Options{Xattrs: true})
		root := filepath.Join(outer, "bob")
		for _, dir := range []string{"real/sub", "spare"} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"real/secret", "real/sub/secret"} {
			if err := os.WriteFile(filepath.Join(root, name), []byte("inside"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../bob2", filepath.Join(root, "evil")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "leaffile"), []byte("inside"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../bob2/secret", filepath.Join(root, "leaflink")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("real", filepath.Join(root, "good")); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, outer, root)
		stop := make(chan struct{})
		var swapping sync.WaitGroup
		swapping.Go(func() {
			at := func(n string) string { return filepath.Join(root, n) }
			for {
				select {
				case <-stop:
					return
				default:
				}
				// "swap" is in turn the directory, the link out, a link inside.
				_ = os.Rename(at("real"), at("swap"))
				_ = os.Rename(at("swap"), at("real"))
				_ = os.Rename(at("evil"), at("swap"))
				_ = os.Rename(at("swap"), at("evil"))
				_ = os.Rename(at("good"), at("swap"))
				_ = os.Rename(at("swap"), at("good"))
				// "leaf" is in turn a file and a link out.
				_ = os.Rename(at("leaffile"), at("leaf"))
				_ = os.Rename(at("leaf"), at("leaffile"))
				_ = os.Rename(at("leaflink"), at("leaf"))
				_ = os.Rename(at("leaf"), at("leaflink"))
			}
		})
		var inside, refused int
		for i := range rounds {
			name := []string{"swap/secret", "swap/sub/secret", "/swap/sub/../secret"}[i%3]
			text, err := content(s, name)
			switch {
			case text == secret:
				t.Error("an outside file was read")
			case err == nil && text == "inside":
				inside++
			default:
				refused++
			}
			// The owner is the one it has, the mode and times are not.
			_ = s.SetStat(ctx, "leaf", &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrMtime, Mode: 0o640, Mtime: epoch}, i%2 == 0)
			switch i % 8 {
			case 0:
				if f, err := s.Open(ctx, "swap/new", &rewriting); err == nil {
					_ = f.Close(nil)
				}
			case 1:
				_ = s.Mkdir(ctx, "swap/dir", nil)
			case 2:
				_ = s.Remove(ctx, "swap/sub/none")
			case 3:
				_ = s.SetStat(ctx, "swap/secret", &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrMtime, Mode: 0o600, Mtime: epoch}, true)
			case 4:
				_ = s.Rename(ctx, "/f", "swap/f", sftp.RenameAtomic)
				_ = s.Rename(ctx, "swap/f", "/f", sftp.RenameAtomic)
			case 5:
				_ = s.Link(ctx, "/f", "swap/hard", false)
			case 6:
				if d, err := s.OpenDir(ctx, "swap"); err == nil {
					entries, _ := d.Next(ctx, 10)
					for _, e := range entries {
						if e.Name == "only-outside" {
							t.Error("listed the outside")
						}
					}
					_ = d.Close(nil)
				}
			case 7:
				if text, _ := methods["OPEN doomed"](s, "swap/sub/doomed"); text != "" {
					t.Errorf("read %q from what was made", text)
				}
				a := everything()
				a.Valid &^= sftp.AttrSize
				_ = s.SetStat(ctx, []string{"swap/sub/secret", "leaf"}[i/8%2], a, true)
				_, _ = s.Stat(ctx, "leaf", sftp.StatOpt{Follow: true, Want: ^sftp.AttrMask(0)})
			}
		}
		close(stop)
		swapping.Wait()
		if inside == 0 || refused == 0 {
			t.Errorf("the swap was not met: %d inside, %d refused", inside, refused)
		}
		if after := snapshot(t, outer, root); after != before {
			t.Errorf("the outside changed:\n%s\nwas\n%s", after, before)
		}
	})
}

// TestCVE_8_4_SymlinkPolicy: what each kind of link leads to.
func TestCVE_8_4_SymlinkPolicy(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s, _ := jail(t, Options{})
		for _, row := range []struct {
			name, text string
			code       sftp.Code
		}{
			{"abs", "deep inside", 0},
			{"absdir/e/f", "deep inside", 0},
			{"d/rel", "deep inside", 0},
			{"passwd", "jail passwd", 0},
			{"chain1", "deep inside", 0},
			{"hostin/e/f", "deep inside", 0},
			{"rootlink/f", "inside", 0},
			{"self/self/self/f", "inside", 0},
			{"outfile", "", sftp.CodePermissionDenied},
			{"out/secret", "", sftp.CodePermissionDenied},
			{"d/up", "", sftp.CodePermissionDenied},
			{"up2", "", sftp.CodePermissionDenied},
			{"hostabs", "", sftp.CodeNoSuchPath},
			{"absup", "", sftp.CodeNoSuchPath},
			{"dangling", "", sftp.CodeNoSuchFile},
			{"loop", "", sftp.CodeLinkLoop},
			{"loop1", "", sftp.CodeLinkLoop},
			{"loop/x", "", sftp.CodeLinkLoop},
		} {
			text, err := content(s, row.name)
			if text != row.text || sftp.CodeOf(err) != row.code {
				t.Errorf("%s: %q %v, want %q %v", row.name, text, err, row.text, row.code)
			}
		}
		for _, row := range []struct {
			name, target string
			code         sftp.Code
		}{
			{"/n1", "/d/e/f", 0},
			{"/n2", "../x", sftp.CodePermissionDenied},
			{"/d/n3", "../f", 0},
			{"/d/n4", "../../f", sftp.CodePermissionDenied},
			{"/absdir/n5", "../../f", sftp.CodePermissionDenied},
			{"/rootlink/n6", "../f", sftp.CodePermissionDenied},
			{"/n7", "nowhere", 0},
			{"/n8", "", sftp.CodeInvalidFilename},
			{"/n9", "a\x00b", sftp.CodeInvalidFilename},
			{"/n10", "d/../../x", sftp.CodePermissionDenied},
			{"/n11", "/../x", 0},
		} {
			if err := s.Link(ctx, row.target, row.name, true); sftp.CodeOf(err) != row.code {
				t.Errorf("SYMLINK %s -> %q: %v, want %v", row.name, row.target, err, row.code)
			} else if err == nil {
				if got, err := s.ReadLink(ctx, row.name); err != nil || got != row.target {
					t.Errorf("READLINK %s: %q %v, want %q", row.name, got, err, row.target)
				}
			}
		}
	})
}

// TestCVE_8_5_NoHostPath: the host's path of the root never shows, nor can it be found
// out by creating links and looking at them.
func TestCVE_8_5_NoHostPath(t *testing.T) {
	s, outer := jail(t, Options{})
	root := filepath.Join(outer, "bob")
	if got, err := s.ReadLink(ctx, "hostin"); err != nil || got != "/d" {
		t.Errorf("READLINK of a link made by the host: %q %v", got, err)
	}
	a, err := s.Stat(ctx, "hostin", sftp.StatOpt{})
	if err != nil || a.Size != uint64(len("/d")) {
		t.Errorf("its size tells the length of the root's path: %v %v", a, err)
	}
	if p, _, err := s.RealPath(ctx, "hostin/e", sftp.RealPathOpt{}); err != nil || p != "/d/e" {
		t.Errorf("REALPATH: %q %v", p, err)
	}
	// A guess of the peer reads back as any other target and leads nowhere.
	for _, guess := range []string{root + "/d", root, "/some/where"} {
		if err := s.Link(ctx, guess, "/guess", true); err != nil {
			t.Fatal(err)
		}
		got, err := s.ReadLink(ctx, "/guess")
		if err != nil || got != guess {
			t.Errorf("READLINK %q: %q %v", guess, got, err)
		}
		if a, err := s.Stat(ctx, "/guess", sftp.StatOpt{}); err != nil || a.Size != uint64(len(guess)) {
			t.Errorf("LSTAT of a guess %q: %v %v", guess, a, err)
		}
		if _, err := s.Stat(ctx, "/guess", sftp.StatOpt{Follow: true}); sftp.CodeOf(err).In(3) != sftp.CodeNoSuchFile {
			t.Errorf("STAT of a guess %q: %v", guess, err)
		}
		if err := s.Remove(ctx, "/guess"); err != nil {
			t.Fatal(err)
		}
	}
	// Nor does the length at which targets are refused tell.
	for n := sftp.MaxPath - 8; n < sftp.MaxPath+2; n++ {
		var errs [2]error
		for i, dir := range []string{root, strings.ToUpper(root)} {
			target := dir + "/" + strings.Repeat("x", n-len(root)-1)
			if errs[i] = s.Link(ctx, target, "/guess", true); errs[i] == nil {
				if err := s.Remove(ctx, "/guess"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if sftp.CodeOf(errs[0]) != sftp.CodeOf(errs[1]) {
			t.Errorf("target of %d octets: %v for a right guess, %v for a wrong one", n, errs[0], errs[1])
		}
	}
	f, err := s.Open(ctx, "/f", &reading)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(nil); err != nil {
		t.Fatal(err)
	}
	_, err = f.ReadAt(make([]byte, 1), 0)
	if err == nil || strings.Contains(err.Error(), outer) {
		t.Errorf("read after close: %v", err)
	}
}

// TestCVE_8_6_NoOracle: paths outside answer the same whether they exist or not.
func TestCVE_8_6_NoOracle(t *testing.T) {
	s, outer := jail(t, Options{})
	for _, pair := range [][2]string{
		{"/../bob2/secret", "/../bob2/missing"},
		{"out/secret", "out/missing"},
		{"out/sub/secret", "out/none/secret"},
		{outer + "/bob2/secret", outer + "/bob2/missing"},
		{"hostabs", "hostabs2"},
		{"outfile", "d/up"},
	} {
		for verb, method := range methods {
			if verb != "STAT" && verb != "OPEN read" && !strings.HasPrefix(verb, "REALPATH") && verb != "statvfs" {
				continue
			}
			_, err1 := method(s, pair[0])
			_, err2 := method(s, pair[1])
			if !reflect.DeepEqual(sftp.ToStatus(err1), sftp.ToStatus(err2)) {
				t.Errorf("%s: %q %v, %q %v", verb, pair[0], err1, pair[1], err2)
			}
		}
	}
}

// TestCVE_8_8_CopyToItself: copying a file onto itself ends, and overlapping ranges are
// refused.
func TestCVE_8_8_CopyToItself(t *testing.T) {
	s, _ := jail(t, Options{})
	how := sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenExisting}
	f, err := s.Open(ctx, "/f", &how)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(nil)
	g, err := s.Open(ctx, "/f", &how)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(nil)
	for _, src := range []sftp.File{f, g} {
		if _, err := sftp.CopyRange(ctx, f, 3, src, 0, 0); sftp.CodeOf(err) != sftp.CodeInvalidParameter {
			t.Errorf("overlap to the end: %v", err)
		}
		if _, err := sftp.CopyRange(ctx, f, 1, src, 0, 2); sftp.CodeOf(err) != sftp.CodeInvalidParameter {
			t.Errorf("overlap: %v", err)
		}
	}
	if n, err := sftp.CopyRange(ctx, f, 6, g, 0, 0); n != 6 || err != nil {
		t.Errorf("append a copy of itself: %d %v", n, err)
	}
	if text, _ := content(s, "/f"); text != "insideinside" {
		t.Errorf("%q", text)
	}
	if n, err := sftp.CopyRange(ctx, f, 0, g, 100, 0); n != 0 || err != nil {
		t.Errorf("from beyond the end: %d %v", n, err)
	}
	for _, bad := range [][3]int64{{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}, {math.MaxInt64, 0, 1}, {math.MaxInt64 - 3, 0, 0}} {
		if _, err := sftp.CopyRange(ctx, f, bad[0], g, bad[1], bad[2]); sftp.CodeOf(err) != sftp.CodeInvalidParameter {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// TestCVE_12_15_ModePolicyAndRanges: set-id bits are dropped unless allowed; ids and times at
// the ends of their ranges.
func TestCVE_12_15_ModePolicyAndRanges(t *testing.T) {
	for _, row := range []struct {
		allow bool
		want  uint32
	}{{false, 0o1777}, {true, 0o7777}} {
		s, _ := jail(t, Options{AllowSetID: row.allow})
		f, err := s.Open(ctx, "/new", &sftp.OpenHow{
			Access: sftp.AccessWriteData, Disposition: sftp.CreateNew, Attrs: &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o6700},
		})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := f.Stat(ctx, 0); err != nil || a.Mode != sftp.ModeRegular|0o700 {
			t.Errorf("OPEN with mode 06700: %o %v", a.Mode, err)
		}
		mode := &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o7777}
		if err := f.SetStat(ctx, mode); err != nil {
			t.Error(err)
		}
		if err := s.SetStat(ctx, "/f", mode, true); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"/new", "/f"} {
			if a, err := s.Stat(ctx, name, sftp.StatOpt{}); err != nil || a.Mode&sftp.ModePerm != row.want {
				t.Errorf("allow %t: %s has mode %o, %v", row.allow, name, a.Mode, err)
			}
		}
		if err := f.Close(nil); err != nil {
			t.Error(err)
		}
	}
	s, _ := jail(t, Options{})
	f, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(nil)
	for _, secs := range []int64{-1, -2_000_000_000, 0, math.MaxUint32, math.MaxUint32 + 1, 1 << 33} {
		at := &sftp.Attrs{Valid: sftp.AttrMtime, Mtime: time.Unix(secs, 5)}
		if err := errors.Join(s.SetStat(ctx, "/d/e/f", at, true), f.SetStat(ctx, at)); err != nil {
			t.Errorf("mtime %d: %v", secs, err)
		}
		for _, name := range []string{"/d/e/f", "/f"} {
			// File systems end at different years; what is stored must not have wrapped
			// to the other side.
			if a, err := s.Stat(ctx, name, sftp.StatOpt{}); err != nil || a.Mtime.Unix() != secs && secs <= math.MaxInt32 {
				t.Errorf("mtime %d became %d (%v)", secs, a.Mtime.Unix(), err)
			}
		}
	}
	for _, secs := range []int64{math.MinInt64 / 2, math.MaxInt64 / 2, math.MaxInt64/1_000_000_000 + 1} {
		at := &sftp.Attrs{Valid: sftp.AttrMtime, Mtime: time.Unix(secs, 0)}
		if err := s.SetStat(ctx, "/f", at, true); sftp.CodeOf(err) != sftp.CodeInvalidParameter {
			t.Errorf("mtime %d: %v", secs, err)
		}
	}
	for _, bit := range []sftp.AttrMask{sftp.AttrACL, sftp.AttrBitsSet, sftp.AttrCtime, sftp.AttrExtended, sftp.AttrMIME, sftp.AttrLinks} {
		err := s.SetStat(ctx, "/f", &sftp.Attrs{Valid: bit | sftp.AttrMode, Mode: 0o123}, true)
		a, _ := s.Stat(ctx, "/f", sftp.StatOpt{})
		if sftp.CodeOf(err) != sftp.CodeOpUnsupported || a.Mode&0o777 == 0o123 {
			t.Errorf("attribute %#x: %v, mode %o", bit, err, a.Mode)
		}
	}
}

// TestW13_AppendIgnoresOffsets: appends of several handles neither overwrite nor tear
// each other, whatever offsets they name, and reading at offsets still works.
func TestW13_AppendIgnoresOffsets(t *testing.T) {
	s, outer := jail(t, Options{})
	const writers, lines = 4, 2000
	var wg sync.WaitGroup
	start := make(chan struct{}) // all at once, or they hardly meet
	for w := range writers {
		f, err := s.Open(ctx, "/log", &sftp.OpenHow{
			Access: sftp.AccessReadData | sftp.AccessWriteData | sftp.AccessAppendData, Disposition: sftp.OpenOrCreate, Flags: sftp.OpenAppend,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close(nil)
		wg.Go(func() {
			line := bytes.Repeat([]byte{'a' + byte(w)}, 63)
			line = append(line, '\n')
			<-start
			for i := range lines {
				if _, err := f.WriteAt(line, int64(i*7)-3); err != nil {
					t.Error(err)
				}
			}
		})
	}
	close(start)
	wg.Wait()
	data, err := os.ReadFile(filepath.Join(outer, "bob", "log"))
	if err != nil || len(data) != writers*lines*64 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	for l := range bytes.SplitSeq(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		if len(l) != 63 || len(bytes.Trim(l, string(l[:1]))) != 0 {
			t.Fatalf("torn line %q", l)
		}
	}
}

// TestW19_AbsoluteLinksMeanTheRoot: the settled policy, seen through every verb that
// follows.
func TestW19_AbsoluteLinksMeanTheRoot(t *testing.T) {
	s, _ := jail(t, Options{})
	if a, err := s.Stat(ctx, "absdir", sftp.StatOpt{Follow: true}); err != nil || !a.IsDir() {
		t.Errorf("STAT: %v %v", a, err)
	}
	if err := s.Mkdir(ctx, "absdir/made", nil); err != nil {
		t.Error(err)
	}
	if err := s.Rename(ctx, "absdir/made", "rootlink/absdir/e/made", 0); err != nil {
		t.Error(err)
	}
	if err := s.Rmdir(ctx, "/d/e/made"); err != nil {
		t.Error(err)
	}
	if err := s.Link(ctx, "absdir/e/f", "absdir/hard", false); err != nil {
		t.Error(err)
	}
	if text, err := content(s, "/d/hard"); err != nil || text != "deep inside" {
		t.Errorf("%q %v", text, err)
	}
	// Creating through a dangling absolute link makes the file inside.
	f, err := s.Open(ctx, "dangling", &rewriting)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(nil); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(ctx, "/nowhere", sftp.StatOpt{}); err != nil {
		t.Error(err)
	}
	// A hard link to a link is a link.
	if err := s.Link(ctx, "abs", "abs2", false); err != nil {
		t.Error(err)
	}
	if got, err := s.ReadLink(ctx, "abs2"); err != nil || got != "/d/e/f" {
		t.Errorf("%q %v", got, err)
	}
}

// TestSpecialFilesDoNotBlock: a FIFO is refused at once, both ways.
func TestSpecialFilesDoNotBlock(t *testing.T) {
	s, outer := jail(t, Options{})
	if err := syscall.Mkfifo(filepath.Join(outer, "bob", "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, how := range []sftp.OpenHow{reading, rewriting, {Access: sftp.AccessWriteData, Disposition: sftp.OpenExisting}} {
		if f, err := s.Open(ctx, "/fifo", &how); err == nil {
			t.Errorf("opened %v", f)
		}
	}
	if err := s.SetStat(ctx, "/fifo", &sftp.Attrs{Valid: sftp.AttrSize}, true); err == nil {
		t.Error("truncated a FIFO")
	}
}

// TestCloseWhileInUse: after Close everything returns "closed", and no descriptor is left.
func TestCloseWhileInUse(t *testing.T) {
	s, _ := jail(t, Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				if _, err := s.Stat(ctx, "/d/e/f", sftp.StatOpt{}); err != nil {
					if !errors.Is(err, fs.ErrClosed) {
						t.Errorf("%v", err)
					}
					return
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s.users.Load() != 0 || s.base.Fd() != ^uintptr(0) {
		t.Error("the root is still open")
	}
}

// TestListing: names, attributes and owner names of a directory come in batches, once.
func TestListing(t *testing.T) {
	s, outer := jail(t, Options{Names: &sftp.IDNames{
		LookupUser: func(id uint32) string { return fmt.Sprint("u", id) }, LookupGroup: func(id uint32) string { return fmt.Sprint("g", id) },
	}})
	want := []string{}
	if err := s.Mkdir(ctx, "/many", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 257 {
		name := fmt.Sprintf("n%03d", i)
		want = append(want, name)
		if err := os.WriteFile(filepath.Join(outer, "bob/many", name), make([]byte, i), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	d, err := s.OpenDir(ctx, "/many")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close(nil)
	var got []string
	for {
		entries, err := d.Next(ctx, 50)
		if len(entries) > 50 {
			t.Fatalf("%d entries", len(entries))
		}
		for i := range entries {
			e := &entries[i]
			got = append(got, e.Name)
			if fmt.Sprintf("n%03d", e.Attrs.Size) != e.Name || e.Attrs.Mode != sftp.ModeRegular|0o640 ||
				e.Attrs.Owner != fmt.Sprint("u", os.Getuid()) || !strings.HasPrefix(e.Attrs.Group, "g") {
				t.Errorf("%+v", e)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d names", len(got))
	}
}

// TestNoAllocsPerPacket: READ and WRITE go from the packet to the kernel.
func TestNoAllocsPerPacket(t *testing.T) {
	s, _ := jail(t, Options{})
	for _, flags := range []sftp.OpenFlags{0, sftp.OpenAppend} {
		f, err := s.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.CreateTruncate, Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 32<<10)
		if n := testing.AllocsPerRun(50, func() {
			if _, err := f.WriteAt(p, 0); err != nil {
				t.Error(err)
			}
			if _, err := f.ReadAt(p, 0); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("flags %#x: %v allocations", flags, n)
		}
		if err := f.Close(nil); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkReadDir(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%05d.dat", i)), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	s, err := New(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	n := 0
	for b.Loop() {
		d, err := s.OpenDir(ctx, "/")
		if err != nil {
			b.Fatal(err)
		}
		for {
			entries, err := d.Next(ctx, 256)
			n += len(entries)
			if err != nil {
				break
			}
		}
		_ = d.Close(nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
}

func BenchmarkStat(b *testing.B) {
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755); err != nil {
		b.Fatal(err)
	}
	s, err := New(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, name := range []string{"/a", "/a/b/c"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Stat(ctx, name, sftp.StatOpt{Follow: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestCVE_8_4_SwapAfterLook: the race of SymlinkSwap, decided: the primitives believe they
// saw a file and meet a link to the outside.
func TestCVE_8_4_SwapAfterLook(t *testing.T) {
	s, outer := jail(t, Options{})
	before := snapshot(t, outer, filepath.Join(outer, "bob"))
	was := &sftp.Attrs{Valid: sftp.AttrMode, Mode: sftp.ModeRegular | 0o644}
	for name, err := range map[string]error{
		"truncate": (&named{s, "outfile", was}).resize(&sftp.Attrs{Valid: sftp.AttrSize}),
		"out":      s.unlink("out/secret"),
	} {
		if err == nil {
			t.Errorf("%s went through", name)
		}
	}
	// These change the link itself; a link's mode Linux has no way to change, the BSDs do.
	_ = s.chmod("outfile", 0o600, was)
	if err := s.chtimes("outfile", &sftp.Attrs{Valid: sftp.AttrMtime, Mtime: epoch}); err != nil {
		t.Error(err)
	}
	if err := s.chown("outfile", uint32(os.Getuid()), uint32(os.Getgid())); err != nil {
		t.Error(err)
	}
	if after := snapshot(t, outer, filepath.Join(outer, "bob")); after != before {
		t.Errorf("the outside changed:\n%s\nwas\n%s", after, before)
	}
}
