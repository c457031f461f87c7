package agent

import (
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// identities is SSH_AGENT_IDENTITIES_ANSWER (draft-ietf-sshm-ssh-agent section
// 3.5). It is only sent.
type identities struct{ keys []*sshagent.Key }

func (m *identities) Layout(c *wire.Coder) {
	n := uint32(len(m.keys))
	c.Uint32(&n)
	for _, k := range m.keys {
		blob, comment := k.Blob, k.Comment
		c.Bytes(&blob)
		c.String(&comment)
	}
}

// signRequest is SSH_AGENTC_SIGN_REQUEST (section 3.6).
type signRequest struct {
	key, data []byte
	flags     uint32
}

func (m *signRequest) Layout(c *wire.Coder) {
	c.Bytes(&m.key)
	c.Bytes(&m.data)
	c.Uint32(&m.flags)
}

// signResponse is SSH_AGENT_SIGN_RESPONSE.
type signResponse struct{ signature []byte }

func (m *signResponse) Layout(c *wire.Coder) { c.Bytes(&m.signature) }
