package interop

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

var updateGolden = flag.Bool("update", false, "write the golden files of TestEvents anew")

// eventRow is one event of the component, and what clients do to have it fired.
type eventRow struct {
	name  string // of the event, and what is done to it
	steps func(dir string) []step
	verb  verb // which not all clients have
	set   func(*sftpserver.Server)
	// password logs in by password instead of a key; wrong by a wrong one.
	password, wrong bool
	fails           bool // the client is to report a failure
}

// local returns the name of a file with n octets of sample, to be sent.
func local(dir string, n int) string {
	name := filepath.Join(dir, "local")
	if err := os.WriteFile(name, sample(n), 0o600); err != nil {
		panic(err) // the test's own directory
	}
	return name
}

// veto refuses in the before phase.
func veto(e *sftpserver.FileEvent, before bool) {
	if before {
		e.Status, e.Message = sftp.CodePermissionDenied, "not today"
	}
}

func put(dir string) []step {
	return []step{{Verb: vPut, Local: local(dir, 1000), Remote: "/new"}}
}

func list(string) []step { return []step{{Verb: vList, Remote: "/"}} }

// eventRows are the events in the order of the struct.
var eventRows = []eventRow{
	{name: "ConnectionRequest", steps: list},
	{name: "ConnectionRequest refused", steps: list, fails: true, set: func(s *sftpserver.Server) { s.BlockedClients = []string{"127.0.0.0/8"} }},
	{name: "Connected", steps: list},
	{name: "Disconnected", steps: list},
	{name: "UserAuth", steps: list},
	{name: "UserAuth password", steps: list, password: true},
	{name: "UserAuth sigstatus", steps: list, set: func(s *sftpserver.Server) { s.FireAuthRequestAfterSig = true }},
	{name: "DirCreate", steps: func(string) []step { return []step{{Verb: vMkdir, Remote: "/dir"}} }},
	{name: "DirCreate vetoed", fails: true, steps: func(string) []step { return []step{{Verb: vMkdir, Remote: "/dir"}} }},
	{name: "DirList", steps: list},
	{name: "DirRemove", steps: func(string) []step { return []step{{Verb: vMkdir, Remote: "/dir"}, {Verb: vRmdir, Remote: "/dir"}} }},
	{name: "FileOpen", steps: put},
	{name: "FileOpen vetoed", steps: put, fails: true},
	{name: "FileRead", steps: func(dir string) []step {
		return []step{{Verb: vGet, Remote: "/old", Local: filepath.Join(dir, "got")}}
	}},
	{name: "FileWrite", steps: put},
	{name: "FileClose", steps: put},
	{name: "FileRemove", steps: func(string) []step { return []step{{Verb: vRemove, Remote: "/old"}} }},
	{name: "FileRemove vetoed", fails: true, steps: func(string) []step { return []step{{Verb: vRemove, Remote: "/old"}} }},
	{name: "FileRename", steps: func(string) []step { return []step{{Verb: vRename, Remote: "/old", To: "/moved"}} }},
	{name: "LinkCreate", verb: vSymlink, steps: func(string) []step { return []step{{Verb: vSymlink, Remote: "/link", To: "old"}} }},
	{name: "GetAttributes", steps: func(dir string) []step {
		return []step{{Verb: vGet, Remote: "/old", Local: filepath.Join(dir, "got")}}
	}},
	{name: "SetAttributes", steps: func(string) []step { return []step{{Verb: vChmod, Remote: "/old", Mode: 0o640}} }},
	{name: "ResolvePath", steps: list},
	{name: "SSHStatus", steps: list},
	{name: "Log", steps: list},
	{name: "Error", steps: list, wrong: true, fails: true},
}

// eventClients drive each event.
var eventClients = []*client{opensshSFTP, asyncssh, puttyPSFTP}

// TestEvents has three foreign clients fire each event of the component, and compares all events of the connection,
// with their parameters, with a golden file for each (go test -run TestEvents -update writes them).
func TestEvents(t *testing.T) {
	covered := map[string]bool{}
	for _, row := range eventRows {
		event, kind, _ := strings.Cut(row.name, " ")
		covered[event] = true
		t.Run(row.name, func(t *testing.T) {
			for _, c := range eventClients {
				if why := c.reason("", needs(row)...); why != "" {
					t.Logf("%s: not applicable: %s", c.name, why)
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					version, err := c.find()
					if err != nil {
						missingPeer(t, c.name, err)
					}
					rec := &recorder{event: event, over: make(chan struct{})}
					s, addr := eventServer(t, rec, row, kind == "vetoed")
					j := eventJob(t, addr, row)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err = c.run(ctx, j)
					if (err != nil) != row.fails {
						t.Errorf("the client: %v", err)
					}
					rec.wait(ctx, t)
					if err := s.Shutdown(ctx); err != nil {
						t.Error(err)
					}
					golden(t, filepath.Join("testdata", "events", strings.ReplaceAll(row.name, " ", "_")+"."+strings.ReplaceAll(c.name, " ", "_")+".golden"), version, rec.text())
				})
			}
		})
	}
	for f := range fields(reflect.TypeFor[sftpserver.Events]()) {
		if !covered[f.Name] && uncovered[f.Name] == "" {
			t.Errorf("no client fires the event %s", f.Name)
		}
	}
}

// uncovered are the events that none of the clients can be made to fire, with the reason.
var uncovered = map[string]string{
	"LinkRead": "their commands resolve links by listing and REALPATH",
	"Extended": "they send what sftp knows itself",
}

// needs are the verbs of a row.
func needs(row eventRow) (verbs []verb) {
	if row.verb != "" {
		verbs = append(verbs, row.verb)
	}
	return verbs
}

// eventServer starts the component with a handler for every event that records it.
func eventServer(t *testing.T, rec *recorder, row eventRow, vetoed bool) (*sftpserver.Server, *net.TCPAddr) {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "old"), sample(1000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "old"), 0o644); err != nil { // whatever the umask
		t.Fatal(err)
	}
	keys := keysOf(t)
	s := sftpserver.New()
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	s.RootDirectory = root
	for _, file := range keys.hostKeyFiles[:1] {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key, err := gossh.ParsePrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		s.HostKeys = append(s.HostKeys, key)
	}
	if row.set != nil {
		row.set(s)
	}
	user := string(keys.user.PublicKey().Marshal())
	handlers := reflect.ValueOf(&s.Events).Elem()
	for f := range fields(handlers.Type()) {
		handlers.FieldByIndex(f.Index).Set(reflect.MakeFunc(f.Type, func(args []reflect.Value) []reflect.Value {
			switch e := args[0].Interface().(type) {
			case *sftpserver.UserAuthEvent:
				e.Accept = e.Method == "publickey" && e.Param == user || e.Method == "sigstatus" && e.Param == "1" ||
					e.Method == "password" && ssh2.CheckPassword(keys.password, e.Param)
			case *sftpserver.DirCreateEvent:
				if vetoed && f.Name == rec.event {
					veto(&e.FileEvent, e.Before)
				}
			case *sftpserver.FileOpenEvent:
				if vetoed && f.Name == rec.event {
					veto(&e.FileEvent, e.Before)
				}
			case *sftpserver.FileRemoveEvent:
				if vetoed && f.Name == rec.event {
					veto(&e.FileEvent, e.Before)
				}
			}
			rec.add(f.Name, args[0].Elem())
			return nil
		}))
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rec.secret = keys.password
	return s, s.Addr().(*net.TCPAddr)
}

func eventJob(t *testing.T, addr *net.TCPAddr, row eventRow) job {
	t.Helper()
	keys := keysOf(t)
	dir := t.TempDir()
	known := filepath.Join(dir, "known_hosts")
	if err := keys.knownHosts(known, "127.0.0.1", addr.Port); err != nil {
		t.Fatal(err)
	}
	j := job{
		Host: "127.0.0.1", Port: addr.Port, User: userName, KnownHosts: known, HostKeys: keys.hostKeyLines(), Steps: row.steps(dir),
	}
	switch {
	case row.wrong:
		j.Password = "wrong"
	case row.password:
		j.Password = keys.password
	default:
		j.Key, j.PPK = keys.userKey, keys.userPPK
	}
	return j
}

// A recorder writes events down as lines.
type recorder struct {
	event  string
	secret string
	mu     sync.Mutex
	lines  []string
	over   chan struct{} // closed by the last event
}

// chatty events are recorded in their own tests only, and nothing else is there: they come by a queue of their own,
// so their order among the others may vary.
var chatty = []string{"SSHStatus", "Log", "Error"}

func (r *recorder) add(name string, event reflect.Value) {
	if slices.Contains(chatty, name) && name != r.event {
		return
	}
	var b strings.Builder
	b.WriteString(name)
	r.fields(&b, event)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(chatty, r.event) || name == r.event {
		r.lines = append(r.lines, b.String())
	}
	if name == "Disconnected" || name == "ConnectionRequest" && !event.FieldByName("Accept").Bool() {
		close(r.over) // there is one connection
	}
}

// wait waits for the last event: clients leave before the server has noticed.
func (r *recorder) wait(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-r.over:
	case <-ctx.Done():
		t.Error("the connection does not end")
	}
}

// fields prints the exported fields that are not zero.
func (r *recorder) fields(b *strings.Builder, v reflect.Value) {
	for f := range fields(v.Type()) {
		field := v.FieldByIndex(f.Index)
		switch x := field.Interface().(type) {
		case sftpserver.Event:
			if x.Conn != nil {
				fmt.Fprintf(b, " id=%s", x.ConnectionID())
			}
			continue
		case sftpserver.FileEvent:
			r.fields(b, field)
			continue
		case sftp.Attrs:
			if x.Valid != 0 || x.Type() != sftp.TypeNone {
				fmt.Fprintf(b, " %s={%s}", f.Name, attrsText(&x))
			}
			continue
		case []byte:
			fmt.Fprintf(b, " %s=%d:%x", f.Name, len(x), sha256.Sum256(x))
			continue
		case sftp.OpenHow:
			fmt.Fprintf(b, " %s={access=%#x disposition=%d flags=%#x}", f.Name, uint32(x.Access), x.Disposition, uint32(x.Flags))
			continue
		}
		switch {
		case f.Name == "Time":
		case f.Name == "Port":
			b.WriteString(" Port=#")
		case f.Name == "Param" && len(field.String()) > 40:
			fmt.Fprintf(b, " Param=(key)")
		case f.Type.Kind() == reflect.Func || field.IsZero():
		case f.Type.Kind() == reflect.String:
			fmt.Fprintf(b, " %s=%q", f.Name, field.String())
		case f.Type.Kind() == reflect.Pointer || f.Type.Kind() == reflect.Interface:
			fmt.Fprintf(b, " %s=set", f.Name)
		default:
			fmt.Fprintf(b, " %s=%v", f.Name, field.Interface())
		}
	}
}

// attrsText prints what does not depend on who runs the test when.
func attrsText(a *sftp.Attrs) string {
	words := []string{"type=" + fmt.Sprint(a.Type())}
	size := fmt.Sprint("size=", a.Size)
	if a.IsDir() {
		size = "size" // the file system's business
	}
	for _, w := range []struct {
		mask sftp.AttrMask
		text string
	}{
		{sftp.AttrSize, size},
		{sftp.AttrMode, fmt.Sprintf("mode=%#o", a.Mode)},
		{sftp.AttrUIDGID, "uid gid"},
		{sftp.AttrOwnerGroup, "owner group"},
		{sftp.AttrAtime, "atime"},
		{sftp.AttrMtime, "mtime"},
		{sftp.AttrCtime, "ctime"},
		{sftp.AttrBirth, "birth"},
	} {
		if a.Has(w.mask) {
			words = append(words, w.text)
		}
	}
	return strings.Join(words, " ")
}

// moving is what differs from run to run, or from one version of a client to the next.
var moving = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]+`), "127.0.0.1:#"},
	{regexp.MustCompile(`\[[0-9a-f:.]+\]:[0-9]+`), "[addr]:#"},
	{regexp.MustCompile(`SSH-2\.0-(OpenSSH|AsyncSSH|PuTTY)[^ ",\\]*( [^ ",\\]+)?`), "SSH-2.0-$1"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "SHA256:#"},
	{regexp.MustCompile(`(tried .*?): (EOF|read [^"]*)"`), `$1: #"`}, // how a client leaves
	{regexp.MustCompile(`, error ssh2: channel: closed`), ""},        // whether the session or the connection ends first
	{regexp.MustCompile(`(keys exchanged:).*?( time [^"]*)?"`), `$1 #"`},
	{regexp.MustCompile(`\b(time|in|out) [0-9.]+(µs|ms|s)?`), "$1 #"},
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	ended := false // READs past the end: how many a client has under way depends on its speed
	for _, line := range r.lines {
		if strings.HasPrefix(line, "FileRead ") && strings.Contains(line, "end of file") {
			if ended {
				continue
			}
			ended = true
			line = regexp.MustCompile(` Offset=[0-9]+`).ReplaceAllString(line, " Offset=#")
		}
		lines = append(lines, line)
	}
	text := strings.Join(lines, "\n") + "\n"
	for _, m := range moving {
		text = m.what.ReplaceAllString(text, m.with)
	}
	if r.secret != "" {
		text = strings.ReplaceAll(text, r.secret, "(password)")
	}
	return text
}

// golden compares got with a file, or writes it. Another version of the client may ask for other things: it is
// compared with the one that the file was written for only.
func golden(t *testing.T, file, version, got string) {
	t.Helper()
	head := "# " + version + "\n"
	if *updateGolden {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(head+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	old, text, _ := strings.Cut(string(want), "\n")
	if old+"\n" != head && os.Getenv("FAIRLEAD_REQUIRE_PEERS") != "1" {
		t.Skipf("%s is of %s, here is %s", file, old, version)
	}
	if text != got {
		t.Errorf("%s, here %s: the events were\n%s\nwant\n%s", old, version, got, text)
	}
}

// fields are the exported fields of a struct, embedded ones as one.
func fields(typ reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for f := range typ.Fields() {
			if f.IsExported() && !yield(f) {
				return
			}
		}
	}
}
