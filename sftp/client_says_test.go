package sftp_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestClientServerInfo: what our own server says about itself in each version arrives.
func TestClientServerInfo(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	srv.Vendor = sftp.Vendor{Name: "Ships", Product: "Anchor", Version: "1.2", Build: 1 << 40}
	srv.Newline = "\r\n"
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		i, v := c.ServerInfo(), c.Version()
		if i.Vendor != "Ships" || i.Product != "Anchor" || i.ProductVersion != "1.2" || i.Build != 1<<40 {
			t.Errorf("version %d: vendor %+v", v, i)
		}
		if want := map[bool]string{true: "\r\n"}[v > sftp.Version3]; i.Newline != want {
			t.Errorf("version %d: newline %q", v, i.Newline)
		}
		if i.Told != (v >= sftp.Version5) {
			t.Errorf("version %d: told %v", v, i.Told)
		}
		if v >= sftp.Version5 && (i.Attrs&sftp.AttrSize == 0 || i.OpenFlags&sftp.OpenText == 0 || i.Access&sftp.AccessReadData == 0 || i.MaxRead == 0) {
			t.Errorf("version %d: %+v", v, i)
		}
		if v == sftp.Version6 && !slices.Contains(i.Extensions, "text-seek") {
			t.Errorf("version %d: extensions %q", v, i.Extensions)
		}
		if err := c.SendVendor(t.Context(), "Boats", "Oar", "1", 1); err != nil {
			t.Errorf("version %d: vendor-id: %v", v, err)
		}
		i.Versions = append(i.Versions[:0], 99) // the caller's own
		if slices.Contains(c.ServerInfo().Versions, 99) {
			t.Error("the answers share memory")
		}
	})
	// What our server does not have.
	exts := []fxp.Pair{
		{Name: "acl-supported", Data: wire.Append(nil, &fxp.ACLSupported{Capabilities: 5})},
		{Name: "filename-charset", Data: []byte("iso-8859-1")},
		{Name: "supported2", Data: wire.Append(nil, &fxp.Supported2{
			Masks: fxp.Masks{Attrs: 7, Bits: 3, OpenFlags: 0x28, Access: 1, MaxRead: 1 << 16}, OpenBlockVector: 2, BlockVector: 3,
			AttrExtensions: []string{"a@b"}, Extensions: []string{"only@here"},
		})},
		{Name: "vendor-id", Data: []byte("cut")},
	}
	meet(t, host{v: fxp.V6, exts: exts}, nil, serving(func(h *host, op fxp.Op, _ uint32, _ wire.Layouter) {
		h.t.Errorf("client sent %v", op)
	}), func(t *testing.T, c *sftp.Client) {
		i := c.ServerInfo()
		if i.ACL != 5 || i.Charset != "iso-8859-1" || i.Vendor != "" || !i.Told || i.Attrs != 7 || i.Bits != 3 ||
			i.OpenFlags != 0x28 || i.Access != 1 || i.MaxRead != 1<<16 || i.OpenBlocks != 2 || i.Blocks != 3 ||
			!slices.Equal(i.AttrExtensions, []string{"a@b"}) || !slices.Equal(i.Extensions, []string{"only@here"}) {
			t.Errorf("%+v", i)
		}
		if !c.Supports("only@here") {
			t.Error("an extension that is announced in supported2 only")
		}
	})
}

// TestClientVendor: vendor-id has all its fields, and goes only where it is wanted.
func TestClientVendor(t *testing.T) {
	want := fxp.VendorID{Vendor: "v", Product: "p", Version: "1", Build: 7}
	for _, exts := range [][]fxp.Pair{nil, {{Name: "vendor-id", Data: wire.Append(nil, &fxp.VendorID{Vendor: "x"})}}} {
		meet(t, host{exts: exts}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
			var got fxp.VendorID
			if err := wire.Decode(m.(*fxp.Extended).Data, &got); err != nil || got != want || exts == nil {
				h.t.Errorf("%+v, %v", got, err)
			}
			h.status(id, sftp.CodeOK)
		}), func(t *testing.T, c *sftp.Client) {
			err := c.SendVendor(t.Context(), "v", "p", "1", 7)
			if (err == nil) != (exts != nil) || err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Error(err)
			}
		})
	}
}

func TestClientTempFolder(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	if err := tree.Mkdir(t.Context(), "/tmp", nil); err != nil {
		t.Fatal(err)
	}
	srv.TempFolder = "/tmp"
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		if p, err := c.TempFolder(ctx, false); p != "/tmp" || err != nil {
			t.Errorf("%q, %v", p, err)
		}
		seen := map[string]bool{}
		for range 2 {
			p, err := c.TempFolder(ctx, true)
			if err != nil || !strings.HasPrefix(p, "/tmp/") || seen[p] {
				t.Errorf("%q, %v", p, err)
			}
			seen[p] = true
			if a, err := c.Stat(ctx, p); err != nil || !a.IsDir() || a.Mode&0o777 != 0o700 {
				t.Errorf("%+v, %v", a, err)
			}
		}
	})
	srv.TempFolder = ""
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		for _, own := range []bool{false, true} {
			if p, err := c.TempFolder(t.Context(), own); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%q, %v", p, err)
			}
		}
	})
}

// TestClientTranslateNames: who asks for it gets names as the server has them.
func TestClientTranslateNames(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	latin, err := sftp.CharsetOf("iso-8859-1")
	if err != nil {
		t.Fatal(err)
	}
	srv.Charset = latin
	fill(t, tree, "/n\u00e4me", []byte("x"))
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		if c.Version() < sftp.Version6 {
			if err := c.TranslateNames(ctx, false); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("version %d: %v", c.Version(), err)
			}
			return
		}
		if got := c.ServerInfo().Charset; got != latin.Name() {
			t.Errorf("charset %q", got)
		}
		for on, want := range map[bool]string{false: "n\xe4me", true: "n\u00e4me"} {
			if err := c.TranslateNames(ctx, on); err != nil {
				t.Fatal(on, err)
			}
			list, err := c.ReadDirAll(ctx, "/")
			if err != nil || len(list) != 1 || list[0].Name != want {
				t.Errorf("translated %v: %+v, %v", on, list, err)
			}
			if _, err := c.Stat(ctx, "/"+want); err != nil {
				t.Errorf("translated %v: %v", on, err)
			}
		}
	})
}

// TestClientRealPathOpt: what must exist, and paths that are put together.
func TestClientRealPathOpt(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	if err := tree.Mkdir(t.Context(), "/d", nil); err != nil {
		t.Fatal(err)
	}
	fill(t, tree, "/d/f", []byte("abc"))
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		for _, s := range []struct {
			name    string
			control sftp.RealPathControl
			compose []string
			want    string
			attrs   bool
			err     error
			old     bool // versions before 6 can do it
		}{
			{"/d/../d/f", sftp.RealPathDefault, nil, "/d/f", false, nil, true},
			{"/d", sftp.RealPathDefault, []string{"x", "../f"}, "/d/f", false, nil, true},
			{"d", sftp.RealPathDefault, []string{"f"}, "/d/f", false, nil, true},
			{"/x", sftp.RealPathDefault, []string{"/d", "f"}, "/d/f", false, nil, true},
			{"/none", sftp.RealPathNoCheck, nil, "/none", false, nil, false},
			{"/none", sftp.RealPathStatIf, nil, "/none", false, nil, false},
			{"/d/f", sftp.RealPathStatIf, nil, "/d/f", true, nil, false},
			{"/d", sftp.RealPathStatAlways, []string{"f"}, "/d/f", true, nil, false},
			{"/none", sftp.RealPathStatAlways, nil, "", false, os.ErrNotExist, false},
		} {
			wantErr := s.err
			if !s.old && c.Version() < sftp.Version6 {
				s.want, s.attrs, wantErr = "", false, errors.ErrUnsupported
			}
			p, a, err := c.RealPathOpt(t.Context(), s.name, s.control, s.compose...)
			if p != s.want || !errors.Is(err, wantErr) || (a != nil) != s.attrs || a != nil && a.Size != 3 {
				t.Errorf("version %d: %+v: %q, %+v, %v", c.Version(), s, p, a, err)
			}
		}
	})
}

// TestClientHashByMD5: a server that has md5-hash only hashes all the same.
func TestClientHashByMD5(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	srv.Extensions = []string{"md5-hash", "md5-hash-handle"}
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	fill(t, tree, "/f", content)
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		f, err := c.Open(ctx, "/f")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []sftp.HashRange{{}, {Start: 5}, {Start: 5, Length: 1000}, {Length: 12_345}} {
			end := len(content)
			if r.Length > 0 {
				end = int(r.Start + r.Length)
			}
			want := md5.Sum(content[r.Start:end])
			for what, hash := range map[string]func() (*sftp.Hashes, error){
				"name":   func() (*sftp.Hashes, error) { return c.Hash(ctx, "/f", r) },
				"handle": func() (*sftp.Hashes, error) { return f.Hash(ctx, r) },
			} {
				if h, err := hash(); err != nil || h.Algorithm != "md5" || !bytes.Equal(h.Sum, want[:]) {
					t.Errorf("version %d: by %s: %+v: %+v, %v", c.Version(), what, r, h, err)
				}
			}
		}
		for _, r := range []sftp.HashRange{{BlockSize: 1024}, {Algorithms: []string{"sha256"}}} {
			if h, err := c.Hash(ctx, "/f", r); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%+v: %+v, %v", r, h, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestClientAttrsOfAVersion: attributes that the version has no words for are refused, and
// nothing is sent; those that it says less exactly go.
func TestClientAttrsOfAVersion(t *testing.T) {
	when := time.Unix(1_700_000_000, 5)
	for _, s := range []struct {
		what  string
		a     sftp.Attrs
		since fxp.Version
	}{
		{"mode", sftp.Attrs{Valid: sftp.AttrMode}, fxp.V3},
		{"times", sftp.Attrs{Valid: sftp.AttrTimes, Atime: when, Mtime: when}, fxp.V3},
		{"mtime", sftp.Attrs{Valid: sftp.AttrMtime | sftp.AttrSubsecond, Mtime: when}, fxp.V3},
		{"numbers", sftp.Attrs{Valid: sftp.AttrUIDGID, UID: 1, GID: 2}, fxp.V3},
		{"numbers and names", sftp.Attrs{Valid: sftp.AttrUIDGID | sftp.AttrOwnerGroup, Owner: "a", Group: "b"}, fxp.V3},
		{"local identity", sftp.Attrs{Valid: sftp.AttrFileID | sftp.AttrSize}, fxp.V3},
		{"names", sftp.Attrs{Valid: sftp.AttrOwnerGroup, Owner: "a", Group: "b"}, fxp.V4},
		{"birth", sftp.Attrs{Valid: sftp.AttrBirth, Birth: when}, fxp.V4},
		{"ACL", sftp.Attrs{Valid: sftp.AttrACL}, fxp.V4},
		{"bits", sftp.Attrs{Valid: sftp.AttrBitsSet, Bits: 1, BitsValid: 1}, fxp.V5},
		{"MIME", sftp.Attrs{Valid: sftp.AttrMIME, MIME: "text/plain"}, fxp.V6},
		{"ctime", sftp.Attrs{Valid: sftp.AttrCtime | sftp.AttrMode, Ctime: when}, fxp.V6},
	} {
		for v := fxp.V3; v <= fxp.V6; v++ {
			var sent atomic.Int64
			exts := []fxp.Pair{{Name: "lsetstat@openssh.com", Data: []byte("1")}}
			meet(t, host{v: v, exts: exts}, nil, func(h *host) {
				for {
					op, id, _ := h.request()
					sent.Add(1)
					switch op {
					case fxp.OpNone:
						return
					case fxp.OpOpen:
						h.handle(id)
					default:
						h.status(id, sftp.CodeOK)
					}
				}
			}, func(t *testing.T, c *sftp.Client) {
				ctx := t.Context()
				f, err := c.Open(ctx, "f")
				if err != nil {
					t.Fatal(err)
				}
				how := sftp.HowFromFlags(os.O_WRONLY | os.O_CREATE)
				how.Attrs = &s.a
				for what, set := range map[string]func() error{
					"SetStat":  func() error { return c.SetStat(ctx, "f", &s.a) },
					"LSetStat": func() error { return c.LSetStat(ctx, "f", &s.a) },
					"Mkdir":    func() error { return c.Mkdir(ctx, "f", &s.a) },
					"file":     func() error { return f.SetStat(ctx, &s.a) },
					"open": func() error {
						f, err := c.OpenFile(ctx, "f", how)
						if err == nil {
							err = f.Close()
						}
						return err
					},
				} {
					before := sent.Load()
					err := set()
					if ok := v >= s.since; ok != (err == nil) || !ok && (!errors.Is(err, errors.ErrUnsupported) || sent.Load() != before) {
						t.Errorf("version %d: %s of %s: %v, %d requests", v, what, s.what, err, sent.Load()-before)
					}
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
