package sftp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// nameList is a NAME of version 3.
func nameList(list ...string) *fxp.Name {
	m := &fxp.Name{V: fxp.V3}
	for _, n := range list {
		m.Entries = append(m.Entries, fxp.NameEntry{Name: n, LongName: []byte("-rw-r--r-- " + n), Attrs: fxp.Attrs{V: fxp.V3}})
	}
	return m
}

// TestCVE_8_11_NamesInListings: a name that is a path is refused, one by one, and the rest of
// the listing comes all the same.
func TestCVE_8_11_NamesInListings(t *testing.T) {
	evil := []string{"", "/", "a/../../b", "/etc/x", "../x", "a/b", "x\x00y"}
	sent := false
	meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) {
		if sent {
			h.status(id, sftp.CodeEOF)
			return
		}
		sent = true
		h.reply(id, nameList(append(append([]string{".", "..", "first"}, evil...), "last")...))
	}), func(t *testing.T, c *sftp.Client) {
		var good []string
		bad := 0
		for e, err := range c.ReadDir(t.Context(), "/dir") {
			if err == nil {
				good = append(good, e.Name)
				continue
			}
			ne, ok := errors.AsType[*sftp.NameError](err)
			if !ok || !errors.Is(err, fs.ErrInvalid) || e.Name != "" {
				t.Fatalf("%+v %v", e, err)
			}
			if ne.Name != evil[bad] {
				t.Errorf("refused %q, want %q", ne.Name, evil[bad])
			}
			if strings.ContainsAny(err.Error(), "\x00\x1b\n") {
				t.Errorf("error is not quoted: %q", err)
			}
			bad++
		}
		if strings.Join(good, " ") != "first last" || bad != len(evil) {
			t.Errorf("listed %q, refused %d", good, bad)
		}
		if err := c.Rename(t.Context(), "a", "b", 0); err == nil || c.Version() != 3 {
			t.Error("the session did not go on")
		}
	})
}

// TestCVE_12_7_RepliesNobodyAskedFor: unknown, duplicate and stale ids end the session with an
// error that says so, whatever number of them comes.
func TestCVE_12_7_RepliesNobodyAskedFor(t *testing.T) {
	for name, play := range map[string]func(h *host, id uint32){
		"unknown": func(h *host, id uint32) { h.status(id+1, sftp.CodeOK) },
		"duplicate": func(h *host, id uint32) {
			h.reply(id, &fxp.AttrsReply{Attrs: fxp.Attrs{V: fxp.V3}})
			h.reply(id, &fxp.AttrsReply{Attrs: fxp.Attrs{V: fxp.V3}})
		},
		"a million": func(h *host, id uint32) {
			var p []byte
			for i := range uint32(1_000_000) {
				p = fxp.AppendOK(p, fxp.V3, id+1+i)
			}
			for chunk := range (len(p) + 32767) / 32768 {
				h.raw(p[chunk*32768 : min(len(p), (chunk+1)*32768)])
			}
		},
		"version twice": func(h *host, _ uint32) { h.reply(0, &fxp.VersionReply{Version: fxp.V3}) },
		"a request":     func(h *host, id uint32) { h.reply(id, &fxp.Path{T: fxp.TypeRealpath, Path: "."}) },
		"unknown type":  func(h *host, id uint32) { h.raw([]byte{0, 0, 0, 5, 99, 0, 0, 0, byte(id)}) },
	} {
		t.Run(name, func(t *testing.T) {
			meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) { play(h, id) }), func(t *testing.T, c *sftp.Client) {
				if _, err := c.Stat(t.Context(), "/x"); name != "duplicate" && !isProtocolError(err) {
					t.Errorf("stat: %v", err)
				}
				if err := c.Wait(); !isProtocolError(err) {
					t.Errorf("the session ended with %v", err)
				}
				if _, err := c.Stat(t.Context(), "/x"); !isProtocolError(err) {
					t.Errorf("a later call: %v", err)
				}
			})
		})
	}
}

func isProtocolError(err error) bool {
	_, ok := errors.AsType[*sftp.ProtocolError](err)
	return ok
}

// TestCVE_12_7_StaleReplies: the reply to a request that was given up is thrown away, and its
// handle is closed.
func TestCVE_12_7_StaleReplies(t *testing.T) {
	closed := 0
	meet(t, host{}, nil, func(h *host) {
		for {
			op, id, m := h.request()
			switch op {
			case fxp.OpNone:
				return
			case fxp.OpOpen:
				time.Sleep(time.Minute)
				h.handle(id)
			case fxp.OpClose:
				if string(m.(*fxp.Handle).Handle) == "h" {
					closed++
				}
				h.status(id, sftp.CodeOK)
			default:
				h.status(id, sftp.CodeNoSuchFile)
			}
		}
	}, func(t *testing.T, c *sftp.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.Open(ctx, "/slow"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("open: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		if _, err := c.Stat(t.Context(), "/x"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat: %v", err)
		}
		synctest.Wait()
		if closed != 1 {
			t.Errorf("%d handles were closed", closed)
		}
	})
}

// TestCVE_12_2_LengthsFromServers: what no message can be ends the session before memory is
// taken for it.
func TestCVE_12_2_LengthsFromServers(t *testing.T) {
	for _, p := range [][]byte{
		{0, 0, 0, 0},
		{0xFF, 0xFF, 0xFF, 0xFF, 101},
		{0x80, 0, 0, 0, 103},
		{0, 4, 0, 1, 105},
		{0, 0x80, 0, 1, 104}, // of names there may be more, but not that many
		{0, 0, 0, 1, 101},
		{0, 0, 0, 4, 101, 0, 0, 0},
		{0, 0, 0, 8, 103, 0, 0, 0, 1, 0, 0, 0},                // DATA without a whole length
		{0, 0, 0, 9, 103, 0, 0, 0, 1, 0, 0, 0, 1},             // DATA with more content than message
		{0, 0, 0, 9, 103, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF}, // and with far more
	} {
		t.Run(fmt.Sprintf("%x", p), func(t *testing.T) {
			meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, _ uint32, _ wire.Layouter) { h.raw(p) }), func(t *testing.T, c *sftp.Client) {
				if _, err := c.Stat(t.Context(), "/x"); !isProtocolError(err) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// TestCVE_12_3_CountsFromServers: counts are checked against what is there.
func TestCVE_12_3_CountsFromServers(t *testing.T) {
	attrs := []byte{0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}
	for name, body := range map[string][]byte{
		"name":  {0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0},
		"attrs": append([]byte{0, 0, 0, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 1, 'x'}, attrs...),
		"cut":   {0, 0, 0, 1, 0, 0, 0, 9, 'x'},
	} {
		t.Run(name, func(t *testing.T) {
			meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) {
				p := fxp.AppendHeader(nil, fxp.TypeName, id)
				h.raw(fxp.Finish(append(p, body...), 0))
			}), func(t *testing.T, c *sftp.Client) {
				if list, err := c.ReadDirAll(t.Context(), "/"); !isProtocolError(err) || len(list) > 0 {
					t.Errorf("%v %v", list, err)
				}
			})
		})
	}
}

// TestCVE_12_4_HandlesFromServers: a handle has 256 octets at most.
func TestCVE_12_4_HandlesFromServers(t *testing.T) {
	for _, n := range []int{0, 256, 257, 100_000} {
		meet(t, host{}, nil, func(h *host) {
			for {
				op, id, _ := h.request()
				switch op {
				case fxp.OpNone:
					return
				case fxp.OpOpen:
					h.reply(id, &fxp.Handle{T: fxp.TypeHandle, Handle: make([]byte, n)})
				default:
					h.status(id, sftp.CodeOK)
				}
			}
		}, func(t *testing.T, c *sftp.Client) {
			f, err := c.Open(t.Context(), "/x")
			if n <= 256 {
				if err != nil || f.Close() != nil {
					t.Errorf("%d octets: %v", n, err)
				}
			} else if !isProtocolError(err) {
				t.Errorf("%d octets: %v", n, err)
			}
		})
	}
}

// TestCVE_12_8_EmptyRepliesForEver: DATA without content is the end of the file, and NAME
// without names the end of the list.
func TestCVE_12_8_EmptyRepliesForEver(t *testing.T) {
	meet(t, host{}, nil, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
		switch {
		case op == fxp.OpReaddir:
			h.reply(id, nameList())
		case op == fxp.OpRead && m.(*fxp.Read).Offset == 0:
			h.reply(id, &fxp.Data{Data: []byte("some")})
		case op == fxp.OpRead:
			h.reply(id, &fxp.Data{})
		}
	}), func(t *testing.T, c *sftp.Client) {
		if p, err := c.ReadFile(t.Context(), "/f"); string(p) != "some" || err != nil {
			t.Errorf("%q %v", p, err)
		}
		f, err := c.Open(t.Context(), "/f")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := io.ReadAll(f); string(p) != "some" || err != nil {
			t.Errorf("%q %v", p, err)
		}
		if n, err := f.ReadAt(make([]byte, 10), 0); n != 4 || !errors.Is(err, io.EOF) {
			t.Errorf("%d %v", n, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if list, err := c.ReadDirAll(t.Context(), "/"); len(list) != 0 || err != nil {
			t.Errorf("%v %v", list, err)
		}
	})
}

// TestCVE_12_9_OneName: REALPATH and READLINK answer one name.
func TestCVE_12_9_OneName(t *testing.T) {
	for _, list := range [][]string{{}, {"/a", "/b"}} {
		meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) { h.reply(id, nameList(list...)) }), func(t *testing.T, c *sftp.Client) {
			if p, err := c.RealPath(t.Context(), "."); p != "" || !errors.Is(err, sftp.CodeBadMessage) {
				t.Errorf("%d names: %q %v", len(list), p, err)
			}
			if p, err := c.ReadLink(t.Context(), "x"); p != "" || !errors.Is(err, sftp.CodeBadMessage) {
				t.Errorf("%d names: %q %v", len(list), p, err)
			}
		})
	}
}

// TestCVE_12_10_LimitsThatLie: limits@openssh.com is believed within reason.
func TestCVE_12_10_LimitsThatLie(t *testing.T) {
	for _, tt := range []struct {
		packet, read, write uint64
		wantRead, wantWrite int
	}{
		{262144, 261120, 261120, 261120, 261120},
		{0, 0, 0, 32768, 32768},
		{1, 1, 1, 32768, 32768},
		{1 << 63, 1 << 63, 1<<64 - 1, 261120, 261120},
		{34000, 261120, 20000, 32976, 20000},
		{262144, 1023, 1024, 32768, 1024},
	} {
		h := host{exts: []fxp.Pair{{Name: "limits@openssh.com", Data: []byte("1")}}}
		meet(t, h, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) {
			h.reply(id, &fxp.ExtendedReply{Data: wire.Append(nil, &fxp.ReplyLimits{MaxPacket: tt.packet, MaxRead: tt.read, MaxWrite: tt.write, MaxHandles: 7})})
		}), func(t *testing.T, c *sftp.Client) {
			if r, w := c.RequestSizes(); r != tt.wantRead || w != tt.wantWrite {
				t.Errorf("%+v: reads of %d, writes of %d", tt, r, w)
			}
			if c.Limits().MaxHandles != 7 || c.Limits().MaxRead != tt.read {
				t.Errorf("limits %+v", c.Limits())
			}
		})
	}
	for _, answer := range []fxp.Message{
		&fxp.Status{V: fxp.V3, Code: uint32(sftp.CodeOpUnsupported)},
		&fxp.ExtendedReply{Data: []byte{1, 2, 3}},
	} {
		h := host{exts: []fxp.Pair{{Name: "limits@openssh.com", Data: []byte("1")}}}
		synctest.Test(t, func(t *testing.T) {
			a, b := newPair(32 << 10)
			h.t, h.conn, h.v = t, b, fxp.V3
			go func() {
				h.hello()
				h.serve(func(_ fxp.Op, id uint32, _ wire.Layouter) { h.reply(id, answer) })
			}()
			c, err := sftp.NewClient(t.Context(), a, nil)
			if _, refused := answer.(*fxp.Status); refused != (err == nil) {
				t.Errorf("answer %T: %v", answer, err)
			}
			if c != nil {
				_ = c.Close()
			}
			synctest.Wait()
			a.drain()
			b.drain()
		})
	}
}

// TestCVE_12_17_WrongReplies: a reply of a type that cannot answer the request ends the session.
func TestCVE_12_17_WrongReplies(t *testing.T) {
	for _, answer := range []fxp.Message{
		&fxp.Handle{T: fxp.TypeHandle, Handle: []byte("h")},
		&fxp.Data{Data: []byte("x")},
		&fxp.ExtendedReply{Data: []byte("x")},
		&fxp.Status{V: fxp.V3, Code: uint32(sftp.CodeOK)},
		nameList("x"),
	} {
		for name, call := range map[string]func(ctx context.Context, c *sftp.Client) error{
			"stat": func(ctx context.Context, c *sftp.Client) error { _, err := c.Stat(ctx, "/"); return err },
			"read": func(ctx context.Context, c *sftp.Client) error { _, err := c.ReadFile(ctx, "/f"); return err },
			"write": func(ctx context.Context, c *sftp.Client) error {
				return c.WriteFile(ctx, "/f", []byte("x"), 0)
			},
			"list": func(ctx context.Context, c *sftp.Client) error {
				_, err := c.ReadDirAll(ctx, "/")
				return err
			},
			"remove": func(ctx context.Context, c *sftp.Client) error { return c.Remove(ctx, "/f") },
		} {
			_, data := answer.(*fxp.Data)
			_, list := answer.(*fxp.Name)
			st, status := answer.(*fxp.Status)
			if data && name == "read" || list && name == "list" || status && st.Code == 0 && (name == "write" || name == "remove") {
				continue // that is how it should be
			}
			t.Run(fmt.Sprintf("%s %s", name, answer.Type()), func(t *testing.T) {
				meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, _ wire.Layouter) { h.reply(id, answer) }), func(t *testing.T, c *sftp.Client) {
					if err := call(t.Context(), c); !isProtocolError(err) {
						t.Errorf("%v", err)
					}
				})
			})
		}
	}
}

// TestCVE_12_6_MoreDataThanAskedFor ends the session too.
func TestCVE_12_6_MoreDataThanAskedFor(t *testing.T) {
	meet(t, host{}, nil, serving(func(h *host, _ fxp.Op, id uint32, m wire.Layouter) {
		h.reply(id, &fxp.Data{Data: make([]byte, m.(*fxp.Read).Length+1)})
	}), func(t *testing.T, c *sftp.Client) {
		if _, err := c.ReadFile(t.Context(), "/f"); !isProtocolError(err) {
			t.Errorf("%v", err)
		}
	})
}

// TestClientLosesTheConnection: everyone who waits learns it, with a type of its own, and no
// end of a file is made of it.
func TestClientLosesTheConnection(t *testing.T) {
	for name, end := range map[string]func(h *host){
		"eof":   func(h *host) { h.conn.CloseWrite() },
		"close": func(h *host) { h.conn.Close() },
		"cut": func(h *host) {
			h.raw([]byte{0, 0, 0, 20, 103, 0, 0})
			h.conn.CloseWrite()
		},
	} {
		t.Run(name, func(t *testing.T) {
			meet(t, host{}, nil, func(h *host) {
				reads := 0
				h.serve(func(op fxp.Op, id uint32, m wire.Layouter) {
					if reads++; reads == 3 {
						end(h)
					}
				})
			}, func(t *testing.T, c *sftp.Client) {
				f, err := c.Open(t.Context(), "/f")
				if err != nil {
					t.Fatal(err)
				}
				results := make(chan error, 3)
				go func() { _, err := c.Stat(t.Context(), "/x"); results <- err }()
				go func() { _, err := f.ReadAt(make([]byte, 10), 0); results <- err }()
				go func() { _, err := f.Read(make([]byte, 10)); results <- err }()
				for range 3 {
					err := <-results
					_, typed := errors.AsType[*sftp.ConnectionError](err)
					if !typed || !errors.Is(err, sftp.CodeConnectionLost) || errors.Is(err, io.EOF) {
						t.Errorf("%v", err)
					}
				}
				<-c.Done()
				if err := f.Close(); err == nil {
					t.Error("close succeeded")
				}
				if err := c.Wait(); err == nil {
					t.Error("the session ended without an error")
				}
			})
		})
	}
}

// FuzzClient takes anything for what a server sends.
func FuzzClient(f *testing.F) {
	reply := func(ms ...fxp.Message) []byte {
		var p []byte
		for i, m := range ms {
			p = fxp.Append(p, uint32(i)|1<<13, m)
		}
		return p
	}
	f.Add(reply(&fxp.Status{V: fxp.V3, Code: 2}))
	f.Add(reply(&fxp.Handle{T: fxp.TypeHandle, Handle: []byte("h")}, &fxp.Data{Data: []byte("content")}, &fxp.Status{V: fxp.V3, Code: 1}))
	f.Add(reply(&fxp.Handle{T: fxp.TypeHandle, Handle: []byte("h")}, nameList("a", "b/c"), &fxp.Status{V: fxp.V3, Code: 1}))
	f.Add(reply(&fxp.AttrsReply{Attrs: fxp.Attrs{V: fxp.V3, Flags: fxp.AttrSize, Size: 1}}))
	f.Add(reply(&fxp.ExtendedReply{Data: []byte("1234")}))
	f.Add([]byte("\x00\x00\x00\xe4\x10i\x00\x00 \x00\x00\x00\x00\x01")) // less than it says
	f.Fuzz(func(t *testing.T, p []byte) {
		for v := fxp.V3; v <= fxp.V6; v++ {
			c, err := sftp.NewClient(t.Context(), packet.Pipe(newCanned(fxp.Append(nil, 0, &fxp.VersionReply{Version: v}), p)), nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if b, err := c.ReadFile(ctx, "f"); err == nil && len(b) > len(p) {
				t.Errorf("read %d octets out of %d", len(b), len(p))
			}
			for e, err := range c.ReadDir(ctx, "d") {
				if err == nil && strings.ContainsAny(e.Name, "/\x00") {
					t.Errorf("listed %q", e.Name)
				}
			}
			_, _ = c.Stat(ctx, "s")
			_, _ = c.RealPath(ctx, ".")
			_ = c.WriteFile(ctx, "w", []byte("content"), 0)
			_ = c.Close()
			_ = c.Wait()
		}
	})
}

// canned is a server that has said everything beforehand. Its replies get the ids of the
// requests that wait, in order; at the end of them the stream ends.
type canned struct {
	mu      sync.Mutex
	cond    sync.Cond
	replies []byte
	left    int // octets to come of the reply that was begun
	waiting []uint32
	in      []byte // of requests
	begun   bool
	closed  bool
}

func newCanned(version, replies []byte) *canned {
	c := &canned{replies: append(version, replies...)}
	c.cond.L = &c.mu
	return c
}

func (c *canned) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Nobody waits for the rest of a reply that is cut off, nor for the next one: that is the end.
	for c.begun && c.left == 0 && len(c.replies) > 0 && len(c.waiting) == 0 && !c.closed {
		c.cond.Wait()
	}
	if c.closed || len(c.replies) == 0 {
		return 0, io.EOF
	}
	if c.left == 0 {
		c.left = len(c.replies)
		if c.left >= 4 {
			c.left = int(min(int64(c.left), 4+int64(binary.BigEndian.Uint32(c.replies))))
		}
		if c.begun {
			if c.left >= 9 {
				binary.BigEndian.PutUint32(c.replies[5:], c.waiting[0])
			}
			c.waiting = c.waiting[1:]
		}
		c.begun = true
	}
	n := copy(p, c.replies[:c.left])
	c.left -= n
	c.replies = c.replies[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, p...)
	for len(c.in) >= 9 {
		n := 4 + int(binary.BigEndian.Uint32(c.in))
		if len(c.in) < n {
			break
		}
		if c.in[4] != byte(fxp.TypeInit) {
			c.waiting = append(c.waiting, binary.BigEndian.Uint32(c.in[5:]))
		}
		c.in = c.in[n:]
	}
	c.cond.Broadcast()
	return len(p), nil
}

func (c *canned) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.cond.Broadcast()
	return nil
}
