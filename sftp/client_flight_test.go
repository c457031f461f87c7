package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestUploadsBeginByDistance: how many octets an upload sends before it hears anything goes by
// the round trip: few to a server nearby, where they would only wait in the server.
func TestUploadsBeginByDistance(t *testing.T) {
	for name, test := range map[string]struct {
		rtt         time.Duration // what OPEN takes
		least, most int
	}{
		"here":    {0, 384 << 10, 512 << 10},
		"nearby":  {time.Millisecond, 896 << 10, 1 << 20},
		"far":     {2 * time.Millisecond, 2<<20 - 128<<10, 2 << 20},
		"farther": {100 * time.Millisecond, 2<<20 - 128<<10, 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			got := 0
			meet(t, host{}, nil, func(h *host) {
				for {
					op, id, m := h.request()
					switch op {
					case fxp.OpNone:
						return
					case fxp.OpOpen:
						time.Sleep(test.rtt)
						h.handle(id)
					case fxp.OpWrite: // is never acknowledged
						got += len(m.(*fxp.Write).Data)
					default:
						h.status(id, sftp.CodeOK)
					}
				}
			}, func(t *testing.T, c *sftp.Client) {
				f, err := c.Create(t.Context(), "/f")
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				f.SetContext(ctx)
				if _, err := f.ReadFrom(bytes.NewReader(make([]byte, 8<<20))); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("an upload that nobody acknowledges ended with %v", err)
				}
				synctest.Wait()
				if got < test.least || got > test.most {
					t.Errorf("%d octets are in flight, want %d to %d", got, test.least, test.most)
				}
				_ = f.Close()
			})
		})
	}
}
