package transport

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/packet"
)

const (
	// A payload up to this size is copied out of the read buffer by Take, so
	// that a peer cannot pin a large Buf with a small message.
	smallPayload = 4<<10 - packet.HeadRoom - packet.TailRoom
	// readBuf is what bulk data is read with: one packet of 34 KiB and some.
	readBuf = 36<<10 - packet.HeadRoom - packet.TailRoom
	// maxClear is the largest packet taken before there are keys: what RFC 4253
	// section 6.1 demands, and far more than any key exchange needs. Whoever
	// connects can make us take that much memory and no more.
	maxClear = 35000
	// payloadAt is where the payload stands in every packet: behind its length
	// and the length of its padding.
	payloadAt = 5
)

// fill reads until at least need octets are buffered.
func (c *Conn) fill(need int) error {
	for c.in.Len() < need {
		c.makeRoom(need)
		inside := c.in.Len() > 0
		if inside {
			c.stall.inside.Store(true)
		}
		n, err := c.nc.Read(c.in.Room())
		if inside {
			c.stall.inside.Store(false)
		}
		if n > 0 {
			c.in.Extend(n)
			c.bytesIn.Add(uint64(n))
			c.lastIn.Store(time.Now().UnixNano())
			continue
		}
		if err != nil {
			// Whoever waits for something learns this cause.
			err = c.ioError(err)
			c.fail(err)
			return err
		}
	}
	return nil
}

// makeRoom sees to it that need octets fit, and that a connection about to
// wait for its next packet holds no more memory than its last one called for.
func (c *Conn) makeRoom(need int) {
	if c.in.Len() == 0 {
		c.in.Compact()
		if want := readBuf; need <= smallPayload && (!c.small && c.in.Cap() < want || c.small && c.in.Cap() > smallPayload+packet.HeadRoom+packet.TailRoom) {
			if c.small {
				want = smallPayload
			}
			c.in.Release()
			c.in = packet.Get(want)
			c.in.Trim(0)
			c.in.Compact()
		}
	}
	if need <= c.in.Len()+c.in.Tail() {
		return
	}
	if need <= c.in.Cap() {
		c.in.Compact()
		return
	}
	c.grow(max(need, readBuf))
}

// grow moves what is buffered into a Buf that holds n octets.
func (c *Conn) grow(n int) {
	b := packet.Get(n)
	b.Fill(c.in.Bytes())
	c.in.Release()
	c.in = b
}

// readPacket reads and opens the next packet. The payload aliases the buffer
// until the next call, unless Take moves it out.
func (c *Conn) readPacket() ([]byte, error) {
	if c.took > 0 {
		c.in.Skip(c.took)
		c.took, c.payload = 0, nil
		if c.zlib.buf != nil {
			c.zlib.release()
		}
	}
	head := c.opener.Head()
	if err := c.fill(head); err != nil {
		return nil, err
	}
	if c.inNonce >= maxKeyPackets {
		return nil, c.Violation("more than 2^32 packets under one key")
	}
	total, err := c.opener.Length(c.inNonce, c.inSeq, c.in.Bytes()[:head])
	if err != nil {
		return nil, c.refuse(err, head)
	}
	if c.first && total > maxClear {
		return nil, c.Violation("packet of %d octets in the first key exchange", total)
	}
	if err := c.fill(total); err != nil {
		return nil, err
	}
	// RFC 4253 section 11.1: after our DISCONNECT nothing is taken anymore.
	if err := c.Err(); err != nil {
		return nil, err
	}
	payload, err := c.opener.Open(c.inNonce, c.inSeq, c.in.Bytes()[:total])
	if err != nil {
		return nil, c.refuse(err, total)
	}
	if c.zlib.mode == zlibOn {
		if payload, err = c.inflate(payload); err != nil {
			return nil, err
		}
	}
	if log := c.cfg.PacketLog; log != nil {
		log(&PacketEvent{Number: payload[0], Sequence: c.inSeq, Length: len(payload), payload: payload})
	}
	c.inNonce++
	c.inSeq++
	c.inBytes += uint64(total)
	c.packetsIn.Add(1)
	c.took, c.payload = total, payload
	c.small = len(payload) <= smallPayload
	return payload, nil
}

// refuse ends the connection over a packet that did not open, of which the
// opener has seen the first octets, n of them: at once, or, where the moment
// would tell the peer something, when as much has arrived as the longest packet
// has. None of that is kept.
func (c *Conn) refuse(err error, n int) error {
	if d, ok := c.opener.(seal.Discarder); ok && errors.Is(err, seal.ErrTag) {
		c.in.Skip(n)
		for left := d.Discards() - n; left > 0; {
			if err := c.fill(1); err != nil {
				return err
			}
			b := c.in.Bytes()
			b = b[:min(left, len(b))]
			d.Discard(b)
			c.in.Skip(len(b))
			left -= len(b)
		}
	}
	return c.sealError(err)
}

// sealError ends the connection over a packet that did not open. Under keys one
// reason is given for everything, so that a peer learns nothing from the
// difference.
func (c *Conn) sealError(err error) error {
	if _, ok := errors.AsType[seal.Error](err); !ok {
		c.fail(err)
		return err
	}
	reason := uint32(ReasonMACError)
	if c.opener == (seal.Plain{}) {
		reason = ReasonProtocolError
	}
	return c.violation(reason, "packet: %v", err)
}

// Next returns the payload of the next message for the layers above. It is
// valid until the next call of Next or Take. Messages of the transport itself,
// key exchanges included, are handled inside. The error is io.EOF when the
// peer closed the connection, *DisconnectError when it said DISCONNECT,
// *ProtocolError after a violation, which has been answered. After an error
// the reader must stop.
func (c *Conn) Next() ([]byte, error) {
	for {
		c.checkInLimit()
		p, err := c.readPacket()
		if err != nil {
			return nil, err
		}
		number := p[0]
		if number == msg.NumChannelData && c.phase == msg.Open {
			return p, nil // the common case; the table agrees
		}
		if err := c.gate(number, c.phase); err != nil {
			if errors.Is(err, errSkip) {
				continue
			}
			return nil, err
		}
		switch number {
		case msg.NumKexInit:
			err = c.rekey(p)
		case msg.NumPing:
			err = c.pong(p)
		case msg.NumPong:
			err = c.gotPong(p)
		case msg.NumExtInfo:
			err = c.extInfo(p)
		default:
			if number > msg.NumDebug {
				if number == msg.NumUserauthSuccess {
					c.extLast = false
					c.zlib.login(false)
					c.out.login()
				}
				c.extNow = false
				return p, nil
			}
			err = c.generic(p)
		}
		if err != nil {
			return nil, err
		}
		if number != msg.NumExtInfo {
			c.extNow = false
		}
	}
}

// errSkip means that a message was dealt with by the gate.
var errSkip = errors.New("skip")

// gate applies the message table.
func (c *Conn) gate(number byte, phase msg.Phase) error {
	switch msg.Gate(number, c.cfg.Role.Other(), phase) {
	case msg.Accept:
	case msg.Unknown:
		if err := c.PostMessage(&msg.Unimplemented{Sequence: c.inSeq - 1}); err != nil {
			return err
		}
		return errSkip
	default:
		return c.Violation("%s is not allowed now", msg.Name(number))
	}
	if c.extLast && number != msg.NumUserauthSuccess && number > msg.NumDebug {
		return c.Violation("%s after EXT_INFO", msg.Name(number))
	}
	return nil
}

// maxDebugs is how many lines a peer may write into our log.
const maxDebugs = 100

// generic handles the messages that may come at nearly any time.
func (c *Conn) generic(p []byte) error {
	switch p[0] {
	case msg.NumDisconnect:
		var m msg.Disconnect
		if err := msg.Decode(p, &m); err != nil {
			m.Reason, m.Text = ReasonProtocolError, "malformed DISCONNECT"
		}
		err := &DisconnectError{Reason: m.Reason, Text: m.Text, Remote: true}
		c.fail(err)
		return err
	case msg.NumDebug:
		var m msg.Debug
		if err := msg.Decode(p, &m); err != nil {
			return c.Violation("%v", err)
		}
		if c.debugs++; c.debugs <= maxDebugs {
			c.log.Debug("ssh2: peer says", "text", fmt.Sprintf("%+q", clip(m.Text, 256)))
		}
	case msg.NumUnimplemented:
		if c.debugs++; c.debugs <= maxDebugs {
			c.log.Debug("ssh2: peer does not implement a message of ours")
		}
	}
	return nil
}

// extInfo reads EXT_INFO in either of its places (RFC 8308 section 2.4): right
// after the first NEWKEYS, or, from a server, right before USERAUTH_SUCCESS.
func (c *Conn) extInfo(p []byte) error {
	if !c.extNow {
		if c.cfg.Role != msg.Client || c.extLast {
			return c.Violation("EXT_INFO out of place")
		}
		c.extLast = true
	}
	c.extNow = false
	var m msg.ExtInfo
	if err := msg.Decode(p, &m); err != nil {
		return c.Violation("%v", err)
	}
	ext := make(map[string][]byte, len(m.Extensions))
	for _, e := range m.Extensions {
		ext[e.Name] = append([]byte(nil), e.Value...)
	}
	c.mu.Lock()
	c.info.Extensions = ext
	c.mu.Unlock()
	return nil
}

// maxPinned is how many times its own length a payload may keep in memory. The
// read buffer is much larger than its packet after a packet of 256 KiB.
const maxPinned = 4

// Take returns the payload of the last Next as a Buf that the caller owns: the
// read buffer itself if the payload is large, a copy if it is small, by itself
// or for that buffer. It may be called once per Next, by the reader.
func (c *Conn) Take() *packet.Buf {
	from := c.in
	if c.zlib.buf != nil {
		from = c.zlib.buf
	}
	if n := len(c.payload); n <= smallPayload || n < from.Cap()/maxPinned {
		b := packet.Get(len(c.payload))
		copy(b.Bytes(), c.payload)
		return b
	}
	if b := c.zlib.buf; b != nil { // what it was compressed to stays until the next packet
		c.zlib.buf, c.payload = nil, nil
		return b
	}
	// What was read beyond this packet moves to the next buffer. In bulk flow
	// that is at most what fits a read buffer beside a packet.
	b := c.in
	spill := b.Bytes()[c.took:]
	c.in = packet.Get(max(len(spill), readBuf))
	c.in.Fill(spill)
	b.Skip(payloadAt)
	b.Trim(len(c.payload))
	c.took, c.payload = 0, nil
	return b
}
