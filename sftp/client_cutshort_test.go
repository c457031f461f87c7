package sftp_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestContextEndSaysWhere: calls that no name of a file is in the error of say by themselves
// that it was SFTP which waited, when their context ends.
func TestContextEndSaysWhere(t *testing.T) {
	var exts []fxp.Pair
	for _, name := range []string{"users-groups-by-id@openssh.com", "filename-charset", "vendor-id", "get-temp-folder", "make-temp-folder"} {
		exts = append(exts, fxp.Pair{Name: name, Data: []byte("1")})
	}
	for want, call := range map[string]func(context.Context, *sftp.Client) error{
		"sftp: users-groups-by-id@openssh.com: ": func(ctx context.Context, c *sftp.Client) error {
			_, _, err := c.LookupIDs(ctx, []uint32{1}, nil)
			return err
		},
		"sftp: get-temp-folder: ":              func(ctx context.Context, c *sftp.Client) error { _, err := c.TempFolder(ctx, false); return err },
		"sftp: make-temp-folder: ":             func(ctx context.Context, c *sftp.Client) error { _, err := c.TempFolder(ctx, true); return err },
		"sftp: filename-translation-control: ": func(ctx context.Context, c *sftp.Client) error { return c.TranslateNames(ctx, true) },
		"sftp: vendor-id: ":                    func(ctx context.Context, c *sftp.Client) error { return c.SendVendor(ctx, "a", "b", "c", 1) },
		"sftp: x: ":                            func(ctx context.Context, c *sftp.Client) error { _, err := c.Extended(ctx, "x", nil); return err },
		"stat /f: ":                            func(ctx context.Context, c *sftp.Client) error { _, err := c.Stat(ctx, "/f"); return err },
	} {
		for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
			meet(t, host{v: fxp.V6, exts: exts}, nil, func(h *host) {
				for h.next() != nil { // and no answer
				}
			}, func(t *testing.T, c *sftp.Client) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if errors.Is(end, context.Canceled) {
					cancel()
				}
				if err := call(ctx, c); !errors.Is(err, end) || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("%v, want %q", err, want+end.Error())
				}
			})
		}
	}
}
