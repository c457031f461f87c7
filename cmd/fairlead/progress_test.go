package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestProgressBar: name, share, amounts, rate and time fit a line, lines come above it,
// and nothing of the bar is left.
func TestProgressBar(t *testing.T) {
	s := newOutput()
	refresh := make(chan any)
	d := newDisplayOf(s, 80, refresh)
	d.update(sftp.Progress{Name: "early", Time: barDelay / 2, Total: 10})
	d.update(sftp.Progress{Name: "a/very/long/name/that/does/not/fit/its/place/file\x1b.iso", Done: 512 << 20, Total: 2 << 30, Rate: 64 << 20, Time: 8 * time.Second})
	refresh <- time.Now()
	s.await(t, `25%.*512 MiB/2\.00 GiB.*64\.0 MiB/s.*0:24`)
	d.say("a line")
	refresh <- time.Now()
	s.await(t, `a line\n`)
	d.update(sftp.Progress{Name: "x", Done: 2 << 30, Total: 2 << 30, Time: 32 * time.Second, Last: true})
	d.end()
	d.end()
	d.say("after")
	out := s.String()
	for _, want := range []string{`file\x1b.iso`, "after\n", "[=="} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
	if strings.Contains(out, "early") {
		t.Errorf("a bar for what takes no time: %q", out)
	}
	for line := range strings.SplitSeq(regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]").ReplaceAllString(out, ""), "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

// TestProgressLines: without a terminal a line comes now and then, and none of escapes.
func TestProgressLines(t *testing.T) {
	s := newOutput()
	d := newDisplay(s, false, false)
	for i := range 250 {
		d.update(sftp.Progress{Name: "f", Done: int64(i), Total: 250, Time: time.Duration(i) * 100 * time.Millisecond})
	}
	d.update(sftp.Progress{Name: "f", Done: 250, Total: 250, Time: 25 * time.Second, Last: true})
	d.update(sftp.Progress{Name: "g", Done: 1, Total: -1, Time: time.Second})
	d.end()
	if out := s.String(); out != "f: 40%, 100 B/250 B\nf: 80%, 200 B/250 B\n" {
		t.Errorf("%q", out)
	}
	s.buf.Reset()
	d = newDisplay(s, true, false)
	d.update(sftp.Progress{Name: "f", Time: time.Hour})
	if out := s.String(); out != "" {
		t.Errorf("with -q: %q", out)
	}
}

func TestProgressParts(t *testing.T) {
	for want, p := range map[string]sftp.Progress{
		"5 B":                                    {Done: 5, Total: -1},
		"verifying 100% 5 B/5 B":                 {Done: 5, Total: 5, Phase: sftp.PhaseCheck, Rate: 3},
		"50% 5 B/10 B+ 1/3 files 5 B/s":          {Done: 5, Total: 10, Rate: 5, Files: 1, FilesTotal: 3},
		"50% 5 B/10 B 1/3 files 5 B/s 0:01 left": {Done: 5, Total: 10, Rate: 5, Files: 1, FilesTotal: 3, Listed: true},
		"100% 20 B/10 B 5 B/s 0:00 left":         {Done: 20, Total: 10, Rate: 5},
	} {
		if got := strings.Join(parts(p), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
