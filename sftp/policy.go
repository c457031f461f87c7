package sftp

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// A Policy says what may be done, and to which names, before anything reaches the
// FileSystem. It stands in front of every operation: the requests as rows of the message
// table, and what they do with names and handles at the methods of the FileSystem. The zero
// value restricts nothing.
//
// An operation is allowed if the lists let it through and every name that it touches has the
// permissions it takes. Names are judged as [CleanPath] spells them and, where the
// FileSystem can tell (RealPath), also as they are once symlinks are followed, so that no
// link leads out of a rule; the operation is then done with that path. Judging and doing are
// two steps: where users may make symlinks and rename directories, a race between two of
// their sessions can come between them. A FileSystem that keeps users apart by itself, as
// osfs with a directory each, has no such gap.
//
// A handle keeps what it was opened for. What is refused is answered with
// SSH_FX_PERMISSION_DENIED, or, where the name is hidden, with SSH_FX_NO_SUCH_FILE.
type Policy struct {
	// Allow are the operations that are let through; nil is all. An entry is the name of a
	// group, which is that of a permission ("read", "write", "rename", see ParsePerm), the
	// name of a message ("RENAME", "SYMLINK"), or of an extended request
	// ("posix-rename@openssh.com"). INIT, CLOSE and what is not about files are always let
	// through.
	Allow []string
	// Deny are operations that are refused even if Allow has them. A message or extended request is
	// refused by its name alone: with "RENAME" denied, posix-rename may still do the same, while
	// "rename" denies both.
	Deny []string
	// Extended are the requests that this package does not know and FileSystem.Extended may get.
	// nil is all, unless there are Rules or Allow: a Policy cannot know what such a request does,
	// and to which names.
	Extended []string
	// Rules say what is allowed by name. The last one that covers a name decides, so
	// that general rules come first and exceptions behind. If there are rules and none
	// covers a name, nothing is allowed.
	Rules []Rule
	// MaxFileSize is the size in bytes that no file may grow beyond, 0 for none.
	MaxFileSize int64
	// MaxDepth is the most elements that the path of a new name may have, 0 for any.
	MaxDepth int
	// RefuseNames are patterns of the last element, as in path.Match and in any case, such
	// as "*.exe" or ".ht*": no file, directory or link may be made, overwritten or renamed
	// so.
	RefuseNames []string
}

// Rule gives permissions to names.
type Rule struct {
	// Path is a path or a pattern of one, from the root: the rule covers what matches it and
	// everything beneath. Elements are matched as by path.Match, and "**" stands for any
	// number of directories. Without any slash it is the pattern of an element that
	// may stand anywhere: "*.key" is "/**/*.key".
	Path string
	// Perm is what is allowed there. An object can never be renamed or linked to a name where more
	// is allowed (to read, change or remove it) than at its old name.
	Perm Perm
}

// Check returns what is wrong with p: an unknown operation, a malformed pattern, an operation that
// cannot be denied. A Server refuses sessions whose policy fails it.
func (p *Policy) Check() error {
	_, err := p.compile()
	return err
}

// policy is a Policy that was checked.
type policy struct {
	mask     Perm // what the lists leave
	refused  [fxp.OpCount]bool
	rules    []rule
	ruled    bool // there are rules
	named    bool // or anything else that goes by where a name leads
	extended []string
	anyExt   bool // extended does not matter
	maxSize  int64
	depth    int
	names    []string
}

type rule struct {
	elems    []string // of the pattern
	whole    []string // elems and anything beneath
	floating bool     // one element that may stand anywhere
	perm     Perm
}

func (p *Policy) compile() (*policy, error) {
	c := &policy{
		mask: PermAll, ruled: p.Rules != nil, extended: p.Extended, anyExt: p.Extended == nil && p.Rules == nil && p.Allow == nil,
		maxSize: p.MaxFileSize, depth: p.MaxDepth,
	}
	if p.MaxFileSize < 0 || p.MaxDepth < 0 {
		return nil, fmt.Errorf("sftp: policy: negative limit")
	}
	if err := c.lists(p); err != nil {
		return nil, err
	}
	c.named = c.ruled || len(p.RefuseNames) > 0 || p.MaxDepth > 0
	if c.refused[fxp.OpExtended] {
		c.anyExt, c.extended = false, nil
	}
	for _, r := range p.Rules {
		elems, err := splitPattern(r.Path)
		if err != nil || r.Path == "" {
			return nil, fmt.Errorf("sftp: policy: rule %.80q: %w", r.Path, path.ErrBadPattern)
		}
		if slices.Contains(elems, "..") || slices.Contains(elems, ".") {
			return nil, fmt.Errorf("sftp: policy: rule %.80q: no name has such an element", r.Path)
		}
		whole := elems
		if len(elems) == 0 || elems[len(elems)-1] != anyDirs {
			whole = append(slices.Clip(elems), anyDirs)
		}
		c.rules = append(c.rules, rule{elems, whole, !strings.Contains(r.Path, "/"), r.Perm & PermAll})
	}
	for _, pattern := range p.RefuseNames {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			return nil, fmt.Errorf("sftp: policy: name pattern %.80q: %w", pattern, path.ErrBadPattern)
		}
		c.names = append(c.names, strings.ToLower(pattern))
	}
	return c, nil
}

// lists works out which rows are refused, and what permissions are left at all.
func (c *policy) lists(p *Policy) error {
	var groups, named, denied Perm
	var byName [fxp.OpCount]bool
	for _, name := range p.Allow {
		if g, ok := permOf(name); ok {
			groups |= g
		} else if op, ok := opNamed(name); ok {
			byName[op] = true
			named |= gates[op].anyOf
			if op == fxp.OpOpen {
				return fmt.Errorf("sftp: policy: allow OPEN: say %q, %q or %q, which tell what for", "read", "write", "create")
			}
		} else {
			return fmt.Errorf("sftp: policy: allow: unknown operation %.40q", name)
		}
	}
	if p.Allow == nil {
		groups = PermAll
	}
	for _, name := range p.Deny {
		if g, ok := permOf(name); ok {
			denied |= g
		} else if op, ok := opNamed(name); !ok {
			return fmt.Errorf("sftp: policy: deny: unknown operation %.40q", name)
		} else if gates[op].kind == gateFixed {
			return fmt.Errorf("sftp: policy: deny: no session without %s", name)
		} else {
			c.refused[op] = true
		}
	}
	c.mask = (groups | named) &^ denied
	for _, row := range fxp.Rows() {
		switch g := &gates[row.Op]; g.kind {
		case gateNeeds:
			if g.anyOf&groups&^denied == 0 && (!byName[row.Op] || g.anyOf&^denied == 0) {
				c.refused[row.Op] = true
			}
		case gateFree, gateField, gateFixed:
		default:
			c.refused[row.Op] = true
		}
	}
	return nil
}

// elements cuts a clean path.
func elements(clean string) []string {
	if clean == "/" {
		return nil
	}
	return strings.Split(clean[1:], "/")
}

// covers tells whether r is about the path, or one above it.
func (r *rule) covers(elems []string) bool {
	if r.floating {
		return slices.ContainsFunc(elems, func(e string) bool { return matchElem(r.elems[0], e) })
	}
	return matchElems(r.whole, elems)
}

// beneath tells whether r may be about something beneath the path, but not about the path.
func (r *rule) beneath(elems []string) bool {
	if r.floating || len(r.elems) == 0 {
		return false
	}
	for i, e := range elems {
		switch {
		case i == len(r.elems):
			return false
		case r.elems[i] == anyDirs:
			return true
		case !matchElem(r.elems[i], e):
			return false
		}
	}
	return len(r.elems) > len(elems)
}

// decisive returns the index of the rule that decides about a path, -1 for none.
func (c *policy) decisive(elems []string) int {
	for i := len(c.rules) - 1; i >= 0; i-- {
		if c.rules[i].covers(elems) {
			return i
		}
	}
	return -1
}

// perms returns what is allowed with a clean path.
func (c *policy) perms(clean string) Perm {
	if !c.ruled {
		return c.mask
	}
	return c.permsOf(c.decisive(elements(clean)))
}

func (c *policy) permsOf(i int) Perm {
	if i < 0 {
		return 0
	}
	return c.rules[i].perm & c.mask
}

// gains are the permissions that moving or linking must not bring an object.
const gains = PermStat | PermList | PermRead | PermWrite | PermRemove | PermRmdir | PermSetStat

// mayMove tells whether an object may go from one clean path to another without anything
// beneath it, if it is a directory, coming under a rule that allows more than before.
func (c *policy) mayMove(from, to string, dir bool) bool {
	if !c.ruled {
		return true
	}
	fe, te := elements(from), elements(to)
	f, t := c.decisive(fe), c.decisive(te)
	if (c.permsOf(t)&^c.permsOf(f))&gains != 0 {
		return false
	}
	if !dir {
		return true
	}
	for i := range c.rules {
		r := &c.rules[i]
		switch {
		case r.floating:
			// What it covers down there it covers before and after.
			if (c.permsOf(max(t, i))&^c.permsOf(max(f, i)))&gains != 0 {
				return false
			}
		case r.beneath(fe) || r.beneath(te):
			return false // rules about parts of it do not move along
		}
	}
	return true
}

var (
	errPolicy     = Status(CodePermissionDenied, "not allowed here")
	errPolicySize = Status(CodeQuotaExceeded, "file would be larger than is allowed")
	errPolicyName = Status(CodePermissionDenied, "name is not allowed")
	errPolicyDeep = Status(CodeInvalidFilename, "path has too many elements")
)

// mayName judges a name that is to be made.
func (c *policy) mayName(clean string) error {
	elems := elements(clean)
	if c.depth > 0 && len(elems) > c.depth {
		return errPolicyDeep
	}
	return c.mayOverwrite(clean)
}

// mayOverwrite judges the name of a file that is there and is to be written.
func (c *policy) mayOverwrite(clean string) error {
	if len(c.names) == 0 {
		return nil
	}
	last := strings.ToLower(path.Base(clean))
	for _, pattern := range c.names {
		if matchElem(pattern, last) {
			return errPolicyName
		}
	}
	return nil
}

// mayExtend judges a request that this package does not know.
func (c *policy) mayExtend(name string) bool {
	// One that it does know, and that the file system serves itself, is refused by its name.
	if op, ok := opNamed(name); ok && c.refused[op] {
		return false
	}
	return c.anyExt || slices.Contains(c.extended, name)
}

// guardAll puts policies, nil for none, in front of fsys, and returns the rows that they
// refuse.
func guardAll(fsys FileSystem, list ...*Policy) (_ FileSystem, refused [fxp.OpCount]bool, err error) {
	for _, p := range list {
		if p == nil {
			continue
		}
		c, err := p.compile()
		if err != nil {
			return nil, refused, err
		}
		for op := range refused {
			refused[op] = refused[op] || c.refused[op]
		}
		fsys = &guardFS{fsys, c}
	}
	return fsys, refused, nil
}
