package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A floorClient shows what a server takes when its client takes nothing: it asks for all of a file at once and throws
// away what comes without opening it. No client that opens what it receives can be faster, or take less. It works once.
type floorClient struct {
	ssh  *ssh2.Client
	ch   *ssh2.Channel
	sink *sinkConn
}

// A sinkConn reads for its caller until it is told to throw away what comes.
type sinkConn struct {
	net.Conn
	on    atomic.Bool
	last  time.Time // of the last octet
	total int
	done  chan struct{} // closed when the other side has fallen silent
	over  chan struct{} // closed to let Read return
}

func (c *sinkConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.on.Load() {
		return n, err
	}
	buf := make([]byte, 256<<10)
	for err == nil {
		c.total += n
		c.last = time.Now()
		_ = c.SetReadDeadline(c.last.Add(200 * time.Millisecond))
		n, err = c.Conn.Read(buf)
	}
	close(c.done)
	<-c.over // an error would end the connection, and with it the server's process before its time is read
	return 0, net.ErrClosed
}

// floorWindow is the largest that we announce, and what one floorClient can get.
const floorWindow = 1 << 30

func openFloor(s *openSSH, cipher, addr string) (*floorClient, error) {
	ctx := context.Background()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	sink := &sinkConn{Conn: nc, done: make(chan struct{}), over: make(chan struct{})}
	cfg := &ssh2.ClientConfig{User: s.login, Auth: []ssh2.AuthMethod{ssh2.PublicKeys(s.user)}, HostKey: gossh.InsecureIgnoreHostKey()}
	cfg.Ciphers = ssh2.AlgList(cipher)
	cfg.Windows.Initial = floorWindow
	conn, err := ssh2.NewClient(ctx, sink, addr, cfg)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Subsystem(ctx, "sftp")
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &floorClient{conn, ch, sink}, nil
}

// get returns how long it took from the first request to the last octet.
func (c *floorClient) get(name string, size int) (time.Duration, error) {
	var head [9]byte
	send := func(kind byte, body []byte) error {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
		_, err := c.ch.Write(append(append(b, kind), body...))
		return err
	}
	answer := func(want byte) ([]byte, error) {
		if _, err := io.ReadFull(c.ch, head[:5]); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:])-1)
		_, err := io.ReadFull(c.ch, body)
		if err == nil && head[4] != want {
			err = fmt.Errorf("answer %d, want %d: %q", head[4], want, body)
		}
		return body, err
	}
	if err := send(fxpInit, []byte{0, 0, 0, 3}); err != nil {
		return 0, err
	}
	if _, err := answer(fxpVersion); err != nil {
		return 0, err
	}
	body := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1}, uint32(len(name)))
	body = append(body, name...)
	body = append(body, 0, 0, 0, openRead, 0, 0, 0, 0)
	if err := send(fxpOpen, body); err != nil {
		return 0, err
	}
	body, err := answer(fxpHandle)
	if err != nil {
		return 0, err
	}
	handle := body[4:]
	const step = 255 << 10
	var all []byte
	for at := 0; at < size; at += step {
		all = binary.BigEndian.AppendUint32(all, uint32(1+4+len(handle)+8+4))
		all = append(all, fxpRead, 0, 0, 0, 2)
		all = append(all, handle...)
		all = binary.BigEndian.AppendUint64(all, uint64(at))
		all = binary.BigEndian.AppendUint32(all, uint32(min(step, size-at)))
	}
	begun := time.Now()
	c.sink.on.Store(true)
	if _, err := c.ch.Write(all); err != nil {
		return 0, err
	}
	<-c.sink.done
	if c.sink.total < size {
		return 0, fmt.Errorf("%d octets, want %d", c.sink.total, size)
	}
	return c.sink.last.Sub(begun), nil
}

func (c *floorClient) close() error {
	close(c.sink.over)
	return c.ssh.Close()
}

// BenchmarkClientFloor downloads from OpenSSH's server with a floorClient, with our client and with pkg/sftp's in turn,
// and shows beside the client's processor time what each makes the server take: all its processes, and the busiest.
func BenchmarkClientFloor(b *testing.B) {
	const size = 960 << 20 // within floorWindow
	s := startSSHD(b)
	s.source(b, size)
	cipher := ciphers[0].name
	others := make([]client, len(downloaders))
	for i, d := range downloaders {
		c, err := d.open(s, cipher, s.addr[ours])
		if err != nil {
			b.Fatal(d.name, err)
		}
		defer func() { _ = c.close() }()
		if err := c.get(s.path(ours, "source"), size, nil); err != nil {
			b.Fatal(d.name, err)
		}
		others[i] = c
	}
	names := []string{"floor"}
	for _, d := range downloaders {
		names = append(names, d.name)
	}
	type figures struct{ rate, client, server, busiest []float64 }
	all := make([]figures, len(names))
	for b.Loop() {
		for i := range names {
			runtime.GC()
			var least *floorClient
			if i == 0 {
				var err error
				if least, err = openFloor(s, cipher, s.addr[ours]); err != nil {
					b.Fatal(err)
				}
			}
			server, own, begun := s.times(), cpuTime(), time.Now()
			var wall time.Duration
			var err error
			if i == 0 {
				wall, err = least.get(s.path(ours, "source"), size)
			} else {
				err = others[i-1].get(s.path(ours, "source"), size, nil)
				wall = time.Since(begun)
			}
			if err != nil {
				b.Fatal(names[i], err)
			}
			const gib = float64(size) / (1 << 30)
			f := &all[i]
			f.rate = append(f.rate, size/1e6/wall.Seconds())
			f.client = append(f.client, (cpuTime()-own).Seconds()/gib)
			var sum, most time.Duration
			for pid, t := range s.times() {
				sum += t - server[pid]
				most = max(most, t-server[pid])
			}
			f.server = append(f.server, sum.Seconds()/gib)
			f.busiest = append(f.busiest, most.Seconds()/gib)
			if least != nil {
				_ = least.close()
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, f := range all {
		b.ReportMetric(median(f.rate), names[i]+"-MB/s")
		b.ReportMetric(median(f.client), names[i]+"-cpu-s/GiB")
		b.ReportMetric(median(f.server), names[i]+"-sshd-cpu-s/GiB")
		b.ReportMetric(median(f.busiest), names[i]+"-sshd-busiest-s/GiB")
	}
}

// times returns the processor time that each process of the server has used, to a hundredth of a second.
func (s *openSSH) times() map[int]time.Duration {
	parent, used := map[int]int{}, map[int]time.Duration{}
	processes, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range processes {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var pid, user, system int
		_, rest, _ := strings.Cut(string(line), ") ") // proc_pid_stat(5): state, ppid, ..., utime and stime
		f := strings.Fields(rest)
		if _, err := fmt.Sscan(string(line), &pid); err != nil || len(f) < 13 {
			continue
		}
		parent[pid], _ = strconv.Atoi(f[1])
		user, _ = strconv.Atoi(f[11])
		system, _ = strconv.Atoi(f[12])
		used[pid] = time.Duration(user+system) * (time.Second / 100)
	}
	for pid := range used {
		p := pid
		for p > 1 && p != s.pid {
			p = parent[p]
		}
		if p != s.pid {
			delete(used, pid)
		}
	}
	return used
}
