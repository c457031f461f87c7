package sftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// TestEmbeddingVirtual runs the virtual file system of docs/embedding.md.
func TestEmbeddingVirtual(t *testing.T) {
	s := sftpserver.New()
	virtual(s, map[string]string{"/a.txt": "first", "/b.txt": "second"})
	start(t, s)
	c := connect(t, s)
	names := map[string]uint64{}
	for e, err := range c.ReadDir(t.Context(), "/") {
		if err != nil {
			t.Fatal(err)
		}
		names[e.Name] = e.Attrs.Size
	}
	if len(names) != 2 || names["a.txt"] != 5 || names["b.txt"] != 6 {
		t.Errorf("the listing has %v", names)
	}
	var got bytes.Buffer
	if _, err := c.Get(t.Context(), "/b.txt", &got, sftp.TransferOptions{}); err != nil || got.String() != "second" {
		t.Errorf("get: %q, %v", &got, err)
	}
	if _, err := c.Open(t.Context(), "/c.txt"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := c.Create(t.Context(), "/a.txt"); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "to be read") {
		t.Errorf("writing: %v", err)
	}
	if err := c.Remove(t.Context(), "/a.txt"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("removing, which no handler answers: %v", err)
	}
}

// TestEmbeddingTwoFactors runs the second factor of docs/embedding.md.
func TestEmbeddingTwoFactors(t *testing.T) {
	key := newKey(t)
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	twoFactors(s, map[string]gossh.PublicKey{"alice": key.PublicKey()}, func(string) string { return "123456" })
	start(t, s)
	login := func(user string, signer gossh.Signer, code string) error {
		c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			User: user, HostKey: gossh.InsecureIgnoreHostKey(),
			Auth: []ssh2.AuthMethod{ssh2.PublicKeys(signer), ssh2.Interactive(func(context.Context, *ssh2.Challenge) ([]string, error) {
				return []string{code}, nil
			})},
		})
		if err != nil {
			return err
		}
		return c.Close()
	}
	if err := login("alice", key, "123456"); err != nil {
		t.Errorf("both factors: %v", err)
	}
	for what, err := range map[string]error{
		"a wrong code":   login("alice", key, "000000"),
		"another key":    login("alice", newKey(t), "123456"),
		"another's name": login("bob", key, "123456"),
	} {
		if err == nil {
			t.Errorf("%s gets in", what)
		}
	}
}

// TestEmbeddingOwnRoots runs the directories for each user of docs/embedding.md.
func TestEmbeddingOwnRoots(t *testing.T) {
	base := t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "alice"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := sftpserver.New()
	ownRoots(s, base, map[string]string{"alice": "secret", "..": "secret"})
	start(t, s)
	c := connect(t, s)
	if _, err := c.Put(t.Context(), "/../file", strings.NewReader("x"), sftp.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(base, "alice", "file")); err != nil {
		t.Error(err)
	}
	if c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "..", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
	}); err == nil {
		_ = c.Close()
		t.Error(`".." gets in`)
	}
}

// TestEmbeddingQuota runs the quota of docs/embedding.md.
func TestEmbeddingQuota(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	limited(s, 100)
	start(t, s)
	c := connect(t, s)
	if _, err := c.Put(t.Context(), "/small", io.LimitReader(neverEnding{}, 60), sftp.TransferOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := c.Put(t.Context(), "/large", io.LimitReader(neverEnding{}, 60), sftp.TransferOptions{}); err == nil {
		t.Error("more than the quota was taken")
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// TestEmbeddingDirectory runs the first program of docs/embedding.md as far as it goes where its port is taken.
func TestEmbeddingDirectory(t *testing.T) {
	taken, err := net.Listen("tcp4", ":2022")
	if err == nil {
		defer taken.Close()
	}
	dir := t.TempDir()
	t.Chdir(dir)
	var e *sftpserver.Error
	if err := serveDirectory(t.Context(), dir); !errors.As(err, &e) || e.Code != 10048 {
		t.Errorf("with the port taken: %v", err)
	}
	if _, err := os.Stat("host_key"); err != nil {
		t.Error(err)
	}
}
