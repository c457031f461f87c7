package msg

import "github.com/fairlead-ssh/fairlead/internal/wire"

// KexGSSInit begins a GSS-API key exchange (RFC 4462 section 2.1). Public is
// the content of e, or Q_C (RFC 8732 section 5.1).
type KexGSSInit struct{ Token, Public []byte }

// Number implements Message.
func (*KexGSSInit) Number() byte { return NumKexGSSInit }

// Layout implements wire.Layouter.
func (m *KexGSSInit) Layout(c *wire.Coder) {
	c.Secret(&m.Token)
	c.Bytes(&m.Public)
}

// KexGSSHostKey shows the server's host key, which needs no signature since
// the MIC covers it (RFC 4462 section 2.1).
type KexGSSHostKey struct{ HostKey []byte }

// Number implements Message.
func (*KexGSSHostKey) Number() byte { return NumKexGSSHostKey }

// Layout implements wire.Layouter.
func (m *KexGSSHostKey) Layout(c *wire.Coder) { c.Bytes(&m.HostKey) }

// KexGSSContinue carries one more token, either way (RFC 4462 section 2.1).
type KexGSSContinue struct{ Token []byte }

// Number implements Message.
func (*KexGSSContinue) Number() byte { return NumKexGSSContinue }

// Layout implements wire.Layouter.
func (m *KexGSSContinue) Layout(c *wire.Coder) { c.Secret(&m.Token) }

// KexGSSComplete is the server's half of the exchange: the content of f or Q_S,
// the MIC of the exchange hash, and the last token if there is one.
type KexGSSComplete struct {
	Public, MIC []byte
	HasToken    bool
	Token       []byte // only with HasToken
}

// Number implements Message.
func (*KexGSSComplete) Number() byte { return NumKexGSSComplete }

// Layout implements wire.Layouter.
func (m *KexGSSComplete) Layout(c *wire.Coder) {
	c.Bytes(&m.Public)
	c.Bytes(&m.MIC)
	c.Bool(&m.HasToken)
	if m.HasToken {
		c.Secret(&m.Token)
	}
}

// GSSError tells the client what the server's GSS-API said: KEXGSS_ERROR with
// Kex set (RFC 4462 section 2.1), USERAUTH_GSSAPI_ERROR otherwise (section 3.8).
type GSSError struct {
	Kex            bool
	Major, Minor   uint32
	Text, Language string
}

// Number implements Message.
func (m *GSSError) Number() byte {
	if m.Kex {
		return NumKexGSSError
	}
	return NumGSSError
}

// Layout implements wire.Layouter.
func (m *GSSError) Layout(c *wire.Coder) {
	c.Uint32(&m.Major)
	c.Uint32(&m.Minor)
	c.String(&m.Text)
	c.String(&m.Language)
}

// MaxMechanisms bounds the mechanisms that one request may offer.
const MaxMechanisms = 32

// GSSFields are the fields of method gssapi-with-mic: object identifiers of
// mechanisms in DER, the preferred one first (RFC 4462 section 3.2).
type GSSFields struct{ Mechanisms [][]byte }

// Layout implements wire.Layouter.
func (m *GSSFields) Layout(c *wire.Coder) {
	n := uint32(len(m.Mechanisms))
	c.Uint32(&n)
	if c.Decoding() {
		if c.Err() != nil {
			return
		}
		if n > MaxMechanisms {
			c.Fail(wire.ErrValue)
			return
		}
		m.Mechanisms = make([][]byte, n)
	}
	for i := range m.Mechanisms {
		c.Bytes(&m.Mechanisms[i])
	}
}

// GSSKeyexFields are the fields of method gssapi-keyex (RFC 4462 section 4).
type GSSKeyexFields struct{ MIC []byte }

// Layout implements wire.Layouter.
func (m *GSSKeyexFields) Layout(c *wire.Coder) { c.Bytes(&m.MIC) }

// GSSResponse names the mechanism that the server chose (RFC 4462 section 3.3).
type GSSResponse struct{ Mechanism []byte }

// Number implements Message.
func (*GSSResponse) Number() byte { return NumGSSResponse }

// Layout implements wire.Layouter.
func (m *GSSResponse) Layout(c *wire.Coder) { c.Bytes(&m.Mechanism) }

// GSSToken carries a token, either way (RFC 4462 section 3.4); with Err set it
// comes of an error that ends the attempt (section 3.9).
type GSSToken struct {
	Err   bool
	Token []byte
}

// Number implements Message.
func (m *GSSToken) Number() byte {
	if m.Err {
		return NumGSSErrorToken
	}
	return NumGSSToken
}

// Layout implements wire.Layouter.
func (m *GSSToken) Layout(c *wire.Coder) { c.Secret(&m.Token) }

// GSSComplete ends an attempt whose context has no integrity (RFC 4462 section 3.6).
type GSSComplete struct{}

// Number implements Message.
func (*GSSComplete) Number() byte { return NumGSSComplete }

// Layout implements wire.Layouter.
func (*GSSComplete) Layout(*wire.Coder) {}

// GSSMIC ends an attempt with the MIC that binds it to the session (RFC 4462
// section 3.5).
type GSSMIC struct{ MIC []byte }

// Number implements Message.
func (*GSSMIC) Number() byte { return NumGSSMIC }

// Layout implements wire.Layouter.
func (m *GSSMIC) Layout(c *wire.Coder) { c.Bytes(&m.MIC) }

// GSSSignedData is what the MIC of gssapi-with-mic and gssapi-keyex covers
// (RFC 4462 sections 3.5 and 4).
type GSSSignedData struct {
	SessionID             []byte
	User, Service, Method string
}

// Layout implements wire.Layouter.
func (m *GSSSignedData) Layout(c *wire.Coder) {
	number := byte(NumUserauthRequest)
	c.Bytes(&m.SessionID)
	c.Byte(&number)
	c.String(&m.User)
	c.String(&m.Service)
	c.String(&m.Method)
}
