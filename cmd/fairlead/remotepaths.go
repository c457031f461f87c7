package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// maxListed bounds what is kept of what a host lists, in octets: two million names and more.
// A host that lists for ever would fill the memory.
const maxListed = 1 << 30

var errListed = errors.New("more names than can be kept")

// room is what is left of that.
type room int

func (p *process) newRoom() room { return room(cmp.Or(p.room, maxListed)) }

// take makes room for n octets, and tells whether there was any.
func (r *room) take(n int) bool {
	*r -= room(n)
	return *r >= 0
}

// remotePaths are the files that a path with wildcards means on a host: the path itself if
// it has none, or if there is a file of exactly that name.
func (p *process) remotePaths(ctx context.Context, s *sftp.Client, name string) ([]string, error) {
	if !strings.ContainsAny(name, "*?[") {
		return []string{name}, nil
	}
	if _, err := s.Lstat(ctx, name); err == nil {
		return []string{name}, nil
	}
	var out []string
	left := p.newRoom()
	for match, err := range s.Glob(ctx, name) {
		if err != nil {
			return nil, err
		}
		const header = 16 // of a string
		if !left.take(header + len(match)) {
			return nil, fmt.Errorf("%s: %w", name, errListed)
		}
		out = append(out, match)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: nothing there matches: %w", name, fs.ErrNotExist)
	}
	return out, nil
}

// trueName is what a file here is called after one of a host. A name that is not UTF-8 has
// text in its place in version 6, and only a listing tells what that stands for.
func trueName(ctx context.Context, s *sftp.Client, name string) string {
	base := path.Base(name)
	textOnly := runtime.GOOS == "windows" || runtime.GOOS == "darwin"
	if textOnly || s.Version() < sftp.Version6 || !strings.Contains(base, "%{") {
		return base
	}
	for e, err := range s.ReadDir(ctx, path.Dir(name)) {
		if err == nil && e.Name == base {
			return e.TrueName()
		}
	}
	return base // nothing that is told of: the name is what it looks like
}
