package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const putUsage = `usage: fairlead put [flags] FILE... TARGET
       fairlead put [flags] - TARGET

Puts files on a host. TARGET is [user@]host:[path] or
sftp://[user@]host[:port]/path, a directory there or the name that a single file is
to have; - is standard input.

`

// put is "fairlead put".
func (p *process) put(args []string) error {
	o := &copyOptions{}
	f := copyFlags("put", o)
	names, err := f.parse(args)
	if err != nil {
		return usageError{fmt.Errorf("put: %w", err)}
	}
	if o.help {
		return copyUsage(p.stdout, putUsage, f)
	}
	if len(names) < 2 {
		return usageError{errors.New(`put: what, and where to? try "fairlead put FILE host:", or "fairlead put --help"`)}
	}
	var files []string
	for _, name := range names[:len(names)-1] {
		t, err := parseTarget(name)
		if err == nil && t.remote() {
			err = fmt.Errorf("%q: is on a host; get brings it here, and ./%s would be a file here", name, name)
		}
		if err != nil {
			return usageError{fmt.Errorf("put: %w", err)}
		}
		files = append(files, localFiles(name)...)
	}
	t, err := parseTarget(names[len(names)-1])
	if err == nil && !t.remote() {
		err = fmt.Errorf("%q: names no host; write host:%s", names[len(names)-1], names[len(names)-1])
	}
	if err != nil {
		return usageError{fmt.Errorf("put: %w", err)}
	}
	for _, name := range files {
		if name == "-" && len(files) > 1 {
			return usageError{errors.New("put: standard input goes alone")}
		}
	}
	return p.withClient(&o.clientOptions, func(ctx context.Context, c *client) error {
		g := &putter{copier{client: c, o: o, d: newDisplay(c.stderr, o.quiet, o.verbose)}}
		return g.run(ctx, files, t)
	})
}

// localFiles is what a name with wildcards means where the shell does not do that.
func localFiles(name string) []string {
	if runtime.GOOS != "windows" || !strings.ContainsAny(name, "*?") {
		return []string{name}
	}
	if found, err := filepath.Glob(name); err == nil && len(found) > 0 {
		return found
	}
	return []string{name}
}

// A putter puts.
type putter struct{ copier }

func (p *putter) run(ctx context.Context, files []string, t *target) error {
	s, err := p.session(ctx, t)
	if err != nil {
		p.d.end()
		return err
	}
	into, err := p.directory(ctx, s, t, len(files) > 1)
	if err != nil {
		p.d.end()
		return err
	}
	for _, name := range files {
		if ctx.Err() != nil {
			break
		}
		p.one(ctx, s, name, t.path, into)
	}
	return p.conclude(ctx)
}

// directory tells whether what is put goes into a directory.
func (p *putter) directory(ctx context.Context, s *sftp.Client, t *target, several bool) (bool, error) {
	a, err := s.Stat(ctx, t.path)
	switch {
	case err == nil && a.IsDir():
		return true, nil
	case err != nil && ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, errors.ErrUnsupported) && !several && !strings.HasSuffix(t.path, "/"):
		return false, nil // a place to leave files in, which tells nothing
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	case several && err == nil:
		return false, fmt.Errorf("%s: is no directory, and there are several files to put", t)
	case several || strings.HasSuffix(t.path, "/"):
		return false, fmt.Errorf("%s: there is no such directory", t)
	}
	return false, nil
}

// one puts a file or tree.
func (p *putter) one(ctx context.Context, s *sftp.Client, name, dest string, into bool) {
	start := time.Now()
	if name == "-" {
		if into {
			p.fail(fmt.Errorf("%s: is a directory; standard input needs the name of a file", plain(dest)))
			return
		}
		p.stream(ctx, s, dest)
		return
	}
	info, err := os.Stat(name)
	if err != nil {
		p.fail(err)
		return
	}
	if into {
		if base := baseName(name); base != "" {
			dest = path.Join(dest, base)
		}
	}
	switch {
	case info.IsDir() && !p.o.recursive:
		p.fail(fmt.Errorf("%s: is a directory; -r puts it with all that is in it", plain(name)))
	case info.IsDir():
		if !into && filepath.Base(name) != "." {
			p.made = name
		}
		r, err := s.PutTree(ctx, name, dest, p.treeOptions("put"))
		if err != nil && !errors.As(err, new(*sftp.TreeError)) {
			p.failFile(ctx, err)
		}
		p.treeDone(name, r, time.Since(start))
	case p.o.dryRun:
		fmt.Fprintf(p.stdout, "put %s\n", plain(name))
	default:
		r, err := s.PutFile(ctx, name, dest, p.options())
		if err != nil {
			p.failFile(ctx, err)
			return
		}
		p.done(name, r, time.Since(start))
	}
}

// stream puts standard input.
func (p *putter) stream(ctx context.Context, s *sftp.Client, dest string) {
	start := time.Now()
	if p.o.dryRun {
		fmt.Fprintf(p.stdout, "put %s\n", plain(dest))
		return
	}
	o := p.streamOptions()
	o.Atomic, o.MoveAside, o.IfExists = !p.o.inPlace, !p.o.inPlace, p.o.ifExists
	n, err := s.Put(ctx, dest, p.stdin, o)
	if err != nil {
		p.failFile(ctx, err)
		return
	}
	p.done(dest, sftp.TransferResult{Transferred: n}, time.Since(start))
}

// baseName is the name that a file takes along, "" if it has none.
func baseName(name string) string {
	base := filepath.Base(name)
	if base == "." || base == ".." || base == string(filepath.Separator) || strings.HasSuffix(base, ":") {
		if abs, err := filepath.Abs(name); err == nil && base != "." {
			base = filepath.Base(abs)
		} else {
			return ""
		}
	}
	if base == string(filepath.Separator) {
		return ""
	}
	return base
}
