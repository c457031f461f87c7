package msg

import "github.com/fairlead-ssh/fairlead/internal/wire"

// Disconnect ends a connection (RFC 4253 section 11.1).
type Disconnect struct {
	Reason   uint32
	Text     string
	Language string
}

// Number implements Message.
func (*Disconnect) Number() byte { return NumDisconnect }

// Layout implements wire.Layouter. Some peers leave the language tag out.
func (m *Disconnect) Layout(c *wire.Coder) {
	c.Uint32(&m.Reason)
	c.String(&m.Text)
	if c.More(true) {
		c.String(&m.Language)
	}
}

// Ignore is to be ignored (RFC 4253 section 11.2). Known peers send it without
// or with a wrong length, so all of it is taken as it is.
type Ignore struct{ Data []byte }

// Number implements Message.
func (*Ignore) Number() byte { return NumIgnore }

// Layout implements wire.Layouter.
func (m *Ignore) Layout(c *wire.Coder) { c.Rest(&m.Data) }

// Unimplemented answers a message number that its receiver does not know.
type Unimplemented struct{ Sequence uint32 }

// Number implements Message.
func (*Unimplemented) Number() byte { return NumUnimplemented }

// Layout implements wire.Layouter.
func (m *Unimplemented) Layout(c *wire.Coder) { c.Uint32(&m.Sequence) }

// Debug carries text for a log (RFC 4253 section 11.3).
type Debug struct {
	Display  bool
	Text     string
	Language string
}

// Number implements Message.
func (*Debug) Number() byte { return NumDebug }

// Layout implements wire.Layouter.
func (m *Debug) Layout(c *wire.Coder) {
	c.Bool(&m.Display)
	c.String(&m.Text)
	if c.More(true) {
		c.String(&m.Language)
	}
}

// ServiceRequest asks for a service by name (RFC 4253 section 10).
type ServiceRequest struct{ Service string }

// Number implements Message.
func (*ServiceRequest) Number() byte { return NumServiceRequest }

// Layout implements wire.Layouter.
func (m *ServiceRequest) Layout(c *wire.Coder) { c.String(&m.Service) }

// ServiceAccept grants a service (RFC 4253 section 10).
type ServiceAccept struct{ Service string }

// Number implements Message.
func (*ServiceAccept) Number() byte { return NumServiceAccept }

// Layout implements wire.Layouter. RFC 4253 always has the name; old peers
// send an empty message.
func (m *ServiceAccept) Layout(c *wire.Coder) {
	if c.More(true) {
		c.String(&m.Service)
	}
}

// Extension is one entry of EXT_INFO.
type Extension struct {
	Name  string
	Value []byte
}

// ExtInfo announces extensions (RFC 8308 section 2.3).
type ExtInfo struct{ Extensions []Extension }

// maxExtensions bounds the entries read of one EXT_INFO; no peer has more
// than a handful.
const maxExtensions = 64

// Number implements Message.
func (*ExtInfo) Number() byte { return NumExtInfo }

// Layout implements wire.Layouter.
func (m *ExtInfo) Layout(c *wire.Coder) {
	n := uint32(len(m.Extensions))
	c.Uint32(&n)
	if c.Decoding() {
		if c.Err() != nil {
			return
		}
		if n > maxExtensions {
			c.Fail(wire.ErrValue)
			return
		}
		m.Extensions = make([]Extension, n)
	}
	for i := range m.Extensions {
		c.String(&m.Extensions[i].Name)
		c.Bytes(&m.Extensions[i].Value)
	}
}

// KexInit opens a key exchange (RFC 4253 section 7.1).
type KexInit struct {
	Cookie                    [16]byte
	Kex, HostKeys             []string
	CiphersOut, CiphersIn     []string // client to server, server to client
	MACsOut, MACsIn           []string
	CompressOut, CompressIn   []string
	LanguagesOut, LanguagesIn []string
	Follows                   bool // first_kex_packet_follows
	Reserved                  uint32
}

// Number implements Message.
func (*KexInit) Number() byte { return NumKexInit }

// Layout implements wire.Layouter.
func (m *KexInit) Layout(c *wire.Coder) {
	c.Fixed(m.Cookie[:])
	c.Names(&m.Kex)
	c.Names(&m.HostKeys)
	c.Names(&m.CiphersOut)
	c.Names(&m.CiphersIn)
	c.Names(&m.MACsOut)
	c.Names(&m.MACsIn)
	c.Names(&m.CompressOut)
	c.Names(&m.CompressIn)
	c.Names(&m.LanguagesOut)
	c.Names(&m.LanguagesIn)
	c.Bool(&m.Follows)
	c.Uint32(&m.Reserved)
}

// NewKeys ends a key exchange (RFC 4253 section 7.3).
type NewKeys struct{}

// Number implements Message.
func (*NewKeys) Number() byte { return NumNewKeys }

// Layout implements wire.Layouter.
func (*NewKeys) Layout(*wire.Coder) {}

// KexInitial is the client's half of every exchange: KEXDH_INIT,
// KEX_ECDH_INIT, KEX_HYBRID_INIT, and with GEX set KEX_DH_GEX_INIT. An mpint
// travels as its content octets.
type KexInitial struct {
	GEX    bool
	Public []byte
}

// Number implements Message.
func (m *KexInitial) Number() byte {
	if m.GEX {
		return NumKexGEXInit
	}
	return NumKexECDHInit
}

// Layout implements wire.Layouter.
func (m *KexInitial) Layout(c *wire.Coder) { c.Bytes(&m.Public) }

// KexReply is the server's half of every exchange, with GEX set that of a
// group exchange.
type KexReply struct {
	GEX       bool
	HostKey   []byte
	Public    []byte
	Signature []byte
}

// Number implements Message.
func (m *KexReply) Number() byte {
	if m.GEX {
		return NumKexGEXReply
	}
	return NumKexECDHReply
}

// Layout implements wire.Layouter.
func (m *KexReply) Layout(c *wire.Coder) {
	c.Bytes(&m.HostKey)
	c.Bytes(&m.Public)
	c.Bytes(&m.Signature)
}

// KexGEXRequest asks for a group (RFC 4419 section 3), with GSS set for an
// exchange of RFC 4462 section 2.2.
type KexGEXRequest struct {
	Min, Preferred, Max uint32
	GSS                 bool
}

// Number implements Message.
func (m *KexGEXRequest) Number() byte {
	if m.GSS {
		return NumKexGSSGroupReq
	}
	return NumKexGEXRequest
}

// Layout implements wire.Layouter.
func (m *KexGEXRequest) Layout(c *wire.Coder) {
	c.Uint32(&m.Min)
	c.Uint32(&m.Preferred)
	c.Uint32(&m.Max)
}

// KexGEXGroup answers with a group (RFC 4419 section 3), with GSS set in an
// exchange of RFC 4462 section 2.2; the numbers are content octets of mpints.
type KexGEXGroup struct {
	P, G []byte
	GSS  bool
}

// Number implements Message.
func (m *KexGEXGroup) Number() byte {
	if m.GSS {
		return NumKexGSSGroup
	}
	return NumKexGEXGroup
}

// Layout implements wire.Layouter.
func (m *KexGEXGroup) Layout(c *wire.Coder) {
	c.Bytes(&m.P)
	c.Bytes(&m.G)
}

// Ping asks for a Pong with the same data (OpenSSH PROTOCOL 1.9).
type Ping struct{ Data []byte }

// Number implements Message.
func (*Ping) Number() byte { return NumPing }

// Layout implements wire.Layouter.
func (m *Ping) Layout(c *wire.Coder) { c.Bytes(&m.Data) }

// Pong answers a Ping.
type Pong struct{ Data []byte }

// Number implements Message.
func (*Pong) Number() byte { return NumPong }

// Layout implements wire.Layouter.
func (m *Pong) Layout(c *wire.Coder) { c.Bytes(&m.Data) }
