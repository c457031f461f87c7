package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// A display shows a person how far a transfer is: a bar on a terminal, now and then a line
// elsewhere.
type display struct {
	w     io.Writer
	quiet bool
	bars  *mpb.Progress // nil: lines

	mu    sync.Mutex
	bar   *mpb.Bar
	now   sftp.Progress
	said  time.Duration // when the last line was, in the time of the transfer
	ended bool
}

const (
	barDelay  = 300 * time.Millisecond // what is over sooner needs no bar
	lineEvery = 10 * time.Second
)

// newDisplay shows on w, which with lines has more on it than the display knows of, so that
// there can be no bar.
func newDisplay(w io.Writer, quiet, lines bool) *display {
	d := &display{w: w, quiet: quiet}
	if f, ok := w.(*os.File); ok && !quiet && !lines && term.IsTerminal(int(f.Fd())) {
		d.bars = mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(120*time.Millisecond))
	}
	return d
}

// newDisplayOf shows bars on what a test takes for a terminal of that many columns, each
// time that it says so. It is not in the test, since tests import no further modules.
func newDisplayOf(w io.Writer, columns int, refresh <-chan any) *display {
	return &display{w: w, bars: mpb.New(mpb.WithOutput(w), mpb.WithWidth(columns), mpb.WithManualRefresh(refresh))}
}

// update is a sftp.TransferOptions.Progress.
func (d *display) update(p sftp.Progress) {
	if d.quiet {
		return
	}
	d.mu.Lock()
	d.now = p
	bar := d.bar
	if d.bars != nil && bar == nil && !p.Last && p.Time >= barDelay && !d.ended {
		bar = d.bars.New(max(p.Total, 0), mpb.BarStyle(), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(d.left)), mpb.AppendDecorators(decor.Any(d.right)))
		d.bar = bar
	}
	if p.Last {
		d.bar = nil
	}
	line := d.bars == nil && !p.Last && p.Time-d.said >= lineEvery
	switch {
	case p.Last:
		d.said = 0
	case line:
		d.said = p.Time
	}
	d.mu.Unlock()
	// The bar asks for its text while it draws, so the lock is not held here.
	switch {
	case bar != nil && p.Last:
		bar.Abort(true)
		bar.Wait()
	case bar != nil:
		bar.SetTotal(max(p.Total, p.Done+1), false) // never full before it is over
		bar.SetCurrent(p.Done)
	case line:
		d.say("%s: %s", plain(p.Name), strings.Join(parts(p), ", "))
	}
}

// say shows a line, above a bar if there is one.
func (d *display) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	if d.bars != nil {
		if _, err := d.bars.Write([]byte(text)); err == nil {
			return
		}
	}
	_, _ = io.WriteString(d.w, text)
}

// end takes the bar away. What is said later goes straight out.
func (d *display) end() {
	if d.bars == nil {
		return
	}
	d.mu.Lock()
	bar, was := d.bar, d.ended
	d.bar, d.ended = nil, true
	d.mu.Unlock()
	if was {
		return
	}
	if bar != nil {
		bar.Abort(true)
	}
	d.bars.Wait()
}

// maxBarName is the most columns that a name takes.
const maxBarName = 24

// left is the name. It is a server's, and so made plain (cves 9.2).
func (d *display) left(s decor.Statistics) string {
	d.mu.Lock()
	p := d.now
	d.mu.Unlock()
	name := plain(p.Name)
	width := min(maxBarName, s.AvailableWidth/4)
	if runewidth.StringWidth(name) > width { // the end says more than the beginning
		name = runewidth.TruncateLeft(name, runewidth.StringWidth(name)-width+1, "…")
	}
	return name + " "
}

// right is everything that is a number.
func (d *display) right(s decor.Statistics) string {
	d.mu.Lock()
	p := d.now
	d.mu.Unlock()
	text := strings.TrimSuffix(strings.Join(parts(p), "  "), " left")
	if room := s.AvailableWidth - 4; runewidth.StringWidth(text) > room {
		text = runewidth.Truncate(text, max(room, 0), "")
	}
	return " " + text
}

// parts are how far a transfer is, in words.
func parts(p sftp.Progress) []string {
	var out []string
	if p.Phase == sftp.PhaseCheck {
		out = append(out, "verifying")
	}
	done := humanSize(uint64(max(p.Done, 0)))
	if p.Total > 0 {
		out = append(out, strconv.FormatInt(min(p.Done*100/p.Total, 100), 10)+"%")
		done += "/" + humanSize(uint64(p.Total))
		if p.FilesTotal > 0 && !p.Listed {
			done += "+" // there is more to be found
		}
	}
	out = append(out, done)
	if p.FilesTotal > 0 {
		out = append(out, fmt.Sprintf("%d/%d files", p.Files, p.FilesTotal))
	}
	if p.Phase != sftp.PhaseCheck && p.Rate > 0 {
		out = append(out, humanSize(uint64(p.Rate))+"/s")
	}
	if left, ok := p.Left(); ok && p.Phase != sftp.PhaseCheck && (p.FilesTotal == 0 || p.Listed) {
		out = append(out, clock(left)+" left")
	}
	return out
}

// clock is a time as 1:23 or 4:05:06.
func clock(d time.Duration) string {
	s := int64((d + time.Second/2) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
