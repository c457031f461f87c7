package sftpserver_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// slowFS has slow files.
type slowFS struct{ sftp.FileSystem }

type slowFile struct{ sftp.File }

func (f slowFS) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	file, err := f.FileSystem.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	return slowFile{file}, nil
}

func (f slowFile) ReadAt(p []byte, off int64) (int, error) {
	<-time.After(time.Duration(500+off%1000) * time.Microsecond)
	return f.File.ReadAt(p, off)
}

func (f slowFile) WriteAt(p []byte, off int64) (int, error) {
	<-time.After(time.Duration(500+off%1000) * time.Microsecond)
	return f.File.WriteAt(p, off)
}

// TestEventOrder: the events of a connection come one at a time and in the order of the requests, however
// many are under way; ConcurrentEvents lets them overlap.
func TestEventOrder(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		s := sftpserver.New()
		fs := memfs.New(memfs.Options{})
		s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) { return slowFS{fs}, nil }
		s.ConcurrentEvents = concurrent
		var busy, overlaps atomic.Int32
		var mu sync.Mutex
		var reads, writes []int64
		enter := func() {
			if busy.Add(1) > 1 {
				overlaps.Add(1)
			}
			<-time.After(200 * time.Microsecond)
			busy.Add(-1)
		}
		s.FileRead = func(e *sftpserver.FileReadEvent) {
			enter()
			mu.Lock()
			defer mu.Unlock()
			if e.Status == sftp.CodeOK { // the client looks for the end twice
				reads = append(reads, e.Offset)
			}
		}
		s.FileWrite = func(e *sftpserver.FileWriteEvent) {
			enter()
			mu.Lock()
			defer mu.Unlock()
			if e.Before {
				writes = append(writes, e.Offset)
			}
		}
		start(t, s)
		c := connect(t, s)
		content := bytes.Repeat([]byte("0123456789abcdef"), 250_000)
		if _, err := c.Put(t.Context(), "/f", bytes.NewReader(content), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := c.Get(t.Context(), "/f", &got, sftp.TransferOptions{}); err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Fatalf("%d octets, %v", got.Len(), err)
		}
		if !concurrent && (overlaps.Load() > 0 || !slices.IsSorted(reads) || !slices.IsSorted(writes)) {
			t.Errorf("%d events overlap; reads %v, writes %v", overlaps.Load(), reads, writes)
		}
		if concurrent && overlaps.Load() == 0 {
			t.Error("no events overlap")
		}
		if len(reads) < 8 || len(writes) < 8 {
			t.Errorf("%d reads, %d writes", len(reads), len(writes))
		}
	}
}

// TestEventSequence: what one client does is told in that order.
func TestEventSequence(t *testing.T) {
	eachVersion(t, observed, func(t *testing.T, c *sftp.Client, _ int, r *recorder) {
		r.take("")
		put(t, c, "/f", "x")
		if _, err := get(t, c, "/f", 1); err != nil {
			t.Fatal(err)
		}
		if err := c.Remove(t.Context(), "/f"); err != nil {
			t.Fatal(err)
		}
		const want = "+FileOpen(/f) -FileOpen(/f) +FileWrite(/f) -FileWrite(/f) FileClose(/f) " +
			"+FileOpen(/f) -FileOpen(/f) FileRead(/f) FileClose(/f) +FileRemove(/f) -FileRemove(/f)"
		if got := r.names(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

// TestEventsOfCopies: copy-file and hashes read and write content, so FileOpen has its say.
func TestEventsOfCopies(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		s := sftpserver.New()
		s.ProtocolVersion = 6
		tree(s)
		s.ConcurrentEvents = concurrent
		s.FileOpen = func(e *sftpserver.FileOpenEvent) {
			if e.Path == "/secret" && e.Before && e.How.Reads() {
				e.Status = sftp.CodePermissionDenied
			}
			if e.Before && (e.Handle == "") != (e.RawFlags == 0) {
				t.Errorf("handle %q, raw flags %x", e.Handle, e.RawFlags)
			}
		}
		r := record(s)
		start(t, s)
		c := connect(t, s)
		put(t, c, "/secret", "content")
		put(t, c, "/f", "content")
		if _, err := c.Hash(t.Context(), "/secret", sftp.HashRange{}); sftp.CodeOf(err) != sftp.CodePermissionDenied {
			t.Errorf("hash: %v", err)
		}
		r.take("")
		if _, err := c.Hash(t.Context(), "/f", sftp.HashRange{}); err != nil {
			t.Errorf("hash: %v", err)
		}
		if got := r.take("FileRead"); len(got) == 0 || got[0]["data"] != "content" {
			t.Errorf("%v", got)
		}
	}
}

// TestProtocolVersionOfConnection: the version agreed on, which is 3 unless more is set.
func TestProtocolVersionOfConnection(t *testing.T) {
	for set, want := range map[int]int{0: 3, 3: 3, 4: 4, 5: 5, 6: 6} {
		s := sftpserver.New()
		s.ProtocolVersion = set
		tree(s)
		start(t, s)
		c := connect(t, s)
		for conn := range s.Connections() {
			if conn.ProtocolVersion() != want || c.Version() != want {
				t.Errorf("version %d, the client's %d, want %d", conn.ProtocolVersion(), c.Version(), want)
			}
		}
	}
}

// TestEventsFromRequestToDisconnected: the events of a connection come in the order in which things happen.
func TestEventsFromRequestToDisconnected(t *testing.T) {
	s := sftpserver.New()
	tree(s)
	var mu sync.Mutex
	var names []string
	add := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, name)
	}
	gone := make(chan struct{})
	s.ConnectionRequest = func(*sftpserver.ConnectionRequestEvent) { add("ConnectionRequest") }
	s.Connected = func(*sftpserver.ConnectedEvent) { add("Connected") }
	s.UserAuth = func(e *sftpserver.UserAuthEvent) { accept(e); add("UserAuth " + e.Method) }
	s.FileOpen = func(e *sftpserver.FileOpenEvent) { add("FileOpen") }
	s.FileClose = func(e *sftpserver.FileCloseEvent) { add("FileClose") }
	s.Disconnected = func(*sftpserver.DisconnectedEvent) { add("Disconnected"); close(gone) }
	start(t, s)
	conn := dial(t, s)
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(t.Context(), ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "/f", "x")
	_ = conn.Close()
	<-gone
	want := "ConnectionRequest Connected UserAuth none UserAuth password FileOpen FileOpen FileClose Disconnected"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestEventsWithRootDirectory: the server does it all, and events see paths from its root, never those of the host.
func TestEventsWithRootDirectory(t *testing.T) {
	needSymlinks(t)
	root := t.TempDir()
	s := sftpserver.New()
	s.RootDirectory = root
	r := record(s)
	start(t, s)
	c := connect(t, s)
	r.take("")
	if err := c.Mkdir(t.Context(), "/d", nil); err != nil {
		t.Fatal(err)
	}
	put(t, c, "/d/f", "content")
	if err := c.Rename(t.Context(), "/d/f", "../d/g", 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Chmod(t.Context(), "/d/g", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("d", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, c, "/link/../../link/g", 3); got != "con" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := c.Lstat(t.Context(), "/d/none"); err == nil {
		t.Error("there")
	}
	if got := list(t, c, "/d"); got != "g" {
		t.Errorf("list %q", got)
	}
	if err := c.Remove(t.Context(), "/d/g"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rmdir(t.Context(), "/d"); err != nil {
		t.Fatal(err)
	}
	const want = "+DirCreate(/d) -DirCreate(/d) " +
		"+FileOpen(/d/f) -FileOpen(/d/f) +FileWrite(/d/f) -FileWrite(/d/f) FileClose(/d/f) " +
		"+FileRename(/d/f) -FileRename(/d/f) +SetAttributes(/d/g) -SetAttributes(/d/g) " +
		"+FileOpen(/link/g) -FileOpen(/link/g) FileRead(/link/g) FileClose(/link/g) GetAttributes(/d/none)=2 " +
		"+DirList(/d) -DirList(/d) FileClose(/d) +FileRemove(/d/g) -FileRemove(/d/g) +DirRemove(/d) -DirRemove(/d)"
	if got := r.names(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}
