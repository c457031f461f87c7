package memfs

import (
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// place is where a look-up ended: a name in a directory, and what it names (nil if
// nothing). For the root itself dir is nil.
type place struct {
	dir   *node
	elem  string
	node  *node
	entry *entry // of elem, if node is not nil and not the root
	path  string // clean and without links, but for the last element if not followed
}

// walk looks name up; FS.mu is held. All elements but the last must exist. Links are
// taken from a work list, at most maxLinks of them.
func (s *FS) walk(name string, follow bool) (place, error) {
	clean, err := sftp.CleanPath(name)
	if err != nil {
		return place{}, err
	}
	type step struct {
		node  *node
		elem  string
		entry *entry
	}
	stack := []step{{node: s.root}}
	todo := split(clean)
	links := 0
	for len(todo) > 0 {
		elem := todo[0]
		todo = todo[1:]
		dir := stack[len(stack)-1].node
		if !dir.isDir() {
			return place{}, sftp.CodeNotADirectory
		}
		switch elem {
		case "", ".":
			continue
		case "..":
			if len(stack) == 1 {
				return place{}, sftp.Status(sftp.CodePermissionDenied, "symbolic link leaves the root")
			}
			stack = stack[:len(stack)-1]
			continue
		}
		if len(elem) > maxName {
			return place{}, sftp.CodeInvalidFilename
		}
		e := dir.children.get(elem)
		if e == nil {
			if len(todo) > 0 {
				return place{}, sftp.CodeNoSuchPath
			}
			return place{dir: dir, elem: elem, path: pathOf(stack, func(s step) string { return s.elem }) + "/" + elem}, nil
		}
		n := e.node
		if n.isLink() && (follow || len(todo) > 0) {
			if links++; links > maxLinks {
				return place{}, sftp.CodeLinkLoop
			}
			target := n.target
			if strings.HasPrefix(target, "/") {
				stack = stack[:1]
				target = strings.TrimLeft(target, "/")
				for target == ".." || strings.HasPrefix(target, "../") { // stays at the root
					target = strings.TrimLeft(target[2:], "/")
				}
			}
			todo = append(split(target), todo...)
			if len(todo) > sftp.MaxPath {
				return place{}, sftp.CodeInvalidFilename
			}
			continue
		}
		stack = append(stack, step{node: n, elem: elem, entry: e})
	}
	top := stack[len(stack)-1]
	if len(stack) == 1 {
		return place{node: s.root, path: "/"}, nil
	}
	return place{
		dir: stack[len(stack)-2].node, elem: top.elem, node: top.node, entry: top.entry,
		path: pathOf(stack, func(s step) string { return s.elem }),
	}, nil
}

func split(p string) []string { return strings.Split(strings.TrimLeft(p, "/"), "/") }

func pathOf[T any](stack []T, elem func(T) string) string {
	var b strings.Builder
	for _, s := range stack[1:] {
		b.WriteByte('/')
		b.WriteString(elem(s))
	}
	return b.String()
}

// find is walk for what must exist.
func (s *FS) find(name string, follow bool) (place, error) {
	p, err := s.walk(name, follow)
	if err == nil && p.node == nil {
		err = sftp.CodeNoSuchFile
	}
	return p, err
}
