package sftpserver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A told is one thing that a server told of.
type told struct {
	event string // status, log, error, disconnected
	conn  string
	level sftpserver.LogLevel
	code  int
	text  string
	err   error
}

// A listener keeps what a server tells of.
type listener struct {
	mu   sync.Mutex
	cond sync.Cond
	all  []told
}

func (l *listener) add(t told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, t)
	l.cond.Broadcast()
}

// listen sets the events that the tests below are about.
func listen(s *sftpserver.Server) *listener {
	l := new(listener)
	l.cond.L = &l.mu
	s.SSHStatus = func(e *sftpserver.SSHStatusEvent) {
		l.add(told{event: "status", conn: e.ConnectionID(), text: e.Message})
	}
	s.Log = func(e *sftpserver.LogEvent) {
		l.add(told{event: "log", conn: e.ConnectionID(), level: e.Level, text: e.Message + e.Type})
	}
	s.Error = func(e *sftpserver.ErrorEvent) {
		l.add(told{event: "error", conn: e.ConnectionID(), code: e.Code, text: e.Description, err: e.Err})
	}
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) {
		l.add(told{event: "disconnected", conn: e.ConnectionID(), code: e.StatusCode, text: e.Description, err: e.Err})
	}
	return l
}

// wait waits until something was told, and returns everything until then.
func (l *listener) wait(tb testing.TB, what func(told) bool) []told {
	tb.Helper()
	late := time.AfterFunc(10*time.Second, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, told{event: "too late"})
		l.cond.Broadcast()
	})
	defer late.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for i, t := range l.all {
			if what(t) {
				return slices.Clone(l.all[:i+1])
			}
			if t.event == "too late" {
				tb.Fatalf("was never told; only: %v", l.all)
			}
		}
		l.cond.Wait()
	}
}

// end waits for the end of the connection of that id.
func (l *listener) end(tb testing.TB, id string) []told {
	tb.Helper()
	return l.wait(tb, func(t told) bool { return t.event == "disconnected" && t.conn == id })
}

// of picks what one event told.
func of(event string, all []told) (texts []string) {
	for _, t := range all {
		if t.event == event {
			texts = append(texts, t.text)
		}
	}
	return texts
}

// What each of the three events has in its fields.
func TestReportFields(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	begin := time.Now()
	over := make(chan bool)
	var status, log, errs int
	// One at a time, so without locks.
	s.SSHStatus = func(e *sftpserver.SSHStatusEvent) {
		if status++; e.ConnectionID() != "1" || e.Conn.ID() != "1" || e.Message == "" || e.Time.Before(begin) || time.Now().Before(e.Time) {
			t.Errorf("status %+v", e)
		}
	}
	s.Log = func(e *sftpserver.LogEvent) {
		if log++; e.ConnectionID() != "1" || e.Level != sftpserver.LogInfo || e.Message == "" || e.Type != "" || e.Time.Before(begin) {
			t.Errorf("log %+v", e)
		}
	}
	s.Error = func(e *sftpserver.ErrorEvent) {
		if errs++; e.ConnectionID() != "1" || e.Code != sftpserver.ErrorCode(e.Err) || e.Code != 1300 || e.Description != e.Err.Error() || e.Time.Before(begin) {
			t.Errorf("error %+v", e)
		}
	}
	s.Disconnected = func(*sftpserver.DisconnectedEvent) { close(over) }
	start(t, s)
	_, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("wrong")}, HostKey: gossh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		t.Fatal("got in")
	}
	<-over
	if status < 4 || log <= status || errs != 1 {
		t.Errorf("%d steps, %d lines, %d errors", status, log, errs)
	}
}

// What SSHStatus tells of a connection from its first step to its last, and
// that all of it comes before Disconnected.
func TestSSHStatus(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	s.LogLevel = sftpserver.LogNone
	l := listen(s)
	start(t, s)
	c := connect(t, s)
	if err := s.ExchangeKeys(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stat(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	if err := s.Disconnect("1"); err != nil {
		t.Fatal(err)
	}
	all := l.end(t, "1")
	got := of("status", all)
	want := [][]string{
		{"connected: remote 127.0.0.1:"},
		{"ident received: ident SSH-2.0-" + ssh2.Version},
		{"keys exchanged: number 1, reason first, kex ", ", hostkey ssh-ed25519, cipher-in ", ", compression-in none, cipher-out ", ", strict true, time "},
		{"authentication success: user alice, method password, "},
		{"subsystem opened: name sftp"},
		{"keys exchanged again: number 2, reason call, kex "},
		{"disconnected: user alice, in ", ", out ", ", time ", ", reason "},
	}
	if len(got) != len(want) {
		t.Fatalf("%d steps, want %d: %q", len(got), len(want), got)
	}
	for i, parts := range want {
		rest, ok := strings.CutPrefix(got[i], parts[0])
		for _, p := range parts[1:] {
			var found bool
			_, rest, found = strings.Cut(rest, p)
			ok = ok && found
		}
		if !ok {
			t.Errorf("step %d is %q, want %q", i, got[i], parts)
		}
	}
	for _, told := range all {
		if told.conn != "1" || told.event == "log" || told.event == "error" {
			t.Errorf("told %+v", told)
		}
	}
}

// Each level has what the one before it has and something besides, and each
// line is one line.
func TestLogLevels(t *testing.T) {
	content := bytes.Repeat([]byte("content! "), 5000)
	for level := sftpserver.LogNone; level <= sftpserver.LogDebug; level++ {
		t.Run(strconv.Itoa(int(level)), func(t *testing.T) {
			s := sftpserver.New()
			s.RootDirectory, s.LogLevel = t.TempDir(), level
			l := listen(s)
			start(t, s)
			c := connect(t, s)
			if _, err := c.Put(t.Context(), "/file", bytes.NewReader(content), sftp.TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			_ = s.Disconnect("1")
			seen := map[sftpserver.LogLevel]int{}
			all := l.end(t, "1")
			for _, line := range all {
				if line.event != "log" {
					continue
				}
				seen[line.level]++
				if strings.ContainsAny(line.text, "\n\r\x1b") || line.text == "" {
					t.Errorf("not one line: %q", line.text)
				}
				if strings.Contains(line.text, "content!") && line.level != sftpserver.LogDebug {
					t.Errorf("content of a file at level %d: %q", line.level, line.text)
				}
			}
			for i := sftpserver.LogInfo; i <= sftpserver.LogDebug; i++ {
				if (seen[i] > 0) != (i <= level) || seen[sftpserver.LogNone] > 0 {
					t.Errorf("%d lines of level %d: %v", seen[i], i, all)
				}
			}
			for text, at := range map[string]sftpserver.LogLevel{
				"authentication success: user alice, method password":                 1,
				"keys exchanged: number 1":                                            1,
				"sftp session ended: ":                                                1,
				"file uploaded: user alice, path /file, octets 45000, complete true":  1,
				"received 0: KEXINIT ":                                                2,
				"sent 2: NEWKEYS, 1 octets":                                           2,
				"USERAUTH_REQUEST \"alice\" \"ssh-connection\" \"password\" (secret)": 2,
				"CHANNEL_DATA 0, ":                                                    2,
				"sftp open: user alice, path /file":                                   2,
				"connection ended: user alice":                                        2,
				"0000  050000000c7373682d7573657261757468                                .....ssh-userauth": 3,
				"tent! content! content! content!":                                                 3,
				fmt.Sprintf("%04x  (", sftpserver.DumpLimit):                                       3,
				"0020  70617373776f7264                                                  password": 3,
				"0028  (not shown)": 3,
			} {
				found := slices.ContainsFunc(all, func(x told) bool {
					return x.event == "log" && strings.Contains(x.text, text) && x.level == at
				})
				if found != (at <= level) {
					t.Errorf("%q is there: %v", text, found)
				}
			}
			for _, line := range of("log", all) {
				if at, _, dump := strings.Cut(line, "  "); dump && len(at) == 4 {
					if n, err := strconv.ParseUint(at, 16, 16); err == nil && n > sftpserver.DumpLimit {
						t.Errorf("more than %d octets are shown: %q", sftpserver.DumpLimit, line)
					}
				}
			}
		})
	}
}

// scratch is a log of slog, in JSON.
type scratch struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *scratch) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(p)
}

func (s *scratch) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
}

func (s *scratch) records(t *testing.T) (out []map[string]any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for text := range strings.SplitSeq(strings.TrimSpace(s.String()), "\n") {
		var r map[string]any
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// leaks returns the forms of a secret that text has.
func leaks(text, secret string) (forms []string) {
	hexed := hex.EncodeToString([]byte(secret))
	search := map[string]string{"text": secret, "hex": hexed, "HEX": strings.ToUpper(hexed), "quoted": strings.Trim(strconv.QuoteToASCII(secret), `"`)}
	for shift := range 3 { // where Base64 of something longer may have it
		b := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		search[fmt.Sprint("base64 ", shift)] = b[(8*shift+5)/6 : len(b)-2]
	}
	for form, s := range search {
		if strings.Contains(text, s) {
			forms = append(forms, form)
		}
	}
	slices.Sort(forms)
	return forms
}

// everything returns all that was told as one text, and the octets that dumps
// show as another.
func everything(all []told) string {
	var text, octets, chars strings.Builder
	for _, x := range all {
		text.WriteString(x.text)
		text.WriteByte('\n')
		if f := strings.SplitN(x.text, "  ", 3); x.level == sftpserver.LogDebug && len(f) == 3 {
			octets.WriteString(strings.TrimSpace(f[1]))
			chars.WriteString(strings.TrimLeft(f[2], " "))
		}
	}
	return text.String() + octets.String() + "\n" + chars.String()
}

// No secret of a client is in anything that is reported, whatever the level, and
// with LogSecrets only in the octets.
func TestCVE_9_1_LogMasksSecrets(t *testing.T) {
	const (
		password = "correct-horse-battery-staple-0123456789-and-more"
		wrong    = "Tr0ub4dor&3-which-is-wrong"
		cookie   = "d00dfeedd00dfeedd00dfeedd00dfeed"
		variable = "token-of-the-environment"
		answer   = "answer-that-only-alice-knows"
	)
	secrets := []string{password, wrong, cookie, variable, answer}
	for _, tt := range []struct {
		level sftpserver.LogLevel
		show  bool
		want  bool
	}{
		{sftpserver.LogInfo, false, false},
		{sftpserver.LogVerbose, false, false},
		{sftpserver.LogDebug, false, false},
		{sftpserver.LogInfo, true, false},
		{sftpserver.LogVerbose, true, false},
		{sftpserver.LogDebug, true, true},
	} {
		t.Run(fmt.Sprint(tt.level, tt.show), func(t *testing.T) {
			var out scratch
			s := sftpserver.New()
			s.RootDirectory, s.LogLevel, s.LogSecrets, s.Logger = t.TempDir(), tt.level, tt.show, out.logger()
			l := listen(s)
			s.AuthMethods = []string{ssh2.MethodPassword, ssh2.MethodInteractive}
			s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "Name of the pet: "}}
			s.UserAuth = func(e *sftpserver.UserAuthEvent) {
				switch e.Method {
				case "password":
					if e.PartialSuccess = e.Param == password; e.PartialSuccess {
						e.AvailableMethods = []string{ssh2.MethodInteractive}
					}
				case "keyboard-interactive-1":
					e.Accept = e.Param == answer
				case "keyboard-interactive":
					e.Accept = true
				}
			}
			start(t, s)
			tries := []string{wrong, password}
			c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
				User: "alice", HostKey: gossh.InsecureIgnoreHostKey(),
				Auth: []ssh2.AuthMethod{ssh2.PasswordFunc(func(context.Context, *ssh2.PasswordPrompt) (string, error) {
					p := tries[0]
					tries = tries[1:]
					return p, nil
				}), ssh2.Interactive(func(_ context.Context, c *ssh2.Challenge) ([]string, error) {
					if len(tries) > 0 {
						return nil, errors.New("not before the password")
					}
					return []string{answer}, nil
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ch, err := c.Open(t.Context(), "session", nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = ch.Request(t.Context(), "env", true, wire.Append(nil, &msg.Env{Name: "LC_TOKEN", Value: variable}))
			_ = ch.Request(t.Context(), "x11-req", true, wire.Append(nil, &msg.X11Req{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: cookie}))
			_ = s.Disconnect("1")
			told := l.end(t, "1")
			if !slices.ContainsFunc(of("status", told), func(s string) bool { return strings.Contains(s, "passed password,keyboard-interactive") }) {
				t.Errorf("no step names both methods: %q", of("status", told))
			}
			all := everything(told)
			logged := out.String()
			for _, secret := range secrets {
				shown := leaks(all, secret)
				if got := leaks(logged, secret); (len(got) > 0) != tt.want {
					t.Errorf("%s is in Logger as %q", secret, got)
				}
				if (len(shown) > 0) != tt.want {
					t.Errorf("%s was told as %q", secret, shown)
				}
			}
			// Nor how long a password is.
			for line := range strings.SplitSeq(all, "\n") {
				if strings.Contains(line, `"password" (secret)`) && strings.Contains(line, "octets") && !tt.show {
					t.Errorf("the length is told: %q", line)
				}
			}
		})
	}
}

// Records of Logger have their level and say whose they are, those that ssh2
// and sftp write by themselves too.
func TestLoggerRecords(t *testing.T) {
	var out scratch
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel, s.Logger = t.TempDir(), sftpserver.LogDebug, out.logger()
	l := listen(s)
	start(t, s)
	c := connect(t, s)
	if _, err := c.Put(t.Context(), "/f", strings.NewReader("x"), sftp.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	_ = s.Disconnect("1")
	l.end(t, "1")
	want := map[string]map[string]string{ // by message
		"keys exchanged":         {"level": "INFO", "number": "1", "strict": "true"},
		"authentication success": {"level": "INFO", "user": "alice", "method": "password"},
		"sftp session ended":     {"level": "INFO", "user": "alice", "version": "3"},
		"file uploaded":          {"level": "INFO", "user": "alice", "path": "/f", "octets": "1", "complete": "true"},
		"sftp open":              {"level": "DEBUG", "user": "alice", "path": "/f"},
		"connection ended":       {"level": "DEBUG", "user": "alice"},
		"packet":                 {"level": "DEBUG"},
		"octets":                 {"level": "DEBUG-4"},
		"disconnected":           {"level": "INFO", "user": "alice"},
	}
	for _, r := range out.records(t) {
		if r["connection"] != "1" || !strings.HasPrefix(fmt.Sprint(r["remote"]), "127.0.0.1:") {
			t.Errorf("whose is %v?", r)
		}
		attrs := want[fmt.Sprint(r["msg"])]
		for k, v := range attrs {
			if got := fmt.Sprint(r[k]); got != v {
				t.Errorf("%s: %s is %q, want %q", r["msg"], k, got, v)
			}
		}
		delete(want, fmt.Sprint(r["msg"]))
	}
	for m := range want {
		t.Errorf("no record %q", m)
	}
}

// A Logger that wants less gets less, and no packet is looked at for it.
func TestLoggerLevel(t *testing.T) {
	var out scratch
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel = t.TempDir(), sftpserver.LogDebug
	s.Logger = slog.New(slog.NewJSONHandler(&out, nil))
	l := listen(s)
	s.Log = nil
	start(t, s)
	connect(t, s)
	_ = s.Disconnect("1")
	l.end(t, "1")
	for _, r := range out.records(t) {
		if r["level"] != "INFO" {
			t.Errorf("record %v", r)
		}
	}
}

// Text of the client cannot break out of its line.
func TestCVE_9_1_LogQuotesTheClient(t *testing.T) {
	var out scratch
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel, s.Logger = t.TempDir(), sftpserver.LogDebug, out.logger()
	l := listen(s)
	start(t, s)
	c := dial(t, s)
	const evil = "sftp\nauthentication success\x1b[2J\u202e"
	if _, err := c.Subsystem(t.Context(), evil); err == nil {
		t.Error("the subsystem was opened")
	}
	_ = c.Disconnect(ssh2.DisconnectByApplication, evil)
	all := l.end(t, "1")
	seen := false
	for _, x := range all {
		seen = seen || strings.Contains(x.text, `session refused: kind subsystem, subsystem "sftp\nauthentication`)
		if strings.ContainsAny(x.text, "\n\x1b\u202e") {
			t.Errorf("%s: %q", x.event, x.text)
		}
	}
	if !seen {
		t.Errorf("the refusal was not told: %q", of("status", all))
	}
}

// A login that fails is an error, once its client has gone; one that succeeds in
// the end is none.
func TestErrorLogin(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	l := listen(s)
	start(t, s)
	login := func(passwords ...string) error {
		c, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			User: "alice", HostKey: gossh.InsecureIgnoreHostKey(),
			Auth: []ssh2.AuthMethod{ssh2.PasswordFunc(func(context.Context, *ssh2.PasswordPrompt) (string, error) {
				if len(passwords) == 0 {
					return "", errors.New("no more")
				}
				p := passwords[0]
				passwords = passwords[1:]
				return p, nil
			})},
		})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if login("wrong", "wrong again") == nil {
		t.Fatal("got in")
	}
	all := l.end(t, "1")
	i := slices.IndexFunc(all, func(x told) bool { return x.event == "error" })
	if i < 0 || len(of("error", all)) != 1 || all[i].code != 1300 || all[i].conn != "1" || sftpserver.ErrorCode(all[i].err) != 1300 {
		t.Errorf("told %v", all)
	}
	if n := strings.Count(strings.Join(of("status", all), "\n"), "authentication failure: user alice, method password"); n != 2 {
		t.Errorf("%d failures among %q", n, of("status", all))
	}
	if s := strings.Join(of("status", all), "\n"); !strings.Contains(s, `ssh2: authentication: "alice" not accepted`) {
		t.Errorf("the last step does not say why: %s", s)
	}
	if err := login("wrong", "secret"); err != nil {
		t.Fatal(err)
	}
	for _, x := range l.end(t, "2") {
		if x.event == "error" && x.conn == "2" {
			t.Errorf("told %v", x)
		}
	}
	// Who connects and leaves has not failed to log in.
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.Close()
	for _, x := range l.end(t, "3") {
		if x.event == "error" && x.conn == "3" {
			t.Errorf("told %v", x)
		}
	}
}

// A client that breaks the protocol, a handler that panics and a listener that
// fails are errors that nobody else is told of.
func TestErrorConditions(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory, s.UserAuth = t.TempDir(), func(*sftpserver.UserAuthEvent) { panic("no\nmore") }
	l := listen(s)
	start(t, s)
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = nc.Write([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x0aGET / HTTP/1.1"))
	all := l.end(t, "1")
	var bad *ssh2.ProtocolError
	if i := slices.IndexFunc(all, func(x told) bool { return x.event == "error" }); i < 0 || !errors.As(all[i].err, &bad) {
		t.Errorf("told %v", all)
	}
	_, err = ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		t.Fatal("got in")
	}
	all = l.end(t, "2")
	var p *sftpserver.PanicError
	i := slices.IndexFunc(all, func(x told) bool { return x.event == "error" && x.conn == "2" })
	if i < 0 || !errors.As(all[i].err, &p) || strings.Contains(all[i].text, "\n") {
		t.Errorf("told %v", all)
	}
	if n := slices.IndexFunc(all[i+1:], func(x told) bool { return x.event == "error" && x.conn == "2" }); n >= 0 {
		t.Errorf("told twice: %v", all)
	}
	if end := all[len(all)-1]; !errors.As(end.err, &p) {
		t.Errorf("Disconnected was told %v", end)
	}
}

// faulty is a listener that cannot accept at first.
type faulty struct {
	net.Listener
	mu   sync.Mutex
	errs []error
}

func (f *faulty) Accept() (net.Conn, error) {
	f.mu.Lock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		f.mu.Unlock()
		return nil, err
	}
	f.mu.Unlock()
	return f.Listener.Accept()
}

// Errors of no connection go through the server's own queue, whatever the handler
// does, and when the server has been closed too.
func TestErrorAccept(t *testing.T) {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var out scratch
	s := sftpserver.New()
	s.RootDirectory, s.HostKeys, s.UserAuth = t.TempDir(), []gossh.Signer{newKey(t)}, accept
	s.Logger = out.logger()
	l := listen(s)
	told := s.Error
	n := 0
	s.Error = func(e *sftpserver.ErrorEvent) {
		told(e)
		if n++; n == 1 {
			panic("first")
		}
	}
	if err := s.Serve(&faulty{Listener: nl, errs: []error{errors.New("first"), errors.New("second\x1b")}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := l.wait(t, second)
	for i, x := range all {
		if x.conn != "" || x.event == "error" && (!strings.Contains(x.text, "accept") || strings.Contains(x.text, "\x1b")) {
			t.Errorf("%d: told %+v", i, x)
		}
	}
	connect(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l.end(t, "1")
	if got := out.String(); !strings.Contains(got, "a handler panicked: first") {
		t.Errorf("the panic is not in the log: %s", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func second(x told) bool { return x.event == "error" && strings.Contains(x.text, "second") }

// At the level that servers run at, operators see what became of files: which came and went,
// and which were changed. What a client calls a file cannot pass for more of the line.
func TestLogTrailOfFiles(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel = t.TempDir(), sftpserver.LogInfo
	l := listen(s)
	start(t, s)
	c := connect(t, s)
	const forged = "/f, octets 9, complete true"
	for _, err := range []error{
		errOf(c.Put(t.Context(), forged, strings.NewReader("abc"), sftp.TransferOptions{})),
		errOf(c.Get(t.Context(), forged, io.Discard, sftp.TransferOptions{})),
		c.Rename(t.Context(), forged, "/g", 0), c.Mkdir(t.Context(), "/d", nil), c.Rmdir(t.Context(), "/d"), c.Remove(t.Context(), "/g"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Disconnect("1")
	got := strings.Join(of("log", l.end(t, "1")), "\n")
	for _, want := range []string{
		`file uploaded: user alice, path "/f, octets 9, complete true", octets 3, complete true`,
		`file downloaded: user alice, path "/f, octets 9, complete true", octets 3`,
		`file renamed: user alice, from "/f, octets 9, complete true", to /g`,
		"directory made: user alice, path /d", "directory removed: user alice, path /d", "file removed: user alice, path /g",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in:\n%s", want, got)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

// A client that says goodbye, as OpenSSH does, has left like one that closes; other reasons are told.
func TestLogClientLeft(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory, s.LogLevel = t.TempDir(), sftpserver.LogInfo
	l := listen(s)
	start(t, s)
	for i, tt := range []struct {
		why  ssh2.DisconnectReason
		want string
	}{
		{ssh2.DisconnectByApplication, "reason the client left"},
		{ssh2.DisconnectMACError, `reason ssh2: disconnected by peer: reason 5: "bye"`},
	} {
		_ = dial(t, s).Disconnect(tt.why, "bye")
		if got := of("log", l.end(t, strconv.Itoa(i+1))); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], tt.want) {
			t.Errorf("reason %d: %q", tt.why, got)
		}
	}
}

// TestEmbeddingLog runs the log of docs/embedding.md.
func TestEmbeddingLog(t *testing.T) {
	var out scratch
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	logToFile(s, &out)
	l := listen(s)
	start(t, s)
	c := connect(t, s)
	_, err := c.Put(t.Context(), "/report.csv", strings.NewReader("x"), sftp.TransferOptions{})
	if err = errors.Join(err, c.Rename(t.Context(), "/report.csv", "/done.csv", 0)); err != nil {
		t.Fatal(err)
	}
	_ = s.Disconnect("1")
	l.end(t, "1")
	want := []string{
		`^\{"time":"[^"]+","level":"INFO","msg":"file uploaded","connection":"1","remote":"127.0.0.1:\d+","user":"alice","path":"/report.csv","octets":1,"complete":true\}$`,
		`^\{"time":"[^"]+","level":"INFO","msg":"file renamed","connection":"1","remote":"127.0.0.1:\d+","user":"alice","from":"/report.csv","to":"/done.csv"\}$`,
	}
	for _, re := range want {
		if !regexp.MustCompile("(?m)" + re).MatchString(out.String()) {
			t.Errorf("no line %s in:\n%s", re, out.String())
		}
	}
}
