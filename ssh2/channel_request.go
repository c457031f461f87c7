package ssh2

import (
	"context"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// Request sends a channel request (RFC 4254 section 5.4). With wantReply it
// waits for the reply, and returns a *RequestError if the peer refused.
// Cancelling ctx stops the waiting, not the request.
func (ch *Channel) Request(ctx context.Context, name string, wantReply bool, data []byte) error {
	m := &msg.ChannelRequest{Recipient: ch.peer, Name: name, WantReply: wantReply, Data: data}
	if !wantReply {
		return during("channel request", ch.tell(ctx, m))
	}
	if err := ch.conn.takeSlot(ctx); err != nil {
		return during("channel request", err)
	}
	w := &waiter{answer: make(chan answer, 1), slot: true}
	ch.mu.Lock()
	err := ch.usable()
	if err == nil {
		// In one critical section, so that waiters queue up in wire order.
		err = ch.conn.t.PostMessage(m)
	}
	if err == nil {
		ch.waiters = append(ch.waiters, w)
	}
	ch.mu.Unlock()
	if err != nil {
		ch.conn.giveSlot()
		return err
	}
	a, err := ch.conn.wait(ctx, w)
	if err != nil {
		return during("channel request", err)
	}
	if !a.ok {
		return &RequestError{name}
	}
	return nil
}

// tell sends a request that has no answer. It waits while too much is on its
// way; a CLOSE that becomes due meanwhile goes out after it.
func (ch *Channel) tell(ctx context.Context, m *msg.ChannelRequest) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	ch.mu.Lock()
	if err := ch.usable(); err != nil {
		ch.mu.Unlock()
		return err
	}
	ch.telling++
	ch.mu.Unlock()
	err := ch.conn.t.SendContext(ctx, m)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.telling--; ch.telling == 0 && ch.closeDue {
		_ = ch.conn.t.PostMessage(&msg.ChannelSignal{Num: msg.NumChannelClose, Recipient: ch.peer})
	}
	return err
}

// usable says why nothing can be sent any more; it is called with ch.mu held.
func (ch *Channel) usable() error {
	if ch.err != nil {
		return ch.err
	}
	if ch.has(sentClose | gotClose) {
		return ErrChannelClosed
	}
	return nil
}

// reply answers a request of the peer.
func (ch *Channel) reply(r *Request, ok bool, _ []byte) {
	if !r.WantReply {
		return
	}
	num := byte(msg.NumChannelFailure)
	if ok {
		num = msg.NumChannelSuccess
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.usable() == nil {
		_ = ch.conn.t.PostMessage(&msg.ChannelSignal{Num: num, Recipient: ch.peer})
	}
}

// handle makes h answer the requests of the peer.
func (ch *Channel) handle(h RequestHandler) {
	ch.line.reply = ch.reply
	ch.line.serve = func(r *Request) verdict {
		if h == nil {
			return refuse
		}
		ch.conn.goHandler(func() {
			ok, reply := h(ch.ctx, r)
			ch.line.settle(r, ok, reply)
		})
		return pending
	}
}
