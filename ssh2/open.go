package ssh2

import (
	"bytes"
	"context"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// Open opens a channel (RFC 4254 section 5.1). extra is what the type adds to
// the message; h answers the peer's requests on the channel, nil refuses them.
// A refusal is an *OpenError. Cancelling ctx stops the waiting and closes the
// channel should the peer still grant it.
func (c *Conn) Open(ctx context.Context, typ string, extra []byte, h RequestHandler) (*Channel, error) {
	return c.open(ctx, typ, extra, func(ch *Channel) { ch.handle(h) })
}

func (c *Conn) open(ctx context.Context, typ string, extra []byte, prepare func(*Channel)) (*Channel, error) {
	if err := c.takeSlot(ctx); err != nil {
		return nil, during("channel: open", err)
	}
	ch, err := c.newChannel(typ)
	if err != nil {
		c.giveSlot()
		return nil, err
	}
	prepare(ch)
	// The slot is free when the peer has answered, not when we cease to wait.
	w := &waiter{answer: make(chan answer, 1), slot: true}
	ch.mu.Lock()
	ch.waiters = append(ch.waiters, w)
	ch.mu.Unlock()
	err = c.t.PostMessage(&msg.ChannelOpen{Type: typ, Sender: ch.id, Window: c.windows.Initial, MaxPacket: maxPacket, Extra: extra})
	if err != nil {
		return nil, err
	}
	if _, err = c.wait(ctx, w); err == nil {
		return ch, nil
	}
	ch.mu.Lock()
	late := ch.has(confirmed) // between the end of ctx and here
	ch.state |= abandoned
	ch.mu.Unlock()
	if late {
		_ = ch.Close()
	}
	return nil, during("channel: open", err)
}

// onOpen decides on CHANNEL_OPEN, or lets a handler decide (RFC 4254 section 5.1).
func (c *Conn) onOpen(p []byte) error {
	var m msg.ChannelOpen
	if err := c.decode(p, &m); err != nil {
		return err
	}
	if taken, err := c.listening.offer(c, &m); taken {
		return err
	}
	// Looked up once: what lends to the peer may be taken back at any time.
	h := c.opener(m.Type)
	if no := c.admit(&m, h != nil); no != nil {
		c.log.Debug("channel refused", "type", plainAuth(m.Type), "reason", no.Reason, "text", plainAuth(no.Text))
		return c.refuseOpen(m.Sender, no)
	}
	ch, err := c.newChannel(m.Type)
	if err != nil {
		return err
	}
	ch.counted = true
	if !c.isForward(m.Type) { // else admit has counted it
		c.mu.Lock()
		c.counted++
		c.mu.Unlock()
	}
	n := c.incoming(ch, &m)
	if m.Type == "session" && c.server != nil {
		newServerSession(ch)
		return c.confirm(ch)
	}
	ch.busy = 1
	c.goHandler(func() {
		defer ch.uncount(0)
		h(ch.ctx, n)
		n.Refuse(OpenProhibited, "not accepted")
	})
	return nil
}

// incoming makes ch the channel that the peer wants to open.
func (c *Conn) incoming(ch *Channel, m *msg.ChannelOpen) *NewChannel {
	ch.theirs = true
	ch.peer = m.Sender
	ch.flow = c.t.NewFlow(m.Sender, m.Window, m.MaxPacket)
	return &NewChannel{conn: c, ch: ch, extra: bytes.Clone(m.Extra)}
}

var errPacketSize0 = &OpenError{OpenConnectFailed, "maximum packet size 0"}

// admit says why a channel is not to be opened, or nil. known tells whether there
// is a handler for it.
func (c *Conn) admit(m *msg.ChannelOpen, known bool) *OpenError {
	session := m.Type == "session" && c.server != nil
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !known && !session:
		return &OpenError{OpenUnknownType, "unknown channel type"}
	case c.auth.Limits.NoPortForwarding && forwardsPorts(m.Type):
		return &OpenError{OpenProhibited, "no forwarding"}
	case session && c.server.Session == nil:
		return &OpenError{OpenProhibited, "no sessions"}
	case session && c.noMoreSessions:
		return &OpenError{OpenProhibited, "no more sessions were announced"}
	case c.draining:
		return &OpenError{OpenProhibited, "shutting down"}
	case m.MaxPacket == 0:
		return errPacketSize0
	case c.isForward(m.Type):
		select {
		case c.forwards <- struct{}{}:
		default:
			return &OpenError{OpenResourceShortage, "too many forwarded connections"}
		}
	case c.counted >= c.maxChannels():
		return &OpenError{OpenResourceShortage, "too many channels"}
	}
	return nil
}

// isForward tells whether channels of that type count as forwarded connections
// rather than against MaxChannels.
func (c *Conn) isForward(typ string) bool { return c.server != nil && forwardsPorts(typ) }

// opener returns what decides on channels of that type, or nil.
func (c *Conn) opener(typ string) ChannelHandler {
	if h := c.openers[typ]; h != nil {
		return h
	}
	return c.lent.opener(typ)
}

// maxChannels is how many channels the peer may have open at a time.
func (c *Conn) maxChannels() int {
	if c.server == nil {
		return maxServerChannels
	}
	if c.server.MaxChannels > 0 {
		return c.server.MaxChannels
	}
	return DefaultMaxChannels
}

// refuseOpen tells the peer that its channel is not opened.
func (c *Conn) refuseOpen(peer uint32, no *OpenError) error {
	return c.t.PostMessage(&msg.ChannelOpenFailure{Recipient: peer, Reason: uint32(no.Reason), Text: no.Text})
}

// confirm tells the peer that its channel is open.
func (c *Conn) confirm(ch *Channel) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.state |= confirmed
	return c.t.PostMessage(&msg.ChannelOpenConfirmation{Recipient: ch.peer, Sender: ch.id, Window: ch.window.size, MaxPacket: maxPacket})
}

func (c *Conn) onOpenConfirmation(p []byte) error {
	var m msg.ChannelOpenConfirmation
	if err := c.decode(p, &m); err != nil {
		return err
	}
	ch, err := c.opening(p[0], m.Recipient)
	if err != nil {
		return err
	}
	if m.MaxPacket == 0 {
		return c.t.Violation("channel confirmed with maximum packet size 0")
	}
	ch.mu.Lock()
	ch.peer = m.Sender
	ch.flow = c.t.NewFlow(m.Sender, m.Window, m.MaxPacket)
	ch.state |= confirmed
	given := ch.has(abandoned)
	ch.mu.Unlock()
	if given {
		return ch.Close()
	}
	c.giveSlot()
	ch.answered().deliver(answer{ok: true})
	return nil
}

func (c *Conn) onOpenFailure(p []byte) error {
	var m msg.ChannelOpenFailure
	if err := c.decode(p, &m); err != nil {
		return err
	}
	ch, err := c.opening(p[0], m.Recipient)
	if err != nil {
		return err
	}
	c.giveSlot()
	ch.answered().deliver(answer{err: &OpenError{OpenReason(m.Reason), m.Text}})
	c.remove(ch)
	ch.stop(ErrChannelClosed)
	return nil
}

// opening returns the channel that the peer decides on.
func (c *Conn) opening(number byte, id uint32) (*Channel, error) {
	ch := c.channel(id)
	if ch == nil {
		return nil, c.t.Violation("%s for channel %d, which was not asked for", msg.Name(number), id)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.has(confirmed) || ch.theirs {
		return nil, c.t.Violation("%s for channel %d, which was not asked for", msg.Name(number), id)
	}
	return ch, nil
}

// A NewChannel is a channel that the peer wants to open. A ChannelHandler
// decides with Accept or Refuse; returning without either refuses.
type NewChannel struct {
	conn    *Conn
	ch      *Channel
	extra   []byte
	decided bool
}

// A ChannelHandler decides on channels of one type that the peer opens, on a
// goroutine of its own. The context ends with the channel.
type ChannelHandler func(ctx context.Context, n *NewChannel)

// Conn returns the connection.
func (n *NewChannel) Conn() *Conn { return n.conn }

// Type returns the channel type.
func (n *NewChannel) Type() string { return n.ch.typ }

// Extra returns what the type adds to the message, unparsed.
func (n *NewChannel) Extra() []byte { return n.extra }

// Accept opens the channel; h answers the peer's requests on it, nil refuses
// them. The caller closes the channel.
func (n *NewChannel) Accept(h RequestHandler) (*Channel, error) {
	if n.decided {
		return nil, ErrChannelClosed
	}
	n.decided = true
	n.ch.handle(h)
	if err := n.conn.confirm(n.ch); err != nil {
		return nil, err
	}
	return n.ch, nil
}

// Refuse refuses the channel and tells the peer why. After Accept it does
// nothing.
func (n *NewChannel) Refuse(reason OpenReason, text string) {
	if n.decided {
		return
	}
	n.decided = true
	n.conn.remove(n.ch)
	n.ch.stop(ErrChannelClosed)
	_ = n.conn.refuseOpen(n.ch.peer, &OpenError{reason, text})
}
