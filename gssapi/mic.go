package gssapi

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/types"
)

// Key usages (RFC 4120 section 7.5.1, RFC 4121 section 2).
const (
	usageAPRep         = 12
	usageAcceptorSign  = 23
	usageInitiatorSign = 25
)

// Flags of a MIC token (RFC 4121 section 4.2.2).
const (
	micByAcceptor     = 1
	micSealed         = 2
	micAcceptorSubkey = 4
)

// micHeader is the length of a MIC token without its checksum.
const micHeader = 16

var errMIC = errors.New("gssapi: MIC is wrong")

// A sealing is what MIC tokens of an established context are made with.
type sealing struct {
	key types.EncryptionKey
	// acceptorSubkey tells that the acceptor chose key (RFC 4121 section 4.2.2).
	acceptorSubkey bool
	acceptor       bool   // our end
	sequence       uint64 // of our next token
}

// mic makes a MIC token (RFC 4121 section 4.2.6.1).
func (s *sealing) mic(message []byte) ([]byte, error) {
	token := s.header(s.acceptor, s.sequence)
	sum, err := s.sum(message, token, s.acceptor)
	if err != nil {
		return nil, err
	}
	s.sequence++
	return append(token, sum...), nil
}

// verify checks a MIC token of the peer. Its number is not looked at: a context
// of SSH sees at most two tokens, over different messages.
func (s *sealing) verify(message, token []byte) error {
	if len(token) < micHeader || len(token) > micHeader+64 {
		return errors.New("gssapi: MIC is malformed")
	}
	header := token[:micHeader:micHeader]
	if want := s.header(!s.acceptor, binary.BigEndian.Uint64(token[8:])); !hmac.Equal(header, want) {
		return errors.New("gssapi: MIC is malformed, or for another direction or key")
	}
	sum, err := s.sum(message, header, !s.acceptor)
	if err != nil {
		return err
	}
	if !hmac.Equal(sum, token[micHeader:]) {
		return errMIC
	}
	return nil
}

func (s *sealing) header(byAcceptor bool, sequence uint64) []byte {
	var flags byte
	if byAcceptor {
		flags |= micByAcceptor
	}
	if s.acceptorSubkey {
		flags |= micAcceptorSubkey
	}
	h := binary.BigEndian.AppendUint16(make([]byte, 0, micHeader+32), idMIC)
	h = append(h, flags, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
	return binary.BigEndian.AppendUint64(h, sequence)
}

// sum is the checksum over the message and the header behind it.
func (s *sealing) sum(message, header []byte, byAcceptor bool) ([]byte, error) {
	et, err := encryption(s.key)
	if err != nil {
		return nil, err
	}
	usage := uint32(usageInitiatorSign)
	if byAcceptor {
		usage = usageAcceptorSign
	}
	data := append(append(make([]byte, 0, len(message)+len(header)), message...), header...)
	sum, err := et.GetChecksumHash(s.key.KeyValue, data, usage)
	if err != nil {
		return nil, fmt.Errorf("gssapi: checksum: %w", err)
	}
	return sum, nil
}

var errEarly = errors.New("gssapi: context is not established")

// established is what both ends of a context have in the end: a key for MICs,
// which serves nobody before.
type established struct {
	done bool
	seal sealing
}

// MIC implements ssh2.GSSContext.
func (e *established) MIC(message []byte) ([]byte, error) {
	if !e.done {
		return nil, errEarly
	}
	return e.seal.mic(message)
}

// VerifyMIC implements ssh2.GSSContext.
func (e *established) VerifyMIC(message, mic []byte) error {
	if !e.done {
		return errEarly
	}
	return e.seal.verify(message, mic)
}
