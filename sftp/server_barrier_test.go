package sftp_test

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// barrierFS notes what is asked of it while a file is being written.
type barrierFS struct {
	*slowFS
	start        time.Time // of the writes, each of which takes a second
	calls, early int
}

func (f *barrierFS) note() error {
	f.calls++
	if time.Since(f.start) < time.Second {
		f.early++
	}
	return nil
}

func (f *barrierFS) Capabilities() sftp.Capabilities {
	return sftp.Capabilities{
		Features: sftp.FeatureWrite | sftp.FeaturePosixRename | sftp.FeatureLSetStat | sftp.FeatureCopy,
		Attrs:    sftp.AttrsBasic, Extensions: []string{"own@example.com"},
	}
}

func (f *barrierFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	_ = f.note()
	return f.slowFS.Open(ctx, name, how)
}

func (f *barrierFS) Stat(context.Context, string, sftp.StatOpt) (*sftp.Attrs, error) {
	return &sftp.Attrs{}, f.note()
}
func (f *barrierFS) SetStat(context.Context, string, *sftp.Attrs, bool) error { return f.note() }
func (f *barrierFS) Remove(context.Context, string) error                     { return f.note() }

func (f *barrierFS) Rename(context.Context, string, string, sftp.RenameFlags) error { return f.note() }

func (f *barrierFS) RealPath(context.Context, string, sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	return "/f", &sftp.Attrs{}, f.note()
}

func (f *barrierFS) Extended(context.Context, string, []byte) ([]byte, error) { return nil, f.note() }

// TestNamesWaitForWrites: a request by a name that may be that of a file being written is
// served after the writes sent before it (filexfer-02 section 6.1): every row of the table
// that says so.
func TestNamesWaitForWrites(t *testing.T) {
	size := fxp.Attrs{V: 3, Flags: fxp.AttrSize, Size: 1}
	messages := map[fxp.Op]fxp.Message{
		fxp.OpOpen:    &fxp.Open{Path: "f", Flags: fxp.OpenRead, Attrs: fxp.Attrs{V: 3}},
		fxp.OpStat:    &fxp.Path{T: fxp.TypeStat, Path: "f"},
		fxp.OpLstat:   &fxp.Path{T: fxp.TypeLstat, Path: "f"},
		fxp.OpSetstat: &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "f", Attrs: size},
		fxp.OpRemove:  &fxp.Path{T: fxp.TypeRemove, Path: "f"},
		fxp.OpRename:  &fxp.TwoPaths{T: fxp.TypeRename, First: "f", Second: "g"},
		fxp.OpPosixRename: &fxp.Extended{
			Name: "posix-rename@openssh.com", Data: wire.Append(nil, &fxp.ExtPaths{Old: "f", New: "g"}),
		},
		fxp.OpCheckFileName: &fxp.Extended{Name: "check-file-name", Data: wire.Append(nil, &fxp.ExtCheckName{
			Path: "f", HashRange: fxp.HashRange{Algorithms: []string{"md5"}},
		})},
		fxp.OpMD5Hash:  &fxp.Extended{Name: "md5-hash", Data: wire.Append(nil, &fxp.ExtMD5Name{Path: "f"})},
		fxp.OpCopyFile: &fxp.Extended{Name: "copy-file", Data: wire.Append(nil, &fxp.ExtCopyFile{From: "f", To: "g"})},
		fxp.OpLsetstat: &fxp.Extended{Name: "lsetstat@openssh.com", Data: wire.Append(nil, &fxp.ExtSetstat{Path: "f", Attrs: size})},
		fxp.OpExtended: &fxp.Extended{Name: "own@example.com"},
	}
	for _, row := range fxp.Rows()[1:] {
		if !sftp.Served(row.Op) {
			continue
		}
		m, ok := messages[row.Op]
		if want := row.Barrier == fxp.SessionBarrier; ok != want {
			t.Errorf("%s: has a message here: %v, waits for the session: %v", row.Name, ok, want)
		}
		if !ok {
			continue
		}
		fsys := &barrierFS{slowFS: &slowFS{}}
		srv := serverOf(fsys)
		srv.SetIO(sftp.IOSpawn)
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(3)
			h := p.open("f", fxp.OpenWrite)
			fsys.start, fsys.calls, fsys.early = time.Now(), 0, 0
			p.sendAll(&fxp.Write{Handle: h, Data: []byte("x")}, &fxp.Write{Handle: h, Offset: 1, Data: []byte("y")}, m)
			for range 3 {
				p.recv()
			}
			if fsys.calls == 0 || fsys.early != 0 {
				t.Errorf("%s: asked %d times, %d too early", row.Name, fsys.calls, fsys.early)
			}
		})
	}
}

// TestRealpathWithAttributesWaits: REALPATH that tells attributes waits for writes as STAT
// does; that which looks at the name only does not.
func TestRealpathWithAttributesWaits(t *testing.T) {
	for control, early := range map[sftp.RealPathControl]int{
		sftp.RealPathDefault: 1, sftp.RealPathNoCheck: 1, sftp.RealPathStatIf: 0, sftp.RealPathStatAlways: 0,
	} {
		fsys := &barrierFS{slowFS: &slowFS{}}
		srv := serverOf(fsys)
		srv.SetIO(sftp.IOSpawn)
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(6)
			h := p.call(&fxp.Open{Path: "f", Access: 0x183, Flags: 3, Attrs: fxp.Attrs{V: 6}}).(*fxp.Handle).Handle
			fsys.start, fsys.calls, fsys.early = time.Now(), 0, 0
			p.sendAll(&fxp.Write{Handle: h, Data: []byte("x")}, &fxp.Realpath{V: 6, Path: "f", Control: byte(control)})
			for range 2 {
				p.recv()
			}
			if fsys.calls != 1 || fsys.early != early {
				t.Errorf("control %d: asked %d times, %d of them while a write was under way, want %d", control, fsys.calls, fsys.early, early)
			}
		})
	}
}

// TestRequestsOnAHandleWaitForTheFile: CLOSE, whose locks may bind others, and what changes
// or tells attributes wait for the writes sent before to another handle of the same file.
func TestRequestsOnAHandleWaitForTheFile(t *testing.T) {
	for name, request := range map[string]func(h []byte) fxp.Message{
		"CLOSE": func(h []byte) fxp.Message { return &fxp.Handle{T: fxp.TypeClose, Handle: h} },
		"FSTAT": func(h []byte) fxp.Message { return &fxp.Handle{T: fxp.TypeFstat, Handle: h} },
		"FSETSTAT": func(h []byte) fxp.Message {
			return &fxp.Fsetstat{Handle: h, Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrSize}}
		},
	} {
		fsys := &slowFS{}
		srv := serverOf(fsys)
		srv.SetIO(sftp.IOSpawn)
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			p.init(3)
			a, b := p.open("f", fxp.OpenWrite), p.open("/d/../f", fxp.OpenWrite)
			start := time.Now()
			id := p.sendAll(&fxp.Write{Handle: a, Data: []byte("x")}, request(b))
			for range 2 {
				got, _ := p.recv()
				if got == id+1 && time.Since(start) < time.Second {
					t.Errorf("%s was answered before the write", name)
				}
			}
		})
	}
}
