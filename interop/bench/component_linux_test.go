package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// componentKinds are the servers that BenchmarkComponent compares, each a process of its own.
var componentKinds = []struct {
	name  string
	start func(dir string, key gossh.Signer, user []byte) (addr string, err error)
}{
	{"plain", servePlain},
	{"again", servePlain},
	{"component", func(dir string, key gossh.Signer, user []byte) (string, error) {
		return serveComponent(dir, key, user, sftpserver.Events{})
	}},
	{"handlers", func(dir string, key gossh.Signer, user []byte) (string, error) {
		var read, written int64
		return serveComponent(dir, key, user, sftpserver.Events{
			FileRead:  func(e *sftpserver.FileReadEvent) { read += int64(len(e.Data)) },
			FileWrite: func(e *sftpserver.FileWriteEvent) { written += int64(len(e.Data)) },
		})
	}},
}

// servePlain is sftp.Server on ssh2.Server, with what the component's settings amount to.
func servePlain(dir string, key gossh.Signer, user []byte) (string, error) {
	tree, err := osfs.New(dir, osfs.Options{})
	if err != nil {
		return "", err
	}
	files := &sftp.Server{
		FS:         func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return tree, nil },
		MaxVersion: sftp.Version3,
	}
	s := &ssh2.Server{
		HostKeys: []gossh.Signer{key},
		Auth: ssh2.ServerAuth{PublicKey: func(_ context.Context, _ *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: bytes.Equal(key.Marshal(), user)}
		}},
		Session: func(ctx context.Context, s *ssh2.ServerSession) {
			if err := files.Serve(ctx, s, sftp.SessionInfo{User: s.User()}); err != nil {
				s.Exit(1)
			}
		},
	}
	l, err := loopback()
	if err != nil {
		return "", err
	}
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), nil
}

func serveComponent(dir string, key gossh.Signer, user []byte, events sftpserver.Events) (string, error) {
	s := sftpserver.New()
	s.LogLevel = sftpserver.LogNone
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	s.RootDirectory = dir
	s.HostKeys = []gossh.Signer{key}
	s.Events = events
	s.UserAuth = func(e *sftpserver.UserAuthEvent) { e.Accept = e.Method == "publickey" && e.Param == string(user) }
	if err := s.Start(context.Background()); err != nil {
		return "", err
	}
	return s.Addr().String(), nil
}

// TestMain is the benchmark, or one of its servers.
func TestMain(m *testing.M) {
	if kind := os.Getenv("FAIRLEAD_BENCH_SERVE"); kind != "" {
		os.Exit(serveKind(kind))
	}
	os.Exit(m.Run())
}

// serveKind serves until its standard input ends.
func serveKind(kind string) int {
	seed, err := hex.DecodeString(os.Getenv("FAIRLEAD_BENCH_KEY"))
	if err != nil || len(seed) != ed25519.SeedSize {
		return 2
	}
	key, err := gossh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed)) // also the user's: it is a benchmark
	if err != nil {
		return 2
	}
	for _, k := range componentKinds {
		if k.name != kind {
			continue
		}
		addr, err := k.start(os.Getenv("FAIRLEAD_BENCH_DIR"), key, key.PublicKey().Marshal())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(addr)
		_, _ = os.Stdin.Read(make([]byte, 1))
		return 0
	}
	return 2
}

// BenchmarkComponent downloads and uploads with our client from and to each of componentKinds in turn, and compares
// the processor time of the servers. Every figure is of a process of its own: what a process takes for the same work
// differs more from one to the next than from one transfer to the next. "again" is "plain" once more, so its ratio is what is
// to be thought of the others.
func BenchmarkComponent(b *testing.B) {
	seed := bytes.Repeat([]byte{7}, ed25519.SeedSize)
	key, err := gossh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		b.Fatal(err)
	}
	f := &field{dir: tempDir(b), hostKey: key, user: key}
	size := moveSize()
	data := f.source(b, size)
	for _, way := range []struct {
		name string
		move func(c client) error
	}{
		{"get", func(c client) error { return c.get("/source", size, nil) }},
		{"put", func(c client) error { return c.put("/target", data) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			used := make([][]float64, len(componentKinds))
			for round := 0; b.Loop(); round++ {
				for i := range componentKinds {
					who := (round + i) % len(componentKinds)
					t := componentTime(b, f, componentKinds[who].name, seed, way.move)
					used[who] = append(used[who], t.Seconds()/(float64(size)/(1<<30)))
				}
			}
			b.ReportMetric(0, "ns/op")
			plain := median(used[0])
			for i, k := range componentKinds {
				b.ReportMetric(median(used[i]), k.name+"-cpu-s/GiB")
				if i > 0 {
					b.ReportMetric(median(used[i])/plain, k.name+"-ratio")
				}
			}
		})
	}
}

// componentTime starts a server, and answers what processor time it takes for the second of two moves.
func componentTime(b *testing.B, f *field, kind string, seed []byte, move func(c client) error) time.Duration {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FAIRLEAD_BENCH_SERVE="+kind, "FAIRLEAD_BENCH_DIR="+f.dir, "FAIRLEAD_BENCH_KEY="+hex.EncodeToString(seed))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(kind, err)
		}
	}()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(kind, err)
	}
	c, err := openOurs(&openSSH{field: f, login: "bench"}, ciphers[0].name, strings.TrimSpace(addr))
	if err != nil {
		b.Fatal(kind, err)
	}
	defer c.close()
	if err := move(c); err != nil { // pools fill, windows grow
		b.Fatal(kind, err)
	}
	runtime.GC()
	before := processTime(b, cmd.Process.Pid)
	if err := move(c); err != nil {
		b.Fatal(kind, err)
	}
	return processTime(b, cmd.Process.Pid) - before
}

// processTime is what a process has used, to a nanosecond as the kernel's scheduler counts.
func processTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	var sum time.Duration
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for _, task := range tasks {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		if err != nil {
			continue // the thread has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(line), &ns); err != nil {
			tb.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// TestComponentOnce keeps BenchmarkComponent working.
func TestComponentOnce(t *testing.T) {
	key := newKey(t)
	dir := t.TempDir()
	for _, k := range componentKinds {
		addr, err := k.start(dir, key, key.PublicKey().Marshal())
		if err != nil {
			t.Fatal(k.name, err)
		}
		f := &field{dir: dir, hostKey: key, user: key}
		c, err := openOurs(&openSSH{field: f, login: "bench"}, ciphers[0].name, addr)
		if err != nil {
			t.Fatal(k.name, err)
		}
		want := bytes.Repeat([]byte("content."), 64<<10)
		got := make([]byte, len(want))
		if err := c.put("/target", want); err != nil {
			t.Error(k.name, err)
		}
		if err := c.get("/target", len(want), got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: what came back is not what was sent: %v", k.name, err)
		}
		_ = c.close()
	}
}
