package ssh2

import (
	"fmt"

	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// A DisconnectReason is a reason code of DISCONNECT (RFC 4253 section 11.1).
type DisconnectReason uint32

// The reasons to disconnect.
const (
	DisconnectHostNotAllowed       DisconnectReason = transport.ReasonHostNotAllowed
	DisconnectProtocolError        DisconnectReason = transport.ReasonProtocolError
	DisconnectKexFailed            DisconnectReason = transport.ReasonKexFailed
	DisconnectReserved             DisconnectReason = 4 // never sent by us
	DisconnectMACError             DisconnectReason = transport.ReasonMACError
	DisconnectCompressionError     DisconnectReason = transport.ReasonCompressionError
	DisconnectServiceNotAvailable  DisconnectReason = transport.ReasonServiceNotAvailable
	DisconnectVersionNotSupported  DisconnectReason = transport.ReasonVersionNotSupported
	DisconnectHostKeyNotVerifiable DisconnectReason = transport.ReasonHostKeyNotVerifiable
	DisconnectConnectionLost       DisconnectReason = transport.ReasonConnectionLost
	DisconnectByApplication        DisconnectReason = transport.ReasonByApplication
	DisconnectTooManyConnections   DisconnectReason = transport.ReasonTooManyConnections
	DisconnectAuthCancelled        DisconnectReason = transport.ReasonAuthCancelled
	DisconnectNoMoreAuthMethods    DisconnectReason = transport.ReasonNoMoreAuthMethods
	DisconnectIllegalUserName      DisconnectReason = transport.ReasonIllegalUserName
)

var disconnectNames = map[DisconnectReason]string{
	DisconnectHostNotAllowed:       "host not allowed to connect",
	DisconnectProtocolError:        "protocol error",
	DisconnectKexFailed:            "key exchange failed",
	DisconnectReserved:             "reserved",
	DisconnectMACError:             "mac error",
	DisconnectCompressionError:     "compression error",
	DisconnectServiceNotAvailable:  "service not available",
	DisconnectVersionNotSupported:  "protocol version not supported",
	DisconnectHostKeyNotVerifiable: "host key not verifiable",
	DisconnectConnectionLost:       "connection lost",
	DisconnectByApplication:        "by application",
	DisconnectTooManyConnections:   "too many connections",
	DisconnectAuthCancelled:        "authentication cancelled by user",
	DisconnectNoMoreAuthMethods:    "no more authentication methods available",
	DisconnectIllegalUserName:      "illegal user name",
}

// String returns the RFC's name in lower case.
func (r DisconnectReason) String() string {
	if n, ok := disconnectNames[r]; ok {
		return n
	}
	return fmt.Sprintf("reason %d", uint32(r))
}

// An OpenReason is a reason code of CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1).
type OpenReason uint32

// The reasons to refuse a channel.
const (
	OpenProhibited       OpenReason = 1 // administratively prohibited
	OpenConnectFailed    OpenReason = 2 // what the channel should lead to cannot be reached
	OpenUnknownType      OpenReason = 3
	OpenResourceShortage OpenReason = 4
)

var openNames = map[OpenReason]string{
	OpenProhibited:       "administratively prohibited",
	OpenConnectFailed:    "connect failed",
	OpenUnknownType:      "unknown channel type",
	OpenResourceShortage: "resource shortage",
}

// String returns the RFC's name in lower case.
func (r OpenReason) String() string {
	if n, ok := openNames[r]; ok {
		return n
	}
	return fmt.Sprintf("reason %d", uint32(r))
}
