package ssh2

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// slowDownload runs a session that writes size octets over a link that takes
// minutes for what is under way, to a client that has nothing to say meanwhile:
// its window is larger than all of it.
func slowDownload(t *testing.T, size int, change func(*Server, *ClientConfig)) {
	synctest.Test(t, func(t *testing.T) {
		s := testServer(func(_ context.Context, s *ServerSession) {
			_, _ = s.Write(make([]byte, size))
		})
		cfg := testClient()
		cfg.Windows.Initial = 64 << 20
		change(s, cfg)
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{Rate: 10_000, Buffer: 64 << 10})
		sess, err := p.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		n := &countWriter{}
		sess.Stdout = n
		if err := sess.Run(context.Background(), "x"); err != nil || n.n != size {
			t.Errorf("%d of %d octets, %v after %v", n.n, size, err, time.Since(n.start))
		}
		if err := p.close(t); err != nil {
			t.Error(err)
		}
	})
}

type countWriter struct {
	n     int
	start time.Time
}

func (w *countWriter) Write(p []byte) (int, error) {
	if w.n == 0 {
		w.start = time.Now()
	}
	w.n += len(p)
	return len(p), nil
}

var _ io.Writer = (*countWriter)(nil)

// TestW37_SlowLinkIsNotDead: a keepalive waits its turn behind what is under
// way, so its answer may take minutes; output that moves shows a peer.
func TestW37_SlowLinkIsNotDead(t *testing.T) {
	slowDownload(t, 3<<20, func(_ *Server, cfg *ClientConfig) { cfg.KeepAlive.Interval = -1 })
}

// TestRekeyOnSlowLink: KEXINIT waits its turn, too, and the time for the
// exchange begins when the peer can know of it.
func TestRekeyOnSlowLink(t *testing.T) {
	slowDownload(t, 4<<20, func(s *Server, cfg *ClientConfig) {
		s.Rekey.Interval = time.Minute
		s.KeepAlive.Interval, cfg.KeepAlive.Interval = -1, -1
	})
}
