package bench

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// fileSize is what each transfer moves, in octets.
const fileSize = 64 << 20

var ciphers = []struct{ short, name string }{
	{"aes128-gcm", "aes128-gcm@openssh.com"},
	{"chacha20", "chacha20-poly1305@openssh.com"},
}

var exchanges = []struct{ short, name string }{
	{"curve25519", "curve25519-sha256"},
	{"mlkem768", "mlkem768x25519-sha256"},
}

// BenchmarkGet downloads from both servers in turn.
func BenchmarkGet(b *testing.B) {
	transfers(b, func(l *lane, data []byte, who int, into []byte) error {
		return l.get(l.path(who, "source"), len(data), into)
	})
}

// BenchmarkPut uploads to both servers in turn.
func BenchmarkPut(b *testing.B) {
	transfers(b, func(l *lane, data []byte, who int, _ []byte) error {
		return l.put(l.path(who, fmt.Sprint("target", who)), data)
	})
}

// BenchmarkHandshake logs in to both servers in turn, with an ed25519 key, and out again.
func BenchmarkHandshake(b *testing.B) {
	f := newField(b)
	for _, kex := range exchanges {
		b.Run(kex.short, func(b *testing.B) {
			work := func(who int) error { return f.handshake(who, kex.name) }
			new(pair).round(b, work) // what is set up once is not measured
			var p pair
			for b.Loop() {
				p.round(b, work)
			}
			p.report(b, "handshake", 1)
			for who, name := range names {
				b.ReportMetric(1/p[who].wallEach(), name+"-handshakes/s")
			}
		})
	}
}

func (f *field) handshake(who int, kex string) error {
	conn, err := f.dial(who, kex, "")
	if err != nil {
		return err
	}
	return conn.Close()
}

// A lane is a client with a connection to one server.
type lane struct {
	*field
	client
	conn *gossh.Client
}

func (f *field) lane(tb testing.TB, who int, cipher string, open func(*gossh.Client) (client, error)) *lane {
	tb.Helper()
	conn, err := f.dial(who, "", cipher)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := open(conn)
	if err != nil {
		tb.Fatal(err)
	}
	return &lane{f, c, conn}
}

func (l *lane) end(tb testing.TB) {
	tb.Helper()
	_ = l.close()
	if err := l.conn.Close(); err != nil {
		tb.Error(err)
	}
}

// source makes the data that is moved and lays it down for downloads.
func (f *field) source(tb testing.TB, size int) []byte {
	tb.Helper()
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(f.file("source"), data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return data
}

func transfers(b *testing.B, move func(l *lane, data []byte, who int, into []byte) error) {
	f := newField(b)
	data := f.source(b, fileSize)
	for _, cipher := range ciphers {
		for _, c := range clients {
			b.Run(cipher.short+"/"+c.name, func(b *testing.B) {
				var lanes [contenders]*lane
				for who := range lanes {
					lanes[who] = f.lane(b, who, cipher.name, c.open)
					defer lanes[who].end(b)
					if err := move(lanes[who], data, who, nil); err != nil { // pools fill, windows grow
						b.Fatal(err)
					}
				}
				var p pair
				for b.Loop() {
					p.round(b, func(who int) error { return move(lanes[who], data, who, nil) })
				}
				p.report(b, "packet", fileSize/block)
				for who, name := range names {
					b.ReportMetric(fileSize/1e6/p[who].wallEach(), name+"-MB/s")
				}
			})
		}
	}
}

var names = [contenders]string{"ours", "theirs"}

// A pair is what both servers took so far.
type pair [contenders]usage

// usage is the sum of some measurements.
type usage struct {
	wall, cpu time.Duration
	n         int
}

// wallEach returns the seconds of one measurement.
func (u *usage) wallEach() float64 { return u.wall.Seconds() / float64(u.n) }

// cpuEach returns the microseconds of processor time of one measurement.
func (u *usage) cpuEach() float64 { return float64(u.cpu.Nanoseconds()) / 1e3 / float64(u.n) }

// round measures one after the other, each first in every other round.
func (p *pair) round(tb testing.TB, work func(who int) error) {
	tb.Helper()
	first := p[ours].n % contenders
	for i := range contenders {
		who := (first + i) % contenders
		runtime.GC() // what the other left behind is not this one's to sweep up
		wall, cpu := time.Now(), cpuTime()
		if err := work(who); err != nil {
			tb.Fatalf("%s: %v", names[who], err)
		}
		p[who].wall += time.Since(wall)
		p[who].cpu += cpuTime() - cpu
		p[who].n++
	}
}

// report gives the processor time per thing, of which each measurement had some, and how ours compares: below 1 ours
// takes less.
func (p *pair) report(b *testing.B, thing string, things int) {
	b.ReportMetric(0, "ns/op") // of a pair: says nothing
	b.ReportMetric(p[ours].wallEach()/p[theirs].wallEach(), "time-ratio")
	if p[theirs].cpu == 0 {
		return // not known on this system
	}
	for who, name := range names {
		b.ReportMetric(p[who].cpuEach()/float64(things), name+"-cpu-µs/"+thing)
	}
	b.ReportMetric(p[ours].cpuEach()/p[theirs].cpuEach(), "cpu-ratio")
}

// TestOnce runs everything the benchmarks run once, with little data, and checks what they do not: the content.
func TestOnce(t *testing.T) {
	f := newField(t)
	data := f.source(t, 4<<20)
	for _, cipher := range ciphers {
		for _, c := range clients {
			for who, name := range names {
				t.Run(cipher.short+"/"+c.name+"/"+name, func(t *testing.T) {
					l := f.lane(t, who, cipher.name, c.open)
					defer l.end(t)
					into := make([]byte, len(data))
					if err := l.get(f.path(who, "source"), len(data), into); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(into, data) {
						t.Error("the download is not what the file has")
					}
					target := fmt.Sprint("target", who)
					if err := l.put(f.path(who, target), data); err != nil {
						t.Fatal(err)
					}
					if got, err := os.ReadFile(f.file(target)); err != nil || !bytes.Equal(got, data) {
						t.Errorf("the upload is not what was sent: %d octets, %v", len(got), err)
					}
				})
			}
		}
	}
	for _, kex := range exchanges {
		for who, name := range names {
			if err := f.handshake(who, kex.name); err != nil {
				t.Errorf("%s %s: %v", kex.short, name, err)
			}
		}
	}
}
