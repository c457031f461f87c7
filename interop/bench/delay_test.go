package bench

import (
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// delayed forwards connections to addr, each octet half of rtt later in either direction and without a limit to what
// is under way, and returns where.
func delayed(tb testing.TB, addr string, rtt time.Duration) string {
	tb.Helper()
	l := listen(tb)
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			go carry(far, near, rtt/2)
			go carry(near, far, rtt/2)
		}
	}()
	return l.Addr().String()
}

// carry copies one direction.
func carry(to, from net.Conn, delay time.Duration) {
	type piece struct {
		at   time.Time
		data []byte
	}
	var mu sync.Mutex
	var queue []piece
	var more sync.Cond
	more.L = &mu
	over := false
	go func() {
		for {
			p := make([]byte, 64<<10)
			n, err := from.Read(p)
			mu.Lock()
			if n > 0 {
				queue = append(queue, piece{time.Now().Add(delay), p[:n]})
			}
			over = over || err != nil
			more.Signal()
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	for {
		mu.Lock()
		for len(queue) == 0 && !over {
			more.Wait()
		}
		if len(queue) == 0 {
			mu.Unlock()
			to.Close()
			return
		}
		next := queue[0]
		queue = queue[1:]
		mu.Unlock()
		time.Sleep(time.Until(next.at))
		if _, err := to.Write(next.data); err != nil {
			from.Close()
			return
		}
	}
}

// BenchmarkClientGetDelayed downloads over a round trip of 100 ms: with our client, pkg/sftp's and OpenSSH's sftp.
func BenchmarkClientGetDelayed(b *testing.B) {
	s := startSSHD(b)
	data := s.source(b, moveSize())
	addr := delayed(b, s.addr[ours], 100*time.Millisecond)
	rates := map[string]float64{}
	measure := func(name string, f func() error) {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(name, err)
		}
		rates[name] += float64(len(data)) / 1e6 / time.Since(start).Seconds()
	}
	rounds := 0
	for b.Loop() {
		rounds++
		for _, d := range downloaders[:2] {
			c, err := d.open(s, "aes128-gcm@openssh.com", addr)
			if err != nil {
				b.Fatal(err)
			}
			measure(d.name, func() error { return c.get(s.path(ours, "source"), len(data), nil) })
			_ = c.close()
		}
		if program, err := exec.LookPath("sftp"); err == nil {
			measure("openssh", func() error { return s.sftp(b, program, addr) })
		}
	}
	b.ReportMetric(0, "ns/op")
	for name, rate := range rates {
		b.ReportMetric(rate/float64(rounds), name+"-MB/s")
		if name != "ours" {
			b.ReportMetric(rates["ours"]/rate, "times-"+name)
		}
	}
}

// sftp gets the source with OpenSSH's client, login and all.
func (s *openSSH) sftp(tb testing.TB, program, addr string) error {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	key := filepath.Join(tb.TempDir(), "key")
	block, err := gossh.MarshalPrivateKey(s.private, "")
	if err != nil {
		return err
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(program, "-q", "-P", port, "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "BatchMode=yes", "-o", "Ciphers=aes128-gcm@openssh.com", s.login+"@"+host+":"+s.path(ours, "source"), s.file("copy"))
	cmd.Stderr = os.Stderr
	cmd.Stdout = io.Discard
	return cmd.Run()
}
