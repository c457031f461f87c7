package sftp_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestVerifySizeOfAServerThatTellsNone: what was not compared is not verified.
func TestVerifySizeOfAServerThatTellsNone(t *testing.T) {
	meet(t, host{}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		switch op {
		case fxp.OpStat:
			h.reply(id, &fxp.AttrsReply{Attrs: fxp.Attrs{V: fxp.V3}})
		case fxp.OpRead:
			if m.(*fxp.Read).Offset == 0 {
				h.reply(id, &fxp.Data{Data: []byte("x")})
				return
			}
			h.status(id, sftp.CodeEOF)
		default:
			h.status(id, sftp.CodeOK)
		}
	}), func(t *testing.T, c *sftp.Client) {
		ctx, local := t.Context(), filepath.Join(t.TempDir(), "x")
		writeLocal(t, local, []byte("x"))
		size, best := sftp.TransferOptions{Verify: sftp.VerifySize}, sftp.TransferOptions{Verify: sftp.VerifyBest}
		if r, err := c.GetFile(ctx, "/f", local, size); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("get: %+v %v", r, err)
		}
		if r, err := c.PutFile(ctx, local, "/f", size); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("put: %+v %v", r, err)
		}
		if r, err := c.GetFile(ctx, "/f", local, best); err != nil || r.Verified != sftp.CheckNone {
			t.Errorf("get: %+v %v", r, err)
		}
		if r, err := c.PutFile(ctx, local, "/f", best); err != nil || r.Verified != sftp.CheckNone {
			t.Errorf("put: %+v %v", r, err)
		}
	})
}

// TestVerifyFindsAnEndThatCameTooSoon: the hash of what came is right, and yet it is not all.
func TestVerifyFindsAnEndThatCameTooSoon(t *testing.T) {
	srv, s := tapped()
	s.file = func(_ string, f sftp.File) sftp.File { return &ending{f, 100} }
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		if err := c.WriteFile(t.Context(), "/f", noise(1000), 0); err != nil {
			t.Fatal(err)
		}
		for _, o := range []sftp.TransferOptions{
			{Verify: sftp.VerifySize},
			{Verify: sftp.VerifyHash},
			{Verify: sftp.VerifyContent},
			{Verify: sftp.VerifySize, Length: 500},
			{Verify: sftp.VerifySize, Offset: 10, Length: 500},
		} {
			var got bytes.Buffer
			if n, err := c.Get(t.Context(), "/f", &got, o); !errors.Is(err, sftp.ErrMismatch) {
				t.Errorf("verify %d, length %d: %d, %v", o.Verify, o.Length, n, err)
			}
		}
		var got bytes.Buffer
		if n, err := c.Get(t.Context(), "/f", &got, sftp.TransferOptions{Verify: sftp.VerifySize, Offset: 10, Length: 90}); n != 90 || err != nil {
			t.Error(n, err)
		}
	})
}

// ending is a file that seems to end at an offset.
type ending struct {
	sftp.File
	at int64
}

func (e *ending) ReadAt(p []byte, off int64) (int, error) {
	if left := e.at - off; left < int64(len(p)) {
		n, err := 0, error(nil)
		if left > 0 {
			n, err = e.File.ReadAt(p[:left], off)
		}
		return n, cmp.Or(err, io.EOF)
	}
	return e.File.ReadAt(p, off)
}

// TestW14_MoveAsideOutlivesItsContext: a ctx that ends while the old file is out of the way
// does not leave it there.
func TestW14_MoveAsideOutlivesItsContext(t *testing.T) {
	srv, s := tapped()
	without(srv, "posix-rename")
	visitV3(t, srv, func(t *testing.T, c *sftp.Client) {
		if err := c.WriteFile(t.Context(), "/f", []byte("old"), 0); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.ren = func(from, _ string, _ sftp.RenameFlags) error {
			if from == "/f" {
				cancel()
				synctest.Wait() // so that the client has seen it
			}
			return nil
		}
		_, err := c.Put(ctx, "/f", strings.NewReader("new"), sftp.TransferOptions{Atomic: true, MoveAside: true})
		time.Sleep(time.Second)
		got, rerr := c.ReadFile(t.Context(), "/f")
		if want := map[bool]string{true: "new", false: "old"}[err == nil]; string(got) != want || rerr != nil {
			t.Errorf("put: %v; there is %q, %v", err, got, rerr)
		}
		if got := remoteNames(t, c, "/"); got != "f" {
			t.Error("left:", got)
		}
	})
}

// TestCVE_8_12_LinkInThePlaceOfAPart: whoever knows the name of a file that is not whole yet
// cannot have it written elsewhere.
func TestCVE_8_12_LinkInThePlaceOfAPart(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, dir := t.Context(), t.TempDir()
		victim, missing := filepath.Join(dir, "victim"), filepath.Join(dir, "missing")
		writeLocal(t, victim, []byte("precious"))
		if err := c.WriteFile(ctx, "/f", []byte("evil"), 0); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{victim, missing} {
			target := filepath.Join(dir, "f")
			if err := os.Symlink(to, target+".filepart"); err != nil {
				t.Fatal(err)
			}
			o := sftp.TransferOptions{Atomic: true, Resume: sftp.ResumeOrRestart}
			if r, err := c.GetFile(ctx, "/f", target, o); err == nil {
				t.Errorf("%s: %+v", to, r)
			}
			if err := os.Remove(target + ".filepart"); err != nil {
				t.Error(err)
			}
		}
		if got := localNames(t, dir); got != "victim" || string(readLocal(t, victim)) != "precious" {
			t.Errorf("%s, %q", got, readLocal(t, victim))
		}
	})
}

// TestW13_ResumeOfASourceThatChanged: what was written before the source changed is compared
// with all of it, since files of a kind end alike.
func TestW13_ResumeOfASourceThatChanged(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	srv.Extensions = blind
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx, local, want := t.Context(), filepath.Join(t.TempDir(), "x"), noise(300_000)
		there := append([]byte("other"), want[5:200_000]...)
		long, o := time.Unix(100_000_000, 0), sftp.TransferOptions{Resume: sftp.ResumeOrRestart, ResumeTail: 1000}

		writeLocal(t, local, there)
		if err := os.Chtimes(local, long, long); err != nil {
			t.Fatal(err)
		}
		if err := c.WriteFile(ctx, "/f", want, 0); err != nil {
			t.Fatal(err)
		}
		if r, err := c.GetFile(ctx, "/f", local, o); err != nil || r.Resumed != 0 || !bytes.Equal(readLocal(t, local), want) {
			t.Errorf("get: %+v %v", r, err)
		}

		writeLocal(t, local, want)
		if err := c.WriteFile(ctx, "/f", there, 0); err != nil {
			t.Fatal(err)
		}
		if err := c.Chtimes(ctx, "/f", long, long); err != nil {
			t.Fatal(err)
		}
		if r, err := c.PutFile(ctx, local, "/f", o); err != nil || r.Resumed != 0 || !bytes.Equal(fileOf(t, tree, "/f"), want) {
			t.Errorf("put: %+v %v", r, err)
		}
	})
}

// TestResumeBeginsAtTheBeginning of the source, wherever it stands, also if there is nothing
// to go on with.
func TestResumeBeginsAtTheBeginning(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		r := strings.NewReader("hello")
		_, _ = r.ReadByte()
		if _, err := c.Put(t.Context(), "/f", r, sftp.TransferOptions{Resume: sftp.ResumeOrRestart}); err != nil {
			t.Fatal(err)
		}
		if got := fileOf(t, tree, "/f"); string(got) != "hello" {
			t.Errorf("%q", got)
		}
		if err := c.Remove(t.Context(), "/f"); err != nil {
			t.Error(err)
		}
	})
}

// TestReadDirThatPanics: the directory is closed all the same.
func TestReadDirThatPanics(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, &sftp.ClientConfig{MaxOpenFiles: 1}, func(t *testing.T, c *sftp.Client) {
		if err := c.WriteFile(t.Context(), "/f", nil, 0); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }()
			for range c.ReadDir(t.Context(), "/") {
				_ = []int{}[len(t.Name())]
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.ReadFile(ctx, "/f"); err != nil {
			t.Error(err)
		}
	})
}
