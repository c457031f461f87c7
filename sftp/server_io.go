package sftp

import (
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/packet"
)

// ioPolicy says where READ and WRITE run.
type ioPolicy uint8

const (
	// ioAuto runs a request in the session's loop as long as the storage is quick,
	// which a page cache is: a goroutine of its own costs 2 µs, a seventh of what
	// reading and sealing 32 KiB costs. Once a request was slow, the next ones get
	// goroutines if there is something else to do meanwhile.
	ioAuto ioPolicy = iota
	// ioInline always runs it in the loop.
	ioInline
	// ioSpawn always starts a goroutine.
	ioSpawn
)

// offLoop decides whether the current READ or WRITE gets a goroutine. It is the one
// place that does.
func (s *session) offLoop() bool {
	switch {
	case s.srv.io == ioSpawn && !s.info.Serial:
		return true
	case s.info.Serial || s.srv.io == ioInline || s.bounds.Concurrency == 1:
		return false
	}
	if s.inflight.Load() > 0 {
		return true // the loop must not overtake what runs
	}
	return s.pace.slow() && s.in.more()
}

const (
	// slowIO is the time of a READ or WRITE from which waiting for it is worth a
	// goroutine: many times what a copy from the page cache takes, and a fraction of
	// what a disk or a network needs.
	slowIO = 300 * time.Microsecond
	// slowRun is for how many requests a slow one is remembered.
	slowRun = 64
)

// A pace remembers whether storage was slow of late. It is safe for concurrent use.
type pace struct{ left atomic.Int32 }

func (p *pace) slow() bool { return p.left.Load() > 0 }

// note takes the time of one request, without what sending its answer took.
func (p *pace) note(d time.Duration) {
	switch {
	case d >= slowIO:
		p.left.Store(slowRun)
	case p.slow():
		p.left.Add(-1)
	}
}

// ioOp is a READ, WRITE or some other work on a goroutine of its own. Ops are reused; there
// are as many as may run at a time, and having one is the permission to run. Only the loop
// writes the fields.
type ioOp struct {
	s      *session
	h      *handle // nil: work on no open file
	from   *handle // copy-data: the source, and h is the target
	write  bool    // the content of h may change
	id     uint32
	off    int64
	n      int         // octets
	buf    *packet.Buf // WRITE: holds data
	data   []byte
	ticket uint64 // READ and WRITE: the place of the answer
	// work is nil for READ and WRITE. It returns the message to answer with, or else
	// what the STATUS is to say.
	work func() (reply []byte, err error)

	busy atomic.Bool
	run  func() // a method value made once: go with arguments would allocate
}

// ioOp waits for a free op. The caller fills it and calls launch.
func (s *session) ioOp() *ioOp {
	if s.free == nil {
		n := s.bounds.concurrency()
		s.free = make(chan *ioOp, n)
		for range n {
			s.free <- nil
		}
	}
	var op *ioOp
	select {
	case op = <-s.free:
	default:
		s.out.wait()
		op = <-s.free
		s.out.work()
	}
	if op == nil {
		op = &ioOp{s: s}
		op.run = op.serve
		s.ops = append(s.ops, op)
	}
	op.work = nil
	return op
}

func (s *session) launch(op *ioOp) {
	if op.work == nil {
		op.ticket = s.turns.take()
	}
	op.busy.Store(true)
	s.inflight.Add(1)
	op.group().Add(1)
	for _, h := range [...]*handle{op.h, op.from} {
		if h != nil {
			h.io.Add(1)
		}
	}
	go op.run()
}

// background does work that may take minutes beside the loop, and answers r when it is
// done. It is about the open files h and from, either of which may be nil. Without write it
// changes nothing.
func (s *session) background(r *request, h, from *handle, write bool, work func() ([]byte, error)) {
	r.answered = true
	if s.info.Serial {
		s.answerWork(r.id, work)
		return
	}
	op := s.ioOp()
	op.h, op.from, op.write, op.id, op.off, op.n, op.work = h, from, write, r.id, 0, 0, work
	s.launch(op)
}

func (op *ioOp) serve() {
	s, h, from := op.s, op.h, op.from
	switch {
	case op.work != nil:
		s.answerWork(op.id, op.work)
	case op.write:
		s.writeAt(op.id, h, op.data, op.off, op)
		s.turns.end()
		op.buf.Release()
	default:
		s.readAt(op.id, h, op.off, op.n, op)
		s.turns.end()
	}
	op.busy.Store(false)
	if from != nil {
		from.io.Done()
	}
	if h != nil {
		h.io.Done()
	}
	s.inflight.Add(-1)
	group := op.group()
	s.free <- op // has room for all ops there are
	group.Done()
}

// group is what counts op.
func (op *ioOp) group() *sync.WaitGroup {
	if op.work != nil && !op.write {
		return &op.s.hashes
	}
	return &op.s.io
}

// answerWork does work, which is some request's, and answers it.
func (s *session) answerWork(id uint32, work func() ([]byte, error)) {
	if reply, err := s.guarded(work); err != nil || reply == nil {
		s.status(id, err)
	} else {
		s.out.add(reply)
	}
}

func (s *session) guarded(work func() ([]byte, error)) (reply []byte, err error) {
	defer s.guard(&err)
	return work()
}

// answer waits until everything asked for before op is answered. READ and WRITE run
// beside each other, but their answers go out in the order of the requests: OpenSSH's
// scp copies in place and takes the first answer out of order for the end of the file,
// and psftp and pscp give up. A nil op, which runs in the loop, has nothing before it.
func (op *ioOp) answer() {
	if op != nil {
		op.s.turns.await(op.ticket)
	}
}

// turns keeps in order what several goroutines do. Whoever takes a turn awaits and ends
// it; taking is for one goroutine at a time.
type turns struct {
	given uint64

	mu   sync.Mutex
	cond sync.Cond
	now  uint64
}

func (t *turns) take() uint64 {
	n := t.given
	t.given++
	return n
}

func (t *turns) await(n uint64) {
	t.mu.Lock()
	for t.now != n {
		if t.cond.L == nil {
			t.cond.L = &t.mu
		}
		t.cond.Wait()
	}
	t.mu.Unlock()
}

func (t *turns) end() {
	t.mu.Lock()
	t.now++
	t.cond.Broadcast()
	t.mu.Unlock()
}

// touches tells whether op has to do with the file of h.
func (op *ioOp) touches(h *handle) bool {
	return op.h != nil && op.h.sameFile(h) || op.from != nil && op.from.sameFile(h)
}

// awaitRange waits for I/O under way that the one described may not overtake: requests
// on one file behave as if done in order (filexfer-02 section 6.1). Reads go beside
// reads, and writes beside writes of other octets. A read waits for any write, which may
// move the end of the file. Text is read and written strictly one after the other.
func (s *session) awaitRange(h *handle, off int64, n int, write bool) {
	if s.inflight.Load() == 0 {
		return
	}
	for _, op := range s.ops {
		if !op.busy.Load() || !op.touches(h) {
			continue
		}
		overlap := h.appends || op.h.appends || off < op.off+int64(op.n) && op.off < off+int64(n)
		switch {
		case op.work != nil:
			if !write && !(op.write && op.h.sameFile(h)) {
				continue // a hash, or a copy of this file to another
			}
		case op.write == write && !(write && overlap) && !h.serial:
			continue
		}
		s.awaitHandle(op.h)
	}
}

// awaitHandle waits for the I/O under way on h.
func (s *session) awaitHandle(h *handle) {
	if s.inflight.Load() == 0 {
		return
	}
	s.out.wait()
	h.io.Wait()
	s.out.work()
}

// awaitFile waits for the I/O under way on the file of h, by whatever handle.
func (s *session) awaitFile(h *handle) {
	if s.inflight.Load() == 0 {
		return
	}
	for _, op := range s.ops {
		if op.busy.Load() && op.touches(h) {
			s.awaitHandle(op.h)
		}
	}
}

// awaitAll waits for all I/O under way but hashes, and awaitHashes for those: they may take
// minutes and are in the way of changes only.
func (s *session) awaitAll() { s.awaitGroup(&s.io) }

func (s *session) awaitHashes() { s.awaitGroup(&s.hashes) }

func (s *session) awaitGroup(g *sync.WaitGroup) {
	if s.inflight.Load() == 0 {
		return
	}
	s.out.wait()
	g.Wait()
	s.out.work()
}

var (
	errOffset   = Status(CodeFailure, "offset out of range")
	errNotRead  = Status(CodePermissionDenied, "handle was not opened for reading")
	errNotWrite = Status(CodePermissionDenied, "handle was not opened for writing")
)

// read serves READ.
func (s *session) read(id uint32, body []byte) {
	handle, off, length, err := fxp.ParseRead(body)
	if err != nil {
		s.status(id, errBadMessage)
		return
	}
	h, err := s.handles.getFile(handle)
	switch {
	case err != nil:
	case s.refused[fxp.OpRead]:
		err = errPolicy
	case !h.reads:
		err = errNotRead
	case h.serial:
		off = 0 // has no meaning (filexfer-13 section 8.2.1)
	case off > math.MaxInt64:
		err = errOffset
	}
	if err != nil {
		s.status(id, err)
		return
	}
	// Less than asked for is allowed only here and at the end of the file: clients
	// that trust limits@openssh.com take a short reply for the end.
	n := int(min(uint64(length), fxp.MaxData, math.MaxInt64-off))
	s.awaitRange(h, int64(off), n, false)
	if !s.offLoop() {
		s.readAt(id, h, int64(off), n, nil)
		return
	}
	op := s.ioOp()
	op.h, op.from, op.write, op.id, op.off, op.n, op.work = h, nil, false, id, int64(off), n, nil
	s.launch(op)
}

const (
	// cutSlack is by how much a DATA message may exceed the largest packet before it
	// becomes a chain: the Conn sends so few octets in a packet of their own cheaply.
	cutSlack = 64
	// minPiece is the least payload worth a Buf of its own in a chain. Peers that
	// take less at a time get their packets cut by the Conn.
	minPiece = 8 << 10
	// smallData is the content up to which a DATA message is gathered with other
	// replies, at the price of a copy.
	smallData = 1 << 10
)

// readAt reads n octets straight into the packets that carry them and sends them.
func (s *session) readAt(id uint32, h *handle, off int64, n int, op *ioOp) {
	var first, last *packet.Buf
	total, err := 0, error(nil)
	var place textReader
	if h.text != nil {
		place = h.text.reader
	}
	piece := s.conn.MaxPacket()
	if piece < minPiece || piece > packet.MaxPayload {
		piece = 32 << 10
	}
	room := piece - fxp.DataHeaderSize
	if s.info.Serial {
		room = n // the Conn cuts it, at the price of a copy
	}
	if h.inOrder {
		op.answer()
	}
	start := time.Now()
	for total < n && err == nil {
		want := n - total
		if want > room+cutSlack {
			want = room
		}
		b := packet.Get(want)
		var m int
		m, err = s.readFile(h, b.Bytes(), off+int64(total))
		if m == 0 {
			b.Release()
			break
		}
		b.Trim(m)
		total += m
		if first == nil {
			first = b
		} else {
			last.Link(b)
		}
		last, room = b, piece
	}
	s.pace.note(time.Since(start))
	op.answer()
	short := total > 0 && errors.Is(err, ErrShortRead)
	switch {
	case err != nil && !short && !errors.Is(err, io.EOF):
		// Part of what was asked for would read as the end of the file.
		first.Release()
		if h.text != nil {
			h.text.reader = place // for who asks again
		}
		s.status(id, notOK(err))
		return
	case total == 0:
		s.status(id, CodeEOF)
		return
	}
	h.read.Add(uint64(total))
	if s.version >= fxp.V6 && total < n && last.Tail() > packet.TailRoom && !short && s.quirks&bareData == 0 {
		// The end of the file, or else there would be more: saves asking once more
		// (filexfer-13 section 9.3).
		last.Extend(1)[0] = fxp.DataEOF
		fxp.PutDataHeaderEOF(first.Prepend(fxp.DataHeaderSize), id, total)
	} else {
		fxp.PutDataHeader(first.Prepend(fxp.DataHeaderSize), id, total)
	}
	if total <= smallData {
		s.out.add(first.Bytes())
		first.Release()
		return
	}
	s.out.send(first)
}

// readFile and writeFile are the calls of the back end.
func (s *session) readFile(h *handle, p []byte, off int64) (n int, err error) {
	defer s.guard(&err)
	return readFull(h.file, p, off)
}

func (s *session) writeFile(h *handle, p []byte, off int64) (n int, err error) {
	defer s.guard(&err)
	return h.file.WriteAt(p, off)
}

// readFull is ReadAt that also takes back ends which return less without an error.
func readFull(r io.ReaderAt, p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.ReadAt(p[n:], off+int64(n))
		if m < 0 || m > len(p)-n {
			return 0, errBadCount
		}
		n += m
		if m == 0 && err == nil {
			err = io.ErrNoProgress
		}
	}
	if n == len(p) && err == io.EOF {
		err = nil // an end exactly here is for the next READ to find
	}
	return n, err
}

// readWhole is readFull that asks on after short reads, for who reads on behalf of a client.
func readWhole(r io.ReaderAt, p []byte, off int64) (n int, err error) {
	for {
		var m int
		m, err = readFull(r, p[n:], off+int64(n))
		if n += m; m == 0 || !errors.Is(err, ErrShortRead) {
			return n, err
		}
	}
}

// ErrShortRead is the error with which File.ReadAt may return fewer octets than asked for, but at
// least one, although the file goes on. The client gets those octets and is expected to ask for the
// rest; some clients take a short reply for the end of the file.
var ErrShortRead = errors.New("sftp: short read")

var errBadCount = Status(CodeFailure, "back end counts wrongly")

// write serves WRITE.
func (s *session) write(id uint32, body []byte) {
	handle, off, data, err := fxp.ParseWrite(body)
	if err != nil {
		s.status(id, errBadMessage)
		return
	}
	if s.srv.ReadOnly {
		s.status(id, CodeWriteProtect)
		return
	}
	h, err := s.handles.getFile(handle)
	switch {
	case err != nil:
	case s.refused[fxp.OpWrite]:
		err = errPolicy
	case !h.writes:
		err = errNotWrite
	case h.serial:
		off = 0 // has no meaning in text (filexfer-13 section 8.2.3)
	case h.appends:
		if off > math.MaxInt64-uint64(len(data)) {
			off = 0 // nor here (filexfer-02 section 6.3): files ignore it, handlers of events may see it
		}
	case off > math.MaxInt64-uint64(len(data)):
		err = errOffset
	}
	if err != nil || len(data) == 0 {
		s.status(id, err)
		return
	}
	s.awaitRange(h, int64(off), len(data), true)
	if !s.offLoop() {
		s.writeAt(id, h, data, int64(off), nil)
		return
	}
	op := s.ioOp()
	op.h, op.from, op.write, op.id, op.off, op.n, op.work = h, nil, true, id, int64(off), len(data), nil
	// The packet received itself goes along; data is where it was in its message.
	start := messageHeader + 4 + len(handle) + 8 + 4
	buf, msg := s.in.take()
	op.buf, op.data = buf, msg[start:start+op.n]
	s.launch(op)
}

// messageHeader is type and request id.
const messageHeader = fxp.HeaderSize - fxp.LengthSize

// writeAt writes data straight from the packet received and answers.
func (s *session) writeAt(id uint32, h *handle, data []byte, off int64, op *ioOp) {
	if h.inOrder {
		op.answer()
	}
	start := time.Now()
	n, err := s.writeFile(h, data, off)
	s.pace.note(time.Since(start))
	op.answer()
	if err == nil && n != len(data) {
		err = io.ErrShortWrite
	}
	h.lost.note(off, len(data), h.appends || h.text != nil, err)
	if n > 0 {
		h.written.Add(uint64(n))
	}
	s.status(id, err)
}
