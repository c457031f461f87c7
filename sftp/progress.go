package sftp

import (
	"context"
	"io"
	"math"
	"sync/atomic"
	"time"
)

// Progress is how far a transfer is, at the time of a call of TransferOptions.Progress.
type Progress struct {
	Name  string        // what is under way: the remote name; of a tree, the file begun last
	Phase Phase         // what is being done with it
	Done  int64         // bytes that are there: written here or acknowledged by the server, or found by a resume
	Total int64         // bytes there will be; -1: not known. Of a tree: of the files found so far
	Rate  float64       // bytes a second: over the last few seconds, in the last call from beginning to end
	Time  time.Duration // since the beginning
	Last  bool          // the transfer is over, or has failed

	// Of trees only: files that are done with, and files found so far. Listed tells that
	// no more will be found, so that FilesTotal and Total are final.
	Files, FilesTotal int64
	Listed            bool
}

// Phase says what a transfer is doing.
type Phase uint8

// The phases. Done does not move in PhaseCheck.
const (
	PhaseTransfer Phase = iota // content is on its way
	PhaseCheck                 // what is there is compared with what should be: by a hash, or by reading again
)

// Left returns how long the rest will take at the present rate; false if that is not known.
func (p Progress) Left() (time.Duration, bool) {
	left := float64(p.Total - p.Done)
	switch {
	case p.Total < 0 || p.Rate <= 0:
		return 0, false
	case left <= 0:
		return 0, true
	}
	d := left / p.Rate * float64(time.Second)
	if d > math.MaxInt64/2 {
		return 0, false
	}
	return time.Duration(d), true
}

const (
	defaultProgressInterval = 100 * time.Millisecond
	rateMemory              = 3 * time.Second // what happened longer ago hardly counts
)

// meter counts a transfer and reports it. The path of the data pays for an atomic addition; the
// callback is called by a goroutine of the meter's own, so a slow one delays nothing but
// itself. A nil meter counts nothing.
type meter struct {
	report func(Progress)

	name          atomic.Pointer[string]
	phase         atomic.Uint32
	done, total   atomic.Int64
	found         atomic.Int64 // of done: was there before
	files, filesT atomic.Int64
	listed        atomic.Bool

	began          time.Time
	rate           float64 // bytes by seconds, both of them weighted by their age
	bytes, seconds float64
	stop           chan struct{}
	ended          chan struct{}
}

// newMeter starts a meter; nil if nobody wants to know. end must be called.
func newMeter(report func(Progress), interval time.Duration) *meter {
	if report == nil {
		return nil
	}
	if interval <= 0 {
		interval = defaultProgressInterval
	}
	m := &meter{report: report, began: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	m.total.Store(-1)
	go m.run(interval)
	return m
}

func (m *meter) run(interval time.Duration) {
	defer close(m.ended)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last, lastDone := m.began, int64(0)
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
		}
		now, done := time.Now(), m.done.Load()-m.found.Load()
		if dt := now.Sub(last); dt > 0 {
			m.sample(done-lastDone, dt)
		}
		last, lastDone = now, done
		m.report(m.progress())
	}
}

// sample takes what came in the last dt into the average. Weights fall by e in rateMemory,
// whatever the interval is; dividing by their sum keeps the first samples, which come in
// bursts, from standing for more than their time.
func (m *meter) sample(n int64, dt time.Duration) {
	keep := math.Exp(-dt.Seconds() / rateMemory.Seconds())
	m.bytes = m.bytes*keep + float64(n)
	m.seconds = m.seconds*keep + dt.Seconds()
	m.rate = m.bytes / m.seconds
}

func (m *meter) progress() Progress {
	p := Progress{
		Phase: Phase(m.phase.Load()), Done: m.done.Load(), Total: m.total.Load(), Rate: m.rate, Time: time.Since(m.began),
		Files: m.files.Load(), FilesTotal: m.filesT.Load(), Listed: m.listed.Load(),
	}
	if s := m.name.Load(); s != nil {
		p.Name = *s
	}
	if p.Total >= 0 && p.Done > p.Total {
		p.Total = -1 // the source has more than it said
	}
	return p
}

// end stops the meter and reports a last time. When it returns, the callback runs no more.
func (m *meter) end() {
	if m == nil {
		return
	}
	close(m.stop)
	<-m.ended
	p := m.progress()
	p.Last, p.Rate = true, 0
	if m.total.Load() >= 0 && p.Total < 0 {
		p.Total = p.Done
	}
	if s := p.Time.Seconds(); s > 0 {
		p.Rate = float64(p.Done-m.found.Load()) / s
	}
	m.report(p)
}

func (m *meter) add(n int64) {
	if m != nil {
		m.done.Add(n)
	}
}

// foundThere counts n bytes that need not be transferred; negative: they do after all.
func (m *meter) foundThere(n int64) {
	if m != nil {
		m.found.Add(n)
		m.done.Add(n)
	}
}

// expect adds to what there will be.
func (m *meter) expect(n int64) {
	if m != nil {
		m.total.CompareAndSwap(-1, 0)
		m.total.Add(n)
	}
}

// begin names what is under way.
func (m *meter) begin(name string) {
	if m != nil {
		m.name.Store(&name)
		m.phase.Store(uint32(PhaseTransfer))
	}
}

func (m *meter) enter(p Phase) {
	if m != nil {
		m.phase.Store(uint32(p))
	}
}

// countWriter counts what goes into w, and looks at ctx before each piece, so that a
// transfer into a slow writer ends with its context.
type countWriter struct {
	ctx context.Context
	w   io.Writer
	m   *meter
	n   int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.m.add(int64(n))
	return n, err
}

// countReader counts what comes out of r, which is ahead of what has arrived and so not
// for a meter.
type countReader struct {
	ctx context.Context
	r   io.Reader
	n   int64
	err error // of r, but for io.EOF
}

func (c *countReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF { // a wrapped one is no end
		c.err = err
	}
	return n, err
}
