// Package msg lays out every message of the SSH transport, authentication and
// connection protocols (RFC 4253, 4252, 4254 and OpenSSH's PROTOCOL), and says
// in one table which of them may arrive when, and from whom.
package msg

import (
	"fmt"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Message is one SSH message: its number and, through wire.Layouter, its fields.
type Message interface {
	wire.Layouter
	// Number is the message number (RFC 4250 section 4.1).
	Number() byte
}

// Phase is a set of the phases of a connection, as seen by the receiver.
type Phase uint8

const (
	// StrictKex is the first key exchange with strict kex in force: nothing
	// but what the exchange itself consists of (OpenSSH PROTOCOL 1.10).
	StrictKex Phase = 1 << iota
	// FirstKex is the first key exchange before, or without, strict kex.
	FirstKex
	// Rekey lies between the peer's KEXINIT and its NEWKEYS in later exchanges.
	Rekey
	// Auth lies between the first NEWKEYS and USERAUTH_SUCCESS.
	Auth
	// Open is the connection protocol, after USERAUTH_SUCCESS.
	Open

	kexAny = StrictKex | FirstKex | Rekey
	always = FirstKex | Rekey | Auth | Open
)

// Role is a set of the ends of a connection.
type Role uint8

const (
	// Client is the end that opened the connection.
	Client Role = 1 << iota
	// Server is the end that accepted it.
	Server

	both = Client | Server
)

// String returns "client" or "server".
func (r Role) String() string {
	switch r {
	case Client:
		return "client"
	case Server:
		return "server"
	default:
		return fmt.Sprintf("role %d", uint8(r))
	}
}

// Other returns the other end.
func (r Role) Other() Role { return both &^ r }

// Row describes one message: what it is called, who may send it, and in which
// phases a receiver takes it. Numbers 30 to 49 and 60 to 79 belong to the
// method in use, named by Method.
type Row struct {
	Number byte
	Name   string
	Method string
	From   Role
	When   Phase
	New    func() Message
}

// Message numbers.
const (
	NumDisconnect      = 1
	NumIgnore          = 2
	NumUnimplemented   = 3
	NumDebug           = 4
	NumServiceRequest  = 5
	NumServiceAccept   = 6
	NumExtInfo         = 7
	NumKexInit         = 20
	NumNewKeys         = 21
	NumKexECDHInit     = 30 // also KEXDH_INIT and the hybrids' KEX_HYBRID_INIT
	NumKexECDHReply    = 31
	NumKexGEXGroup     = 31
	NumKexGEXInit      = 32
	NumKexGEXReply     = 33
	NumKexGEXRequest   = 34
	NumKexGSSInit      = 30
	NumKexGSSContinue  = 31
	NumKexGSSComplete  = 32
	NumKexGSSHostKey   = 33
	NumKexGSSError     = 34
	NumKexGSSGroupReq  = 40
	NumKexGSSGroup     = 41
	NumUserauthRequest = 50
	NumUserauthFailure = 51
	NumUserauthSuccess = 52
	NumUserauthBanner  = 53
	NumUserauthPKOK    = 60
	NumPasswdChangereq = 60
	NumInfoRequest     = 60
	NumInfoResponse    = 61
	NumGSSResponse     = 60
	NumGSSToken        = 61
	NumGSSComplete     = 63
	NumGSSError        = 64
	NumGSSErrorToken   = 65
	NumGSSMIC          = 66
	NumGlobalRequest   = 80
	NumRequestSuccess  = 81
	NumRequestFailure  = 82
	NumChannelOpen     = 90
	NumChannelOpenOK   = 91
	NumChannelOpenFail = 92
	NumWindowAdjust    = 93
	NumChannelData     = 94
	NumChannelExtData  = 95
	NumChannelEOF      = 96
	NumChannelClose    = 97
	NumChannelRequest  = 98
	NumChannelSuccess  = 99
	NumChannelFailure  = 100
	NumPing            = 192
	NumPong            = 193
)

var rows = []Row{
	{NumDisconnect, "DISCONNECT", "", both, always | StrictKex, func() Message { return new(Disconnect) }},
	{NumIgnore, "IGNORE", "", both, always, func() Message { return new(Ignore) }},
	{NumUnimplemented, "UNIMPLEMENTED", "", both, always, func() Message { return new(Unimplemented) }},
	{NumDebug, "DEBUG", "", both, always, func() Message { return new(Debug) }},
	{NumServiceRequest, "SERVICE_REQUEST", "", Client, Auth, func() Message { return new(ServiceRequest) }},
	{NumServiceAccept, "SERVICE_ACCEPT", "", Server, Auth, func() Message { return new(ServiceAccept) }},
	// EXT_INFO is further limited to its two places (RFC 8308 section 2.4) by
	// the transport, which knows the previous message.
	{NumExtInfo, "EXT_INFO", "", both, Auth, func() Message { return new(ExtInfo) }},
	{NumKexInit, "KEXINIT", "", both, kexAny | Auth | Open, func() Message { return new(KexInit) }},
	{NumNewKeys, "NEWKEYS", "", both, kexAny, func() Message { return new(NewKeys) }},

	{NumKexECDHInit, "KEX_ECDH_INIT", "two-message", Client, kexAny, func() Message { return new(KexInitial) }},
	{NumKexECDHReply, "KEX_ECDH_REPLY", "two-message", Server, kexAny, func() Message { return new(KexReply) }},
	{NumKexGEXGroup, "KEX_DH_GEX_GROUP", "group-exchange", Server, kexAny, func() Message { return new(KexGEXGroup) }},
	{NumKexGEXInit, "KEX_DH_GEX_INIT", "group-exchange", Client, kexAny, func() Message { return &KexInitial{GEX: true} }},
	{NumKexGEXReply, "KEX_DH_GEX_REPLY", "group-exchange", Server, kexAny, func() Message { return &KexReply{GEX: true} }},
	{NumKexGEXRequest, "KEX_DH_GEX_REQUEST", "group-exchange", Client, kexAny, func() Message { return new(KexGEXRequest) }},
	{NumKexGSSInit, "KEXGSS_INIT", "gss", Client, kexAny, func() Message { return new(KexGSSInit) }},
	{NumKexGSSContinue, "KEXGSS_CONTINUE", "gss", both, kexAny, func() Message { return new(KexGSSContinue) }},
	{NumKexGSSComplete, "KEXGSS_COMPLETE", "gss", Server, kexAny, func() Message { return new(KexGSSComplete) }},
	{NumKexGSSHostKey, "KEXGSS_HOSTKEY", "gss", Server, kexAny, func() Message { return new(KexGSSHostKey) }},
	{NumKexGSSError, "KEXGSS_ERROR", "gss", Server, kexAny, func() Message { return &GSSError{Kex: true} }},
	{NumKexGSSGroupReq, "KEXGSS_GROUPREQ", "gss", Client, kexAny, func() Message { return &KexGEXRequest{GSS: true} }},
	{NumKexGSSGroup, "KEXGSS_GROUP", "gss", Server, kexAny, func() Message { return &KexGEXGroup{GSS: true} }},

	// After success further requests are to be ignored, not refused (RFC 4252 section 5.3).
	{NumUserauthRequest, "USERAUTH_REQUEST", "", Client, Auth | Open, func() Message { return new(UserauthRequest) }},
	{NumUserauthFailure, "USERAUTH_FAILURE", "", Server, Auth, func() Message { return new(UserauthFailure) }},
	{NumUserauthSuccess, "USERAUTH_SUCCESS", "", Server, Auth, func() Message { return new(UserauthSuccess) }},
	{NumUserauthBanner, "USERAUTH_BANNER", "", Server, Auth, func() Message { return new(UserauthBanner) }},
	{NumUserauthPKOK, "USERAUTH_PK_OK", "publickey", Server, Auth, func() Message { return new(UserauthPKOK) }},
	{NumPasswdChangereq, "USERAUTH_PASSWD_CHANGEREQ", "password", Server, Auth, func() Message { return new(PasswdChangereq) }},
	{NumInfoRequest, "USERAUTH_INFO_REQUEST", "keyboard-interactive", Server, Auth, func() Message { return new(InfoRequest) }},
	{NumInfoResponse, "USERAUTH_INFO_RESPONSE", "keyboard-interactive", Client, Auth, func() Message { return new(InfoResponse) }},
	{NumGSSResponse, "USERAUTH_GSSAPI_RESPONSE", "gssapi-with-mic", Server, Auth, func() Message { return new(GSSResponse) }},
	{NumGSSToken, "USERAUTH_GSSAPI_TOKEN", "gssapi-with-mic", both, Auth, func() Message { return new(GSSToken) }},
	{NumGSSComplete, "USERAUTH_GSSAPI_EXCHANGE_COMPLETE", "gssapi-with-mic", Client, Auth, func() Message { return new(GSSComplete) }},
	{NumGSSError, "USERAUTH_GSSAPI_ERROR", "gssapi-with-mic", Server, Auth, func() Message { return new(GSSError) }},
	{NumGSSErrorToken, "USERAUTH_GSSAPI_ERRTOK", "gssapi-with-mic", both, Auth, func() Message { return &GSSToken{Err: true} }},
	{NumGSSMIC, "USERAUTH_GSSAPI_MIC", "gssapi-with-mic", Client, Auth, func() Message { return new(GSSMIC) }},

	{NumGlobalRequest, "GLOBAL_REQUEST", "", both, Open, func() Message { return new(GlobalRequest) }},
	{NumRequestSuccess, "REQUEST_SUCCESS", "", both, Open, func() Message { return new(RequestSuccess) }},
	{NumRequestFailure, "REQUEST_FAILURE", "", both, Open, func() Message { return new(RequestFailure) }},
	{NumChannelOpen, "CHANNEL_OPEN", "", both, Open, func() Message { return new(ChannelOpen) }},
	{NumChannelOpenOK, "CHANNEL_OPEN_CONFIRMATION", "", both, Open, func() Message { return new(ChannelOpenConfirmation) }},
	{NumChannelOpenFail, "CHANNEL_OPEN_FAILURE", "", both, Open, func() Message { return new(ChannelOpenFailure) }},
	{NumWindowAdjust, "CHANNEL_WINDOW_ADJUST", "", both, Open, func() Message { return new(WindowAdjust) }},
	{NumChannelData, "CHANNEL_DATA", "", both, Open, func() Message { return new(ChannelData) }},
	{NumChannelExtData, "CHANNEL_EXTENDED_DATA", "", both, Open, func() Message { return new(ChannelExtendedData) }},
	{NumChannelEOF, "CHANNEL_EOF", "", both, Open, func() Message { return &ChannelSignal{Num: NumChannelEOF} }},
	{NumChannelClose, "CHANNEL_CLOSE", "", both, Open, func() Message { return &ChannelSignal{Num: NumChannelClose} }},
	{NumChannelRequest, "CHANNEL_REQUEST", "", both, Open, func() Message { return new(ChannelRequest) }},
	{NumChannelSuccess, "CHANNEL_SUCCESS", "", both, Open, func() Message { return &ChannelSignal{Num: NumChannelSuccess} }},
	{NumChannelFailure, "CHANNEL_FAILURE", "", both, Open, func() Message { return &ChannelSignal{Num: NumChannelFailure} }},

	{NumPing, "PING", "", both, Open, func() Message { return new(Ping) }},
	{NumPong, "PONG", "", both, Open, func() Message { return new(Pong) }},
}

// Rows returns the message table. Do not modify it.
func Rows() []Row { return rows }

// index[n] has the union of From and When of all rows with number n, so that
// gating costs one look-up.
var index = func() (t [256]struct {
	from Role
	when Phase
	name string
},
) {
	for _, r := range rows {
		e := &t[r.Number]
		e.from |= r.From
		e.when |= r.When
		if e.name == "" {
			e.name = r.Name
		}
	}
	return t
}()

// Verdict is what the table says of an arriving message.
type Verdict uint8

const (
	// Refuse means that the message is a protocol violation here and now.
	Refuse Verdict = iota
	// Accept means that it may be handled.
	Accept
	// Unknown means that no such message is known, or not any more: the answer is
	// UNIMPLEMENTED (RFC 4253 section 11.4), or, in StrictKex, the end.
	Unknown
)

// Gate says whether message number may arrive from the given end in phase p.
func Gate(number byte, from Role, p Phase) Verdict {
	e := &index[number]
	switch {
	case e.when == 0:
		if p&kexAny != 0 || p == Auth && number >= 80 {
			return Refuse
		}
		return Unknown
	case e.when&p != 0 && e.from&from != 0:
		return Accept
	case number == NumServiceRequest && from == Client && p == Open:
		// Twisted's clients ask anew after each key exchange, and live with OpenSSH's answer to that.
		return Unknown
	}
	return Refuse
}

// Known tells whether there is a message of this number at all.
func Known(number byte) bool { return index[number].when != 0 }

// Name returns the name of a message number, for logs.
func Name(number byte) string {
	if n := index[number].name; n != "" {
		return n
	}
	return fmt.Sprintf("message %d", number)
}

// Append appends m with its number in front to dst.
func Append(dst []byte, m Message) []byte {
	return wire.Append(append(dst, m.Number()), m)
}

// Decode decodes payload, which starts with the message number, into m. It
// refuses another number with wire.ErrValue.
func Decode(payload []byte, m Message) error {
	if len(payload) == 0 {
		return fmt.Errorf("%s: %w", Name(m.Number()), wire.ErrShort)
	}
	if payload[0] != m.Number() {
		return fmt.Errorf("%w: %s instead of %s", wire.ErrValue, Name(payload[0]), Name(m.Number()))
	}
	if err := wire.Decode(payload[1:], m); err != nil {
		return fmt.Errorf("%s: %w", Name(m.Number()), err)
	}
	return nil
}
