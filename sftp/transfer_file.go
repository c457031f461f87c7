package sftp

import (
	"context"
	"io"
)

// tune applies the options about requests to a file that nobody uses yet.
func (f *RemoteFile) tune(o *TransferOptions) { f.most, f.chunk = o.Concurrency, o.ChunkSize }

// copyTo writes n octets from off on to w, all up to the end of the file for 0. size is where
// the end is said to be, -1 if nobody says: READs are cut so that the one which finds the
// end is under way with the others, and no more than one goes beyond. The end is where the
// server says EOF all the same.
func (f *RemoteFile) copyTo(ctx context.Context, w io.Writer, off, n, size int64) error {
	r := readAhead{f: f}
	if n > 0 {
		r.end = off + n
	}
	r.expect = size + 1
	defer r.drop()
	r.seek(off)
	_, err := r.writeTo(ctx, w)
	return pathError("read", f.name, err)
}

// closer closes files that were only read without having a transfer wait for it. The zero
// closer waits. Only a bounded number of CLOSEs are under way.
type closer struct {
	slots chan struct{}
}

// maxClosing is how many CLOSEs of a tree are under way at most.
const maxClosing = 64

func (c *closer) close(f *RemoteFile) {
	if c == nil || c.slots == nil {
		_ = f.Close() // of a file that was read it tells nothing about the content
		return
	}
	c.slots <- struct{}{}
	go func() {
		_ = f.Close()
		<-c.slots
	}()
}

// wait waits until all is closed.
func (c *closer) wait() {
	for range cap(c.slots) {
		c.slots <- struct{}{}
	}
}

// maxGathered bounds what gather holds.
const maxGathered = 1 << 18

var errGathered = Status(CodeFailure, "too many entries for a client with MaxOpenFiles")

// gather lists a directory into memory, for clients that may have few files open.
func (c *Client) gather(ctx context.Context, name string, yield func(Entry, error) bool) {
	type item struct {
		e   Entry
		err error
	}
	var all []item
	for e, err := range c.ReadDir(ctx, name) {
		if len(all) == maxGathered {
			all = append(all, item{err: pathError("readdir", name, errGathered)})
			break
		}
		e.LongName = ""
		all = append(all, item{e, err})
	}
	for i := range all {
		if !yield(all[i].e, all[i].err) {
			return
		}
	}
}

// listing lists a directory as ReadDir does. If the client bounds the open files, no
// directory is open while its entries are looked at, so that files can be opened meanwhile.
func (c *Client) listing(ctx context.Context, name string, yield func(Entry, error) bool) {
	if c.open != nil {
		c.gather(ctx, name, yield)
		return
	}
	c.ReadDir(ctx, name)(yield)
}
