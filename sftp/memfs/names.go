package memfs

import (
	"hash/maphash"
	"math/bits"
)

// nameCost is what a name takes besides its octets: an entry and its place in two tables.
const nameCost = 128

// entry is a name of a directory. It stays the same through a rename, as an open file's
// name does on Unix, and has no dir any more once it is removed.
type entry struct {
	dir  *node
	name string
	node *node
	next []*entry // the entries behind it: nearest first, then further and further
}

// names are the entries of a directory: a map to find one, and a skip list to walk them
// in order. A listing needs no copy of it: the name it stopped at is its whole state,
// whatever comes and goes meanwhile. FS.mu guards it.
type names struct {
	byName map[string]*entry
	head   [maxLevel]*entry
}

// maxLevel is enough for 4^16 names.
const maxLevel = 16

var levels = maphash.MakeSeed()

func (d *names) get(name string) *entry { return d.byName[name] }

// len is 0 for what is no directory and has no names.
func (d *names) len() int {
	if d == nil {
		return 0
	}
	return len(d.byName)
}

// before finds, for each level, the last entry with a name below name; nil is the head.
func (d *names) before(name string) (path [maxLevel]*entry) {
	var at *entry
	for level := maxLevel - 1; level >= 0; level-- {
		for {
			next := d.behind(at, level)
			if next == nil || next.name >= name {
				break
			}
			at = next
		}
		path[level] = at
	}
	return path
}

func (d *names) behind(e *entry, level int) *entry {
	if e == nil {
		return d.head[level]
	}
	return e.next[level]
}

// add puts e, whose name is not there, in its place.
func (d *names) add(e *entry) {
	// One in four goes a level higher. A hash with a seed of its own is as good as a die
	// here: nobody can choose names that all stay low.
	level := min(1+bits.TrailingZeros64(maphash.String(levels, e.name))/2, maxLevel)
	e.next = make([]*entry, level)
	for i, at := range d.before(e.name) {
		switch {
		case i >= level:
		case at == nil:
			e.next[i], d.head[i] = d.head[i], e
		default:
			e.next[i], at.next[i] = at.next[i], e
		}
	}
	if d.byName == nil {
		d.byName = make(map[string]*entry)
	}
	d.byName[e.name] = e
}

// remove takes e out.
func (d *names) remove(e *entry) {
	for i, at := range d.before(e.name) {
		switch {
		case i >= len(e.next):
		case at == nil:
			d.head[i] = e.next[i]
		default:
			at.next[i] = e.next[i]
		}
	}
	e.next = nil
	delete(d.byName, e.name)
}

// from returns the first entry whose name is not below name; from("") is the first of all.
func (d *names) from(name string) *entry {
	return d.behind(d.before(name)[0], 0)
}
