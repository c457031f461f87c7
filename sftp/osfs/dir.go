package osfs

import (
	"context"
	"errors"
	"io"
	"os"
	"path"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// maxBatch bounds the entries held for one Next, whatever is asked for.
const maxBatch = 4096

// dir is an open directory: names come in batches, attributes by one fstatat each
// relative to the descriptor, nothing is kept beyond a batch.
type dir struct {
	fs      *FS
	f       *os.File
	name    string
	rel     string       // below the root, without links
	entries []sftp.Entry // reused by every Next
}

// OpenDir opens a directory for listing.
func (s *FS) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	d := &dir{fs: s, name: name}
	err := s.do(ctx, "opendir", name, true, func(rel string) (err error) {
		d.rel = rel
		d.f, err = s.openDir(rel)
		return err
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Next returns up to n entries in the order of the directory.
func (d *dir) Next(ctx context.Context, n int) ([]sftp.Entry, error) {
	if n <= 0 || n > maxBatch {
		n = maxBatch
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		names, err := d.f.Readdirnames(n)
		if len(names) == 0 {
			if err == nil {
				err = io.EOF
			}
			if !errors.Is(err, io.EOF) {
				err = hide("readdir", d.name, err)
			}
			return nil, err
		}
		clear(d.entries) // let go of the last batch's strings
		d.entries = d.entries[:0]
		if err := statEntries(d, names); err != nil {
			return nil, hide("readdir", d.name, err)
		}
		// All of a batch may have vanished meanwhile; an empty answer would end the list.
		if len(d.entries) > 0 {
			return d.entries, nil
		}
	}
}

// add appends an entry.
func (d *dir) add(name string, a *sftp.Attrs) {
	d.entries = append(d.entries, sftp.Entry{Name: name, Attrs: *a})
	if a.Type() == sftp.TypeSymlink {
		d.fs.linkSize(path.Join(d.rel, name), &d.entries[len(d.entries)-1].Attrs)
	}
	d.fs.nameOwner(&d.entries[len(d.entries)-1].Attrs)
}

// Close closes the directory.
func (d *dir) Close(error) error { return hide("close", d.name, d.f.Close()) }
