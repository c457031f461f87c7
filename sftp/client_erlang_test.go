package sftp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// Erlang's ssh_sftpd and ssh_sftp, as they come in OTP 25.

// TestErlangServer: version 3 is asked for; who opens a file in order to change it asks to
// read it as well, or it would be emptied; and who is named a version gets that one.
func TestErlangServer(t *testing.T) {
	cfg := &sftp.ClientConfig{ServerIdent: "SSH-2.0-Erlang/4.15.2"}
	var flags []uint32
	play := func(want uint32) func(h *host) {
		return func(h *host) {
			if h.asks != want {
				t.Errorf("INIT asks for version %d, want %d", h.asks, want)
			}
			for {
				op, id, m := h.request()
				switch op {
				case fxp.OpNone:
					return
				case fxp.OpOpen:
					flags = append(flags, m.(*fxp.Open).Flags)
					h.handle(id)
				default:
					h.status(id, sftp.CodeOK)
				}
			}
		}
	}
	meet(t, host{}, cfg, play(3), func(t *testing.T, c *sftp.Client) {
		for _, how := range []int{os.O_WRONLY, os.O_WRONLY | os.O_CREATE, os.O_WRONLY | os.O_CREATE | os.O_TRUNC, os.O_WRONLY | os.O_APPEND} {
			f, err := c.OpenFile(t.Context(), "/f", sftp.HowFromFlags(how))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Read(make([]byte, 1)); err == nil {
				t.Error("a file that was opened for writing can be read")
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	want := []uint32{
		fxp.OpenWrite | fxp.OpenRead, fxp.OpenWrite | fxp.OpenRead | fxp.OpenCreate,
		fxp.OpenWrite | fxp.OpenCreate | fxp.OpenTrunc, fxp.OpenWrite | fxp.OpenAppend,
	}
	if fmt.Sprint(flags) != fmt.Sprint(want) {
		t.Errorf("flags %#x, want %#x", flags, want)
	}
	cfg.MaxVersion = 5
	meet(t, host{}, cfg, play(5), func(*testing.T, *sftp.Client) {})
}

// TestErlangClient asks for version 6, and gets 3.
func TestErlangClient(t *testing.T) {
	for ident, want := range map[string]int{"SSH-2.0-Erlang/4.15.2": 3, "SSH-2.0-Erlang/5.2.1": 3, "SSH-2.0-AsyncSSH_2.24.1": 6} {
		srv, _ := memServer(memfs.Options{})
		play(t, srv, sftp.SessionInfo{ClientIdent: ident}, func(p *peer) {
			if got := p.init(6); int(got.Version) != want {
				t.Errorf("%s: version %d, want %d", ident, got.Version, want)
			}
		})
	}
}

// TestWholeDirectoryAsOneName: there are servers that send a directory as one message, however
// long, and no client can keep them from it.
func TestWholeDirectoryAsOneName(t *testing.T) {
	const entries = 20_000
	answered := false
	meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) {
		if answered {
			h.status(id, sftp.CodeEOF)
			return
		}
		answered = true
		m := &fxp.Name{V: fxp.V3}
		for i := range entries {
			m.Entries = append(m.Entries, fxp.NameEntry{Name: fmt.Sprintf("a name of some length, number %d", i), Attrs: fxp.Attrs{V: fxp.V3}})
		}
		p := fxp.Append(nil, id, m)
		if len(p) < 2*fxp.MaxLength {
			t.Errorf("a message of %d octets shows nothing", len(p))
		}
		for len(p) > 0 {
			n := min(len(p), 30_000)
			h.raw(p[:n])
			p = p[n:]
		}
	}), func(t *testing.T, c *sftp.Client) {
		list, err := c.ReadDirAll(t.Context(), "/")
		if err != nil || len(list) != entries {
			t.Errorf("%d entries, %v", len(list), err)
		}
	})
}

// TestLongNameThatEnds: what came of a long message is released if the rest never does.
func TestLongNameThatEnds(t *testing.T) {
	meet(t, host{}, nil, func(h *host) {
		for {
			op, id, _ := h.request()
			switch op {
			case fxp.OpNone:
				return
			case fxp.OpOpendir:
				h.handle(id)
			case fxp.OpReaddir:
				h.raw(append([]byte{0, 0x7F, 0, 0, byte(fxp.TypeName), 0, 0, 0, byte(id)}, bytes.Repeat([]byte("x"), 20_000)...))
				h.conn.Close()
				return
			default:
				h.status(id, sftp.CodeOK)
			}
		}
	}, func(t *testing.T, c *sftp.Client) {
		if _, err := c.ReadDirAll(t.Context(), "/"); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err)
		}
	})
}
