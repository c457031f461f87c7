package sftp_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// dial connects to a server in memory. Over SSH the Conn is a channel:
// (*ssh2.Client).Subsystem(ctx, "sftp").
func dial(ctx context.Context) *sftp.Client {
	tree := memfs.New(memfs.Options{})
	srv := &sftp.Server{
		FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return tree, nil },
	}
	near, far := net.Pipe()
	go func() {
		_ = srv.Serve(ctx, packet.Pipe(far), sftp.SessionInfo{User: "ann"})
		_ = far.Close()
	}()
	c, err := sftp.NewClient(ctx, packet.Pipe(near), nil)
	if err != nil {
		fmt.Println(err)
	}
	return c
}

func ExampleClient_Put() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()

	// Whoever reads "report" sees the old one or the new one, never a part of it.
	n, err := c.Put(ctx, "report", strings.NewReader("all is well\n"), sftp.TransferOptions{Atomic: true})
	fmt.Println(n, err)
	// Output: 12 <nil>
}

func ExampleClient_Get() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_, _ = c.Put(ctx, "report", strings.NewReader("all is well\n"), sftp.TransferOptions{})

	n, err := c.Get(ctx, "report", os.Stdout, sftp.TransferOptions{})
	fmt.Println(n, err)
	// Output:
	// all is well
	// 12 <nil>
}

func ExampleClient_GetFile() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_, _ = c.Put(ctx, "big", strings.NewReader("all that was sent"), sftp.TransferOptions{})

	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	local := filepath.Join(dir, "big")
	_ = os.WriteFile(local, []byte("all that"), 0o600) // of a transfer that was cut off

	r, err := c.GetFile(ctx, "big", local, sftp.TransferOptions{
		Resume: sftp.ResumeOrRestart, // what is there is compared first
		Verify: sftp.VerifyHash,
		Progress: func(p sftp.Progress) {
			if p.Last {
				fmt.Printf("%d of %d\n", p.Done, p.Total)
			}
		},
	})
	fmt.Println(r.Resumed, r.Transferred, r.Kept, r.Verified, r.Hash, err)
	// Output:
	// 17 of 17
	// 8 9 hash hash sha256 <nil>
}

func ExampleClient_PutFile() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	local := filepath.Join(dir, "key")
	_ = os.WriteFile(local, []byte("secret"), 0o600)

	r, err := c.PutFile(ctx, local, "key", sftp.TransferOptions{Preserve: sftp.PreserveMode | sftp.PreserveTimes})
	a, _ := c.Stat(ctx, "key")
	fmt.Println(r.Transferred, a.FSMode(), err)
	// Output: 6 -rw------- <nil>
}

func ExampleClient_GetTree() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_ = c.MkdirAll(ctx, "site/img", nil)
	for _, name := range []string{"site/index.html", "site/img/logo.png", "site/notes.txt"} {
		_ = c.WriteFile(ctx, name, []byte("x"), 0o644)
	}

	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	r, err := c.GetTree(ctx, "site", filepath.Join(dir, "site"), sftp.TreeOptions{Exclude: []string{"*.txt"}})
	fmt.Println(r.Files, "files,", r.Dirs, "directories", err)
	// Output: 2 files, 2 directories <nil>
}

func ExampleClient_PutTree() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	_ = os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o644)
	_ = os.Symlink("/etc/passwd", filepath.Join(dir, "b"))

	r, err := c.PutTree(ctx, dir, "backup", sftp.TreeOptions{
		Links:     sftp.CopyLinks, // those that stay inside
		KeepGoing: true,
	})
	fmt.Println(r.Files, "file,", r.Failed, "failed")
	fmt.Println(err)
	// Output:
	// 1 file, 1 failed
	// sftp: put "b": symlink: symlink leads out of the tree
}

func ExampleClient_CopyFile() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_, _ = c.Put(ctx, "a", strings.NewReader("content"), sftp.TransferOptions{})

	// Nothing of it comes here: the server has copy-data.
	r, err := c.CopyFile(ctx, "a", "b", sftp.TransferOptions{IfExists: sftp.FailIfExists})
	fmt.Println(r.Transferred, err)
	// Output: 7 <nil>
}

func ExampleClient_CopyTree() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_ = c.MkdirAll(ctx, "a/b", nil)
	_, _ = c.Put(ctx, "a/b/c", strings.NewReader("content"), sftp.TransferOptions{})

	r, err := c.CopyTree(ctx, "a", "copy of a", sftp.TreeOptions{})
	fmt.Println(r.Files, err)
	// Output: 1 <nil>
}

func ExampleClient_Glob() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_ = c.MkdirAll(ctx, "src/deep", nil)
	for _, name := range []string{"src/a.go", "src/b.txt", "src/deep/c.go"} {
		_ = c.WriteFile(ctx, name, nil, 0o644)
	}

	for name, err := range c.Glob(ctx, "src/**/*.go") {
		fmt.Println(name, err)
	}
	// Output:
	// src/a.go <nil>
	// src/deep/c.go <nil>
}

func ExampleClient_Walk() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_ = c.MkdirAll(ctx, "src/.git", nil)
	_ = c.WriteFile(ctx, "src/.git/HEAD", nil, 0o644)
	_ = c.WriteFile(ctx, "src/a.go", nil, 0o644)

	for e, err := range c.Walk(ctx, "src") {
		if err != nil {
			fmt.Println(err)
			continue
		}
		if strings.HasSuffix(e.Path, "/.git") {
			e.SkipDir()
			continue
		}
		fmt.Println(e.Path)
	}
	// Output:
	// src
	// src/a.go
}

func ExampleClient_FS() {
	ctx := context.Background()
	c := dial(ctx)
	defer c.Close()
	_ = c.Mkdir(ctx, "etc", nil)
	_ = c.WriteFile(ctx, "etc/motd", []byte("hello"), 0o644)

	text, err := fs.ReadFile(c.FS(ctx), "etc/motd")
	fmt.Printf("%s %v\n", text, err)
	// Output: hello <nil>
}
