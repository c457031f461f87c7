package sftp

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"strings"
	"sync"
	"sync/atomic"
)

// handle is an open file or directory of a session.
type handle struct {
	id     uint32
	custom string // what the file system calls it, in place of id; see SetHandle
	name   string // as the peer gave it
	path   string // clean: to know two handles of one file

	file                   File
	text                   *textFile // is file, if the server translates it
	serial                 bool      // text mode: one request after the other, whatever the offsets
	reads, writes, appends bool
	makes                  bool // opening it made or emptied the file, or may have
	deletes                bool // closing it removes the file
	inOrder                bool // READ and WRITE start in the order of the requests, too
	// io counts READ, WRITE and other work under way. Only the session's loop adds
	// and waits.
	io            sync.WaitGroup
	read, written atomic.Uint64 // octets
	// copiedOut and copiedIn are how many of these the server copied from and to another handle.
	copiedOut, copiedIn atomic.Uint64
	lost                losses

	dir     Dir
	listing listing
}

// sameFile tells whether two handles may be of one file, as far as names say.
func (h *handle) sameFile(g *handle) bool { return h == g || h.path == g.path }

// handleSize is the octets of our handles: some clients mishandle longer ones (W8).
const handleSize = 4

// handles are the open handles of one session. The id of a handle is the index of its slot
// and, in the upper half, how often the slot was used, so that an id does not come
// back soon (cves 12.4); all of it is masked with a random number of the session, so that
// the handle of one session is nothing in another. It is used by the session's loop only.
type handles struct {
	max   int
	total *atomic.Int64 // open in all sessions that share a bound
	most  int64         // that all may have
	slots []slot
	free  []uint16
	open  int
	mask  uint32
	// named are the handles that the file system has called something; nil while there is none.
	named map[string]*handle
}

type slot struct {
	h   *handle
	gen uint16
}

// maxHandles is what fits the index.
const maxHandles = 1 << 16

var errTooManyHandles = Status(CodeFailure, "too many open handles")

// openHandles are those of all servers whose bound is what the process may have open: they share that.
var openHandles atomic.Int64

// maxOpen is Server.MaxHandles in effect, and what is counted against it.
func (s *Server) maxOpen() (total *atomic.Int64, most int64) {
	switch {
	case s.MaxHandles > 0:
		return &s.handles, int64(s.MaxHandles)
	case s.MaxHandles == 0 && openFiles() > 0:
		return &openHandles, openFiles() / 4 * 3
	}
	return &s.handles, math.MaxInt64
}

// room says whether another handle may be opened; ask before opening the file.
func (t *handles) room() error {
	if t.open >= t.max || int64(t.open) >= t.most-t.total.Load() {
		return errTooManyHandles
	}
	return nil
}

// add gives h an id.
func (t *handles) add(h *handle) {
	if t.slots == nil {
		var b [4]byte
		_, _ = rand.Read(b[:]) // crypto/rand never fails
		t.mask = binary.BigEndian.Uint32(b[:])
	}
	var i uint16
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint16(len(t.slots))
		t.slots = append(t.slots, slot{})
	}
	s := &t.slots[i]
	s.h = h
	h.id = (uint32(s.gen)<<16 | uint32(i)) ^ t.mask
	t.open++
	t.total.Add(1)
	if h.custom != "" {
		if t.named == nil {
			t.named = make(map[string]*handle)
		}
		t.named[h.custom] = h
		return
	}
	for t.named[string(binary.BigEndian.AppendUint32(nil, h.id))] != nil {
		s.gen++
		h.id = (uint32(s.gen)<<16 | uint32(i)) ^ t.mask
	}
}

var errInvalidHandle = Status(CodeInvalidHandle, "no such handle")

// get returns the handle with the id that the peer sent.
func (t *handles) get(p []byte) (*handle, error) {
	if t.named != nil {
		if h := t.named[string(p)]; h != nil {
			return h, nil
		}
	}
	if len(p) != handleSize {
		return nil, errInvalidHandle
	}
	id := binary.BigEndian.Uint32(p) ^ t.mask
	i := int(id & 0xFFFF)
	if i >= len(t.slots) || t.slots[i].h == nil || t.slots[i].gen != uint16(id>>16) || t.slots[i].h.custom != "" {
		return nil, errInvalidHandle
	}
	return t.slots[i].h, nil
}

// getFile and getDir answer only handles of that kind.
func (t *handles) getFile(p []byte) (*handle, error) {
	h, err := t.get(p)
	if err == nil && h.file == nil {
		err = errInvalidHandle
	}
	return h, err
}

func (t *handles) getDir(p []byte) (*handle, error) {
	h, err := t.get(p)
	if err == nil && h.dir == nil {
		err = errInvalidHandle
	}
	return h, err
}

// remove ends the life of the id of h.
func (t *handles) remove(h *handle) {
	i := uint16((h.id ^ t.mask) & 0xFFFF)
	s := &t.slots[i]
	s.h = nil
	s.gen++
	t.free = append(t.free, i)
	t.open--
	t.total.Add(-1)
	if h.custom != "" {
		delete(t.named, h.custom)
	}
}

// moved follows files that are open, or what they lie in, from one clean path to another.
func (t *handles) moved(from, to string) {
	for i := range t.slots {
		h := t.slots[i].h
		if h == nil || h.file == nil {
			continue
		}
		if rest, ok := strings.CutPrefix(h.path, from); ok && (rest == "" || rest[0] == '/') {
			h.path = to + rest
		}
	}
}

// all calls f for every open handle, which may remove it.
func (t *handles) all(f func(*handle)) {
	for i := range t.slots {
		if h := t.slots[i].h; h != nil {
			f(h)
		}
	}
}
