package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// lsOptions is what the flags of "fairlead ls" say.
type lsOptions struct {
	clientOptions
	long, all, human, itself, numeric bool
	byTime, bySize, unsorted, reverse bool
	json                              bool
	now                               time.Time
}

func lsFlags(o *lsOptions) *flagSet {
	f := newFlagSet("ls")
	f.on(&o.long, "l,long", "tell type and permissions, links, owner, group, size, and time of the last change")
	f.on(&o.all, "a,all", "names that begin with a dot, too")
	f.on(&o.human, "h,human", "sizes in KiB, MiB and so on")
	f.on(&o.itself, "d,directory", "a directory itself, not what is in it")
	f.on(&o.numeric, "n,numeric", "owner and group as numbers; implies -l")
	f.on(&o.byTime, "t,time", "newest first")
	f.on(&o.bySize, "S,size", "largest first")
	f.on(&o.unsorted, "U,unsorted", "as the server sends it, at once, in constant memory")
	f.on(&o.reverse, "r,reverse", "in the opposite order")
	f.on(&o.json, "json", "a JSON object a line, for programs")
	o.clientOptions.add(f, "help") // -h is for sizes
	return f
}

const lsUsage = `usage: fairlead ls [flags] TARGET...

Lists files and directories of a host. A TARGET is [user@]host:[path] or
sftp://[user@]host[:port]/path; quote the wildcards *, ? and [ ] for the host.

`

// ls is "fairlead ls".
func (p *process) ls(args []string) error {
	o := &lsOptions{now: time.Now()}
	f := lsFlags(o)
	names, err := f.parse(args)
	if err != nil {
		return usageError{fmt.Errorf("ls: %w", err)}
	}
	if o.help || o.human && len(args) == 1 {
		_, err := io.WriteString(p.stdout, lsUsage)
		f.help(p.stdout)
		return err
	}
	o.long = o.long || o.numeric
	var targets []*target
	for _, name := range names {
		t, err := parseTarget(name)
		if err == nil && !t.remote() {
			err = fmt.Errorf("%q: names no host; write %s: for the host, or host:%s for a file", name, name, name)
		}
		if err != nil {
			return usageError{fmt.Errorf("ls: %w", err)}
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return usageError{errors.New(`ls: nothing to list; try "fairlead ls host:", or "fairlead ls --help"`)}
	}
	return p.withClient(&o.clientOptions, func(ctx context.Context, c *client) error {
		w := bufio.NewWriter(p.stdout)
		l := &lister{client: c, o: o, w: w}
		err := l.run(ctx, targets)
		if e := w.Flush(); err == nil {
			err = e
		}
		return err
	})
}

// A lister lists.
type lister struct {
	*client
	o      *lsOptions
	w      *bufio.Writer
	blocks int // that were printed, with a line between them
	failed int
}

// listed is an entry with what listing it needs.
type listed struct {
	sftp.Entry
	dir    string // "" if Name is all there is to show
	target string // of a symlink
}

// run lists what is no directory first, and then each directory.
func (l *lister) run(ctx context.Context, targets []*target) error {
	type place struct {
		s *sftp.Client
		t *target
	}
	var dirs []place
	several := len(targets) > 1
	for _, t := range targets {
		s, err := l.session(ctx, t)
		if err != nil {
			if ctx.Err() != nil || len(targets) == 1 {
				return err
			}
			l.fail(err)
			continue
		}
		paths, err := l.remotePaths(ctx, s, t.path)
		if err != nil {
			l.fail(err)
			continue
		}
		several = several || len(paths) > 1
		var files []listed
		for _, name := range paths {
			a, err := l.attrs(ctx, s, name)
			if err != nil {
				l.fail(err)
				continue
			}
			if a.IsDir() && !l.o.itself {
				dirs = append(dirs, place{s, t.at(name)})
				continue
			}
			files = append(files, listed{Entry: sftp.Entry{Name: name, Attrs: *a}})
		}
		if len(files) > 0 {
			l.print(ctx, s, files, true)
			l.blocks++
		}
	}
	for _, d := range dirs {
		if several && !l.o.json {
			if l.blocks > 0 {
				_, _ = l.w.WriteString("\n")
			}
			fmt.Fprintf(l.w, "%s:\n", d.t)
		}
		l.blocks++
		if err := l.directory(ctx, d.s, d.t.path); err != nil {
			l.fail(err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l.failed > 0 {
		return loggedError{someFailed{l.failed}}
	}
	return nil
}

func (l *lister) fail(err error) {
	l.failed++
	_ = l.w.Flush()
	l.client.failed(err)
}

// attrs follows a symlink unless it is to be listed itself.
func (l *lister) attrs(ctx context.Context, s *sftp.Client, name string) (*sftp.Attrs, error) {
	if l.o.itself || l.o.long && !strings.HasSuffix(name, "/") {
		return s.Lstat(ctx, name)
	}
	a, err := s.Stat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return s.Lstat(ctx, name) // a symlink to nothing
	}
	return a, err
}

// batch is how many entries are printed at a time when they are not sorted.
const batch = 256

// directory lists what is in one.
func (l *lister) directory(ctx context.Context, s *sftp.Client, dir string) error {
	var list []listed
	var bad error
	left := l.newRoom()
	for e, err := range s.ReadDir(ctx, dir) {
		if err != nil {
			if name := (*sftp.NameError)(nil); errors.As(err, &name) {
				l.fail(err) // of one entry
				continue
			}
			bad = err
			continue
		}
		if !l.o.all && strings.HasPrefix(e.Name, ".") {
			continue
		}
		if !l.o.unsorted && !left.take(weight(&e)) {
			bad = fmt.Errorf("%s: %w to sort them; -U lists them as they come", dir, errListed)
			break
		}
		list = append(list, listed{Entry: e, dir: dir})
		if l.o.unsorted && len(list) == batch {
			l.print(ctx, s, list, false)
			list = list[:0]
		}
	}
	l.print(ctx, s, list, !l.o.unsorted)
	return bad
}

// weight is about how many octets an entry takes.
func weight(e *sftp.Entry) int {
	a := &e.Attrs
	n := 400 + len(e.Name) + len(e.LongName) + len(a.Owner) + len(a.Group) + len(a.MIME) + len(a.Untranslated)
	if a.ACL != nil {
		for i := range a.ACL.Entries {
			n += 40 + len(a.ACL.Entries[i].Who)
		}
	}
	for i := range a.Extended {
		n += 32 + len(a.Extended[i].Name) + len(a.Extended[i].Data)
	}
	return n
}

// print prints entries of one directory.
func (l *lister) print(ctx context.Context, s *sftp.Client, list []listed, sorted bool) {
	if sorted {
		l.sort(list)
	}
	if l.o.long || l.o.json {
		l.complete(ctx, s, list)
	}
	switch {
	case l.o.json:
		for i := range list {
			l.json(&list[i])
		}
	case l.o.long:
		l.long(list)
	default:
		for i := range list {
			_, _ = l.w.WriteString(plain(list[i].Name) + "\n")
		}
	}
	if l.o.unsorted {
		_ = l.w.Flush()
	}
}

func (l *lister) sort(list []listed) {
	slices.SortStableFunc(list, func(a, b listed) int {
		order := 0
		switch {
		case l.o.byTime:
			order = b.Attrs.Mtime.Compare(a.Attrs.Mtime)
		case l.o.bySize:
			order = cmp.Compare(b.Attrs.Size, a.Attrs.Size)
		}
		if order == 0 {
			order = strings.Compare(a.Name, b.Name)
		}
		if l.o.reverse {
			order = -order
		}
		return order
	})
}

// complete finds out what a listing did not say: where symlinks lead, and the names of
// owners, which version 3 has in a line for people or in an extension only.
func (l *lister) complete(ctx context.Context, s *sftp.Client, list []listed) {
	var uids, gids []uint32
	for i := range list {
		e := &list[i]
		if e.Attrs.Type() == sftp.TypeSymlink {
			name := e.Name
			if e.dir != "" {
				name = path.Join(e.dir, e.Name)
			}
			e.target, _ = s.ReadLink(ctx, name) // not worth an error
		}
		if l.o.numeric || !e.Attrs.Has(sftp.AttrUIDGID) || e.Attrs.Has(sftp.AttrOwnerGroup) {
			continue
		}
		if e.Attrs.Owner, e.Attrs.Group = ownersIn(e.LongName); e.Attrs.Owner != "" {
			continue
		}
		if !slices.Contains(uids, e.Attrs.UID) {
			uids = append(uids, e.Attrs.UID)
		}
		if !slices.Contains(gids, e.Attrs.GID) {
			gids = append(gids, e.Attrs.GID)
		}
	}
	if len(uids)+len(gids) == 0 || !s.Supports("users-groups-by-id@openssh.com") {
		return
	}
	users, groups, err := s.LookupIDs(ctx, uids, gids)
	if err != nil {
		return
	}
	for i := range list {
		a := &list[i].Attrs
		if j := slices.Index(uids, a.UID); j >= 0 && a.Owner == "" {
			a.Owner = users[j]
		}
		if j := slices.Index(gids, a.GID); j >= 0 && a.Group == "" {
			a.Group = groups[j]
		}
	}
}

// ownersIn takes owner and group from the line that version 3 sends for people, if it
// looks like that of ls -l.
func ownersIn(line string) (owner, group string) {
	f := strings.Fields(line)
	if len(f) < 9 || len(f[0]) < 10 || !strings.ContainsAny(f[0][:1], "-dlcbps") {
		return "", ""
	}
	if isNumber(f[2]) && isNumber(f[3]) {
		return "", "" // says nothing new
	}
	return f[2], f[3]
}
