package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// An object store, as their client libraries are: Put reads until the end, and what it
// read until an error is not stored.
type store struct{ objects map[string]string }

func (s *store) Put(_ context.Context, name string, r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.objects[name] = string(content)
	return nil
}

// inbox is a FileSystem that takes uploads and does nothing else.
type inbox struct {
	sftp.Unsupported
	store *store
}

func (inbox) Capabilities() sftp.Capabilities {
	return sftp.Capabilities{Features: sftp.FeatureWrite}
}

func (f inbox) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if how.Reads() || !how.Creates() {
		return nil, sftp.CodePermissionDenied
	}
	r, w := io.Pipe()
	u := &upload{PipeWriter: w, stored: make(chan error, 1)}
	go func() {
		err := f.store.Put(ctx, name, r)
		_ = r.CloseWithError(err) // nobody writes on
		u.stored <- err
	}()
	return sftp.Stream(ctx, nil, u, 256<<10), nil
}

// upload is the writing end of a pipe whose closing waits for the store.
type upload struct {
	*io.PipeWriter
	stored chan error
}

// CloseWithError ends the upload: nil makes Put see the end and store the object, and
// anything else makes it fail with that.
func (u *upload) CloseWithError(cause error) error {
	_ = u.PipeWriter.CloseWithError(cause)
	if err := <-u.stored; cause == nil {
		return err // the answer to the client's CLOSE
	}
	return nil
}

// Uploads go to a store that takes only streams. The store keeps what was finished; what was
// cut off it never sees the end of.
func ExampleStream() {
	s := &store{objects: map[string]string{}}
	fsys := inbox{store: s}
	ctx := context.Background()
	put := func(name string, cause error) {
		f, err := fsys.Open(ctx, name, &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateTruncate})
		if err != nil {
			fmt.Println(err)
			return
		}
		// The server calls these for WRITE and for CLOSE, or the end of the connection.
		_, _ = f.WriteAt([]byte("world"), 6) // early
		_, _ = f.WriteAt([]byte("hello "), 0)
		fmt.Println(name, "closed:", f.Close(cause))
	}
	put("/whole", nil)
	put("/half", sftp.ErrDisconnected)
	fmt.Println(s.objects)
	// Output:
	// /whole closed: <nil>
	// /half closed: <nil>
	// map[/whole:hello world]
}

// A File learns by Close whether an upload is complete.
func ExampleFile_finishedOrCutOff() {
	type file struct{ sftp.File }
	closed := func(f file, cause error) error {
		switch err := f.File.Close(cause); {
		case err != nil:
			fmt.Println("could not be stored:", err)
			return err
		case cause == nil:
			fmt.Println("complete: the peer sent CLOSE")
		case errors.Is(cause, sftp.ErrDisconnected):
			fmt.Println("cut off:", strings.TrimPrefix(cause.Error(), sftp.ErrDisconnected.Error()+": "))
		}
		return nil
	}
	tree := memfs.New(memfs.Options{})
	for _, cause := range []error{nil, fmt.Errorf("%w: %w", sftp.ErrDisconnected, io.ErrUnexpectedEOF)} {
		f, err := tree.Open(context.Background(), "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenOrCreate})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = closed(file{f}, cause)
	}
	// Output:
	// complete: the peer sent CLOSE
	// cut off: unexpected EOF
}

// Everybody may look around; what is dropped in /incoming can neither be seen nor changed
// afterwards; private keys are nobody's; nothing executable comes in.
func ExamplePolicy() {
	p := &sftp.Policy{
		Deny: []string{"symlink", "hardlink"},
		Rules: []sftp.Rule{
			{Path: "/", Perm: sftp.PermReadOnly},
			{Path: "/incoming/*", Perm: sftp.PermCreate},
			{Path: "*.key", Perm: 0},
		},
		RefuseNames: []string{"*.exe", "*.bat"},
	}
	srv := &sftp.Server{ // srv.Serve(ctx, conn, info) for every session
		FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) {
			return memfs.New(memfs.Options{}), nil
		},
		Policy: p,
	}
	fmt.Println(srv.Policy.Check(), srv.FS != nil)
	fmt.Println(sftp.PermReadOnly)
	// Output:
	// <nil> true
	// stat,list,read
}

// One quota for all sessions of a user.
func ExampleQuota() {
	ctx := context.Background()
	home := memfs.New(memfs.Options{})
	quota, err := sftp.NewQuota("/", sftp.Usage{Bytes: 10, Files: 1000}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := quota.Scan(ctx, home, 1e6); err != nil { // what is there already
		fmt.Println(err)
		return
	}
	fsys := quota.Wrap(home) // in Server.FS
	f, err := fsys.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateTruncate})
	if err != nil {
		fmt.Println(err)
		return
	}
	for off := int64(0); err == nil; off += 4 {
		_, err = f.WriteAt([]byte("data"), off)
	}
	fmt.Println(err, f.Close(nil))
	fmt.Println(quota.Usage())
	// Output:
	// sftp: quota exceeded <nil>
	// {8 1} <nil>
}
