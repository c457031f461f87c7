package sftp

import (
	"errors"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

func TestEveryHandlerHasARow(t *testing.T) {
	for _, row := range fxp.Rows()[1:] {
		h := &handlers[row.Op]
		inLoop := row.Reply != 0 && row.Op != fxp.OpInit && row.Op != fxp.OpRead && row.Op != fxp.OpWrite
		if (h.run != nil) != inLoop {
			t.Errorf("%s: handler %v", row.Name, h.run != nil)
		}
		if row.Effect == fxp.Writes && row.Extension != "" && !h.features.Has(FeatureWrite) {
			t.Errorf("%s changes something but is offered without FeatureWrite", row.Name)
		}
	}
	if handlers[fxp.OpNone].run != nil {
		t.Error("what is unknown has a handler")
	}
}

// Every combination of the six flags, against what open(2) does with OpenSSH's server.
func TestOpenFlags(t *testing.T) {
	for flags := range uint32(64) {
		read, write, app := flags&fxp.OpenRead != 0, flags&fxp.OpenWrite != 0, flags&fxp.OpenAppend != 0
		creat, trunc, excl := flags&fxp.OpenCreate != 0, flags&fxp.OpenTrunc != 0, flags&fxp.OpenExcl != 0
		h, err := openHow(&fxp.Open{Flags: flags, Attrs: fxp.Attrs{V: fxp.V3}})
		if trunc && !creat && !write && !app {
			if !errors.Is(err, CodeInvalidParameter) {
				t.Errorf("%#x: truncation without write access: %v", flags, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%#x: %v", flags, err)
			continue
		}
		if h.Reads() != (read || !write && !app) || h.Writes() != (write || app) || h.Appends() != app {
			t.Errorf("%#x: reads %v writes %v appends %v", flags, h.Reads(), h.Writes(), h.Appends())
		}
		if h.Creates() != creat || (h.Disposition == CreateNew) != (creat && excl) || h.Truncates() != (trunc && !(creat && excl)) {
			t.Errorf("%#x: disposition %v", flags, h.Disposition)
		}
	}
	if a, _ := openHow(&fxp.Open{Flags: fxp.OpenRead | 0x40, Attrs: fxp.Attrs{V: fxp.V3}}); a.Disposition != OpenExisting || a.Flags != 0 {
		t.Error("a flag that version 3 does not have changes something")
	}
}

func TestW8_QuirkTable(t *testing.T) {
	idents := []string{"SSH-2.0-AsyncSSH_2.24.0", "SSH-2.0-phpseclib_3.0", "SSH-2.0-libssh_0.10.6", "SSH-2.0-ssh2js1.17.0", "SSH-2.0-APACHE-SSHD-2.16.0", "SSH-2.0-Erlang/4.15.2", "SSH-2.0-Twisted_26.10.0", "SSH-2.0-Ruby/Net::SSH_7.2.0"}
	if len(idents) != len(quirkRows) {
		t.Errorf("%d rows, %d idents to try", len(quirkRows), len(idents))
	}
	for i, row := range quirkRows {
		if row.why == "" || row.quirks == 0 || quirksOf(idents[i])&row.quirks != row.quirks {
			t.Errorf("row %q is not reached by %q", row.ident, idents[i])
		}
	}
	for _, ident := range []string{"", "SSH-2.0-OpenSSH_9.9", "SSH-2.0-PuTTY_Release_0.81", "SSH-2.0-libssh2_1.11.0", "SSH-2.0-Go"} {
		if quirksOf(ident) != 0 {
			t.Errorf("%q has quirks", ident)
		}
	}
}

func TestHandleSlots(t *testing.T) {
	table := handles{max: 3, total: new(atomic.Int64), most: 100}
	var open []*handle
	for range 3 {
		if err := table.room(); err != nil {
			t.Fatal(err)
		}
		h := &handle{}
		table.add(h)
		open = append(open, h)
	}
	if table.room() == nil {
		t.Error("room for a fourth")
	}
	old := open[1].id
	table.remove(open[1])
	h := &handle{}
	table.add(h)
	if h.id == old || len(table.slots) != 3 {
		t.Errorf("slot used again as %x after %x", h.id, old)
	}
	n := 0
	table.all(func(h *handle) { table.remove(h); n++ })
	if n != 3 || table.open != 0 {
		t.Errorf("%d handles, %d left", n, table.open)
	}
	if (Limits{Handles: 1 << 20}).handles() != maxHandles || (Limits{}).concurrency() != defaultConcurrency {
		t.Error("limits")
	}
}

// TestCVE_12_5_ListingsAreSmall: what all the listings of a session hold between two
// READDIRs is bounded, beside their number.
func TestCVE_12_5_ListingsAreSmall(t *testing.T) {
	if n := nameBatch * int(reflect.TypeFor[Entry]().Size()) * defaultHandles; n > 32<<20 {
		t.Errorf("%d octets for the listings of one session", n)
	}
}
