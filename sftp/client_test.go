package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// visit runs script with a client of srv, in a bubble of its own, and checks that nothing is
// left of it.
func visit(t *testing.T, srv *sftp.Server, cfg *sftp.ClientConfig, script func(t *testing.T, c *sftp.Client)) {
	t.Helper()
	if cfg == nil {
		cfg = new(sftp.ClientConfig)
	}
	synctest.Test(t, func(t *testing.T) {
		for version := sftp.Version3; version <= sftp.Version6; version++ {
			maxPacket := []int{32 << 10, 1 << 10}[version%2]
			a, b := newPair(maxPacket)
			a.cut, b.cut = maxPacket, maxPacket
			done := make(chan error, 1)
			go func() { done <- srv.Serve(context.Background(), b, sftp.SessionInfo{User: "ann"}) }()
			own := *cfg
			own.MinVersion, own.MaxVersion = version, version
			c, err := sftp.NewClient(t.Context(), a, &own)
			if err != nil {
				t.Fatal(err)
			}
			script(t, c)
			if err := c.Close(); err != nil {
				t.Error("close:", err)
			}
			if err := c.Wait(); err != nil {
				t.Error("wait:", err)
			}
			<-done
			a.drain()
			b.drain()
			if n := packet.Live(); n != 0 {
				t.Errorf("%d Bufs are left", n)
			}
		}
	})
}

// noise is content that differs everywhere.
func noise(n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(p)
	return p
}

func TestClientFiles(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		for _, n := range []int{0, 1, 100, 32 << 10, 261120, 261121, 3_000_001} {
			want := noise(n)
			if err := c.WriteFile(ctx, "/file", want, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := c.ReadFile(ctx, "/file")
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d octets: read %d, %v", n, len(got), err)
			}
			a, err := c.Stat(ctx, "/file")
			if err != nil || a.Size != uint64(n) {
				t.Fatalf("stat: %+v %v", a, err)
			}
		}
		if _, err := c.Open(ctx, "/missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open of nothing: %v", err)
		} else if pe, ok := errors.AsType[*fs.PathError](err); !ok || pe.Op != "open" || pe.Path != "/missing" {
			t.Errorf("open of nothing: %#v", err)
		} else if se, ok := errors.AsType[*sftp.StatusError](err); !ok || se.Code != sftp.CodeNoSuchFile {
			t.Errorf("open of nothing: %#v", err)
		}
	})
}

func TestClientReadAndWriteInPieces(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		want := noise(1_500_000)
		f, err := c.Create(ctx, "/file")
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		for p := want; len(p) > 0; {
			n := min(1+rnd.IntN(70_000), len(p))
			if m, err := f.Write(p[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			p = p[n:]
		}
		if err := f.Sync(ctx); err != nil {
			t.Error("sync:", err)
		}
		if n := f.Acked(); n != int64(len(want)) {
			t.Errorf("%d octets acknowledged", n)
		}
		if err := f.Close(); err != nil {
			t.Error("close:", err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Error("second close:", err)
		}
		if f, err = c.Open(ctx, "/file"); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for {
			p := make([]byte, 1+rnd.IntN(70_000))
			n, err := f.Read(p)
			got = append(got, p[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("read %d octets, not what was written", len(got))
		}
		for range 20 {
			off := rnd.Int64N(int64(len(want)))
			p := make([]byte, rnd.IntN(400_000))
			n, err := f.ReadAt(p, off)
			rest := want[off:]
			if n != min(len(p), len(rest)) || !bytes.Equal(p[:n], rest[:n]) || errors.Is(err, io.EOF) != (n < len(p)) {
				t.Errorf("ReadAt(%d, %d): %d, %v", len(p), off, n, err)
			}
			if _, err := f.Seek(off, io.SeekStart); err != nil {
				t.Error(err)
			}
			if n, err := io.ReadFull(f, p[:min(len(p), len(rest))]); err != nil || !bytes.Equal(p[:n], rest[:n]) {
				t.Errorf("read at %d: %d, %v", off, n, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error("close:", err)
		}
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
			t.Error("read of a closed file:", err)
		}
	})
}

func TestClientNames(t *testing.T) {
	visitNames := func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		must(c.MkdirAll(ctx, "/a/b/c", nil))
		must(c.MkdirAll(ctx, "/a/b/c", nil))
		must(c.WriteFile(ctx, "/a/x", []byte("x"), 0))
		must(c.WriteFile(ctx, "/a/y", []byte("y"), 0))
		if err := c.Rename(ctx, "/a/x", "/a/y", 0); err == nil {
			t.Error("rename over a file")
		}
		must(c.Rename(ctx, "/a/x", "/a/y", sftp.RenameOverwrite))
		must(c.Symlink(ctx, "y", "/a/link"))
		if to, err := c.ReadLink(ctx, "/a/link"); to != "y" || err != nil {
			t.Error(to, err)
		}
		must(c.Link(ctx, "/a/y", "/a/hard"))
		must(c.Chmod(ctx, "/a/hard", 0o640))
		if a, err := c.Lstat(ctx, "/a/link"); err != nil || a.Type() != sftp.TypeSymlink {
			t.Error(a, err)
		}
		if a, err := c.Stat(ctx, "/a/link"); err != nil || a.Mode&0o777 != 0o640 {
			t.Error(a, err)
		}
		must(c.AppendFile(ctx, "/a/hard", []byte("!!"), 0))
		if p, err := c.ReadFile(ctx, "/a/y"); string(p) != "x!!" || err != nil {
			t.Errorf("%q %v", p, err)
		}
		must(c.Truncate(ctx, "/a/y", 1))
		if p, err := c.RealPath(ctx, "/a/b/../link"); err != nil || !strings.HasPrefix(p, "/a/") {
			t.Error(p, err)
		}
		if p, err := c.Getwd(ctx); p != "/" || err != nil {
			t.Error(p, err)
		}
		list, err := c.ReadDirAll(ctx, "/a")
		must(err)
		var names []string
		for _, e := range list {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != "b hard link y" {
			t.Errorf("listing: %s", got)
		}
		if err := c.Rmdir(ctx, "/a"); err == nil {
			t.Error("rmdir of a full directory")
		}
		for _, n := range []string{"/a/hard", "/a/link", "/a/y"} {
			must(c.Remove(ctx, n))
		}
		for _, n := range []string{"/a/b/c", "/a/b", "/a"} {
			must(c.Rmdir(ctx, n))
		}
		if ok, err := c.Exists(ctx, "/a"); ok || err != nil {
			t.Error(ok, err)
		}
	}
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, visitNames)
}
