package sftpserver

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// newTestConnection makes a connection of a server that nobody serves.
func newTestConnection(t *testing.T, s *Server) *Connection {
	t.Helper()
	e := &engine{Server: s, Options: s.Options, Events: s.Events, out: newOutlets(s)}
	e.lines.engine = e
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return newConnection(e, "1", a)
}

// While a handler sleeps, lines wait up to a bound, and those of packets leave
// room for others. What is lost is counted, and nothing changes its place.
func TestQueueOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.LogLevel = LogVerbose
		wake := make(chan bool)
		var got []string
		lost := 0
		s.Log = func(e *LogEvent) {
			<-wake
			got = append(got, e.Message)
		}
		s.Error = func(e *ErrorEvent) {
			l, ok := errors.AsType[*LostLinesError](e.Err)
			if ok && e.Code == 10055 {
				lost += l.Lines
			}
		}
		c := newTestConnection(t, s)
		const packets, notes = 3000, 100
		c.step("first")
		synctest.Wait() // it is in delivery
		for i := range packets {
			c.lines.push(line{conn: c, level: LogVerbose, packet: &packetLine{fields: "PACKET", sequence: uint32(i), length: 1}})
		}
		if n := len(c.lines.lines); n != maxLines*3/4 {
			t.Errorf("%d packets wait", n)
		}
		for i := range notes {
			c.step(fmt.Sprint("note ", i))
		}
		for range 2 * maxLines {
			c.engine.report(c, errors.New("error"))
		}
		if n := len(c.lines.lines); n > maxLines {
			t.Errorf("%d lines wait", n)
		}
		close(wake)
		synctest.Wait()
		if c.lines.running || c.lines.batch != nil || c.lines.octets != 0 {
			t.Error("the goroutine is there still, or holds on to something")
		}
		at, kept := 1, maxLines*3/4
		for i := range kept {
			if want := fmt.Sprintf("received %d: PACKET, 1 octets", i); got[at+i] != want {
				t.Fatalf("%d: %q, want %q", at+i, got[at+i], want)
			}
		}
		at += kept
		for i := range notes {
			if want := fmt.Sprint("note ", i); got[at+i] != want {
				t.Fatalf("%d: %q, want %q", at+i, got[at+i], want)
			}
		}
		told := maxLines - kept - notes
		if len(got) != 1+maxLines+1 || !strings.Contains(got[len(got)-1], "lines lost: code 10055") {
			t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
		}
		if want := packets - kept + 2*maxLines - told; lost != want {
			t.Errorf("%d lines lost, want %d", lost, want)
		}
	})
}

// Long lines are bounded by what they take, not by their number.
func TestQueueOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		wake := make(chan bool)
		s.Log = func(*LogEvent) { <-wake }
		c := newTestConnection(t, s)
		long := strings.Repeat("x", 1<<20)
		for range maxLines {
			c.step("long", slog.String("text", long))
		}
		c.lines.mu.Lock()
		n := c.lines.octets
		c.lines.mu.Unlock()
		if n > maxOctets || n < maxOctets/2 {
			t.Errorf("%d octets wait", n)
		}
		close(wake)
		synctest.Wait()
	})
}

// The end of a connection waits for what is queued, but not for ever, and then
// nothing more is delivered; what was not is counted.
func TestQueueEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		wake := make(chan bool)
		var got []string
		s.SSHStatus = func(e *SSHStatusEvent) {
			if e.Message == "sleep" {
				<-wake
			}
			got = append(got, e.Message)
		}
		var lost *LostLinesError
		s.Error = func(e *ErrorEvent) { lost, _ = errors.AsType[*LostLinesError](e.Err) }

		c := newTestConnection(t, s)
		for range 100 {
			c.step("quick")
		}
		c.lines.end()
		if len(got) != 100 {
			t.Errorf("%d lines before the end", len(got))
		}
		c.lines.end() // nothing to wait for
		c.step("late")
		synctest.Wait()
		if len(got) != 101 || c.lines.running {
			t.Errorf("%d lines, after the end", len(got))
		}

		c = newTestConnection(t, s)
		got = nil
		c.step("sleep")
		synctest.Wait()
		for range 10 {
			c.step("never")
		}
		begin := time.Now()
		c.lines.end()
		if d := time.Since(begin); d != endWait {
			t.Errorf("waited %v", d)
		}
		synctest.Wait()
		if lost == nil || lost.Lines != 10 {
			t.Errorf("lost %v", lost)
		}
		close(wake)
		synctest.Wait()
		if !slices.Equal(got, []string{"sleep"}) || c.lines.running {
			t.Errorf("delivered %q", got)
		}
	})
}

// A handler that leaves by runtime.Goexit, as t.Fatal does, stops nothing.
func TestQueueGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		n := 0
		s.SSHStatus = func(*SSHStatusEvent) {
			if n++; n == 2 {
				runtime.Goexit()
			}
		}
		c := newTestConnection(t, s)
		for range 5 {
			c.step("step")
		}
		c.lines.end()
		if n != 5 {
			t.Errorf("%d of 5 delivered", n)
		}
	})
}

// However many handlers panic, each is called once more at most, and no panic is
// told to who panicked.
func TestQueuePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		var calls [3]int
		s.SSHStatus = func(*SSHStatusEvent) { calls[0]++; panic("status") }
		s.Log = func(*LogEvent) { calls[1]++; panic("log") }
		s.Error = func(*ErrorEvent) { calls[2]++; panic("error") }
		logged := 0
		s.Logger = slog.New(handlerFunc(func(r slog.Record) {
			if strings.Contains(r.Message, "panicked") {
				logged++
			}
		}))
		c := newTestConnection(t, s)
		for range 10 {
			c.step("step")
			c.engine.report(c, errors.New("error"))
		}
		c.lines.end()
		if calls != [3]int{1, 1, 1} || logged != 3 {
			t.Errorf("called %v times, logged %d panics", calls, logged)
		}
		if _, err := c.nc.Write([]byte("x")); err == nil {
			t.Error("the connection is open")
		}
		// The server's own queue has no connection to end, and goes on.
		calls = [3]int{}
		for range 10 {
			c.engine.report(nil, errors.New("error"))
		}
		synctest.Wait()
		if calls != [3]int{0, 20, 10} { // Log hears of each error, and of each panic of Error
			t.Errorf("called %v times", calls)
		}
	})
}

// handlerFunc is a slog.Handler.
type handlerFunc func(slog.Record)

func (h handlerFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (h handlerFunc) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h handlerFunc) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handlerFunc) WithGroup(string) slog.Handler                 { return h }

// A Logger that panics harms its own connection only.
func TestQueueLoggerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		s.Logger = slog.New(handlerFunc(func(slog.Record) { panic("logger") }))
		var told []error
		s.Error = func(e *ErrorEvent) { told = append(told, e.Err) }
		c := newTestConnection(t, s)
		c.step("one")
		c.step("two")
		c.lines.end()
		if len(told) != 1 {
			t.Errorf("told %v", told)
		} else if p, ok := errors.AsType[*PanicError](told[0]); !ok || p.Value != "logger" {
			t.Errorf("told %v", told)
		}
	})
}

// Who listens to nothing pays for nothing: nothing is hooked in below.
func TestNobodyListens(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	for name, tt := range map[string]struct {
		set                          func(*Server)
		prepare, log, steps, packets bool
	}{
		"nothing":           {func(*Server) {}, false, false, false, false},
		"level none":        {func(s *Server) { s.LogLevel, s.Logger, s.Log = LogNone, logger, func(*LogEvent) {} }, false, false, false, false},
		"level, no handler": {func(s *Server) { s.LogLevel = LogDebug }, false, false, false, false},
		"errors":            {func(s *Server) { s.Error = func(*ErrorEvent) {} }, true, false, false, false},
		"status":            {func(s *Server) { s.SSHStatus = func(*SSHStatusEvent) {} }, true, false, true, false},
		"info":              {func(s *Server) { s.Log = func(*LogEvent) {} }, true, true, true, false},
		"verbose":           {func(s *Server) { s.LogLevel, s.Log = LogVerbose, func(*LogEvent) {} }, true, true, true, true},
		"logger wants less": {func(s *Server) { s.LogLevel, s.Logger = LogDebug, logger }, true, true, true, false},
	} {
		s := New()
		tt.set(s)
		c := newTestConnection(t, s)
		ssh, err := s.newSSH(c.engine)
		if err != nil {
			t.Fatal(err)
		}
		files, err := s.newSFTP(c.engine)
		if err != nil {
			t.Fatal(err)
		}
		var cfg ssh2.ConnConfig
		if ssh.Prepare != nil {
			if err := ssh.Prepare(withConnection(t.Context(), c), c.nc, &cfg); err != nil {
				t.Fatal(err)
			}
		}
		if (cfg.Log != nil) != tt.prepare || (ssh.Log != nil) != tt.log || (files.Log != nil) != tt.log {
			t.Errorf("%s: loggers %v, %v, %v", name, cfg.Log, ssh.Log, files.Log)
		}
		if (cfg.OnIdent != nil) != tt.steps || (cfg.OnKex != nil) != tt.steps || (cfg.PacketLog != nil) != tt.packets {
			t.Errorf("%s: steps %v, %v, packets %v", name, cfg.OnIdent != nil, cfg.OnKex != nil, cfg.PacketLog != nil)
		}
		if !tt.prepare {
			c.step("step", slog.String("key", "value"))
			c.engine.note(c, "note")
			c.engine.report(c, errors.New("error"))
			if c.lines.running || c.lines.lines != nil {
				t.Errorf("%s: a line waits", name)
			}
		}
	}
}

// Values of a line belong to it alone and have one line each.
func TestLineHandler(t *testing.T) {
	s := New()
	s.LogLevel = LogDebug
	var got []string
	s.Log = func(e *LogEvent) { got = append(got, fmt.Sprint(e.ConnectionID(), " ", e.Level, " ", e.Message)) }
	c := newTestConnection(t, s)
	log := slog.New(&lineHandler{engine: c.engine, conn: c}).With("base", 1).WithGroup("group").With("in", true)
	octets := []byte("abc")
	log.Info("message", "octets", octets, "empty", "", "none", nil, "err", errors.New("a\nb"), "remote", c.nc.RemoteAddr(), "time", 1234567*time.Nanosecond)
	log.Debug("message", slog.Group("inner", "key", "value"))
	log.Log(t.Context(), slog.LevelDebug-4, "message")
	octets[0] = 'X'
	// Without a connection it is that of the context.
	other := slog.New(&lineHandler{engine: c.engine})
	other.InfoContext(withConnection(t.Context(), c), "by context")
	c.lines.end()
	want := []string{
		`1 1 message: base 1, group.in true, group.octets [97 98 99], group.empty "", group.err "a\nb", group.remote pipe, group.time 1.235ms`,
		`1 2 message: base 1, group.in true, group.inner [key=value]`,
		`1 3 message: base 1, group.in true`,
		`1 1 by context`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// Each row of retold is of a line that ssh2 writes.
func TestRetoldRows(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	server := &ssh2.Server{HostKeys: []gossh.Signer{newHostKey(t)}}
	server.Log = slog.New(handlerFunc(func(r slog.Record) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Message] = true
	}))
	server.Auth = ssh2.ServerAuth{
		MinFailureDelay: -1,
		Password: func(_ context.Context, _ *ssh2.AuthAttempt, password string) ssh2.Verdict {
			return ssh2.Verdict{Partial: password == "good", Methods: []string{ssh2.MethodPassword, ssh2.MethodInteractive}}
		},
		Interactive: func(ctx context.Context, _ *ssh2.AuthAttempt, ask ssh2.Asker) ssh2.Verdict {
			_, err := ask(ctx, &ssh2.Challenge{Prompts: []ssh2.Prompt{{Text: "?"}}})
			return ssh2.Verdict{OK: err == nil}
		},
	}
	login := func(answer func() ([]string, error), password string) error {
		a, b := net.Pipe()
		done := make(chan bool)
		go func() { _ = server.ServeConn(t.Context(), b); close(done) }()
		c, err := ssh2.NewClient(t.Context(), a, "pipe", &ssh2.ClientConfig{
			User: "alice", HostKey: gossh.InsecureIgnoreHostKey(),
			Auth: []ssh2.AuthMethod{
				ssh2.Interactive(func(context.Context, *ssh2.Challenge) ([]string, error) { return answer() }),
				ssh2.Password(password),
			},
		})
		if err == nil {
			_ = c.Close()
		}
		<-done
		return err
	}
	if login(func() ([]string, error) { return nil, errors.New("rather not") }, "bad") == nil {
		t.Error("got in")
	}
	tries := 0
	if err := login(func() ([]string, error) {
		if tries++; tries == 1 {
			return nil, errors.New("not yet")
		}
		return []string{"yes"}, nil
	}, "good"); err != nil {
		t.Error(err)
	}
	_ = server.Close()
	if login(nil, "good") == nil {
		t.Error("a server that was closed serves")
	}
	mu.Lock()
	defer mu.Unlock()
	for text := range retold {
		if !seen[text] {
			t.Errorf("ssh2 does not write %q", text)
		}
	}
}

func newHostKey(t *testing.T) gossh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Whatever text it is given, clean returns one line that prints, and text that
// does already as it is.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", "two\nlines", "\x1b[2J", "\u202e", "\xff", strings.Repeat("x", 2*maxText)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if strings.ContainsFunc(got, func(r rune) bool { return !strconv.IsPrint(r) }) || !utf8.ValidString(got) || len(got) > 4*maxText+8 {
			t.Errorf("%q became %q", s, got)
		}
		if got != s && clean(got) != got && len(s) <= maxText/5 {
			t.Errorf("%q became %q, and that %q", s, got, clean(got))
		}
	})
}
