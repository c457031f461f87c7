package interop

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestTreesSFTPServer puts a tree to OpenSSH's sftp-server, has it copied there and gets it back: atomically, with
// times and modes, and with links. Then it gets a file of /proc, which says that it is empty, and resumes.
func TestTreesSFTPServer(t *testing.T) {
	program, err := findSFTPServer()
	if err != nil {
		missingPeer(t, "OpenSSH sftp-server", err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-e", "-l", "FATAL")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	c, err := sftp.NewClient(ctx, packet.Pipe(twoPipes{out, in}), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	here := filepath.Join(dir, "here")
	for name, size := range map[string]int{"empty": 0, "a/one": 1, "a/b/big": 5 << 20, "c d/-x": 40_000} {
		content := make([]byte, size)
		_, _ = rand.Read(content)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(here, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(here, name), content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../a/one", filepath.Join(here, "c d", "link")); err != nil {
		t.Fatal(err)
	}
	o := sftp.TreeOptions{Links: sftp.CopyLinks}
	o.Atomic, o.Verify, o.Preserve = true, sftp.VerifyContent, sftp.PreserveMode|sftp.PreserveTimes
	there, second, back := filepath.Join(dir, "there"), filepath.Join(dir, "second"), filepath.Join(dir, "back")
	if r, err := c.PutTree(ctx, here, there, o); err != nil || r.Files != 4 || r.Links != 1 {
		t.Errorf("put: %+v %v", r, err)
	}
	if r, err := c.CopyTree(ctx, there, second, o); err != nil || r.Files != 4 || r.Links != 1 {
		t.Errorf("copy: %+v %v", r, err)
	}
	if r, err := c.GetTree(ctx, second, back, o); err != nil || r.Files != 4 || r.Links != 1 {
		t.Errorf("get: %+v %v", r, err)
	}
	want := treeOf(t, here)
	for _, tree := range []string{there, second, back} {
		if treeOf(t, tree) != want {
			t.Errorf("%s is not what was put", tree)
		}
	}
	version, err := os.ReadFile("/proc/version")
	if err == nil {
		var got bytes.Buffer
		if _, err := c.Get(ctx, "/proc/version", &got, sftp.TransferOptions{Verify: sftp.VerifySize}); err != nil || !bytes.Equal(got.Bytes(), version) {
			t.Errorf("/proc/version: %q %v", got.Bytes(), err)
		}
	}
	if err := os.Truncate(filepath.Join(back, "a/b/big"), 1<<20); err != nil {
		t.Fatal(err)
	}
	r, err := c.GetFile(ctx, filepath.Join(there, "a/b/big"), filepath.Join(back, "a/b/big"), sftp.TransferOptions{Resume: sftp.ResumeOrFail})
	if err != nil || r.Resumed != 1<<20 || r.Kept != sftp.CheckTail {
		t.Errorf("resumed: %+v %v", r, err)
	}
	if err := os.Truncate(filepath.Join(there, "a/b/big"), 5<<20-1); err != nil {
		t.Fatal(err)
	}
	r, err = c.PutFile(ctx, filepath.Join(here, "a/b/big"), filepath.Join(there, "a/b/big"), sftp.TransferOptions{Resume: sftp.ResumeOrFail})
	if err != nil || r.Resumed != 1<<20-1 {
		t.Errorf("resumed: %+v %v", r, err)
	}
	_ = c.Close()
	if err := cmd.Wait(); err != nil {
		t.Error("sftp-server:", err)
	}
}

// twoPipes is standard input and output of a program.
type twoPipes struct {
	io.Reader
	io.WriteCloser
}
