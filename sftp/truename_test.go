package sftp_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestTreesOfNamesThatAreNoText: where the protocol says which octets a name has, a tree comes
// back with them; where it cannot, with what the server writes for them.
func TestTreesOfNamesThatAreNoText(t *testing.T) {
	switch runtime.GOOS {
	case "windows", "darwin", "ios":
		return // there are no such names to make here
	}
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		here, back := filepath.Join(dir, "here"), filepath.Join(dir, "back")
		if err := os.MkdirAll(filepath.Join(here, "d\xff", "plain"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"f\xff\xfe", "d\xff/g\xfd", "d\xff/plain/h\xfc"} {
			writeLocal(t, filepath.Join(here, name), noise(100))
		}
		if err := os.Symlink("plain", filepath.Join(here, "d\xff", "l\xfb")); err != nil {
			t.Fatal(err)
		}
		o := sftp.TreeOptions{Links: sftp.CopyLinks}
		o.Preserve, o.Atomic = sftp.PreserveTimes|sftp.PreserveMode, true
		want := sftp.TreeResult{Files: 3, Dirs: 3, Links: 1, Transferred: 300}
		if r, err := c.PutTree(ctx, here, "/there", o); err != nil || *r != want {
			t.Fatalf("put: %+v %v", r, err)
		}
		if r, err := c.CopyTree(ctx, "/there", "/copy", o); err != nil || *r != want {
			t.Fatalf("copy: %+v %v", r, err)
		}
		if r, err := c.GetTree(ctx, "/copy", back, o); err != nil || *r != want {
			t.Fatalf("get: %+v %v", r, err)
		}
		faithful := c.Version() == sftp.Version3 || c.Version() == sftp.Version6
		a, b := treeText(t, here, true), treeText(t, back, true)
		if (a == b) != faithful {
			t.Errorf("version %d sent:\n%s\ngot back:\n%s", c.Version(), a, b)
		}
		for e, err := range c.ReadDir(ctx, "/there") {
			if err != nil {
				t.Fatal(err)
			}
			if e.Name[0] != 'f' {
				continue
			}
			if (e.TrueName() == "f\xff\xfe") != faithful || c.Version() >= sftp.Version4 && !strings.HasPrefix(e.Name, "f%{") {
				t.Errorf("version %d: %q %q", c.Version(), e.Name, e.TrueName())
			}
			if _, err := c.Lstat(ctx, "/there/"+e.Name); err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(removeAll(ctx, c, "/there"), removeAll(ctx, c, "/copy")); err != nil {
			t.Error(err)
		}
	})
}

// TestCVE_8_11_UntranslatedNames: the octets behind a name are a name from a listing, too.
func TestCVE_8_11_UntranslatedNames(t *testing.T) {
	evil := []string{"", ".", "..", "/", "../../x", "/etc/x", "a/b", "x\x00y"}
	sent := false
	meet(t, host{v: fxp.V6}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) {
		if sent {
			h.status(id, sftp.CodeEOF)
			return
		}
		sent = true
		m := &fxp.Name{V: fxp.V6}
		for _, octets := range append(evil, "good\xff", "unflagged/") {
			a := fxp.Attrs{V: fxp.V6, Type: byte(sftp.TypeRegular), Flags: fxp.AttrUntranslated | fxp.AttrBits, Untranslated: octets}
			a.Bits, a.BitsValid = uint32(sftp.BitTranslationErr), uint32(sftp.BitTranslationErr)
			if octets == "unflagged/" { // means nothing then: the name did translate
				a.Bits = 0
			}
			m.Entries = append(m.Entries, fxp.NameEntry{Name: "name", Attrs: a})
		}
		h.reply(id, m)
	}), func(t *testing.T, c *sftp.Client) {
		var good []string
		bad := 0
		for e, err := range c.ReadDir(t.Context(), "/dir") {
			if err == nil {
				good = append(good, e.TrueName())
				continue
			}
			ne, ok := errors.AsType[*sftp.NameError](err)
			if !ok || !errors.Is(err, fs.ErrInvalid) || e.Name != "" || ne.Name != evil[bad] {
				t.Fatalf("%+v %v", e, err)
			}
			bad++
		}
		if strings.Join(good, " ") != "good\xff name" || bad != len(evil) {
			t.Errorf("listed %q, refused %d", good, bad)
		}
	})
}
