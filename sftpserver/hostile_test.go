package sftpserver_test

import (
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestCVE_2_26_UserNamesJoined: handlers join names, after which no ".." is left to be found.
func TestCVE_2_26_UserNamesJoined(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*sftpserver.UserAuthEvent){
		"home": func(e *sftpserver.UserAuthEvent) { e.HomeDir = path.Join("/home", e.User) },
		"root": func(e *sftpserver.UserAuthEvent) { e.RootDirectory = filepath.Join("/srv/users", e.User) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sftpserver.New()
			recordAuth(s, func(e *sftpserver.UserAuthEvent) { accept(e); set(e) })
			start(t, s)
			windows := runtime.GOOS == "windows"
			for user, ok := range map[string]bool{
				"alice": true, "a.b": true, "..a": true, "a..": !windows, "...": !windows, // without the dots others there
				".": false, "..": false, "../x": false, "../../etc": false, "a/b": false, "a//b": false, "bob/": false, "/bob": false, "./bob": false,
				"bob/.": false, "a/../bob": false, `..\bob`: false, `bob\`: false,
			} {
				p := rawClient(t, s)
				p.password(user, "secret")
				if got := p.next(); (got == "success") != ok {
					t.Errorf("user %q: %s", user, got)
				}
				_ = p.c.Close()
			}
		})
	}
}

// TestCVE_13_5_SettingsOfTheNextStart: a server that no longer listens may get other settings and handlers. The
// connections that it still has go on with their own.
func TestCVE_13_5_SettingsOfTheNextStart(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	first := hostTree(t, "of the first")
	s.RootDirectory, s.ReadOnly = first, true
	var mu sync.Mutex
	var fired []string
	told := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		fired = append(fired, text)
	}
	s.DirList = func(*sftpserver.DirListEvent) { told("list") }
	s.Disconnected = func(*sftpserver.DisconnectedEvent) { told("end") }
	start(t, s)
	conn := dial(t, s)
	if err := s.StopListening(); err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	s.RootDirectory = hostTree(t, "of the second")
	s.Events = sftpserver.Events{
		DirList:      func(*sftpserver.DirListEvent) { told("another's list") },
		Disconnected: func(*sftpserver.DisconnectedEvent) { told("another's end") },
		UserAuth:     accept,
	}
	start(t, s)
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(t.Context(), ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "the session sees", listing(t, c, "/"), "of the first")
	if err := c.Mkdir(t.Context(), "/new", nil); err == nil {
		t.Error("no longer read only")
	}
	_ = conn.Close()
	if err := s.Shutdown(t.Context()); err != nil { // returns after the last Disconnected
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	expect(t, "events", fired, "list", "list", "end")
}

// TestCVE_8_2_AttributesOfRealPath: whom GetAttributes denies the attributes of a name does not get them with its
// path, and whom ResolvePath denies the path not by another request.
func TestCVE_8_2_AttributesOfRealPath(t *testing.T) {
	t.Parallel()
	s := sftpserver.New()
	s.RootDirectory, s.ProtocolVersion = hostTree(t, "secret", "plain"), 6
	s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
		if e.Path == "/secret" {
			e.Status = sftp.CodePermissionDenied
		}
	}
	s.ResolvePath = func(e *sftpserver.ResolvePathEvent) {
		if e.Path == "/hidden" {
			e.Status = sftp.CodeNoSuchFile
		}
	}
	start(t, s)
	c := connect(t, s)
	for _, control := range []sftp.RealPathControl{sftp.RealPathStatIf, sftp.RealPathStatAlways} {
		p, a, err := c.RealPathOpt(t.Context(), "/secret", control)
		if a != nil && a.Has(sftp.AttrSize) {
			t.Errorf("control %v: %q with size %d", control, p, a.Size)
		}
		if (err != nil) != (control == sftp.RealPathStatAlways) {
			t.Errorf("control %v: %v", control, err)
		}
	}
	_, a, err := c.RealPathOpt(t.Context(), "/plain", sftp.RealPathStatAlways)
	if err != nil || a == nil || a.Size != uint64(len("plain")) {
		t.Errorf("of another: %v, %v", a, err)
	}
	if got, err := c.ExpandPath(t.Context(), "/hidden"); err == nil {
		t.Errorf("expand-path: %q", got)
	}
}
