package sftp_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// asText is how a file is opened as text.
func asText(flags int) sftp.OpenHow {
	how := sftp.HowFromFlags(flags)
	how.Flags |= sftp.OpenText
	return how
}

// readPieces reads r to its end in pieces of random sizes.
func readPieces(t *testing.T, r io.Reader, rnd *rand.Rand, most int) string {
	t.Helper()
	var got []byte
	for {
		p := make([]byte, 1+rnd.IntN(most))
		n, err := r.Read(p)
		got = append(got, p[:n]...)
		if err == io.EOF {
			return string(got)
		}
		if err != nil || n == 0 {
			t.Fatalf("read: %d, %v", n, err)
		}
	}
}

// checkClientText writes text in pieces and reads it, with each separator of the wire and of
// our own, and compares with what replacing them in one go returns.
func checkClientText(t *testing.T, text string, seed uint64) {
	t.Helper()
	for _, onWire := range []string{"\n", "\r", "\r\n"} {
		for _, own := range []string{"", "\n", "\r", "\r\n"} {
			srv, _ := memServer(memfs.Options{})
			srv.Newline = onWire
			visit(t, srv, &sftp.ClientConfig{Newline: own}, func(t *testing.T, c *sftp.Client) {
				if c.Version() == sftp.Version3 {
					return
				}
				ours := own
				if ours == "" {
					ours = "\n"
				}
				if got := c.ServerInfo().Newline; got != onWire {
					t.Fatalf("newline %q, want %q", got, onWire)
				}
				rnd := rand.New(rand.NewPCG(seed, uint64(c.Version())))
				w, err := c.OpenFile(t.Context(), "/f", asText(os.O_WRONLY|os.O_CREATE|os.O_TRUNC))
				if err != nil {
					t.Fatal(err)
				}
				for rest := text; rest != ""; {
					n := 1 + rnd.IntN(len(rest))
					if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
						t.Fatal(m, err)
					}
					rest = rest[n:]
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				stored, err := c.ReadFile(t.Context(), "/f")
				want := strings.ReplaceAll(strings.ReplaceAll(text, ours, onWire), onWire, "\n")
				if err != nil || string(stored) != want {
					t.Fatalf("%q over %q: stored %.60q, %v; want %.60q", ours, onWire, stored, err, want)
				}
				r, err := c.OpenFile(t.Context(), "/f", asText(os.O_RDONLY))
				if err != nil {
					t.Fatal(err)
				}
				back := strings.ReplaceAll(strings.ReplaceAll(want, "\n", onWire), onWire, ours)
				if got := readPieces(t, r, rnd, 2*len(text)+2); got != back {
					t.Fatalf("%q over %q: read %.60q, want %.60q", ours, onWire, got, back)
				}
				// Again from the beginning, and straight through.
				if _, err := r.Seek(0, io.SeekStart); err != nil {
					t.Error(err)
				}
				var all bytes.Buffer
				if n, err := io.Copy(&all, r); err != nil || n != int64(len(back)) || all.String() != back {
					t.Errorf("copy: %d octets, %v", n, err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestClientText(t *testing.T) {
	for i, text := range []string{"", "a", "\n", "\r", "\r\n", "a\r\nb\nc\rd\r", "\r\r\n\n", strings.Repeat("line of text\n", 20_000), strings.Repeat("x\r\n\ry", 40_000)} {
		checkClientText(t, text, uint64(i))
	}
}

func FuzzClientText(f *testing.F) {
	f.Add("a\r\nb\nc\r", uint64(1))
	f.Add("\r\r\n\n\r", uint64(2))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if len(text) > 1<<16 {
			return
		}
		checkClientText(t, text, seed)
	})
}

// TestClientTextPositions: what a file that has lines and no offsets can do and cannot.
func TestClientTextPositions(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	visit(t, srv, nil, func(t *testing.T, c *sftp.Client) {
		ctx := t.Context()
		if c.Version() == sftp.Version3 {
			if _, err := c.OpenFile(ctx, "/f", asText(os.O_RDONLY)); !errors.Is(err, errors.ErrUnsupported) {
				t.Error("version 3 has text:", err)
			}
			return
		}
		check := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		check("write", c.WriteFile(ctx, "/f", []byte("zero\none\ntwo\n"), 0))
		f, err := c.OpenFile(ctx, "/f", asText(os.O_RDWR))
		check("open", err)
		read := func(n int) string {
			t.Helper()
			p := make([]byte, n)
			n, err := io.ReadFull(f, p)
			if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
				t.Fatal(err)
			}
			return string(p[:n])
		}
		for _, s := range []struct {
			line uint64
			want string
		}{{2, "two\n"}, {0, "zero\none\n"}, {1, "one\ntwo\n"}, {3, ""}} {
			check("seek", f.SeekLine(ctx, s.line))
			if got := read(len(s.want)); got != s.want {
				t.Errorf("line %d: %q", s.line, got)
			}
		}
		// A line that is not there changes nothing, though more was read ahead.
		check("seek", f.SeekLine(ctx, 0))
		_ = read(5)
		if err := f.SeekLine(ctx, 99); !errors.Is(err, io.EOF) {
			t.Error("line 99:", err)
		}
		if got := read(4); got != "one\n" {
			t.Errorf("behind line 99: %q", got)
		}
		if _, err := f.Write([]byte("x")); err == nil {
			t.Error("written where nobody is")
		}
		check("seek", f.SeekLine(ctx, 1))
		_, err = io.Copy(f, io.LimitReader(strings.NewReader("ONE\nTWO\nmore"), 8))
		check("copy", err)
		if rest, err := io.ReadAll(f); err != nil || len(rest) != 0 {
			t.Errorf("rest %q, %v", rest, err)
		}
		_, err = f.Write([]byte("three\n")) // all that was read ahead is used up
		check("write", err)
		_, err = f.Seek(0, io.SeekStart)
		check("seek", err)
		if got := read(100); got != "zero\nONE\nTWO\nthree\n" {
			t.Errorf("at the end: %q", got)
		}
		for what, call := range map[string]func() error{
			"ReadAt":  func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
			"WriteAt": func() error { _, err := f.WriteAt(make([]byte, 1), 0); return err },
			"Seek":    func() error { _, err := f.Seek(1, io.SeekStart); return err },
			"tell":    func() error { _, err := f.Seek(0, io.SeekCurrent); return err },
		} {
			if err := call(); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v", what, err)
			}
		}
		check("close", f.Close())
		if err := f.SeekLine(ctx, 0); !errors.Is(err, fs.ErrClosed) {
			t.Error("seek of a closed file:", err)
		}
		b, err := c.Open(ctx, "/f")
		check("open", err)
		if err := b.SeekLine(ctx, 0); err == nil {
			t.Error("lines of a file that is no text")
		}
		check("close", b.Close())
		a, err := c.OpenFile(ctx, "/f", asText(os.O_WRONLY|os.O_APPEND))
		check("open", err)
		_, err = io.WriteString(a, "four\n")
		check("append", err)
		check("close", a.Close())
		if got, err := c.ReadFile(ctx, "/f"); err != nil || string(got) != "zero\nONE\nTWO\nthree\nfour\n" {
			t.Errorf("appended: %q, %v", got, err)
		}
	})
	if _, err := sftp.NewClient(t.Context(), newTestConn(), &sftp.ClientConfig{Newline: "\n\n"}); err == nil {
		t.Error("a newline nobody has")
	}
}

// newTestConn is a connection to nobody.
func newTestConn() *memConn {
	a, _ := newPair(1 << 10)
	return a
}

// TestClientTextCut: a separator that is cut by the end of a DATA message is one all the same,
// a server that announces nothing means CR LF, and one without text-seek can do the beginning
// as long as it is there.
func TestClientTextCut(t *testing.T) {
	replies := []string{"a\r", "\nb\r", "c\r", "\n", "\r", "\r", "\nd\r"}
	next := 0
	var wrote []byte
	meet(t, host{v: fxp.V4}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		switch m := m.(type) {
		case *fxp.Read:
			if next == len(replies) {
				h.status(id, sftp.CodeEOF)
				return
			}
			h.reply(id, &fxp.Data{V: h.v, Data: []byte(replies[next])})
			next++
		case *fxp.Write:
			wrote = append(wrote, m.Data...)
			h.status(id, sftp.CodeOK)
		default:
			h.t.Errorf("client sent %v", op)
			h.status(id, sftp.CodeOpUnsupported)
		}
	}), func(t *testing.T, c *sftp.Client) {
		f, err := c.OpenFile(t.Context(), "f", asText(os.O_RDWR))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
		read, _ := c.RequestSizes()
		got, err := io.ReadAll(f)
		if want := "a\nb\rc\n\r\nd\r"; err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if now, _ := c.RequestSizes(); now != read {
			t.Errorf("short text made requests smaller: %d", now)
		}
		if _, err := f.Write([]byte("1\n2\n")); err != nil {
			t.Error(err)
		}
		if err := f.Flush(t.Context()); err != nil || string(wrote) != "1\r\n2\r\n" {
			t.Errorf("wrote %q, %v", wrote, err)
		}
		if _, err := f.Seek(0, io.SeekStart); !errors.Is(err, errors.ErrUnsupported) {
			t.Error("seek without text-seek:", err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	meet(t, host{v: fxp.V5, exts: []fxp.Pair{{Name: "newline", Data: []byte("abc")}}}, nil, serving(func(h *host, op fxp.Op, id uint32, _ wire.Layouter) {
		h.t.Errorf("client sent %v", op)
		h.status(id, sftp.CodeFailure)
	}), func(t *testing.T, c *sftp.Client) {
		if _, err := c.OpenFile(t.Context(), "f", asText(os.O_RDONLY)); !errors.Is(err, errors.ErrUnsupported) {
			t.Error("a newline of three octets:", err)
		}
	})
}
