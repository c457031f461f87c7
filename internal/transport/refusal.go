package transport

import (
	"encoding/binary"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
)

// Refusal returns what a server sends to a client that it is not going to serve, in place of a key
// exchange: its ident and DISCONNECT (RFC 4253 sections 4.2 and 11.1).
func Refusal(version string, reason uint32, text string) []byte {
	payload := msg.Append(nil, &msg.Disconnect{Reason: reason, Text: text})
	padding := seal.Plain{}.Padding(len(payload))
	b := append([]byte(version), '\r', '\n')
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(payload)+padding))
	b = append(b, byte(padding))
	b = append(b, payload...)
	return append(b, make([]byte, padding)...) // in the clear there is nothing that zeros could give away
}
