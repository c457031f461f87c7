package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const getUsage = `usage: fairlead get [flags] SOURCE... [DIR]
       fairlead get [flags] SOURCE FILE
       fairlead get [flags] SOURCE... -

Gets files from a host. A SOURCE is [user@]host:path or
sftp://[user@]host[:port]/path; quote the wildcards *, ? and [ ] for the host.
Without DIR or FILE they come here; - is standard output.

`

// get is "fairlead get".
func (p *process) get(args []string) error {
	o := &copyOptions{}
	f := copyFlags("get", o)
	names, err := f.parse(args)
	if err != nil {
		return usageError{fmt.Errorf("get: %w", err)}
	}
	if o.help {
		return copyUsage(p.stdout, getUsage, f)
	}
	var sources []*target
	dest := "."
	for i, name := range names {
		t, err := parseTarget(name)
		if err != nil {
			return usageError{fmt.Errorf("get: %w", err)}
		}
		switch {
		case t.remote():
			sources = append(sources, t)
		case i > 0 && i == len(names)-1:
			dest = name
		default:
			return usageError{fmt.Errorf("get: %q: names no host; write host:%s, or put to send it", name, name)}
		}
	}
	if len(sources) == 0 {
		return usageError{errors.New(`get: nothing to get; try "fairlead get host:file", or "fairlead get --help"`)}
	}
	return p.withClient(&o.clientOptions, func(ctx context.Context, c *client) error {
		g := &getter{copier{client: c, o: o, d: newDisplay(c.stderr, o.quiet, o.verbose)}, dest}
		return g.run(ctx, sources)
	})
}

// A getter gets.
type getter struct {
	copier
	dest string
}

// wanted is a file or tree to get.
type wanted struct {
	s    *sftp.Client
	path string
}

func (g *getter) run(ctx context.Context, sources []*target) error {
	var list []wanted
	for _, t := range sources {
		s, err := g.session(ctx, t)
		if err != nil {
			if ctx.Err() != nil || len(sources) == 1 {
				g.d.end()
				return err
			}
			g.fail(err)
			continue
		}
		paths, err := g.remotePaths(ctx, s, t.path)
		if err != nil {
			g.failFile(ctx, err)
		}
		for _, name := range paths {
			list = append(list, wanted{s, name})
		}
	}
	into, err := g.directory(len(list) > 1)
	if err != nil {
		g.d.end()
		return err
	}
	for _, w := range list {
		if ctx.Err() != nil {
			break
		}
		g.one(ctx, w, into)
	}
	return g.conclude(ctx)
}

// directory tells whether what is got goes into a directory.
func (g *getter) directory(several bool) (bool, error) {
	if g.dest == "-" {
		return false, nil
	}
	info, err := os.Stat(g.dest)
	switch {
	case err == nil && info.IsDir():
		return true, nil
	case several && err == nil:
		return false, usageError{fmt.Errorf("get: %s: is no directory, and there are several files to get", plain(g.dest))}
	case several || strings.HasSuffix(filepath.ToSlash(g.dest), "/"):
		return false, usageError{fmt.Errorf("get: %s: there is no such directory", plain(g.dest))}
	}
	return false, nil
}

// one gets a file or tree.
func (g *getter) one(ctx context.Context, w wanted, into bool) {
	start := time.Now()
	if g.dest == "-" {
		if g.o.dryRun {
			fmt.Fprintf(g.stdout, "get %s\n", plain(w.path))
			return
		}
		n, err := w.s.Get(ctx, w.path, g.stdout, g.streamOptions())
		if err != nil {
			if a, serr := w.s.Stat(ctx, w.path); serr == nil && a.IsDir() {
				err = fmt.Errorf("%s: is a directory, and standard output takes files", w.path)
			}
			g.failFile(ctx, err)
			return
		}
		g.done(w.path, sftp.TransferResult{Transferred: n}, time.Since(start))
		return
	}
	a, err := w.s.Stat(ctx, w.path)
	if err != nil {
		g.failFile(ctx, err)
		return
	}
	dest := g.dest
	base := path.Base(w.path)
	if into && base != "." && base != ".." && base != "/" { // which have no name to take along
		base = trueName(ctx, w.s, w.path)
		if why := noLocalName(base); why != "" {
			g.fail(fmt.Errorf("%s: %s: give a FILE to name it", plain(w.path), why))
			return
		}
		dest = filepath.Join(dest, base)
	}
	switch {
	case a.IsDir() && !g.o.recursive:
		g.fail(fmt.Errorf("%s: is a directory; -r gets it with all that is in it", plain(w.path)))
	case a.IsDir():
		if !into && base != "." {
			g.made = w.path
		}
		r, err := w.s.GetTree(ctx, w.path, dest, g.treeOptions("get"))
		if err != nil && !errors.As(err, new(*sftp.TreeError)) {
			g.failFile(ctx, err) // the others were told one by one
		}
		g.treeDone(w.path, r, time.Since(start))
	case g.o.dryRun:
		fmt.Fprintf(g.stdout, "get %s\n", plain(w.path))
	default:
		r, err := w.s.GetFile(ctx, w.path, dest, g.options())
		if err != nil {
			g.failFile(ctx, err)
			return
		}
		g.done(w.path, r, time.Since(start))
	}
}

// noLocalName says why a name, which a server may have chosen, is none of a file here.
func noLocalName(name string) string {
	windows := runtime.GOOS == "windows" // where "file:stream" is another file's part, and dots and blanks at the end are lost
	if !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ContainsAny(name, "/\x00") ||
		windows && (strings.ContainsAny(name, `\:*?"<>|`) || name != "." && strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")) {
		return "is no name of a file here"
	}
	return ""
}
