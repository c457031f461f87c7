package bench

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A drain is a connection that swallows what is written from some moment on, so that what a sender costs is the work
// on its packets and neither the system's nor a receiver's.
type drain struct {
	net.Conn
	mu    sync.Mutex
	dry   sync.Cond // on mu: the last of what was awaited is gone
	open  bool
	n     int // octets swallowed
	await int
}

func (d *drain) Write(p []byte) (int, error) {
	d.mu.Lock()
	if !d.open {
		d.mu.Unlock()
		return d.Conn.Write(p)
	}
	defer d.mu.Unlock()
	before := d.n
	d.n += len(p)
	if before < d.await && d.n >= d.await {
		d.dry.Signal()
	}
	return len(p), nil
}

// swallow calls f, which writes, and waits until n octets of it are gone.
func (d *drain) swallow(n int, f func() error) error {
	d.mu.Lock()
	d.open, d.n, d.await = true, 0, n
	d.mu.Unlock()
	if err := f(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.n < n {
		d.dry.Wait()
	}
	return nil
}

// A sender writes into a channel that grants it a gigabyte, and nobody reads.
type sender struct {
	to     io.Writer
	into   *drain
	closer io.Closer
}

// senders connects both clients to one server, with a cipher and, for those that need it, a MAC.
func (f *field) senders(tb testing.TB, cipher, mac string) (s [contenders]sender) {
	tb.Helper()
	want := f.user.PublicKey().Marshal()
	quiet := ssh2.KeepAlive{Interval: -1}
	server := &ssh2.Server{
		Config:   ssh2.Config{KeepAlive: quiet, Windows: ssh2.WindowLimits{Initial: 1 << 30, Maximum: 1 << 30}},
		HostKeys: []gossh.Signer{f.hostKey},
		Auth: ssh2.ServerAuth{PublicKey: func(_ context.Context, _ *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: bytes.Equal(key.Marshal(), want)}
		}},
		Session: func(ctx context.Context, s *ssh2.ServerSession) { <-ctx.Done() },
	}
	l := listen(tb)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	for who := range s {
		tcp, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		into := &drain{Conn: tcp}
		into.dry.L = &into.mu
		s[who].into, s[who].closer = into, tcp
		check := gossh.FixedHostKey(f.hostKey.PublicKey())
		if who == ours {
			cfg := &ssh2.ClientConfig{User: "bench", Auth: []ssh2.AuthMethod{ssh2.PublicKeys(f.user)}, HostKey: check}
			cfg.Ciphers, cfg.MACs, cfg.KeepAlive = ssh2.AlgList(cipher), ssh2.AlgList(mac), quiet
			c, err := ssh2.NewClient(tb.Context(), into, l.Addr().String(), cfg)
			if err != nil {
				tb.Fatal(err)
			}
			ch, err := c.Open(tb.Context(), "session", nil, nil)
			if err != nil {
				tb.Fatal(err)
			}
			s[who].to = ch
			continue
		}
		cfg := &gossh.ClientConfig{User: "bench", Auth: []gossh.AuthMethod{gossh.PublicKeys(f.user)}, HostKeyCallback: check}
		cfg.Ciphers = []string{cipher}
		if mac != "" {
			cfg.MACs = []string{mac}
		}
		c, channels, requests, err := gossh.NewClientConn(into, "", cfg)
		if err != nil {
			tb.Fatal(err)
		}
		ch, _, err := gossh.NewClient(c, channels, requests).OpenChannel("session", nil)
		if err != nil {
			tb.Fatal(err)
		}
		s[who].to = ch
	}
	tb.Cleanup(func() {
		for who := range s {
			s[who].closer.Close()
		}
		server.Close()
		<-served
	})
	return s
}

// send writes packets of a block each.
func (s *sender) send(packets int, data []byte) error {
	return s.into.swallow(packets*block, func() error {
		for range packets {
			if _, err := s.to.Write(data); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	sendBatch  = 512                         // packets in one measurement
	sendRounds = 1 << 30 / block / sendBatch // for which the window would suffice
)

// BenchmarkSeal sends packets of 32 KiB into nothing, with our client and with x/crypto's in turn: from Write on a
// channel to the sealed packet on the connection. On one core it compares the work; on all, what our handing over from
// the sealing goroutine to the writing one costs besides, where writing itself takes no time that could hide it.
func BenchmarkSeal(b *testing.B) {
	for _, cipher := range append(slices.Clone(ciphers), struct{ short, name string }{"aes128-ctr", "aes128-ctr"}) {
		b.Run(cipher.short+"/one-core", func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			benchmarkSeal(b, cipher.name)
		})
		b.Run(cipher.short+"/all-cores", func(b *testing.B) { benchmarkSeal(b, cipher.name) })
	}
}

func benchmarkSeal(b *testing.B, cipher string) {
	f := &field{hostKey: newKey(b), user: newKey(b)}
	data := make([]byte, block)
	var lanes [contenders]sender
	var wall, cpu [contenders][]time.Duration
	for round := 0; b.Loop(); round++ {
		if round%(sendRounds*3/4) == 0 { // before the window, or a limit of the cipher, is reached
			lanes = f.senders(b, cipher, "hmac-sha2-256-etm@openssh.com")
		}
		for i := range contenders {
			who := (round + i) % contenders
			from, used := time.Now(), cpuTime()
			if err := lanes[who].send(sendBatch, data); err != nil {
				b.Fatalf("%s: %v", names[who], err)
			}
			wall[who], cpu[who] = append(wall[who], time.Since(from)), append(cpu[who], cpuTime()-used)
		}
	}
	b.ReportMetric(0, "ns/op") // of a pair: says nothing
	b.ReportMetric(float64(median(wall[ours]))/float64(median(wall[theirs])), "time-ratio")
	if median(cpu[theirs]) == 0 {
		return // not known on this system
	}
	for who, name := range names {
		b.ReportMetric(median(cpu[who]).Seconds()*1e6/sendBatch, name+"-cpu-µs/packet")
	}
	b.ReportMetric(float64(median(cpu[theirs]))/float64(median(cpu[ours])), "times-less-cpu")
}

func median[T cmp.Ordered](d []T) T {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// TestSealOnce keeps BenchmarkSeal working.
func TestSealOnce(t *testing.T) {
	f := &field{hostKey: newKey(t), user: newKey(t)}
	for _, cipher := range ciphers {
		for who, s := range f.senders(t, cipher.name, "") {
			if err := s.send(4, make([]byte, block)); err != nil {
				t.Errorf("%s %s: %v", cipher.short, names[who], err)
			}
			if n := s.into.n; n < 4*block || n > 4*block+1024 {
				t.Errorf("%s %s: %d octets for 4 packets of %d", cipher.short, names[who], n, block)
			}
		}
	}
}
