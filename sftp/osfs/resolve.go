package osfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const (
	maxLinks = 40 // symlinks followed in one resolution, Linux' own limit
	maxRaces = 8  // times an operation starts over because a link appeared meanwhile

	// maxWalk is how many octets of names one resolution may have the kernel walk: at every
	// link it walks from the root again. Without a bound, links in deep directories that
	// point at each other make minutes of work of one small request.
	maxWalk = 1 << 20
)

// errSymlink is what the primitives answer when a parent, or the last element of an
// operation that must not follow it, is a symlink: resolve and try again.
var errSymlink = errors.New("osfs: symbolic link in the way")

// rel turns a name from the peer into one relative to the root: "." or elements
// without ".", ".." or empty ones.
func (s *FS) rel(name string) (string, error) {
	p, err := sftp.CleanPath(name)
	if err != nil {
		return "", err
	}
	if p == "/" {
		return ".", nil
	}
	p = p[1:]
	return p, checkHostName(p)
}

// do runs op, a primitive that follows no link, on name; if links are in the way it
// resolves them (the last element too with follow) and runs it again.
func (s *FS) do(ctx context.Context, verb, name string, follow bool, op func(rel string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rel, err := s.rel(name)
	if err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	at := rel
	for range maxRaces {
		if err = s.plain(op(at)); !errors.Is(err, errSymlink) {
			return hide(verb, name, s.missing(err, at))
		}
		if at, err = s.resolve(rel, follow); err != nil {
			return hide(verb, name, err)
		}
	}
	return sftp.CodeLinkLoop
}

// do2 is do for two names, neither followed at its last element.
func (s *FS) do2(ctx context.Context, verb, from, to string, op func(from, to string) error) error {
	relTo, err := s.rel(to)
	if err != nil {
		return err
	}
	return s.do(ctx, verb, from, false, func(relFrom string) error {
		at := relTo
		for range maxRaces {
			err := s.plain(op(relFrom, at))
			if !errors.Is(err, errSymlink) {
				return s.missing(s.missing(err, relFrom), at)
			}
			// Which of the two was it? Resolving both is right in any case; from comes
			// back the same if it had no links.
			if relFrom, err = s.resolve(relFrom, false); err != nil {
				return err
			}
			if at, err = s.resolve(relTo, false); err != nil {
				return err
			}
		}
		return sftp.CodeLinkLoop
	})
}

// missing makes "no such path" out of "no such file" where it is the directory of rel that
// is not there. Only an operation that failed so pays for the look.
func (s *FS) missing(err error, rel string) error {
	if err == nil || sftp.CodeOf(err) != sftp.CodeNoSuchFile {
		return err
	}
	i := strings.LastIndexByte(rel, '/')
	if i < 0 {
		return err
	}
	var a sftp.Attrs
	if errors.Is(s.lstat(rel[:i], &a), fs.ErrNotExist) {
		return sftp.CodeNoSuchPath
	}
	return err
}

// plain turns the escape error of os.Root, which it gives for absolute links too, into
// errSymlink: the resolver knows which it is.
func (s *FS) plain(err error) error {
	if err != nil && s.escapes != nil && errors.Is(err, s.escapes) {
		return errSymlink
	}
	return err
}

// resolve returns rel without symlinks; with follow also of its last element. All
// elements but the last must exist. It never looks at anything outside the root, and
// uses a work list, so the peer's nesting costs no stack.
func (s *FS) resolve(rel string, follow bool) (string, error) {
	if rel == "." {
		return rel, nil
	}
	w := walk{fs: s, todo: strings.Split(rel, "/")}
	links := 0
	for len(w.todo) > 0 {
		if err := w.dirs(); err != nil {
			return "", err
		}
		elem := w.todo[0]
		w.todo = w.todo[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			if len(w.done) == 0 {
				return "", sftp.Status(sftp.CodePermissionDenied, "symbolic link leaves the root")
			}
			w.done = w.done[:len(w.done)-1]
			continue
		}
		var a sftp.Attrs
		at, err := w.lstat(elem, &a)
		switch {
		case errors.Is(err, errSymlink): // swapped under us: a parent was a directory a moment ago
			return "", sftp.CodeLinkLoop
		case errors.Is(err, fs.ErrNotExist):
			if len(w.todo) > 0 {
				return "", sftp.CodeNoSuchPath
			}
		case err != nil:
			return "", err
		case a.Type() == sftp.TypeSymlink && (follow || len(w.todo) > 0):
			if links++; links > maxLinks {
				return "", sftp.CodeLinkLoop
			}
			target, err := s.readlink(at)
			if err != nil {
				return "", err
			}
			target = s.inside(target)
			if strings.HasPrefix(target, "/") {
				w.done = w.done[:0]
				target = rooted(target)
			}
			if target == "" {
				target = "."
			}
			w.todo = append(strings.Split(target, "/"), w.todo...)
			continue
		case len(w.todo) > 0 && a.Type() != sftp.TypeDirectory:
			return "", sftp.CodeNotADirectory
		}
		w.done = append(w.done, elem)
	}
	if len(w.done) == 0 {
		return ".", nil
	}
	return strings.Join(w.done, "/"), nil
}

// walk is where a resolution stands.
type walk struct {
	fs     *FS
	done   []string // resolved, no links
	todo   []string
	octets int // walked so far
}

// lstat looks at elems below done.
func (w *walk) lstat(elems string, a *sftp.Attrs) (at string, err error) {
	at = elems
	if len(w.done) > 0 {
		at = strings.Join(w.done, "/") + "/" + elems
	}
	if len(at) > sftp.MaxPath {
		return "", sftp.CodeInvalidFilename
	}
	if err := checkHostName(at); err != nil {
		return "", err
	}
	if w.octets += len(at); w.octets > maxWalk {
		return "", sftp.CodeLinkLoop
	}
	return at, w.fs.plain(w.fs.lstat(at, a))
}

// dirs takes the directories that come first in todo over to done, all at once: what is a
// directory by a name without links in it has only directories above. So where the first
// element is that is none needs a search, and not a look at each.
func (w *walk) dirs() error {
	n := 0 // of todo, up to what is no name, but not its last element
	for n < len(w.todo)-1 && w.todo[n] != "" && w.todo[n] != "." && w.todo[n] != ".." {
		n++
	}
	if n < 2 {
		return nil // resolve looks at it anyway
	}
	good, bad := 0, n+1
	for try := n; good+1 < bad; try = (good + bad) / 2 {
		var a sftp.Attrs
		switch _, err := w.lstat(strings.Join(w.todo[:try], "/"), &a); {
		case w.octets > maxWalk:
			return err
		case err == nil && a.IsDir():
			good = try
		default:
			bad = try
		}
	}
	w.done = append(w.done, w.todo[:good]...)
	w.todo = w.todo[good:]
	return nil
}

// rooted strips the root, and the ".." that stay there, from an absolute target.
func rooted(target string) string {
	for {
		target = strings.TrimLeft(target, "/")
		switch {
		case target == ".." || target == ".":
			return ""
		case strings.HasPrefix(target, "../"):
			target = target[3:]
		case strings.HasPrefix(target, "./"):
			target = target[2:]
		default:
			return target
		}
	}
}

// inside returns a stored link target as the jail sees it: one that the host wrote with
// the host's path of the root loses that prefix.
func (s *FS) inside(target string) string {
	target = slashed(target)
	for _, root := range s.hostRoots {
		if rest, ok := cutRoot(target, root); ok && (rest == "" || rest[0] == '/') {
			return "/" + strings.TrimLeft(rest, "/")
		}
	}
	return target
}

// guarded returns how a target given by the peer is stored. One that happens to begin
// with the host's path of the root gets "/." in front, which inside does not match, so
// that it keeps meaning a path in the jail and nobody can find out the root by
// guessing targets; shown takes it off again.
func (s *FS) guarded(target string) string {
	if s.inside(target) != slashed(target) {
		return "/." + target
	}
	return target
}

func (s *FS) shown(target string) string {
	if rest, ok := strings.CutPrefix(target, "/./"); ok {
		return "/" + rest
	}
	return s.inside(target)
}

// linkSize makes the size of a link that of its text as shown. Only texts long enough to
// hold the host's root path can differ, so that most links cost no second call.
func (s *FS) linkSize(rel string, a *sftp.Attrs) {
	if a.Type() != sftp.TypeSymlink {
		return
	}
	for _, root := range s.hostRoots {
		if a.Size >= uint64(len(root)) {
			if target, err := s.readlink(rel); err == nil {
				a.Size = uint64(len(s.shown(target)))
			}
			return
		}
	}
}

// hide makes an error safe to log and show: the operation and the name as the peer
// knows it, around the bare cause. The os package would name host paths.
func hide(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	var le *os.LinkError
	var se *sftp.StatusError
	switch {
	case errors.As(err, &se):
		return err
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	}
	if errors.Is(err, errSymlink) {
		err = sftp.CodeLinkLoop
	}
	return &fs.PathError{Op: verb, Path: name, Err: err}
}
