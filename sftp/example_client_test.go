package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// exampleClient is a client of a server in memory.
func exampleClient(ctx context.Context) (*sftp.Client, error) {
	tree := memfs.New(memfs.Options{})
	srv := &sftp.Server{
		FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return tree, nil },
	}
	near, far := net.Pipe()
	go func() { _ = srv.Serve(ctx, packet.Pipe(far), sftp.SessionInfo{}) }()
	return sftp.NewClient(ctx, packet.Pipe(near), nil)
}

// A client over one end of a pipe: here to a server in memory. packet.Pipe takes any
// io.ReadWriteCloser, a session of another SSH library among them.
func ExampleNewClient() {
	ctx := context.Background()
	c, err := exampleClient(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if err := c.WriteFile(ctx, "/greeting", []byte("hello, world"), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	text, err := c.ReadFile(ctx, "/greeting")
	fmt.Printf("%s, %v\n", text, err)
	_, err = c.Open(ctx, "/nothing")
	fmt.Println(errors.Is(err, fs.ErrNotExist), err)
	// Output:
	// hello, world, <nil>
	// true open /nothing: sftp: no such file
}

// A client over an SSH connection: the channel of the subsystem is a packet.Conn.
func ExampleNewClient_ssh() {
	open := func(ctx context.Context, addr string, cfg *ssh2.ClientConfig) (*sftp.Client, *ssh2.Client, error) {
		conn, err := ssh2.Dial(ctx, "tcp", addr, cfg)
		if err != nil {
			return nil, nil, err
		}
		channel, err := conn.Subsystem(ctx, "sftp")
		if err != nil {
			return nil, nil, errors.Join(err, conn.Close())
		}
		c, err := sftp.NewClient(ctx, channel, &sftp.ClientConfig{ServerIdent: conn.Info().RemoteIdent})
		if err != nil {
			return nil, nil, errors.Join(err, conn.Close())
		}
		return c, conn, nil
	}
	_, _, err := open(context.Background(), "sftp.example.invalid:22", &ssh2.ClientConfig{User: "ann"})
	fmt.Println(err != nil)
	// Output: true
}

// Reading a file in a plain loop: what comes next is asked for before it is wanted.
func ExampleClient_Open() {
	ctx := context.Background()
	c, err := exampleClient(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_ = c.WriteFile(ctx, "/f", []byte(strings.Repeat("0123456789", 100_000)), 0)
	f, err := c.Open(ctx, "/f")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	n, err := io.Copy(io.Discard, f)
	fmt.Println(n, err)
	// Output: 1000000 <nil>
}

// Writing does not wait for the server: Close says whether all has arrived.
func ExampleClient_Create() {
	ctx := context.Background()
	c, err := exampleClient(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	f, err := c.Create(ctx, "/log")
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 3 {
		fmt.Fprintf(f, "line %d\n", i)
	}
	if err := f.Close(); err != nil {
		fmt.Println(err)
		return
	}
	text, _ := c.ReadFile(ctx, "/log")
	fmt.Print(string(text))
	// Output:
	// line 0
	// line 1
	// line 2
}

// Listing a directory of any size in constant memory.
func ExampleClient_ReadDir() {
	ctx := context.Background()
	c, err := exampleClient(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_ = c.MkdirAll(ctx, "/a/b", nil)
	_ = c.WriteFile(ctx, "/a/file", []byte("12345"), 0o600)
	for e, err := range c.ReadDir(ctx, "/a") {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(e.Name, e.Attrs.FSMode().IsDir())
	}
	// Unordered output:
	// b true
	// file false
}

// Replacing a file in one step.
func ExampleClient_Rename() {
	ctx := context.Background()
	c, err := exampleClient(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_ = c.WriteFile(ctx, "/config", []byte("old"), 0)
	_ = c.WriteFile(ctx, "/config.new", []byte("new"), 0)
	fmt.Println(c.Rename(ctx, "/config.new", "/config", 0) != nil)
	fmt.Println(c.Rename(ctx, "/config.new", "/config", sftp.RenameOverwrite|sftp.RenameAtomic))
	text, _ := c.ReadFile(ctx, "/config")
	fmt.Println(string(text))
	// Output:
	// true
	// <nil>
	// new
}

// Opening by the flags of os.OpenFile.
func ExampleClient_OpenFile() {
	ctx := context.Background()
	c, err := exampleClient(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	how := sftp.HowFromFlags(os.O_RDWR | os.O_CREATE | os.O_EXCL)
	f, err := c.OpenFile(ctx, "/new", how)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = f.WriteAt([]byte("abc"), 2)
	p := make([]byte, 5)
	n, err := f.ReadAt(p, 0)
	fmt.Printf("%q %v\n", p[:n], err)
	fmt.Println(f.Close())
	_, err = c.OpenFile(ctx, "/new", how)
	fmt.Println(err != nil)
	// Output:
	// "\x00\x00abc" <nil>
	// <nil>
	// true
}
