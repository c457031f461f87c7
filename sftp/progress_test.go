package sftp_test

import (
	"bytes"
	"io"
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// Ten seconds of transfer: calls every 100 ms with what is right at the time, and one at the
// end.
func TestW38_ProgressOfATransfer(t *testing.T) {
	const size, rate = 6 << 20, 600 << 10
	for _, put := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv, tree := memServer(memfs.Options{})
			_ = tree
			link := netsim.Link{Delay: 10 * time.Millisecond, Rate: rate}
			c, err := overLink(t, srv, nil, link, link)
			if err != nil {
				t.Fatal(err)
			}
			defer c.end()
			want := noise(size)
			if !put {
				if _, err := c.Put(t.Context(), "/f", bytes.NewReader(want), sftp.TransferOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			var seen []sftp.Progress
			last, begin := time.Now(), time.Now()
			o := sftp.TransferOptions{Progress: func(p sftp.Progress) {
				if d := time.Since(last); d < 99*time.Millisecond && !p.Last {
					t.Error("called again after", d)
				}
				last = time.Now()
				seen = append(seen, p)
			}}
			if put {
				_, err = c.Put(t.Context(), "/g", bytes.NewReader(want), o)
			} else {
				_, err = c.Get(t.Context(), "/f", io.Discard, o)
			}
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(begin)
			if n := len(seen); n < int(took/(100*time.Millisecond))-1 {
				t.Errorf("%d calls in %v", n, took)
			}
			for i, p := range seen {
				if p.Total != size || p.Name == "" || p.Phase != sftp.PhaseTransfer {
					t.Fatalf("%+v", p)
				}
				if i > 0 && p.Done < seen[i-1].Done {
					t.Fatalf("%+v after %+v", p, seen[i-1])
				}
				if p.Last != (i == len(seen)-1) {
					t.Fatalf("%+v is %d of %d", p, i, len(seen))
				}
			}
			mid := seen[len(seen)/2]
			if math.Abs(mid.Rate/rate-1) > 0.1 {
				t.Errorf("rate %.0f", mid.Rate)
			}
			if left, ok := mid.Left(); !ok || math.Abs((mid.Time+left).Seconds()/took.Seconds()-1) > 0.25 {
				t.Errorf("after %v of %v: %v left", mid.Time, took, left)
			}
			if p := seen[len(seen)-1]; p.Done != size || math.Abs(p.Rate*took.Seconds()/size-1) > 0.01 {
				t.Errorf("%+v in %v", p, took)
			}
		})
	}
}

// A callback that takes its time delays no byte.
func TestProgressDoesNotSlowTheTransfer(t *testing.T) {
	took := func(o sftp.TransferOptions) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			srv, _ := memServer(memfs.Options{})
			link := netsim.Link{Delay: 10 * time.Millisecond, Rate: 1 << 20}
			c, err := overLink(t, srv, nil, link, link)
			if err != nil {
				t.Fatal(err)
			}
			defer c.end()
			if _, err := c.Put(t.Context(), "/f", bytes.NewReader(noise(4<<20)), sftp.TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			w := writeFunc(func(p []byte) (int, error) { d = time.Since(begin); return len(p), nil })
			if _, err := c.Get(t.Context(), "/f", w, o); err != nil {
				t.Fatal(err)
			}
		})
		return d
	}
	var calls atomic.Int64
	plain := took(sftp.TransferOptions{Size: 4 << 20})
	slow := took(sftp.TransferOptions{Size: 4 << 20, Progress: func(sftp.Progress) {
		calls.Add(1)
		time.Sleep(900 * time.Millisecond)
	}})
	if plain < 3*time.Second || slow > plain+time.Millisecond || calls.Load() < 4 {
		t.Errorf("%v without a callback, %v with one that was called %d times", plain, slow, calls.Load())
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// What a resume finds counts as done, and not as speed.
func TestProgressOfAResume(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		local, want := filepath.Join(t.TempDir(), "x"), noise(3<<20)
		if _, err := c.Put(t.Context(), "/f", bytes.NewReader(want), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		writeLocal(t, local, want[:2<<20])
		var last sftp.Progress
		o := sftp.TransferOptions{Resume: sftp.ResumeOrFail, Progress: func(p sftp.Progress) { last = p }}
		if _, err := c.GetFile(t.Context(), "/f", local, o); err != nil {
			t.Fatal(err)
		}
		if last.Done != 3<<20 || last.Total != 3<<20 || !last.Last || last.Rate*last.Time.Seconds() > 1<<20+1 {
			t.Errorf("%+v", last)
		}
	})
}
