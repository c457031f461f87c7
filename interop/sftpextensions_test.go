package interop

import (
	"crypto/md5" //nolint:gosec // md5-hash is what is tested
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The columns of what not every server has: locks and extensions.

// locks locks a range, one inside it, unlocks another and then the range.
func (x *sftpCell) locks() error {
	if err := x.file("f", sample(1000)); err != nil {
		return err
	}
	a, err := x.do(op{verb: "lock", path: x.in("f")})
	if err != nil {
		return err
	}
	refused := codeLockRefused
	if x.code != 0 {
		refused = x.code
		x.note = fmt.Sprintf("ok, code %d", refused)
	}
	if got, want := a.numbers(), []int{0, refused, codeNoMatchingLock, 0}; !slices.Equal(got, want) {
		x.lost = slices.ContainsFunc(got, lostCode)
		return fmt.Errorf("lock, lock inside, unlock another, unlock: codes %v, want %v", got, want)
	}
	return nil
}

func (x *sftpCell) checkFile() error {
	data := sample(10_000)
	if err := x.file("f", data); err != nil {
		return err
	}
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	for _, c := range []struct {
		args args
		want string
	}{
		{args{"offset": 0, "length": 0, "block": 0}, sum(data)},
		{args{"offset": 100, "length": 5000, "block": 0}, sum(data[100:5100])},
		{args{"offset": 0, "length": 0, "block": 4096}, sum(data[:4096]) + sum(data[4096:8192]) + sum(data[8192:])},
		{args{"offset": 0, "length": 0, "block": 0, "handle": 1}, sum(data)},
	} {
		c.args["algorithm"] = "no-such,sha256"
		if err := x.hashed("sha256 "+c.want, op{verb: "hash", path: x.in("f"), args: c.args}); err != nil {
			return err
		}
	}
	return nil
}

// hashed is wantText, but for a range of a file that our client does not let the server hash.
func (x *sftpCell) hashed(want string, o op) error {
	err := x.wantText(want, o)
	var na *notApplicableError
	if o.args["length"] != 0 && errors.As(err, &na) && strings.HasPrefix(na.why, "server hashes files only to their end") {
		x.note = "ok, to the end"
		return nil
	}
	return err
}

func (x *sftpCell) md5Hash() error {
	data := sample(10_000)
	if err := x.file("f", data); err != nil {
		return err
	}
	sum := func(b []byte) string { h := md5.Sum(b); return hex.EncodeToString(h[:]) } //nolint:gosec // as above
	for _, c := range []struct {
		args args
		want string
	}{
		{args{"offset": 0, "length": 0}, sum(data)},
		{args{"offset": 100, "length": 5000}, sum(data[100:5100])},
		{args{"offset": 0, "length": 0, "handle": 1}, sum(data)},
	} {
		if err := x.hashed(c.want, op{verb: "md5", path: x.in("f"), args: c.args}); err != nil {
			return err
		}
	}
	return nil
}

func (x *sftpCell) copyFile() error {
	data := sample(300_001)
	if err := errors.Join(x.file("f", data), x.file("old", []byte("old"))); err != nil {
		return err
	}
	if err := x.all(op{verb: "copyfile", path: x.in("f"), to: x.in("new")}); err != nil {
		return err
	}
	if err := x.refused(x.since(4, codeFileExists), op{verb: "copyfile", path: x.in("f"), to: x.in("old")}); err != nil {
		return err
	}
	if err := wantFile(filepath.Join(x.there, "old"), []byte("old")); err != nil {
		return err
	}
	if err := x.all(op{verb: "copyfile", path: x.in("f"), to: x.in("old"), args: args{"overwrite": 1}}); err != nil {
		return err
	}
	return errors.Join(wantFile(filepath.Join(x.there, "new"), data), wantFile(filepath.Join(x.there, "old"), data))
}

func (x *sftpCell) copyData() error {
	data := sample(300_001)
	if err := x.file("f", data); err != nil {
		return err
	}
	err := x.all(op{verb: "copydata", path: x.in("f"), to: x.in("part"), args: args{"offset": 1000, "length": 100_000, "at": 10}},
		op{verb: "copydata", path: x.in("f"), to: x.in("whole"), args: args{"offset": 0, "length": 0, "at": 0}})
	if err != nil {
		return err
	}
	return errors.Join(
		wantFile(filepath.Join(x.there, "part"), slices.Concat(make([]byte, 10), data[1000:101_000])),
		wantFile(filepath.Join(x.there, "whole"), data))
}

func (x *sftpCell) space() error {
	a, err := x.do(op{verb: "space", path: x.remote})
	if err != nil {
		return err
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(x.there, &fs); err != nil {
		return err
	}
	n := a.numbers()
	if len(n) != 5 || n[0] != int(fs.Blocks)*int(fs.Bsize) || n[1] > n[0] || n[3] > n[1] || n[3] <= 0 || n[4] <= 0 {
		return fmt.Errorf("total, unused, available, unused of those, unit: %v; the file system has %d octets", n, int(fs.Blocks)*int(fs.Bsize))
	}
	return nil
}

func (x *sftpCell) statvfs() error {
	a, err := x.do(op{verb: "statvfs", path: x.remote})
	if err != nil {
		return err
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(x.there, &fs); err != nil {
		return err
	}
	n := a.numbers()
	if len(n) != 5 || n[1]*n[2] != int(fs.Blocks)*int(fs.Frsize) || n[3] > n[2] || n[4] > n[3] || n[4] <= 0 {
		return fmt.Errorf("bsize, frsize, blocks, bfree, bavail: %v; the file system has %d octets", n, int(fs.Blocks)*int(fs.Frsize))
	}
	return nil
}

func (x *sftpCell) limits() error {
	a, err := x.do(op{verb: "limits"})
	if err != nil {
		return err
	}
	n := a.numbers() // a client that has no use for the packet's limit tells 0
	if len(n) != 4 || n[0] > 0 && n[0] < max(34000, n[1], n[2]) || n[1] < 32768 || n[2] < 32768 {
		return fmt.Errorf("packet, read, write, handles: %v", n)
	}
	return nil
}

func (x *sftpCell) fsync() error {
	if err := x.file("f", []byte("x")); err != nil {
		return err
	}
	return x.all(op{verb: "fsync", path: x.in("f")})
}

func (x *sftpCell) home() error {
	a, err := x.do(op{verb: "home"})
	if err == nil && !strings.HasPrefix(a.text("text"), "/") {
		err = fmt.Errorf("home is %q", a.text("text"))
	}
	return err
}

func (x *sftpCell) expand() error {
	if err := x.dir("d"); err != nil {
		return err
	}
	a, err := x.do(op{verb: "expand", path: "~"})
	if err == nil && !strings.HasPrefix(a.text("text"), "/") {
		err = fmt.Errorf("~ is %q", a.text("text"))
	}
	if err != nil {
		return err
	}
	return x.wantText(x.in("d"), op{verb: "expand", path: x.in("d")})
}
