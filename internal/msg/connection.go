package msg

import "github.com/fairlead-ssh/fairlead/internal/wire"

// GlobalRequest concerns the whole connection (RFC 4254 section 4).
type GlobalRequest struct {
	Name      string
	WantReply bool
	Data      []byte
}

// Number implements Message.
func (*GlobalRequest) Number() byte { return NumGlobalRequest }

// Layout implements wire.Layouter.
func (m *GlobalRequest) Layout(c *wire.Coder) {
	c.String(&m.Name)
	c.Bool(&m.WantReply)
	c.Rest(&m.Data)
}

// RequestSuccess answers the oldest unanswered GlobalRequest.
type RequestSuccess struct{ Data []byte }

// Number implements Message.
func (*RequestSuccess) Number() byte { return NumRequestSuccess }

// Layout implements wire.Layouter.
func (m *RequestSuccess) Layout(c *wire.Coder) { c.Rest(&m.Data) }

// RequestFailure refuses the oldest unanswered GlobalRequest.
type RequestFailure struct{}

// Number implements Message.
func (*RequestFailure) Number() byte { return NumRequestFailure }

// Layout implements wire.Layouter.
func (*RequestFailure) Layout(*wire.Coder) {}

// ChannelOpen asks for a channel (RFC 4254 section 5.1). Window and MaxPacket
// are octets that the sender of this message takes.
type ChannelOpen struct {
	Type                      string
	Sender, Window, MaxPacket uint32
	Extra                     []byte
}

// Number implements Message.
func (*ChannelOpen) Number() byte { return NumChannelOpen }

// Layout implements wire.Layouter.
func (m *ChannelOpen) Layout(c *wire.Coder) {
	c.String(&m.Type)
	c.Uint32(&m.Sender)
	c.Uint32(&m.Window)
	c.Uint32(&m.MaxPacket)
	c.Rest(&m.Extra)
}

// ChannelOpenConfirmation grants a channel.
type ChannelOpenConfirmation struct {
	Recipient, Sender, Window, MaxPacket uint32
	Extra                                []byte
}

// Number implements Message.
func (*ChannelOpenConfirmation) Number() byte { return NumChannelOpenOK }

// Layout implements wire.Layouter.
func (m *ChannelOpenConfirmation) Layout(c *wire.Coder) {
	c.Uint32(&m.Recipient)
	c.Uint32(&m.Sender)
	c.Uint32(&m.Window)
	c.Uint32(&m.MaxPacket)
	c.Rest(&m.Extra)
}

// ChannelOpenFailure refuses a channel.
type ChannelOpenFailure struct {
	Recipient, Reason uint32
	Text, Language    string
}

// Number implements Message.
func (*ChannelOpenFailure) Number() byte { return NumChannelOpenFail }

// Layout implements wire.Layouter. Old peers leave text and language out.
func (m *ChannelOpenFailure) Layout(c *wire.Coder) {
	c.Uint32(&m.Recipient)
	c.Uint32(&m.Reason)
	if c.More(true) {
		c.String(&m.Text)
	}
	if c.More(true) {
		c.String(&m.Language)
	}
}

// WindowAdjust allows the recipient to send more octets on a channel.
type WindowAdjust struct{ Recipient, Bytes uint32 }

// Number implements Message.
func (*WindowAdjust) Number() byte { return NumWindowAdjust }

// Layout implements wire.Layouter.
func (m *WindowAdjust) Layout(c *wire.Coder) {
	c.Uint32(&m.Recipient)
	c.Uint32(&m.Bytes)
}

// ChannelData carries octets of a channel.
type ChannelData struct {
	Recipient uint32
	Data      []byte
}

// Number implements Message.
func (*ChannelData) Number() byte { return NumChannelData }

// Layout implements wire.Layouter.
func (m *ChannelData) Layout(c *wire.Coder) {
	c.Uint32(&m.Recipient)
	c.Bytes(&m.Data)
}

// ChannelDataHeader is the number of octets in front of the data of a
// CHANNEL_DATA message; PutChannelData and ParseChannelData are its fast path.
const ChannelDataHeader = 9

// PutChannelData writes the head of a CHANNEL_DATA message with n octets of
// data into h, which has ChannelDataHeader octets.
func PutChannelData(h []byte, recipient uint32, n int) {
	_ = h[8]
	h[0] = NumChannelData
	putUint32(h[1:], recipient)
	putUint32(h[5:], uint32(n))
}

// ParseChannelData returns recipient and data of a CHANNEL_DATA payload; ok is
// false if it is malformed.
func ParseChannelData(p []byte) (recipient uint32, data []byte, ok bool) {
	if len(p) < ChannelDataHeader || p[0] != NumChannelData || uint64(getUint32(p[5:])) != uint64(len(p)-ChannelDataHeader) {
		return 0, nil, false
	}
	return getUint32(p[1:]), p[ChannelDataHeader:], true
}

// ChannelExtendedData carries octets of a second stream; Code 1 is stderr.
type ChannelExtendedData struct {
	Recipient, Code uint32
	Data            []byte
}

// Number implements Message.
func (*ChannelExtendedData) Number() byte { return NumChannelExtData }

// Layout implements wire.Layouter.
func (m *ChannelExtendedData) Layout(c *wire.Coder) {
	c.Uint32(&m.Recipient)
	c.Uint32(&m.Code)
	c.Bytes(&m.Data)
}

// ChannelSignal is any of the messages that name a channel and nothing else:
// EOF, CLOSE, SUCCESS and FAILURE, told apart by Num.
type ChannelSignal struct {
	Num       byte
	Recipient uint32
}

// Number implements Message.
func (m *ChannelSignal) Number() byte { return m.Num }

// Layout implements wire.Layouter.
func (m *ChannelSignal) Layout(c *wire.Coder) { c.Uint32(&m.Recipient) }

// ChannelRequest concerns one channel (RFC 4254 section 5.4).
type ChannelRequest struct {
	Recipient uint32
	Name      string
	WantReply bool
	Data      []byte
}

// Number implements Message.
func (*ChannelRequest) Number() byte { return NumChannelRequest }

// Layout implements wire.Layouter.
func (m *ChannelRequest) Layout(c *wire.Coder) {
	c.Uint32(&m.Recipient)
	c.String(&m.Name)
	c.Bool(&m.WantReply)
	if HoldsSecret(m.Name) {
		c.SecretRest(&m.Data)
		return
	}
	c.Rest(&m.Data)
}

// HoldsSecret tells whether the data of a CHANNEL_REQUEST of that name may be
// secret: the cookie of an X11 display, or what an environment variable says.
func HoldsSecret(request string) bool { return request == "x11-req" || request == "env" }

func putUint32(b []byte, v uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

func getUint32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
