package sftp_test

import (
	"context"
	"errors"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestCVE_13_6_BackEndPanics: a panic of a FileSystem, File or Dir ends its session with
// a *PanicError, wherever it ran, closes what was open, and leaves other sessions alone.
func TestCVE_13_6_BackEndPanics(t *testing.T) {
	for _, io := range []struct {
		name string
		set  func(*sftp.Server)
	}{
		{"loop", func(s *sftp.Server) { s.SetIO(sftp.IOInline) }},
		{"goroutine", func(s *sftp.Server) { s.SetIO(sftp.IOSpawn) }},
	} {
		for _, what := range []struct {
			name string
			do   func(h, d []byte) fxp.Message
		}{
			{"read", func(h, _ []byte) fxp.Message { return &fxp.Read{Handle: h, Length: 100} }},
			{"write", func(h, _ []byte) fxp.Message { return &fxp.Write{Handle: h, Data: make([]byte, 5000)} }},
			{"fstat", func(h, _ []byte) fxp.Message { return &fxp.Handle{T: fxp.TypeFstat, Handle: h} }},
			{"close", func(h, _ []byte) fxp.Message { return &fxp.Handle{T: fxp.TypeClose, Handle: h} }},
			{"readdir", func(_, d []byte) fxp.Message { return &fxp.Handle{T: fxp.TypeReaddir, Handle: d} }},
			{"rmdir", func([]byte, []byte) fxp.Message { return &fxp.Path{T: fxp.TypeRmdir, Path: "/d"} }},
		} {
			t.Run(io.name+"/"+what.name, func(t *testing.T) {
				fsys := &panicFS{}
				srv := serverOf(fsys)
				io.set(srv)
				play(t, srv, sftp.SessionInfo{}, func(p *peer) {
					p.init(3)
					h, d := p.open("/f", 3), p.opendir("/d")
					fsys.now = true
					p.send(what.do(h, d))
					err := <-p.done
					p.done <- err
					var pe *sftp.PanicError
					if !errors.As(err, &pe) || pe.Value != "on purpose" || len(pe.Stack) == 0 {
						p.t.Errorf("Serve returned %v", err)
					}
					if fsys.closed != 2 {
						p.t.Errorf("%d of 2 handles closed", fsys.closed)
					}
				})
				play(t, srv, sftp.SessionInfo{}, func(p *peer) {
					p.init(3)
					fsys.now = false
					p.open("/f", 1)
				})
			})
		}
	}
}

// panicFS panics in whatever is called once now is set.
type panicFS struct {
	sftp.Unsupported
	now    bool
	closed int
}

func (f *panicFS) check() {
	if f.now {
		panic("on purpose")
	}
}

func (f *panicFS) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) {
	return &panicFile{fs: f}, nil
}

func (f *panicFS) OpenDir(context.Context, string) (sftp.Dir, error) { return &panicDir{fs: f}, nil }

func (f *panicFS) Rmdir(context.Context, string) error { f.check(); return nil }

type panicFile struct {
	sftp.UnsupportedFile
	fs *panicFS
}

func (f *panicFile) ReadAt(p []byte, _ int64) (int, error)  { f.fs.check(); return len(p), nil }
func (f *panicFile) WriteAt(p []byte, _ int64) (int, error) { f.fs.check(); return len(p), nil }

func (f *panicFile) Stat(context.Context, sftp.AttrMask) (*sftp.Attrs, error) {
	f.fs.check()
	return &sftp.Attrs{}, nil
}

func (f *panicFile) Close(error) error { f.fs.closed++; f.fs.check(); return nil }

type panicDir struct {
	sftp.UnsupportedDir
	fs *panicFS
}

func (d *panicDir) Next(context.Context, int) ([]sftp.Entry, error) { d.fs.check(); return nil, nil }

func (d *panicDir) Close(error) error { d.fs.closed++; d.fs.check(); return nil }
