package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestReadOfAFileThatGrowsBehindItsEnd: in version 6 a short DATA may say that it is the end,
// and what is under way behind it may find content all the same if the file grows meanwhile.
// Nothing between may be missing then.
func TestReadOfAFileThatGrowsBehindItsEnd(t *testing.T) {
	want := noise(400_000)
	first := true
	meet(t, host{v: fxp.V6}, nil, serving(func(h *host, _ fxp.Op, id uint32, m wire.Layouter) {
		r := m.(*fxp.Read)
		content := want[min(int(r.Offset), len(want)):]
		if first {
			first, content = false, want[:1000]
		}
		if len(content) == 0 {
			h.status(id, sftp.CodeEOF)
			return
		}
		n := min(len(content), int(r.Length))
		h.reply(id, &fxp.Data{V: fxp.V6, Data: content[:n], EOF: n < int(r.Length)})
	}), func(t *testing.T, c *sftp.Client) {
		got, err := c.ReadFile(t.Context(), "/f")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets, a beginning of the file: %v; %v", len(got), bytes.HasPrefix(want, got), err)
		}
	})
}

// TestCVE_12_6_RepliesByTheOctet: a server that gives an octet for each READ, and for one none
// at all, makes the client ask for, and keep, no more than a bounded number.
func TestCVE_12_6_RepliesByTheOctet(t *testing.T) {
	const most = 10_000
	var reads atomic.Int64
	meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, m wire.Layouter) {
		if n := reads.Add(1); m.(*fxp.Read).Offset != 1 && n < most {
			h.reply(id, &fxp.Data{Data: []byte("x")})
		}
	}), func(t *testing.T, c *sftp.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.ReadFile(ctx, "/f"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	if n := reads.Load(); n >= most {
		t.Errorf("%d READs without an end", n)
	}
}

// TestCVE_12_6_MoreDataWhileOthersWait: more than was asked for ends the session when it
// comes, and not only when its turn does.
func TestCVE_12_6_MoreDataWhileOthersWait(t *testing.T) {
	for name, tt := range map[string]struct {
		op    fxp.Op
		reply func(h *host, id uint32, m wire.Layouter)
		call  func(ctx context.Context, c *sftp.Client) error
	}{
		"READ": {fxp.OpRead, func(h *host, id uint32, m wire.Layouter) {
			if r := m.(*fxp.Read); r.Offset > 0 {
				h.reply(id, &fxp.Data{Data: make([]byte, r.Length+1)})
			}
		}, func(ctx context.Context, c *sftp.Client) error { _, err := c.ReadFile(ctx, "/f"); return err }},
		"STAT": {fxp.OpStat, func(h *host, id uint32, _ wire.Layouter) {
			h.reply(id, &fxp.Data{Data: make([]byte, 1)})
		}, func(ctx context.Context, c *sftp.Client) error { _, err := c.Stat(ctx, "/f"); return err }},
		"long STATUS": {fxp.OpWrite, func(h *host, id uint32, _ wire.Layouter) {
			h.reply(id, &fxp.Status{V: fxp.V3, Code: 4, Text: strings.Repeat("x", 100_000)})
		}, func(ctx context.Context, c *sftp.Client) error { return c.WriteFile(ctx, "/f", make([]byte, 1<<20), 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			meet(t, host{}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
				if op == tt.op {
					tt.reply(h, id, m)
				}
			}), func(t *testing.T, c *sftp.Client) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := tt.call(ctx, c); !isProtocolError(err) {
					t.Error(err)
				}
			})
		})
	}
}

// TestPutOfAReaderThatWrapsEOF: a reader that fails with an error which has io.EOF in its
// chain, as of a connection that was cut, has failed. Only io.EOF itself is its end.
func TestPutOfAReaderThatWrapsEOF(t *testing.T) {
	srv, s := tapped()
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		cut := fmt.Errorf("download: %w", io.EOF)
		source := func() io.Reader { return io.MultiReader(strings.NewReader("half"), failsWith{cut}) }
		if n, err := c.Put(t.Context(), "/f", source(), sftp.TransferOptions{Atomic: true}); !errors.Is(err, cut) {
			t.Error("put:", n, err)
		}
		if _, err := s.FileSystem.Stat(t.Context(), "/f", sftp.StatOpt{}); err == nil {
			t.Error("half a file took its place")
		}
		f, err := c.Create(t.Context(), "/g")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.ReadFrom(source()); !errors.Is(err, cut) || n != 4 {
			t.Error("ReadFrom:", n, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

type failsWith struct{ error }

func (f failsWith) Read([]byte) (int, error) { return 0, f.error }

// disordered plays a server that takes a second for each WRITE and answers everything else at
// once, as those do that give requests to workers. It counts what overtakes a WRITE that it
// depends on.
func disordered(pending, overtaken *atomic.Int64) func(h *host) {
	return func(h *host) {
		end := int64(0) // of what is being written
		h.serve(func(op fxp.Op, id uint32, m wire.Layouter) {
			if op == fxp.OpWrite {
				w := m.(*fxp.Write)
				if pending.Load() > 0 && int64(w.Offset) < end {
					overtaken.Add(1)
				}
				end = int64(w.Offset) + int64(len(w.Data))
				pending.Add(1)
				go func() {
					pause(time.Second)
					pending.Add(-1)
					h.status(id, sftp.CodeOK)
				}()
				return
			}
			if pending.Load() > 0 {
				overtaken.Add(1)
			}
			switch op {
			case fxp.OpFstat:
				h.reply(id, &fxp.AttrsReply{Attrs: fxp.Attrs{V: fxp.V3, Flags: fxp.AttrSize, Size: uint64(end)}})
			case fxp.OpFsetstat:
				h.status(id, sftp.CodeOK)
			default:
				h.status(id, sftp.CodeEOF)
			}
		})
	}
}

// TestWhatIsDoneAfterAWriteSeesIt, also if the server does several things at a time.
func TestWhatIsDoneAfterAWriteSeesIt(t *testing.T) {
	p := noise(100_000)
	for name, after := range map[string]func(ctx context.Context, f *sftp.RemoteFile) error{
		"Stat":     func(ctx context.Context, f *sftp.RemoteFile) error { _, err := f.Stat(ctx); return err },
		"Truncate": func(ctx context.Context, f *sftp.RemoteFile) error { return f.Truncate(ctx, 5) },
		"Chtimes":  func(ctx context.Context, f *sftp.RemoteFile) error { return f.Chtimes(ctx, time.Now(), time.Now()) },
		"ReadAt":   func(_ context.Context, f *sftp.RemoteFile) error { _, err := f.ReadAt(p[:1], 0); return err },
		"Read":     func(_ context.Context, f *sftp.RemoteFile) error { _, err := f.Read(p[:1]); return err },
		"WriteTo":  func(_ context.Context, f *sftp.RemoteFile) error { _, err := f.WriteTo(io.Discard); return err },
		"WriteAt":  func(_ context.Context, f *sftp.RemoteFile) error { _, err := f.WriteAt(p[:1], 0); return err },
		"SeekEnd":  func(_ context.Context, f *sftp.RemoteFile) error { _, err := f.Seek(0, io.SeekEnd); return err },
		"Write over it": func(_ context.Context, f *sftp.RemoteFile) error {
			if _, err := f.Seek(10, io.SeekStart); err != nil {
				return err
			}
			_, err := f.Write(p[:10])
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pending, overtaken atomic.Int64
			meet(t, host{}, nil, disordered(&pending, &overtaken), func(t *testing.T, c *sftp.Client) {
				f, err := c.OpenFile(t.Context(), "/f", sftp.HowFromFlags(os.O_RDWR|os.O_CREATE))
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for i := range 5 {
					if n, err := f.Write(p); n != len(p) || err != nil {
						t.Fatal(i, n, err)
					}
				}
				if d := time.Since(start); d > 0 {
					t.Errorf("writing waited for %v", d)
				}
				if err := after(t.Context(), f); err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
			if n := overtaken.Load(); n > 0 {
				t.Errorf("%d requests overtook a WRITE", n)
			}
		})
	}
	t.Run("append", func(t *testing.T) {
		var pending, overtaken atomic.Int64
		meet(t, host{}, nil, disordered(&pending, &overtaken), func(t *testing.T, c *sftp.Client) {
			f, err := c.OpenFile(t.Context(), "/f", sftp.HowFromFlags(os.O_WRONLY|os.O_APPEND))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := f.Write(p[:10]); err != nil {
					t.Error(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		if n := overtaken.Load(); n > 0 {
			t.Errorf("%d requests overtook a WRITE", n)
		}
	})
}

// TestSeekFromAnEndThatNobodyKnows is an error, and not the beginning, where the next Write
// would destroy something.
func TestSeekFromAnEndThatNobodyKnows(t *testing.T) {
	meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) {
		h.reply(id, &fxp.AttrsReply{Attrs: fxp.Attrs{V: fxp.V3}})
	}), func(t *testing.T, c *sftp.Client) {
		f, err := c.OpenFile(t.Context(), "/f", sftp.HowFromFlags(os.O_RDWR))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.Seek(0, io.SeekEnd); err == nil {
			t.Error("seek from the end:", n)
		}
		if _, err := f.Seek(math.MaxInt64, io.SeekStart); err != nil {
			t.Error(err)
		}
		if n, err := f.Write([]byte("beyond")); err == nil {
			t.Error("write beyond the last offset:", n)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}
