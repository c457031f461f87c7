package sftpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// soak is for how long and with how many connections TestSoak runs: FAIRLEAD_SOAK, such as "10m,1000".
func soak() (d time.Duration, conns int) {
	d, conns = 2*time.Second, 24
	if text, n, ok := strings.Cut(os.Getenv("FAIRLEAD_SOAK"), ","); ok {
		d, _ = time.ParseDuration(text)
		conns, _ = strconv.Atoi(n)
	}
	return d, conns
}

// perConnection is what the handlers of TestSoak count: without locks, since the events of a connection come one at a
// time. The race detector says whether they do.
type perConnection struct {
	events, opens, closes, reads, writes int
	octets                               int64
}

// TestSoak has many connections with handlers for everything at the same time. The clients are processes of their own:
// the race detector bounds the goroutines of one.
func TestSoak(t *testing.T) {
	for_, conns := soak()
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	var connected, disconnected, logins, opens, closes, octets atomic.Int64
	of := func(c *sftpserver.Connection) *perConnection {
		p := c.Value().(*perConnection)
		p.events++
		return p
	}
	s.Connected = func(e *sftpserver.ConnectedEvent) {
		connected.Add(1)
		e.Conn.SetValue(new(perConnection))
	}
	s.Disconnected = func(e *sftpserver.DisconnectedEvent) {
		disconnected.Add(1)
		p := of(e.Conn)
		opens.Add(int64(p.opens))
		closes.Add(int64(p.closes))
		octets.Add(p.octets)
	}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		of(e.Conn)
		if accept(e); e.Accept {
			logins.Add(1)
		}
	}
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if p := of(e.Conn); !e.Before && e.Status == sftp.CodeOK {
			p.opens++
		}
	}
	s.FileRead = func(e *sftpserver.FileReadEvent) {
		p := of(e.Conn)
		p.reads++
		p.octets += int64(len(e.Data))
	}
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		if p := of(e.Conn); e.Before {
			p.writes++
			p.octets += int64(len(e.Data))
		}
	}
	s.FileClose = func(e *sftpserver.FileCloseEvent) {
		if p := of(e.Conn); e.Path != "/" {
			p.closes++
		}
	}
	s.DirList = func(e *sftpserver.DirListEvent) { of(e.Conn) }
	s.DirCreate = func(e *sftpserver.DirCreateEvent) { of(e.Conn) }
	s.DirRemove = func(e *sftpserver.DirRemoveEvent) { of(e.Conn) }
	s.FileRemove = func(e *sftpserver.FileRemoveEvent) { of(e.Conn) }
	s.FileRename = func(e *sftpserver.FileRenameEvent) { of(e.Conn) }
	s.GetAttributes = func(e *sftpserver.GetAttributesEvent) { of(e.Conn) }
	s.SetAttributes = func(e *sftpserver.SetAttributesEvent) { of(e.Conn) }
	s.ResolvePath = func(e *sftpserver.ResolvePathEvent) { of(e.Conn) }
	s.SSHStatus = func(e *sftpserver.SSHStatusEvent) { of(e.Conn) }
	s.Log = func(e *sftpserver.LogEvent) {
		if e.Conn != nil {
			of(e.Conn)
		}
	}
	s.MaxConnections = conns + 10
	s.LoginTimeout = 5 * time.Minute
	s.MaxStartups = conns + 10 // they all come at once
	start(t, s)

	const perProcess = 250
	var wg sync.WaitGroup
	var rounds atomic.Int64
	for first := 0; first < conns; first += perProcess {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSoakClients$", "-test.v") //nolint:gosec // this test itself
		cmd.Env = append(os.Environ(), fmt.Sprintf("FAIRLEAD_SOAK_CLIENTS=%s %d %d %s", s.Addr(), first, min(perProcess, conns-first), for_))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if n, ok := strings.CutPrefix(lines.Text(), "rounds "); ok {
					k, _ := strconv.Atoi(n)
					rounds.Add(int64(k))
				} else if strings.Contains(lines.Text(), "soak_test.go") {
					t.Log(lines.Text())
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("clients: %v", err)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for connected.Load() != disconnected.Load() && ctx.Err() == nil {
		for c := range s.Connections() {
			_ = c.Disconnect()
		}
	}
	t.Logf("%d connections, %d logins, %d rounds, %d files, %d octets", connected.Load(), logins.Load(), rounds.Load(), opens.Load(), octets.Load())
	if logins.Load() < int64(conns) || rounds.Load() < int64(conns) {
		t.Errorf("%d logins and %d rounds for %d connections", logins.Load(), rounds.Load(), conns)
	}
	if opens.Load() == 0 || opens.Load() != closes.Load() {
		t.Errorf("%d files opened and %d closed", opens.Load(), closes.Load())
	}
}

// TestSoakClients is the other side of TestSoak.
func TestSoakClients(t *testing.T) {
	var addr, span string
	var first, n int
	if _, err := fmt.Sscan(os.Getenv("FAIRLEAD_SOAK_CLIENTS"), &addr, &first, &n, &span); err != nil {
		return // not called by TestSoak: nothing to do
	}
	d, err := time.ParseDuration(span)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var rounds atomic.Int64
	end := time.Now().Add(d)
	for i := range n {
		wg.Go(func() {
			for again := 0; ; again++ {
				k, err := soakClient(t.Context(), addr, first+i, end)
				rounds.Add(int64(k))
				switch {
				case err == nil && time.Now().After(end):
					return
				case err != nil && again > 100:
					t.Errorf("client %d: %v", first+i, err)
					return
				case err != nil:
					<-time.After(time.Duration(again) * 10 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	fmt.Printf("rounds %d\n", rounds.Load())
}

// soakClient works for a while on a connection of its own.
func soakClient(ctx context.Context, addr string, id int, end time.Time) (rounds int, err error) {
	conn, err := ssh2.Dial(ctx, "tcp", addr, &ssh2.ClientConfig{
		User: fmt.Sprint("user", id), Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
		Config: ssh2.Config{Timeouts: ssh2.Timeouts{Ident: 5 * time.Minute, Kex: 5 * time.Minute}},
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ch, err := conn.Subsystem(ctx, "sftp")
	if err != nil {
		return 0, err
	}
	c, err := sftp.NewClient(ctx, ch, nil)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	name := fmt.Sprint("/file", id)
	content := bytes.Repeat([]byte{byte(id)}, 70_000)
	for range 50 { // then a new connection
		if _, err := c.Put(ctx, name, bytes.NewReader(content), sftp.TransferOptions{}); err != nil {
			return rounds, err
		}
		f, err := c.Open(ctx, name)
		if err != nil {
			return rounds, err
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return rounds, err
		}
		if !bytes.Equal(got, content) {
			return rounds, errors.New("the content is not what was sent")
		}
		if _, err := c.Stat(ctx, name); err != nil {
			return rounds, err
		}
		if err := c.Rename(ctx, name, name+".moved", 0); err != nil {
			return rounds, err
		}
		if err := c.Remove(ctx, name+".moved"); err != nil {
			return rounds, err
		}
		if rounds++; time.Now().After(end) {
			break
		}
	}
	return rounds, nil
}
