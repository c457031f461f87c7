package sftp_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// forgetful fails some ReadAt, as what is written and cannot be read does.
type forgetful struct {
	sftp.File
	fail *atomic.Int32
}

func (f forgetful) ReadAt(p []byte, off int64) (int, error) {
	if f.fail.Add(-1) >= 0 {
		return 0, sftp.CodeOpUnsupported
	}
	return f.File.ReadAt(p, off)
}

// TestVerifyWithoutTheHash: a server offers hashes and then makes none of this file.
func TestVerifyWithoutTheHash(t *testing.T) {
	var fail atomic.Int32
	s := &tap{FileSystem: memfs.New(memfs.Options{})}
	s.file = func(_ string, f sftp.File) sftp.File { return forgetful{f, &fail} }
	visit(t, serverOf(s), nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		for _, x := range []struct {
			verify sftp.Verify
			fail   int32 // how often reading fails
			want   sftp.Check
			say    string
		}{
			{sftp.VerifyBest, 1, sftp.CheckSize, ""},
			{sftp.VerifyContent, 1, sftp.CheckContent, ""},
			{sftp.VerifyContent, 1000, 0, "can neither hash the file"},
			{sftp.VerifyHash, 1000, 0, "verify"},
		} {
			o := sftp.TransferOptions{Verify: x.verify, NoSync: true}
			file := filepath.Join(t.TempDir(), "file")
			writeLocal(t, file, noise(5000))
			fail.Store(x.fail)
			r, err := c.PutFile(ctx, file, "/put", o)
			fail.Store(0)
			if x.say == "" && (err != nil || r.Verified != x.want) || x.say != "" && (err == nil || !strings.Contains(err.Error(), x.say)) {
				t.Errorf("version %d: put %+v: %+v %v", c.Version(), x, r, err)
			}
		}
		if err := c.Remove(ctx, "/put"); err != nil {
			t.Error(err)
		}
	})
}

// spring is a file system of one file that can be read once, from its beginning to its end.
type spring struct{ sftp.Unsupported }

// springSize is more than the stream keeps.
const springSize = 256 << 10

func (spring) Open(ctx context.Context, _ string, _ *sftp.OpenHow) (sftp.File, error) {
	return sftp.Stream(ctx, strings.NewReader(strings.Repeat("x", springSize)), nil, 64<<10), nil
}

func (spring) Stat(context.Context, string, sftp.StatOpt) (*sftp.Attrs, error) {
	return &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrSize, Mode: sftp.ModeRegular | 0o444, Size: springSize}, nil
}

// TestVerifyAStream: its size is all that there is to compare.
func TestVerifyAStream(t *testing.T) {
	visit(t, serverOf(spring{}), nil, func(t *testing.T, c *sftp.Client) {
		ctx, file := t.Context(), filepath.Join(t.TempDir(), "file")
		if !c.Supports("check-file-handle") && !c.Supports("check-file") {
			t.Error("the server offers no hashes")
		}
		r, err := c.GetFile(ctx, "/x", file, sftp.TransferOptions{ChunkSize: 8 << 10, Concurrency: 2, Verify: sftp.VerifyBest})
		if err != nil || r.Verified != sftp.CheckSize || r.Hash != "" || len(readLocal(t, file)) != springSize {
			t.Errorf("version %d: %+v %v", c.Version(), r, err)
		}
		_, err = c.GetFile(ctx, "/x", file, sftp.TransferOptions{ChunkSize: 8 << 10, Concurrency: 2, Verify: sftp.VerifyBest, Size: springSize + 1})
		if !errors.Is(err, sftp.ErrMismatch) {
			t.Error(err)
		}
		_, err = c.GetFile(ctx, "/x", file, sftp.TransferOptions{ChunkSize: 8 << 10, Concurrency: 2, Verify: sftp.VerifyContent})
		if err == nil || !strings.Contains(err.Error(), "can neither hash the file") || !strings.Contains(err.Error(), "stream") {
			t.Error(err)
		}
	})
}
