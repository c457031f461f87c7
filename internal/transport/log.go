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

// String prints the message with its fields; text from the peer is quoted,
// secrets are left out. Numbers whose meaning depends on the method in use are
// printed by name only, lest a secret be printed as something else.
func (e *PacketEvent) String() string {
	if e.Number >= 30 && e.Number <= 49 || e.Number >= 60 && e.Number <= 79 {
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
