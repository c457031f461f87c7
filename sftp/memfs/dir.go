package memfs

import (
	"context"
	"io"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// maxBatch bounds the entries held for one Next, whatever is asked for.
const maxBatch = 4096

// dir is an open directory: where its listing stands, and nothing of the names to come.
type dir struct {
	fs      *FS
	node    *node
	started bool
	last    string       // the last name listed
	entries []sftp.Entry // reused by every Next
}

// OpenDir opens a directory. The listing is sorted by name; entries that are
// added or removed meanwhile are seen if they come after the current position.
func (s *FS) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.find(name, true)
	if err != nil {
		return nil, err
	}
	if !p.node.isDir() {
		return nil, sftp.CodeNotADirectory
	}
	return &dir{fs: s, node: p.node}, nil
}

// Next returns up to n entries.
func (d *dir) Next(ctx context.Context, n int) ([]sftp.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n <= 0 || n > maxBatch {
		n = maxBatch
	}
	d.fs.mu.RLock()
	defer d.fs.mu.RUnlock()
	clear(d.entries) // let go of the last batch's strings
	d.entries = d.entries[:0]
	e := d.node.children.from(d.last)
	if e != nil && d.started && e.name == d.last {
		e = e.next[0]
	}
	for ; e != nil && len(d.entries) < n; e = e.next[0] {
		d.entries = append(d.entries, sftp.Entry{Name: e.name})
		d.fs.attrs(e.node, &d.entries[len(d.entries)-1].Attrs, sftp.AttrsBasic)
		d.started, d.last = true, e.name
	}
	if len(d.entries) == 0 {
		return nil, io.EOF
	}
	return d.entries, nil
}

// Close does nothing.
func (d *dir) Close(error) error { return nil }
