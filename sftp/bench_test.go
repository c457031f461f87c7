package sftp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// nullFile reads zeros and forgets what is written.
type nullFile struct{ sftp.UnsupportedFile }

func (nullFile) ReadAt(p []byte, _ int64) (int, error)  { return len(p), nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

type nullFS struct{ sftp.Unsupported }

var nullAttrs = sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrMode, Mode: sftp.ModeRegular | 0o644}

func (nullFS) Open(context.Context, string, *sftp.OpenHow) (sftp.File, error) { return nullFile{}, nil }

func (nullFS) Stat(context.Context, string, sftp.StatOpt) (*sftp.Attrs, error) {
	return &nullAttrs, nil
}

// pump sends the same requests again and again, all of a batch before it reads the answers.
type pump struct {
	*peer
	batch   []byte
	perPack int // octets of the batch that go in one packet
	replies int
}

func (p *pump) run() {
	for off := 0; off < len(p.batch); off += p.perPack {
		end := min(off+p.perPack, len(p.batch))
		b := packet.Get(end - off)
		copy(b.Bytes(), p.batch[off:end])
		if err := p.conn.WritePacket(b); err != nil {
			p.t.Fatal(err)
		}
	}
	// Only lengths are looked at: the measure is of the server.
	left := p.replies
	var head [4]byte
	have, skip := 0, 0
	for left > 0 {
		b, err := p.conn.ReadPacket()
		if err != nil {
			p.t.Fatal(err)
		}
		data := b.Bytes()
		for len(data) > 0 {
			if skip > 0 {
				n := min(skip, len(data))
				skip -= n
				data = data[n:]
				if skip == 0 {
					left--
				}
				continue
			}
			n := copy(head[have:], data)
			have += n
			data = data[n:]
			if have == 4 {
				have, skip = 0, int(binary.BigEndian.Uint32(head[:]))
			}
		}
		b.Release()
	}
}

// pumps are the requests that are measured, each 64 at a time as clients do.
func pumps(p *peer, handle []byte) map[string]*pump {
	var stat, read, read255, write []byte
	perWrite := 0
	for i := range uint32(64) {
		stat = fxp.Append(stat, i, &fxp.Stat{V: p.v, T: fxp.TypeLstat, Path: "/file", Want: fxp.AttrSize})
		read = fxp.Append(read, i, &fxp.Read{Handle: handle, Offset: uint64(i) << 15, Length: 32 << 10})
		read255 = fxp.Append(read255, i, &fxp.Read{Handle: handle, Offset: 0, Length: fxp.MaxData})
		n := len(write)
		write = fxp.Append(write, i, &fxp.Write{Handle: handle, Offset: uint64(i) << 15, Data: make([]byte, 32<<10)})
		perWrite = len(write) - n
	}
	return map[string]*pump{
		"stat":    {p, stat, 2048, 64},
		"read":    {p, read, 2048, 64},
		"read255": {p, read255, 2048, 64},
		"write":   {p, write, perWrite, 64},
		// As OpenSSH cuts it: a full packet and the few octets left over.
		"writecut": {p, write, 32 << 10, 64},
	}
}

var policies = map[string]func(*sftp.Server){
	"auto":   func(s *sftp.Server) { s.SetIO(sftp.IOAuto) },
	"inline": func(s *sftp.Server) { s.SetIO(sftp.IOInline) },
	"spawn":  func(s *sftp.Server) { s.SetIO(sftp.IOSpawn) },
}

func benchServer(b testing.TB, fsys sftp.FileSystem, policy string, v fxp.Version) (*peer, []byte) {
	srv := serverOf(fsys)
	policies[policy](srv)
	p := newPeer(b, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
	p.init(v)
	return p, p.open("/file", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
}

func BenchmarkServer(b *testing.B) {
	dir, err := osfs.New(b.TempDir(), osfs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	for name, fsys := range map[string]sftp.FileSystem{"null": nullFS{}, "mem": memfs.New(memfs.Options{}), "os": dir} {
		for _, policy := range []string{"inline", "auto", "spawn"} {
			for _, op := range []string{"write", "writecut", "read", "read255", "stat"} {
				b.Run(name+"/"+policy+"/"+op, func(b *testing.B) {
					p, h := benchServer(b, fsys, policy, fxp.V3)
					pump := pumps(p, h)[op]
					b.ReportAllocs()
					for b.Loop() {
						pump.run()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/request")
					p.end()
				})
			}
		}
	}
}

// Neither READ nor WRITE allocates in steady state, wherever they run, and STAT nothing
// but the name (one string), in every version.
func TestRequestAllocs(t *testing.T) {
	if invariant.Enabled {
		t.Log("sync.Pool drops objects at random under the race detector: nothing to measure in this build")
		return
	}
	type run struct {
		policy string
		v      fxp.Version
	}
	runs := []run{{"auto", fxp.V4}, {"auto", fxp.V5}, {"auto", fxp.V6}}
	for policy := range policies {
		runs = append(runs, run{policy, fxp.V3})
	}
	for _, r := range runs {
		p, h := benchServer(t, nullFS{}, r.policy, r.v)
		for op, most := range map[string]float64{"read": 0, "read255": 0, "write": 0, "writecut": 0, "stat": 64} {
			pump := pumps(p, h)[op]
			for range 20 {
				pump.run()
			}
			// The collector may empty the pools in the middle of a run: hence a little more.
			if n := testing.AllocsPerRun(200, pump.run); n > most+2 {
				t.Errorf("version %d, %s, %s: %v allocations in 64 requests", r.v, r.policy, op, n)
			}
		}
		if err := p.end(); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
}

// BenchmarkReaddir lists a directory of ten thousand entries.
func BenchmarkReaddir(b *testing.B) {
	now := time.Now()
	tree := &listFS{}
	for range 10_000 {
		tree.entries = append(tree.entries, sftp.Entry{Name: "some-file-name.txt", Attrs: sftp.Attrs{
			Valid: sftp.AttrsBasic | sftp.AttrOwnerGroup | sftp.AttrLinks, Mode: sftp.ModeRegular | 0o644, Size: 123456, UID: 1000, GID: 1000,
			Owner: "anna", Group: "staff", Atime: now, Mtime: now, Links: 1,
		}})
	}
	for v := fxp.V3; v <= fxp.Newest; v++ {
		b.Run(fmt.Sprint("v", v), func(b *testing.B) {
			p := newPeer(b, context.Background(), serverOf(tree), sftp.SessionInfo{}, 32<<10)
			p.init(v)
			b.ReportAllocs()
			for b.Loop() {
				h := p.opendir("/")
				for {
					p.send(&fxp.Handle{T: fxp.TypeReaddir, Handle: h})
					msg, err := p.next()
					if err != nil {
						b.Fatal(err)
					}
					if fxp.Type(msg[0]) == fxp.TypeStatus {
						break
					}
				}
				p.close(h)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/entry")
			p.end()
		})
	}
}
