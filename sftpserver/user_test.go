package sftpserver_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestW24_PolicyOfTheUser: what UserAuth says that the user may do holds, for that user.
func TestW24_PolicyOfTheUser(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	reader := false
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		accept(e)
		if reader {
			e.Policy = &sftp.Policy{Allow: []string{"readonly"}}
		}
	}
	start(t, s)
	if err := connect(t, s).Mkdir(t.Context(), "/a", nil); err != nil {
		t.Fatal(err)
	}
	reader = true
	c := connect(t, s)
	if err := c.Mkdir(t.Context(), "/b", nil); !errors.Is(err, sftp.CodePermissionDenied) {
		t.Errorf("mkdir by one who may read: %v", err)
	}
	if _, err := c.Stat(t.Context(), "/a"); err != nil {
		t.Errorf("stat: %v", err)
	}
}

// TestWrapFileSystem: every session passes it, it is told of the end, and it may refuse.
func TestWrapFileSystem(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	quota, err := sftp.NewQuota("", sftp.Usage{Files: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	refuse, told := false, make(chan error, 1)
	s.Error = func(e *sftpserver.ErrorEvent) { told <- e.Err }
	s.WrapFileSystem = func(ctx context.Context, c *sftpserver.Connection, fsys sftp.FileSystem) (sftp.FileSystem, error) {
		if refuse || c.User() != "alice" {
			return nil, sftp.CodePermissionDenied
		}
		context.AfterFunc(ctx, func() { close(ended) })
		return quota.Wrap(fsys), nil
	}
	start(t, s)
	c := connect(t, s)
	if err := c.Mkdir(t.Context(), "/a", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Mkdir(t.Context(), "/b", nil); err == nil {
		t.Error("the quota was not there")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
	refuse = true
	ch, err := dial(t, s).Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sftp.NewClient(t.Context(), ch, nil); err == nil {
		t.Error("a session that was refused began")
	}
	if err := <-told; !errors.Is(err, sftp.CodePermissionDenied) || !strings.HasPrefix(err.Error(), "sftpserver: file system of the session: ") {
		t.Errorf("the Error event was told %v", err)
	}
}
