package msg

import "github.com/fairlead-ssh/fairlead/internal/wire"

// UserauthRequest is the common head of every authentication request; Fields
// is what the method adds (RFC 4252 section 5). It may hold a password.
type UserauthRequest struct {
	User, Service, Method string
	Fields                []byte
}

// Number implements Message.
func (*UserauthRequest) Number() byte { return NumUserauthRequest }

// Layout implements wire.Layouter.
func (m *UserauthRequest) Layout(c *wire.Coder) {
	c.String(&m.User)
	c.String(&m.Service)
	c.String(&m.Method)
	c.SecretRest(&m.Fields)
}

// PasswordFields are the fields of method password (RFC 4252 section 8).
type PasswordFields struct {
	Change   bool
	Password []byte
	New      []byte // only with Change
}

// Layout implements wire.Layouter.
func (m *PasswordFields) Layout(c *wire.Coder) {
	c.Bool(&m.Change)
	c.Secret(&m.Password)
	if m.Change {
		c.Secret(&m.New)
	}
}

// PublicKeyFields are the fields of method publickey (RFC 4252 section 7).
type PublicKeyFields struct {
	Signed    bool
	Algorithm string
	Key       []byte
	Signature []byte // only with Signed
}

// Layout implements wire.Layouter.
func (m *PublicKeyFields) Layout(c *wire.Coder) {
	c.Bool(&m.Signed)
	c.String(&m.Algorithm)
	c.Bytes(&m.Key)
	if m.Signed {
		c.Bytes(&m.Signature)
	}
}

// InteractiveFields are the fields of method keyboard-interactive (RFC 4256
// section 3.1).
type InteractiveFields struct{ Language, Submethods string }

// Layout implements wire.Layouter.
func (m *InteractiveFields) Layout(c *wire.Coder) {
	c.String(&m.Language)
	c.String(&m.Submethods)
}

// HostBasedFields are the fields of method hostbased (RFC 4252 section 9).
type HostBasedFields struct {
	Algorithm string
	Key       []byte
	Host      string
	User      string
	Signature []byte
}

// Layout implements wire.Layouter.
func (m *HostBasedFields) Layout(c *wire.Coder) {
	c.String(&m.Algorithm)
	c.Bytes(&m.Key)
	c.String(&m.Host)
	c.String(&m.User)
	c.Bytes(&m.Signature)
}

// UserauthFailure refuses a request or, with Partial, accepts it and asks for
// more (RFC 4252 section 5.1).
type UserauthFailure struct {
	Methods []string
	Partial bool
}

// Number implements Message.
func (*UserauthFailure) Number() byte { return NumUserauthFailure }

// Layout implements wire.Layouter.
func (m *UserauthFailure) Layout(c *wire.Coder) {
	c.Names(&m.Methods)
	c.Bool(&m.Partial)
}

// UserauthSuccess ends authentication.
type UserauthSuccess struct{}

// Number implements Message.
func (*UserauthSuccess) Number() byte { return NumUserauthSuccess }

// Layout implements wire.Layouter.
func (*UserauthSuccess) Layout(*wire.Coder) {}

// UserauthBanner is text to show before login (RFC 4252 section 5.4).
type UserauthBanner struct{ Text, Language string }

// Number implements Message.
func (*UserauthBanner) Number() byte { return NumUserauthBanner }

// Layout implements wire.Layouter.
func (m *UserauthBanner) Layout(c *wire.Coder) {
	c.String(&m.Text)
	if c.More(true) {
		c.String(&m.Language)
	}
}

// UserauthPKOK says that a signature by this key would be looked at.
type UserauthPKOK struct {
	Algorithm string
	Key       []byte
}

// Number implements Message.
func (*UserauthPKOK) Number() byte { return NumUserauthPKOK }

// Layout implements wire.Layouter.
func (m *UserauthPKOK) Layout(c *wire.Coder) {
	c.String(&m.Algorithm)
	c.Bytes(&m.Key)
}

// PasswdChangereq asks for a new password (RFC 4252 section 8).
type PasswdChangereq struct{ Prompt, Language string }

// Number implements Message.
func (*PasswdChangereq) Number() byte { return NumPasswdChangereq }

// Layout implements wire.Layouter.
func (m *PasswdChangereq) Layout(c *wire.Coder) {
	c.String(&m.Prompt)
	if c.More(true) {
		c.String(&m.Language)
	}
}

// MaxPrompts bounds the prompts of one INFO_REQUEST and the answers of one
// INFO_RESPONSE.
const MaxPrompts = 32

// Prompt is one question of an INFO_REQUEST.
type Prompt struct {
	Text string
	Echo bool
}

// InfoRequest asks the user (RFC 4256 section 3.2).
type InfoRequest struct {
	Name, Instruction, Language string
	Prompts                     []Prompt
}

// Number implements Message.
func (*InfoRequest) Number() byte { return NumInfoRequest }

// Layout implements wire.Layouter.
func (m *InfoRequest) Layout(c *wire.Coder) {
	c.String(&m.Name)
	c.String(&m.Instruction)
	c.String(&m.Language)
	n := uint32(len(m.Prompts))
	c.Uint32(&n)
	if c.Decoding() {
		if c.Err() != nil {
			return
		}
		if n > MaxPrompts {
			c.Fail(wire.ErrValue)
			return
		}
		m.Prompts = make([]Prompt, n)
	}
	for i := range m.Prompts {
		c.String(&m.Prompts[i].Text)
		c.Bool(&m.Prompts[i].Echo)
	}
}

// InfoResponse carries the answers (RFC 4256 section 3.4).
type InfoResponse struct{ Answers [][]byte }

// Number implements Message.
func (*InfoResponse) Number() byte { return NumInfoResponse }

// Layout implements wire.Layouter.
func (m *InfoResponse) Layout(c *wire.Coder) {
	n := uint32(len(m.Answers))
	c.Uint32(&n)
	if c.Decoding() {
		if c.Err() != nil {
			return
		}
		if n > MaxPrompts {
			c.Fail(wire.ErrValue)
			return
		}
		m.Answers = make([][]byte, n)
	}
	for i := range m.Answers {
		c.Secret(&m.Answers[i])
	}
}
