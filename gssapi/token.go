package gssapi

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// oid is 1.2.840.113554.1.2.2, Kerberos 5, in DER.
var oid = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}

// OID returns the object identifier of Kerberos 5 in DER, for comparison with
// ssh2.GSSPeer.Mechanism.
func OID() []byte { return bytes.Clone(oid) }

// Token identifiers (RFC 4121 section 4.1).
const (
	idAPReq    = 0x0100
	idAPRep    = 0x0200
	idKrbError = 0x0300
	idMIC      = 0x0404
)

// maxToken bounds the tokens that are parsed. A ticket of somebody in a
// thousand groups takes about 48 KiB.
const maxToken = 64 << 10

var errToken = errors.New("gssapi: token: malformed")

// frame puts the header of an initial token in front of a Kerberos message
// (RFC 2743 section 3.1, RFC 4121 section 4.1).
func frame(id uint16, message []byte) []byte {
	inner := len(oid) + 2 + len(message)
	out := append(make([]byte, 0, inner+6), 0x60)
	switch {
	case inner < 0x80:
		out = append(out, byte(inner))
	case inner < 0x100:
		out = append(out, 0x81, byte(inner))
	case inner < 0x10000:
		out = append(out, 0x82, byte(inner>>8), byte(inner))
	default:
		out = append(out, 0x83, byte(inner>>16), byte(inner>>8), byte(inner))
	}
	out = append(out, oid...)
	out = binary.BigEndian.AppendUint16(out, id)
	return append(out, message...)
}

// unframe takes such a token apart. Its length must be what the header says,
// in the one form that DER knows.
func unframe(token []byte) (id uint16, message []byte, err error) {
	if len(token) > maxToken || len(token) < 2 || token[0] != 0x60 {
		return 0, nil, errToken
	}
	n, rest := int(token[1]), token[2:]
	if n >= 0x80 {
		octets := n - 0x80
		if octets < 1 || octets > 3 || len(rest) < octets {
			return 0, nil, errToken
		}
		n = 0
		for _, b := range rest[:octets] {
			n = n<<8 | int(b)
		}
		if n < 0x80 || n>>(8*(octets-1)) == 0 {
			return 0, nil, errToken
		}
		rest = rest[octets:]
	}
	if n != len(rest) {
		return 0, nil, errToken
	}
	rest, ok := bytes.CutPrefix(rest, oid)
	if !ok {
		return 0, nil, errors.New("gssapi: token: of another mechanism")
	}
	if len(rest) < 2 {
		return 0, nil, errToken
	}
	return binary.BigEndian.Uint16(rest), rest[2:], nil
}

// Context flags (RFC 2743 section 1.2.1, RFC 4121 section 4.1.1.1).
const (
	flagDeleg = 1 << iota
	flagMutual
	flagReplay
	flagSequence
	flagConf
	flagInteg
)

// checksumType is that of the checksum in the Authenticator, which is none but
// a place for flags (RFC 4121 section 4.1.1).
const checksumType = 0x8003

// bindingLen is the length of the hash of channel bindings, which SSH does
// not use: the MIC takes their place.
const bindingLen = 16

// appendChecksum returns the checksum field for flags.
func appendChecksum(flags uint32) []byte {
	out := binary.LittleEndian.AppendUint32(nil, bindingLen)
	out = append(out, make([]byte, bindingLen)...)
	return binary.LittleEndian.AppendUint32(out, flags)
}

// parseChecksum returns the flags. Channel bindings of a client that has some
// are passed over, as RFC 4121 allows to who has none; and so are delegated
// credentials and extensions.
func parseChecksum(kind int32, sum []byte) (flags uint32, err error) {
	switch {
	case kind != checksumType:
		return 0, errors.New("gssapi: authenticator: not for the GSS-API")
	case len(sum) < 8+bindingLen || binary.LittleEndian.Uint32(sum) != bindingLen:
		return 0, errors.New("gssapi: authenticator: malformed checksum")
	}
	flags = binary.LittleEndian.Uint32(sum[4+bindingLen:])
	if flags&flagDeleg != 0 {
		rest := sum[8+bindingLen:]
		if len(rest) < 4 || binary.LittleEndian.Uint16(rest) != 1 || int(binary.LittleEndian.Uint16(rest[2:])) > len(rest)-4 {
			return 0, errors.New("gssapi: authenticator: malformed delegation")
		}
	}
	return flags, nil
}
