package ssh2

import (
	"bytes"
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
	if !c.line.push(&Request{Name: m.Name, WantReply: m.WantReply, Data: bytes.Clone(m.Data)}) {
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
	if !ch.line.push(&Request{Name: m.Name, WantReply: m.WantReply, Data: bytes.Clone(m.Data)}) {
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

// decodeData decodes the data of a request, which must be all of it.
func decodeData(p []byte, m wire.Layouter) bool { return wire.Decode(p, m) == nil }
