package sftp_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// manyFS lists n entries in one directory, as osfs fills them: ids that are looked up.
type manyFS struct {
	sftp.Unsupported
	n     int
	names *sftp.IDNames
}

func (f *manyFS) OpenDir(context.Context, string) (sftp.Dir, error) {
	return &manyDir{fs: f}, nil
}

type manyDir struct {
	sftp.UnsupportedDir
	fs   *manyFS
	at   int
	list []sftp.Entry
}

func (d *manyDir) Next(_ context.Context, n int) ([]sftp.Entry, error) {
	n = min(n, d.fs.n-d.at)
	if n == 0 {
		return nil, io.EOF
	}
	d.list = d.list[:0]
	for range n {
		d.at++
		e := sftp.Entry{Name: fileNames[d.at%len(fileNames)], Attrs: sftp.Attrs{
			Valid: sftp.AttrsBasic | sftp.AttrLinks | sftp.AttrOwnerGroup, Mode: sftp.ModeRegular | 0o644, Size: uint64(d.at), Links: 1,
			UID: uint32(1000 + d.at%3), GID: 100, Atime: time.Unix(1e9, 0), Mtime: time.Unix(1e9, 0),
		}}
		if d.fs.names != nil {
			e.Attrs.Owner, e.Attrs.Group = d.fs.names.User(e.Attrs.UID), d.fs.names.Group(e.Attrs.GID)
		}
		d.list = append(d.list, e)
	}
	return d.list, nil
}

var fileNames = func() (list []string) {
	for i := range 1000 {
		list = append(list, fmt.Sprintf("a file with the number %06d", i))
	}
	return list
}()

// listAll lists a directory with one READDIR after the other and returns how many there were.
func listAll(p *peer, pipelined int) (replies int) {
	d := p.opendir("/")
	m := fxp.Append(nil, 7, &fxp.Handle{T: fxp.TypeReaddir, Handle: d})
	for range pipelined - 1 {
		p.sendRaw(m)
	}
	for {
		p.sendRaw(m)
		msg, err := p.next()
		if err != nil {
			p.t.Fatal(err)
		}
		if fxp.Type(msg[0]) != fxp.TypeName {
			break
		}
		replies++
	}
	for range pipelined - 1 {
		if _, err := p.next(); err != nil {
			p.t.Fatal(err)
		}
	}
	p.close(d)
	return replies
}

// BenchmarkList is one READDIR of 100,000 entries.
func BenchmarkList(b *testing.B) {
	const n = 100_000
	names := &sftp.IDNames{LookupUser: func(id uint32) string { return fmt.Sprint("user", id) }, LookupGroup: func(id uint32) string { return "users" }}
	for _, v := range []fxp.Version{3, 6} {
		for _, charset := range []uint32{0, 1252} {
			b.Run(fmt.Sprintf("v%d/charset%d", v, charset), func(b *testing.B) {
				srv := serverOf(&manyFS{n: n, names: names})
				if charset != 0 {
					c, err := sftp.CodePage(charset)
					if err != nil {
						b.Fatal(err)
					}
					srv.Charset = c
				}
				p := newPeer(b, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
				p.init(v)
				b.ReportAllocs()
				for b.Loop() {
					listAll(p, 4)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
				p.end()
			})
		}
	}
}
