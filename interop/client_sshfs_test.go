package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sshfs mounts "/" and takes the steps with the operating system's own calls. Its SSH is OpenSSH's.
var sshfs = &client{
	name: "sshfs",
	find: findSSHFS,
	cannot: map[string]string{
		"exec": "a mount runs no commands",
	},
	run: func(ctx context.Context, j job) (result outcome, err error) {
		mount, err := os.MkdirTemp(scratch, "mount-")
		if err != nil {
			return result, err
		}
		defer os.Remove(mount)
		args := []string{"-f", "-p", strconv.Itoa(j.Port)}
		for _, option := range sshOptions(j) {
			args = append(args, "-o", option)
		}
		args = append(args, j.User+"@"+j.Host+":/", mount)
		done := make(chan error, 1)
		mounted, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			_, err := command{"sshfs", args, opensshEnv(j), nil}.run(mounted)
			done <- err
		}()
		if err := waitMounted(ctx, mount, done); err != nil {
			return result, err
		}
		for _, s := range j.Steps {
			if err = onMount(mount, s, &result); err != nil {
				err = fmt.Errorf("sshfs: %s: %w", s.Verb, err)
				break
			}
		}
		out, uerr := command{name: "fusermount3", args: []string{"-u", mount}}.run(ctx)
		if uerr != nil {
			exec.Command("fusermount3", "-uz", mount).Run()
			return result, errors.Join(err, uerr, errors.New(out.stderr))
		}
		return result, errors.Join(err, <-done)
	},
}

// findSSHFS wants the program and a FUSE device that can be opened.
func findSSHFS() (string, error) {
	for _, program := range []string{"sshfs", "fusermount3"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", errMissing
		}
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("FUSE does not work here: %w", err)
	}
	f.Close()
	return findProgram("sshfs", "SSHFS", "-V")()
}

// waitMounted returns when another device shows up at dir.
func waitMounted(ctx context.Context, dir string, done chan error) error {
	for {
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			return err
		}
		if strings.Contains(string(mounts), " "+dir+" ") {
			return nil
		}
		select {
		case err := <-done:
			return fmt.Errorf("sshfs left before it mounted: %w", errors.Join(err))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond): // the mount table cannot be waited on
		}
	}
}

func onMount(mount string, s step, result *outcome) error {
	remote := filepath.Join(mount, s.Remote)
	switch s.Verb {
	case vList:
		entries, err := os.ReadDir(remote)
		for _, entry := range entries {
			result.Listed = append(result.Listed, entry.Name())
		}
		return err
	case vPut:
		return copyFile(s.Local, remote, false)
	case vGet:
		return copyFile(remote, s.Local, false)
	case vPutKeep:
		return errors.Join(copyFile(s.Local, remote, false), copyTimes(s.Local, remote))
	case vGetKeep:
		return errors.Join(copyFile(remote, s.Local, false), copyTimes(remote, s.Local))
	case vReput:
		return copyFile(s.Local, remote, true)
	case vReget:
		return copyFile(remote, s.Local, true)
	case vRename:
		return os.Rename(remote, filepath.Join(mount, s.To))
	case vRemove, vRmdir:
		return os.Remove(remote)
	case vMkdir:
		return os.Mkdir(remote, 0o755)
	case vChmod:
		return os.Chmod(remote, os.FileMode(s.Mode))
	case vSymlink:
		return os.Symlink(s.To, remote)
	default:
		return fmt.Errorf("no verb %s", s.Verb)
	}
}

// copyFile copies from one path to another, with rest only what the target does not have yet.
func copyFile(from, to string, rest bool) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if rest {
		flags = os.O_WRONLY
	}
	target, err := os.OpenFile(to, flags, 0o644)
	if err != nil {
		return err
	}
	if rest {
		offset, err := target.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = source.Seek(offset, io.SeekStart)
		}
		if err != nil {
			return errors.Join(err, target.Close())
		}
	}
	// Plain reads and writes: a copy inside the kernel would not be what programs on a mount do.
	_, err = io.CopyBuffer(struct{ io.Writer }{target}, struct{ io.Reader }{source}, make([]byte, 128<<10))
	return errors.Join(err, target.Close())
}

func copyTimes(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}
