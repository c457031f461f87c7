package transport

import (
	"fmt"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// A PacketEvent is one packet in clear, seen by Config.PacketLog. It is valid
// during the call only.
type PacketEvent struct {
	Out      bool   // we send it
	Number   byte   // message number
	Sequence uint32 // sequence number of the packet
	Length   int    // octets of payload
	payload  []byte
}

// Name returns the name of the message.
func (e *PacketEvent) Name() string { return msg.Name(e.Number) }

// Payload returns all octets of the message, the number first, secrets
// included. It is valid during the call only and must not be changed.
func (e *PacketEvent) Payload() []byte { return e.payload }

// Public returns what of Payload may be shown: everything up to the first
// secret. Of messages whose meaning depends on the method in use, of those that
// are not known and of such as make no sense it is the number alone, since
// nobody can tell what is in them.
func (e *PacketEvent) Public() []byte {
	if e.ambiguous() || !msg.Known(e.Number) {
		return e.payload[:1]
	}
	switch e.Number {
	case msg.NumUserauthRequest:
		var m msg.UserauthRequest
		if msg.Decode(e.payload, &m) != nil {
			return e.payload[:1]
		}
		switch m.Method {
		case "none", "publickey", "hostbased", "keyboard-interactive": // which signs or waits to be asked
			return e.payload
		}
		return e.payload[:len(e.payload)-len(m.Fields)]
	case msg.NumChannelRequest:
		var m msg.ChannelRequest
		if msg.Decode(e.payload, &m) != nil {
			return e.payload[:1]
		}
		if msg.HoldsSecret(m.Name) {
			return e.payload[:len(e.payload)-len(m.Data)]
		}
	}
	return e.payload
}

// ambiguous tells whether what the number means depends on the method in use.
func (e *PacketEvent) ambiguous() bool {
	return e.Number >= 30 && e.Number <= 49 || e.Number >= 60 && e.Number <= 79
}

// String prints the message with its fields; text from the peer is quoted,
// secrets are left out. Numbers whose meaning depends on the method in use are
// printed by name only, lest a secret be printed as something else.
func (e *PacketEvent) String() string {
	if e.ambiguous() {
		return e.Name()
	}
	for _, r := range msg.Rows() {
		if r.Number != e.Number {
			continue
		}
		m := r.New()
		if err := msg.Decode(e.payload, m); err != nil {
			return fmt.Sprintf("%s (malformed)", r.Name)
		}
		return r.Name + " " + wire.Print(m)
	}
	return e.Name()
}
