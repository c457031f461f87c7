package sftp

import (
	"context"
	"io"
)

// Listing returns a Dir that lists entries, for a [FileSystem.OpenDir] that has them all at hand.
// The Dir owns the slice from then on.
func Listing(entries []Entry) Dir { return &entryDir{left: entries} }

type entryDir struct {
	UnsupportedDir
	left []Entry
}

// Next implements Dir.
func (l *entryDir) Next(_ context.Context, n int) ([]Entry, error) {
	if len(l.left) == 0 {
		return nil, io.EOF
	}
	list := l.left[:min(max(n, 1), len(l.left))]
	l.left = l.left[len(list):]
	return list, nil
}
