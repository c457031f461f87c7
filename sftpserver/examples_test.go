package sftpserver_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestExampleShelf: the file system of the guide does all that a client asks of it, both ways.
func TestExampleShelf(t *testing.T) {
	for way, serve := range map[string]func(*sftpserver.Server, *shelf){
		"events": func(s *sftpserver.Server, tree *shelf) { tree.handle(&s.Events) },
		"file system": func(s *sftpserver.Server, tree *shelf) {
			s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) {
				return shelfFS{shelf: tree}, nil
			}
		},
	} {
		for v := sftp.Version3; v <= sftp.Version6; v++ {
			t.Run(way, func(t *testing.T) {
				s := sftpserver.New()
				s.ProtocolVersion = v
				serve(s, newShelf())
				start(t, s)
				useShelf(t, connect(t, s))
			})
		}
	}
}

func useShelf(t *testing.T, c *sftp.Client) {
	ctx := t.Context()
	text := strings.Repeat("text ", 50_000)
	for _, err := range []error{
		c.Mkdir(ctx, "/d", nil), c.Mkdir(ctx, "/d/e", nil), c.WriteFile(ctx, "/d/e/f", []byte(text), 0o600),
		c.Rename(ctx, "/d/e/f", "/d/g", 0), c.Rename(ctx, "/d", "/h", 0), c.Truncate(ctx, "/h/g", 9),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if got, err := c.ReadFile(ctx, "/h/g"); err != nil || string(got) != text[:9] {
		t.Errorf("%q, %v", got, err)
	}
	f, err := c.OpenFile(ctx, "/h/g", sftp.HowFromFlags(os.O_WRONLY|os.O_APPEND))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Write([]byte("+")); err != nil {
			t.Error(err)
		}
	}
	if err := c.Rename(ctx, "/h/g", "/h/i", 0); err != nil {
		t.Error(err)
	}
	if a, err := f.Stat(ctx); err != nil || a.Size != 11 {
		t.Errorf("FSTAT of what has another name by now: %+v, %v", a, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got, err := c.ReadFile(ctx, "/h/i"); err != nil || string(got) != text[:9]+"++" {
		t.Errorf("%q, %v", got, err)
	}
	for what, row := range map[string]struct {
		err  error
		want error
	}{
		"a directory that is not empty": {c.Rmdir(ctx, "/h"), nil},
		"MKDIR of what is there":        {c.Mkdir(ctx, "/h", nil), nil},
		"MKDIR in nothing":              {c.Mkdir(ctx, "/none/d", nil), fs.ErrNotExist},
		"REMOVE of a directory":         {c.Remove(ctx, "/h"), nil},
		"into itself":                   {c.Rename(ctx, "/h", "/h/e/x", 0), nil},
		"RMDIR of the root":             {c.Rmdir(ctx, "/"), nil},
		"TRUNCATE beyond all":           {c.Truncate(ctx, "/h/i", 1<<40), nil},
		"REMOVE of nothing":             {c.Remove(ctx, "/x"), fs.ErrNotExist},
	} {
		if row.err == nil || row.want != nil && !errors.Is(row.err, row.want) {
			t.Errorf("%s: %v", what, row.err)
		}
	}
	if got := list(t, c, "/h"); got != "e i" {
		t.Errorf("%q", got)
	}
	for _, err := range []error{c.Remove(ctx, "/h/i"), c.Rmdir(ctx, "/h/e"), c.Rmdir(ctx, "/h")} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := list(t, c, "/"); got != "" {
		t.Errorf("%q", got)
	}
}

// TestExamplesServe: the other examples of the guide do what it says.
func TestExamplesServe(t *testing.T) {
	t.Run("quotas", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "there"), make([]byte, 60), 0o600); err != nil {
			t.Fatal(err)
		}
		s := sftpserver.New()
		s.RootDirectory = dir
		limited(s, 100)
		start(t, s)
		for range 2 { // sessions share it
			c := connect(t, s)
			if err := c.WriteFile(t.Context(), "/f", make([]byte, 41), 0o600); err == nil {
				t.Error("60 and 41 octets are within 100")
			}
			if err := c.WriteFile(t.Context(), "/f", make([]byte, 40), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("readers", func(t *testing.T) {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		s.UserAuth = accept
		readers(s, "alice")
		start(t, s)
		if err := connect(t, s).Mkdir(t.Context(), "/d", nil); !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
	})
	t.Run("uploads", func(t *testing.T) {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		var got []string
		uploads(s, func(_, path string, _ int64) { got = append(got, path) })
		start(t, s)
		c := connect(t, s)
		if err := errors.Join(c.WriteFile(t.Context(), "/full", []byte("x"), 0o600), c.WriteFile(t.Context(), "/empty", nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ReadFile(t.Context(), "/full"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.OpenFile(t.Context(), "/half", sftp.HowFromFlags(os.O_CREATE|os.O_WRONLY)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, []string{"/full", "/empty"}) {
			t.Errorf("%q", got)
		}
	})
}

// TestExampleFromStoresAndFile: the guide's host keys and settings.
func TestExampleFromStoresAndFile(t *testing.T) {
	stores := filepath.Join("..", "certstore", "testdata", "stores")
	s := sftpserver.New()
	if err := fromStores(s, filepath.Join(stores, "pfx", "modern.p12"), filepath.Join(stores, "jks", "two-keys.jks"), []byte("testing")); err != nil || len(s.HostKeys) < 2 {
		t.Errorf("%d keys, %v", len(s.HostKeys), err)
	}
	file := filepath.Join(t.TempDir(), "server.conf")
	if err := os.WriteFile(file, []byte("LocalPort 2022\nMaxConnections=7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fromFile(s, file); err != nil || s.LocalPort != 2022 || s.MaxConnections != 50 {
		t.Errorf("port %d, %d connections, %v", s.LocalPort, s.MaxConnections, err)
	}
}
