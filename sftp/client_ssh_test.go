package sftp_test

import (
	"context"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2test"
)

// TestClientWithEnvironment: the subsystem sees the variables that were set for it.
func TestClientWithEnvironment(t *testing.T) {
	ctx := t.Context()
	tree := memfs.New(memfs.Options{})
	files := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return tree, nil }}
	var env []string
	server := ssh2test.NewServer(func(ctx context.Context, s *ssh2.ServerSession) {
		env = slices.Clone(s.Env)
		_ = files.Serve(ctx, s, sftp.SessionInfo{})
	})
	server.AcceptEnv = []string{"LANG"}
	conn := ssh2test.Connect(t, server, nil)
	channel, err := conn.Subsystem(ctx, "sftp", "LANG=C", "SECRET=x")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(ctx, channel, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFile(ctx, "f", []byte("content"), 0); err != nil {
		t.Error(err)
	}
	if got, err := c.ReadFile(ctx, "f"); string(got) != "content" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if want := []string{"LANG=C"}; !slices.Equal(env, want) {
		t.Errorf("the subsystem has %q, want %q", env, want)
	}
	if _, err := conn.Subsystem(ctx, "sftp", "no equals sign"); err == nil {
		t.Error("a variable without = was taken")
	}
}
