package sftp_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestW17_EveryCause walks the ways in which a file that is being written gets closed, and
// what its Close hears each time: nil only when everything that the peer sent was written and the
// peer itself sent CLOSE.
func TestW17_EveryCause(t *testing.T) {
	boom := errors.New("boom")
	for _, row := range []struct {
		how  string
		want []error // all in the chain; none: nil
		act  func(t *testing.T, p *peer, h []byte, cancel context.CancelCauseFunc)
	}{
		{"close", nil, func(_ *testing.T, p *peer, h []byte, _ context.CancelCauseFunc) { p.close(h) }},
		{"close, after a WRITE that the quota refused", []error{sftp.ErrIncomplete, sftp.CodeQuotaExceeded}, func(_ *testing.T, p *peer, h []byte, _ context.CancelCauseFunc) {
			p.want("too much", sftp.CodeFailure, &fxp.Write{Handle: h, Offset: 10, Data: make([]byte, 1000)})
			p.close(h)
		}},
		{"close, after the peer made room and tried again", nil, func(_ *testing.T, p *peer, h []byte, _ context.CancelCauseFunc) {
			p.put("g", string(make([]byte, 50)))
			p.want("too much", sftp.CodeFailure, &fxp.Write{Handle: h, Data: make([]byte, 60)})
			p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: "g"})
			p.want("again", sftp.CodeOK, &fxp.Write{Handle: h, Data: make([]byte, 60)})
			p.close(h)
		}},
		{"close, after two that failed and one mended", []error{sftp.ErrIncomplete, sftp.CodeQuotaExceeded}, func(_ *testing.T, p *peer, h []byte, _ context.CancelCauseFunc) {
			for _, off := range []uint64{200, 300} {
				p.want("too much", sftp.CodeFailure, &fxp.Write{Handle: h, Offset: off, Data: make([]byte, 10)})
			}
			p.close(h)
		}},
		{"close, after copy-data that failed", []error{sftp.ErrIncomplete, sftp.CodeQuotaExceeded}, func(_ *testing.T, p *peer, h []byte, _ context.CancelCauseFunc) {
			g := p.open("g", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate)
			p.want("source", sftp.CodeOK, &fxp.Write{Handle: g, Data: make([]byte, 50)})
			p.want("copy", sftp.CodeFailure, &fxp.Extended{Name: "copy-data", Data: wire.Append(nil, &fxp.ExtCopyData{From: g, To: h, ToOffset: 80})})
			p.close(h)
		}},
		{"end of the stream", []error{sftp.ErrDisconnected}, func(*testing.T, *peer, []byte, context.CancelCauseFunc) {}},
		{"connection lost", []error{sftp.ErrDisconnected}, func(_ *testing.T, p *peer, _ []byte, _ context.CancelCauseFunc) { p.conn.Close() }},
		{"timeout", []error{sftp.ErrDisconnected, context.DeadlineExceeded}, func(_ *testing.T, _ *peer, _ []byte, cancel context.CancelCauseFunc) {
			cancel(context.DeadlineExceeded)
		}},
		{"server stops", []error{sftp.ErrDisconnected, boom}, func(_ *testing.T, _ *peer, _ []byte, cancel context.CancelCauseFunc) { cancel(boom) }},
		{"violation", []error{sftp.ErrDisconnected}, func(_ *testing.T, p *peer, _ []byte, _ context.CancelCauseFunc) { p.sendRaw([]byte{0, 0, 0, 0}) }},
		{"panic elsewhere", []error{sftp.ErrDisconnected}, func(_ *testing.T, p *peer, _ []byte, _ context.CancelCauseFunc) {
			p.send(&fxp.Path{T: fxp.TypeRmdir, Path: "/panic"})
		}},
	} {
		var cause error
		closed := false
		mem := memfs.New(memfs.Options{OnClose: func(name string, err error) {
			if name == "/f" || name == "f" {
				closed, cause = true, err
			}
		}})
		q := newQuota(t, "/", 100, 0)
		srv := serverOf(panicRmdir{q.Wrap(mem)})
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			p := newPeer(t, ctx, srv, sftp.SessionInfo{}, 32<<10)
			p.init(3)
			h := p.open("f", fxp.OpenWrite|fxp.OpenCreate)
			row.act(t, p, h, cancel)
			synctest.Wait()
			_ = p.end()
		})
		if !closed || (cause == nil) != (row.want == nil) {
			t.Errorf("%s: closed %v, because of %v", row.how, closed, cause)
		}
		for _, want := range row.want {
			if !errors.Is(cause, want) {
				t.Errorf("%s: closed because of %v, not %v", row.how, cause, want)
			}
		}
		if _, ok := errors.AsType[*sftp.PanicError](cause); ok != (row.how == "panic elsewhere") {
			t.Errorf("%s: closed because of %v", row.how, cause)
		}
	}
}

// panicRmdir panics where it is asked to.
type panicRmdir struct{ sftp.FileSystem }

func (panicRmdir) Rmdir(context.Context, string) error { panic("boom") }

// TestW17_DrainStall: a peer that goes on holding a file open while the server wants to stop
// has it closed for it, with that as the cause.
func TestW17_DrainStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		srv, _ := memServer(memfs.Options{OnClose: func(_ string, err error) { cause = err }})
		drain, stop := context.WithCancel(context.Background())
		p := newPeer(t, context.Background(), srv, sftp.SessionInfo{Drain: drain}, 32<<10)
		p.init(3)
		p.open("f", fxp.OpenWrite|fxp.OpenCreate)
		stop()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		err := p.end()
		if err == nil || !errors.Is(cause, err) || !errors.Is(cause, sftp.ErrDisconnected) {
			t.Errorf("Serve: %v, cause %v", err, cause)
		}
	})
}

// slowCtx is a context that has ended for AfterFunc before what is derived from it learns of that, which
// package context may do in any order.
type slowCtx struct {
	context.Context
	done  chan struct{}
	err   error
	first []func()
}

func (c *slowCtx) Done() <-chan struct{} { return c.done }
func (c *slowCtx) Err() error            { return c.err }

func (c *slowCtx) AfterFunc(f func()) (stop func() bool) {
	c.first = append(c.first, f)
	return func() bool { return c.err == nil }
}

// TestW17_CauseInAnyOrder: why a session was ended is what it ends with, even if its Conn is closed first.
func TestW17_CauseInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := &slowCtx{Context: context.Background(), done: make(chan struct{})}
		p := newPeer(t, ctx, serverOf(memfs.New(memfs.Options{})), sftp.SessionInfo{}, 32<<10)
		p.init(3)
		synctest.Wait()
		ctx.err = context.DeadlineExceeded
		for _, f := range ctx.first {
			f()
		}
		synctest.Wait()
		if err := p.end(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		close(ctx.done)
	})
}
