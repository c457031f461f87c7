package sftp

import (
	"bytes"
	"crypto/md5"
	"io"
	"math"
	"slices"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// maxHashing is how many requests for hashes run at a time in one session (cves 12.16). The
// next one waits, and the session with it.
const maxHashing = 2

// hashSlot waits for the permission to hash; release gives it back.
func (s *session) hashSlot() (release func()) {
	if s.hashing == nil {
		s.hashing = make(chan struct{}, maxHashing)
	}
	select {
	case s.hashing <- struct{}{}:
	default:
		s.out.wait()
		s.hashing <- struct{}{}
		s.out.work()
	}
	return func() { <-s.hashing }
}

// hashSource is a range of a file that is to be hashed.
type hashSource struct {
	textReader
	n int64 // octets; the file may have fewer
}

// hashName and hashHandle run work on a range of a file, beside the loop. A range of length
// 0 goes to the end of the file.
func (s *session) hashName(r *request, path string, start, length uint64, work func(*hashSource) ([]byte, error)) error {
	name, err := s.name(r, path)
	switch {
	case err != nil:
		return err
	case meansDir(path):
		return CodeIsADirectory
	}
	release := s.hashSlot()
	f, err := s.fs.Open(s.ctx, name, &OpenHow{Access: AccessReadData | AccessReadAttrs, Disposition: OpenExisting})
	if err != nil {
		release()
		return err
	}
	clean, _ := CleanPath(name)
	h := &handle{path: clean, file: f} // for what is asked of the same file
	s.background(r, h, nil, false, func() (reply []byte, err error) {
		defer release()
		defer func() { _ = f.Close(err) }() // it was only read
		src, err := s.hashSource(h, start, length)
		if err != nil {
			return nil, err
		}
		return work(src)
	})
	return nil
}

func (s *session) hashHandle(r *request, id []byte, start, length uint64, work func(*hashSource) ([]byte, error)) error {
	h, err := s.file(r, id)
	switch {
	case err != nil:
		return err
	case !h.reads:
		return errNotRead
	}
	release := s.hashSlot()
	s.background(r, h, nil, false, func() ([]byte, error) {
		defer release()
		src, err := s.hashSource(h, start, length)
		if err != nil {
			return nil, err
		}
		return work(src)
	})
	return nil
}

// hashSource finds the range in the file of h. In a text file it is one of what READ would
// send.
func (s *session) hashSource(h *handle, start, length uint64) (*hashSource, error) {
	if start > math.MaxInt64 || length > math.MaxInt64 {
		return nil, errOffset
	}
	n := int64(length)
	if n == 0 {
		n = math.MaxInt64 - int64(start)
	}
	if h.text != nil {
		// Not the place in it: READ goes on beside this.
		src := &hashSource{textReader{src: h.text.reader.src, from: h.text.reader.from, to: h.text.reader.to}, n}
		skipped, err := copyContext(s.beside, io.Discard, src, int64(start))
		if err == nil && skipped < int64(start) {
			err = errHashStart
		}
		return src, err
	}
	a, err := h.file.Stat(s.beside, AttrSize|AttrMode)
	switch {
	case err != nil:
		return nil, err
	case a.IsDir():
		return nil, CodeIsADirectory
	case a.Has(AttrSize) && a.Size < start:
		return nil, errHashStart
	case a.Has(AttrSize):
		n = min(n, int64(min(a.Size-start, math.MaxInt64)))
	}
	return &hashSource{textReader{src: h.file, pos: int64(start)}, n}, nil
}

var errHashStart = Status(CodeInvalidParameter, "range begins behind the end of the file")

// checkFileName and checkFileHandle serve check-file (filexfer-extensions-00).
func (s *session) checkFileName(r *request) error {
	var m fxp.ExtCheckName
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	work, err := s.checkFile(r, &m.HashRange)
	if err != nil {
		return err
	}
	return s.hashName(r, m.Path, m.Start, m.Length, work)
}

func (s *session) checkFileHandle(r *request) error {
	var m fxp.ExtCheckHandle
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	work, err := s.checkFile(r, &m.HashRange)
	if err != nil {
		return err
	}
	return s.hashHandle(r, m.Handle, m.Start, m.Length, work)
}

func (s *session) checkFile(r *request, m *fxp.HashRange) (work func(*hashSource) ([]byte, error), err error) {
	name, h := hashByName(m.Algorithms)
	switch {
	case h == nil:
		return nil, Status(CodeOpUnsupported, "no hash algorithm that is known")
	case m.BlockSize != 0 && m.BlockSize < minHashBlock:
		return nil, Status(CodeInvalidParameter, "hash block size too small")
	}
	id, block, limit := r.id, int64(m.BlockSize), fxp.MaxData
	if s.quirks&minaHashes != 0 {
		limit /= 2 // for the lengths
	}
	return func(src *hashSource) ([]byte, error) {
		// Before the work: n is exact unless the back end does not know the size.
		if block > 0 && src.n != math.MaxInt64 && src.n/block > int64(limit/h.Size()) {
			return nil, errHashReply
		}
		hashes, err := hashBlocks(s.beside, src, src.n, block, h, limit)
		if err != nil {
			return nil, err
		}
		if s.quirks&minaHashes != 0 {
			var list []byte
			for sum := range slices.Chunk(hashes, h.Size()) {
				list = wire.AppendBytes(list, sum)
			}
			hashes = list
		}
		return extendedReply(id, &fxp.ReplyCheckFile{Algorithm: name, Hashes: hashes}), nil
	}, nil
}

// md5Hash and md5HashHandle serve md5-hash (filexfer-05 section 8.1).
func (s *session) md5Hash(r *request) error {
	var m fxp.ExtMD5Name
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	return s.hashName(r, m.Path, m.Start, m.Length, s.md5(r, m.QuickCheck))
}

func (s *session) md5HashHandle(r *request) error {
	var m fxp.ExtMD5Handle
	c := wire.Decoder(r.body)
	m.Layout(c)
	if err := malformed(c); err != nil {
		return err
	}
	return s.hashHandle(r, m.Handle, m.Start, m.Length, s.md5(r, m.QuickCheck))
}

// quickCheck is how many octets the client hashed to see whether hashing all makes sense.
const quickCheck = 2048

func (s *session) md5(r *request, quick []byte) func(*hashSource) ([]byte, error) {
	id, quick := r.id, bytes.Clone(quick) // it lies in the message
	name := ""
	if s.quirks&minaHashes != 0 {
		name = r.op.Row().Extension
	}
	return func(src *hashSource) ([]byte, error) {
		h := md5.New()
		head, err := copyContext(s.beside, h, src, min(src.n, quickCheck))
		if err != nil {
			return nil, err
		}
		if len(quick) > 0 && !bytes.Equal(quick, h.Sum(nil)) {
			return extendedReply(id, &fxp.ReplyMD5{Name: name}), nil
		}
		if _, err := copyContext(s.beside, h, src, src.n-head); err != nil {
			return nil, err
		}
		return extendedReply(id, &fxp.ReplyMD5{Name: name, Hash: h.Sum(nil)}), nil
	}
}

// extendedReply makes a whole EXTENDED_REPLY.
func extendedReply(id uint32, m wire.Layouter) []byte {
	return fxp.Finish(wire.Append(fxp.AppendHeader(nil, fxp.TypeExtendedReply, id), m), 0)
}
