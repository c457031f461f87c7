package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2test"
)

// fetch is an example of README.md.
func fetch(ctx context.Context, conn *ssh2.Client, name, file string) error {
	channel, err := conn.Subsystem(ctx, "sftp")
	if err != nil {
		return err
	}
	files, err := sftp.NewClient(ctx, channel, &sftp.ClientConfig{ServerIdent: conn.Info().RemoteIdent})
	if err != nil {
		return err
	}
	defer files.Close()
	_, err = files.GetFile(ctx, name, file, sftp.TransferOptions{
		Resume:   sftp.ResumeOrRestart, // go on where an earlier call was cut off
		Verify:   sftp.VerifyBest,
		Progress: func(p sftp.Progress) { fmt.Fprintf(os.Stderr, "\r%d of %d bytes", p.Done, p.Total) },
	})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there yet", name)
	}
	return err
}

// pages is an example of README.md: a file system of one's own, here of texts in memory.
type pages struct {
	sftp.Unsupported // what has no method here is refused
	texts            map[string]string
}

// page is a file of pages.
type page struct {
	sftp.UnsupportedFile
	text string
}

func (p page) ReadAt(b []byte, off int64) (int, error) {
	return strings.NewReader(p.text).ReadAt(b, off)
}

func (p page) Stat(context.Context, sftp.AttrMask) (*sftp.Attrs, error) {
	return &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrSize, Mode: sftp.ModeRegular | 0o444, Size: uint64(len(p.text))}, nil
}

func (f pages) Open(_ context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	name, err := sftp.CleanPath(name) // always first: absolute, and no ".." leads out
	if err != nil {
		return nil, err
	}
	text, ok := f.texts[name]
	switch {
	case !ok:
		return nil, fs.ErrNotExist // clients get the code that fits
	case how.Modifies():
		return nil, fs.ErrPermission
	}
	return page{text: text}, nil
}

func (f pages) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	if name, err := sftp.CleanPath(name); err != nil || name != "/" {
		return nil, fs.ErrNotExist
	}
	var list []sftp.Entry
	for name, text := range f.texts {
		attrs, _ := page{text: text}.Stat(ctx, 0)
		list = append(list, sftp.Entry{Name: strings.TrimPrefix(name, "/"), Attrs: *attrs})
	}
	return sftp.Listing(list), nil
}

func (f pages) Stat(ctx context.Context, name string, _ sftp.StatOpt) (*sftp.Attrs, error) {
	if name, err := sftp.CleanPath(name); err == nil && name == "/" {
		return &sftp.Attrs{Valid: sftp.AttrMode, Mode: sftp.ModeDir | 0o555}, nil
	}
	file, err := f.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		return nil, err
	}
	return file.Stat(ctx, sftp.AttrsBasic)
}

// TestReadmeClientAndFileSystem runs the two SFTP examples of README.md against each other.
func TestReadmeClientAndFileSystem(t *testing.T) {
	report := strings.Repeat("7 anchors\n", 100_000)
	files := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) {
		return pages{texts: map[string]string{"/report": report}}, nil
	}}
	conn := ssh2test.Connect(t, ssh2test.NewServer(func(ctx context.Context, s *ssh2.ServerSession) {
		_ = files.Serve(ctx, s, sftp.SessionInfo{})
	}), nil)
	file := filepath.Join(t.TempDir(), "report")
	if err := os.WriteFile(file, []byte(report[:300_000]), 0o600); err != nil { // an earlier call was cut off
		t.Fatal(err)
	}
	if err := fetch(t.Context(), conn, "/report", file); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != report {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := fetch(t.Context(), conn, "/nothing", file+"2"); err == nil || err.Error() != "/nothing is not there yet" {
		t.Errorf("of what is not there: %v", err)
	}
	channel, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(t.Context(), channel, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteFile(t.Context(), "/report", nil, 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("write: %v", err)
	}
	if err := c.Remove(t.Context(), "/report"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("remove: %v", err)
	}
}

// TestEmbeddedUnsupported: a file system with a Stat and nothing else is enough for clients
// to find out where they are, in every version, with and without a policy and a quota.
func TestEmbeddedUnsupported(t *testing.T) {
	quota, err := sftp.NewQuota("/", sftp.Usage{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bare := pages{texts: map[string]string{"/report": "text"}}
	for name, files := range map[string]*sftp.Server{
		"plain": {FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return bare, nil }},
		"policy and quota": {
			FS:     func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return quota.Wrap(bare), nil },
			Policy: &sftp.Policy{Rules: []sftp.Rule{{Path: "/", Perm: sftp.PermReadOnly}}},
		},
	} {
		for v := sftp.Version3; v <= sftp.Version6; v++ {
			near, far := net.Pipe()
			served := make(chan struct{})
			go func() {
				defer close(served)
				_ = files.Serve(t.Context(), packet.Pipe(far), sftp.SessionInfo{})
			}()
			c, err := sftp.NewClient(t.Context(), packet.Pipe(near), &sftp.ClientConfig{MinVersion: v, MaxVersion: v})
			if err != nil {
				t.Fatal(err)
			}
			if wd, err := c.Getwd(t.Context()); wd != "/" || err != nil {
				t.Errorf("%s, version %d: start %q, %v", name, v, wd, err)
			}
			if p, err := c.RealPath(t.Context(), "x/../report"); p != "/report" || err != nil {
				t.Errorf("%s, version %d: %q, %v", name, v, p, err)
			}
			if v == sftp.Version6 {
				p, a, err := c.RealPathOpt(t.Context(), "/", sftp.RealPathStatAlways, "report")
				if p != "/report" || err != nil || a == nil || a.Kind != sftp.TypeRegular {
					t.Errorf("%s: %q %+v, %v", name, p, a, err)
				}
				if _, _, err := c.RealPathOpt(t.Context(), "/none", sftp.RealPathStatAlways); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: what is not there: %v", name, err)
				}
				if p, _, err := c.RealPathOpt(t.Context(), "/none", sftp.RealPathStatIf); p != "/none" || err != nil {
					t.Errorf("%s: what need not be there: %q, %v", name, p, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			_ = c.Wait()
			<-served
		}
	}
}
