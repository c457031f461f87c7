package ssh2

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// dispatch has what the reader does with each message of the connection
// protocol. The transport has decided already whether it may come here and now.
// None of these waits, and an error ends the connection.
var dispatch = func() (t [256]func(*Conn, []byte) error) {
	for i := range t {
		t[i] = func(c *Conn, p []byte) error { return c.t.Violation("unexpected %s", msg.Name(p[0])) }
	}
	// Requests after success are to be ignored silently (RFC 4252 section 5.3).
	t[msg.NumUserauthRequest] = func(*Conn, []byte) error { return nil }
	t[msg.NumGlobalRequest] = (*Conn).onGlobalRequest
	t[msg.NumRequestSuccess] = (*Conn).onGlobalAnswer
	t[msg.NumRequestFailure] = (*Conn).onGlobalAnswer
	t[msg.NumChannelOpen] = (*Conn).onOpen
	t[msg.NumChannelOpenOK] = (*Conn).onOpenConfirmation
	t[msg.NumChannelOpenFail] = (*Conn).onOpenFailure
	t[msg.NumWindowAdjust] = (*Conn).onWindowAdjust
	t[msg.NumChannelData] = (*Conn).onData
	t[msg.NumChannelExtData] = (*Conn).onExtendedData
	t[msg.NumChannelEOF] = (*Conn).onEOF
	t[msg.NumChannelClose] = (*Conn).onClose
	t[msg.NumChannelRequest] = (*Conn).onChannelRequest
	t[msg.NumChannelSuccess] = (*Conn).onChannelAnswer
	t[msg.NumChannelFailure] = (*Conn).onChannelAnswer
	return t
}()

// decode decodes p into m; a malformed message is a violation.
func (c *Conn) decode(p []byte, m msg.Message) error {
	if err := msg.Decode(p, m); err != nil {
		return c.t.Violation("%v", err)
	}
	return nil
}

// stray notes a message for nobody: an answer to nothing, or one for a channel
// that is no more. Peers send some in good faith, as when they adjust the
// window of a channel that closed meanwhile, so a few per channel are dropped;
// who sends more breaks the connection.
func (c *Conn) stray(what string) error {
	c.strays++
	c.mu.Lock()
	allowed := 64 + 16*c.total
	c.mu.Unlock()
	if c.strays > allowed {
		return c.t.Violation("too many messages for nobody, last %s", what)
	}
	return nil
}

// missing is what a message for the channel number id comes to when there is
// no such channel: stray if there was one, else a violation.
func (c *Conn) missing(number byte, id uint32) error {
	c.mu.Lock()
	known := uint64(id) < uint64(len(c.channels))
	c.mu.Unlock()
	if !known {
		return c.t.Violation("%s for channel %d, which was never open", msg.Name(number), id)
	}
	return c.stray(msg.Name(number))
}

func (c *Conn) onGlobalRequest(p []byte) error {
	var m msg.GlobalRequest
	if err := c.decode(p, &m); err != nil {
		return err
	}
	if !c.line.push(&Request{m.Name, m.WantReply, bytes.Clone(m.Data)}) {
		return c.t.Violation("more than %d global requests outstanding", maxQueuedRequests)
	}
	return nil
}

func (c *Conn) onGlobalAnswer(p []byte) error {
	w := c.answered()
	if w == nil {
		return c.stray(msg.Name(p[0]))
	}
	if w.slot {
		c.giveSlot()
	}
	if !w.sent.IsZero() {
		c.sampleRTT(max(time.Since(w.sent), 1))
	}
	if p[0] == msg.NumRequestSuccess {
		w.deliver(answer{ok: true, data: bytes.Clone(p[1:])})
		return nil
	}
	w.deliver(answer{})
	return c.decode(p, &msg.RequestFailure{})
}

// onOpen decides on CHANNEL_OPEN, or lets a handler decide (RFC 4254 section 5.1).
func (c *Conn) onOpen(p []byte) error {
	var m msg.ChannelOpen
	if err := c.decode(p, &m); err != nil {
		return err
	}
	if no := c.admit(&m); no != nil {
		c.log.Debug("channel refused", "type", clip(m.Type), "reason", no.Reason, "text", no.Text)
		return c.refuseOpen(m.Sender, no)
	}
	ch, err := c.newChannel(m.Type)
	if err != nil {
		return err
	}
	ch.counted = true
	c.mu.Lock()
	c.counted++
	c.mu.Unlock()
	ch.peer = m.Sender
	ch.flow = c.t.NewFlow(m.Sender, m.Window, m.MaxPacket)
	if m.Type == "session" && c.server != nil {
		newServerSession(ch)
		return c.confirm(ch)
	}
	n := &NewChannel{conn: c, ch: ch, extra: bytes.Clone(m.Extra)}
	ch.busy = true
	h := c.openers[m.Type]
	c.goHandler(func() {
		defer ch.uncount(0)
		h(ch.ctx, n)
		n.Refuse(OpenProhibited, "not accepted")
	})
	return nil
}

// admit says why a channel is not to be opened, or nil.
func (c *Conn) admit(m *msg.ChannelOpen) *OpenError {
	known := c.openers[m.Type] != nil
	session := m.Type == "session" && c.server != nil
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !known && !session:
		return &OpenError{OpenUnknownType, "unknown channel type"}
	case session && c.server.Session == nil:
		return &OpenError{OpenProhibited, "no sessions"}
	case session && c.noMoreSessions:
		return &OpenError{OpenProhibited, "no more sessions were announced"}
	case c.draining:
		return &OpenError{OpenProhibited, "shutting down"}
	case m.MaxPacket == 0:
		return &OpenError{OpenConnectFailed, "maximum packet size 0"}
	case c.counted >= c.maxChannels():
		return &OpenError{OpenResourceShortage, "too many channels"}
	}
	return nil
}

// maxChannels is how many channels the peer may have open at a time.
func (c *Conn) maxChannels() int {
	if c.server != nil && c.server.MaxChannels > 0 {
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
	if ch.has(confirmed) || ch.counted {
		return nil, c.t.Violation("%s for channel %d, which was not asked for", msg.Name(number), id)
	}
	return ch, nil
}

// established returns a confirmed channel. A nil channel with a nil error means
// that the message is to be dropped.
func (c *Conn) established(number byte, id uint32) (*Channel, error) {
	ch := c.channel(id)
	if ch == nil {
		return nil, c.missing(number, id)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.has(confirmed) {
		return nil, c.t.Violation("%s for channel %d, which is not open yet", msg.Name(number), id)
	}
	return ch, nil
}

func (c *Conn) onWindowAdjust(p []byte) error {
	// By hand, as this comes once per few packets of bulk data.
	if len(p) != 9 {
		return c.t.Violation("%s of %d octets", msg.Name(p[0]), len(p))
	}
	ch, err := c.established(p[0], binary.BigEndian.Uint32(p[1:]))
	if ch == nil {
		return err
	}
	return ch.flow.Grant(binary.BigEndian.Uint32(p[5:]))
}

func (c *Conn) onData(p []byte) error {
	id, data, ok := msg.ParseChannelData(p)
	if !ok {
		return c.t.Violation("malformed %s", msg.Name(p[0]))
	}
	ch := c.channel(id)
	if ch == nil {
		return c.missing(p[0], id)
	}
	return ch.receive(&ch.in, data, msg.ChannelDataHeader)
}

func (c *Conn) onExtendedData(p []byte) error {
	var m msg.ChannelExtendedData
	if err := c.decode(p, &m); err != nil {
		return err
	}
	ch := c.channel(m.Recipient)
	switch {
	case ch == nil:
		return c.missing(p[0], m.Recipient)
	case m.Code != extendedStderr:
		return c.t.Violation("extended data of unknown type %d", m.Code)
	}
	return ch.receive(&ch.stderr, m.Data, len(p)-len(m.Data))
}

func (c *Conn) onEOF(p []byte) error {
	ch, err := c.signal(p)
	if ch == nil {
		return err
	}
	ch.mu.Lock()
	ch.state |= gotEOF
	ch.cond.Broadcast()
	ch.mu.Unlock()
	return nil
}

// signal decodes the messages that name a channel and nothing else.
func (c *Conn) signal(p []byte) (*Channel, error) {
	m := msg.ChannelSignal{Num: p[0]}
	if err := c.decode(p, &m); err != nil {
		return nil, err
	}
	return c.established(p[0], m.Recipient)
}

// onClose ends a channel: nothing more comes, and nothing more may be sent
// (RFC 4254 section 5.3). What has arrived can still be read.
func (c *Conn) onClose(p []byte) error {
	ch, err := c.signal(p)
	if ch == nil {
		return err
	}
	ch.flow.Close(ErrChannelClosed)
	ch.mu.Lock()
	ch.state |= gotClose
	ch.postClose()
	ch.mu.Unlock()
	ch.end(ErrChannelClosed)
	c.remove(ch)
	return nil
}

func (c *Conn) onChannelRequest(p []byte) error {
	var m msg.ChannelRequest
	if err := c.decode(p, &m); err != nil {
		return err
	}
	ch, err := c.established(p[0], m.Recipient)
	if ch == nil {
		return err
	}
	ch.mu.Lock()
	gone := ch.has(sentClose)
	ch.mu.Unlock()
	if gone {
		return nil // in flight while we closed; no answer may follow our CLOSE
	}
	if !ch.line.push(&Request{m.Name, m.WantReply, bytes.Clone(m.Data)}) {
		return c.t.Violation("more than %d requests outstanding on a channel", maxQueuedRequests)
	}
	return nil
}

func (c *Conn) onChannelAnswer(p []byte) error {
	ch, err := c.signal(p)
	if ch == nil {
		return err
	}
	w := ch.answered()
	if w == nil {
		return c.stray(msg.Name(p[0]))
	}
	if w.slot {
		c.giveSlot()
	}
	w.deliver(answer{ok: p[0] == msg.NumChannelSuccess})
	return nil
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

// decodeData decodes the data of a request, which must be all of it.
func decodeData(p []byte, m wire.Layouter) bool { return wire.Decode(p, m) == nil }
