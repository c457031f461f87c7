package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

func TestReasonsSayThingsOnce(t *testing.T) {
	at := func(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }
	failed := func(op, step, name string, err error) error {
		return &sftp.TransferError{Op: op, Step: step, Path: name, Err: err}
	}
	for _, row := range []struct {
		err  error
		want string
	}{
		{failed("get", "read", "big", at("read", "big", at("write", "small/big.filepart", syscall.ENOSPC))), "small/big.filepart: no space left on device"},
		{failed("put", "open", "x", at("open", "x.filepart", sftp.CodePermissionDenied)), "x.filepart: permission denied"},
		{failed("get", "local mkdir", "perm/ro/up-s", at("mkdirat", "perm/ro/up-s", syscall.EACCES)), "perm/ro/up-s: permission denied"},
		{failed("get", "symlink", "up", errors.New("symlink leads out of the tree")), "up: symlink leads out of the tree"},
		{failed("get", "verify", "x", fmt.Errorf("read again: %w", sftp.ErrMismatch)), "x: verify: read again: " + sftp.ErrMismatch.Error()},
		{failed("put", "rename", "x", &os.LinkError{Op: "rename", Old: "x.filepart", New: "x", Err: sftp.CodeOpUnsupported}), "x: rename: operation unsupported"},
		{advised{failed("put", "open", "x", at("open", "x", fs.ErrPermission)), "do otherwise"}, "x: permission denied; do otherwise"},
		{usageError{errors.New("get: a\nb")}, "get: a b"},
		{at("hash", "a\x1b", errors.New("sftp: no")), `a\x1b: hash: no`},
		{errors.New("sftp: just this"), "just this"},
	} {
		if got := reason(row.err); got != row.want {
			t.Errorf("%v: %q, want %q", row.err, got, row.want)
		}
	}
}

// inbox takes files and can do nothing else with them.
type inbox struct {
	sftp.Unsupported
	in sftp.FileSystem
}

func (i inbox) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	return i.in.Open(ctx, name, how)
}

// dropBox takes files, moves them, and lets nobody read them.
type dropBox struct{ sftp.FileSystem }

func (d dropBox) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if how.Access&sftp.AccessReadData != 0 {
		return nil, sftp.CodePermissionDenied
	}
	return d.FileSystem.Open(ctx, name, how)
}

// TestVerifyWithoutReading: who may not read what was sent is told of --verify, not of where files are made.
func TestVerifyWithoutReading(t *testing.T) {
	h := knownHostFor(t, dropBox{memfs.New(memfs.Options{})})
	writeFile(t, "one", "first", 0o644)
	h.no(t, statusFailed, "does not let this user read what it was sent; without --verify", "put", "--verify", "one", "127.0.0.1:/one")
	h.ok(t, "put", "one", "127.0.0.1:/one")
}

// TestNoRename: a host that cannot rename is not a place for temporary names, and it is said.
func TestNoRename(t *testing.T) {
	h := knownHostFor(t, inbox{in: memfs.New(memfs.Options{})})
	writeFile(t, "one", "first", 0o644)
	h.no(t, statusFailed, "/one: rename: operation unsupported; a host that takes files and moves none wants --in-place", "put", "one", "127.0.0.1:/one")
	h.ok(t, "put", "--in-place", "one", "127.0.0.1:/one")
	if h.read(t, "/one") != "first" {
		t.Error("content")
	}
}
