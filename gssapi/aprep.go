package gssapi

import (
	"encoding/asn1"
	"errors"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/types"
)

// apRep is KRB_AP_REP (RFC 4120 section 5.5.2), of which the library has only
// the half that reads.
type apRep struct {
	PVNO    int                 `asn1:"explicit,tag:0"`
	MsgType int                 `asn1:"explicit,tag:1"`
	EncPart types.EncryptedData `asn1:"explicit,tag:2"`
}

// encAPRepPart is its encrypted part.
type encAPRepPart struct {
	CTime    time.Time           `asn1:"generalized,explicit,tag:0"`
	Cusec    int                 `asn1:"explicit,tag:1"`
	Subkey   types.EncryptionKey `asn1:"optional,explicit,tag:2"`
	Sequence int64               `asn1:"optional,explicit,tag:3"`
}

const (
	kerberosVersion = 5
	msgAPReq        = 14
	msgAPRep        = 15

	tagAPRep        = "application,explicit,tag:15"
	tagEncAPRepPart = "application,explicit,tag:27"
)

// newAPRep answers an authenticator made at that time (RFC 4120 section 3.2.4)
// under the session key of the ticket.
func newAPRep(session types.EncryptionKey, part *encAPRepPart) ([]byte, error) {
	if _, err := encryption(session); err != nil {
		return nil, err
	}
	part.CTime = part.CTime.UTC()
	plain, err := asn1.MarshalWithParams(*part, tagEncAPRepPart)
	if err != nil {
		return nil, err
	}
	enc, err := crypto.GetEncryptedData(plain, session, usageAPRep, 0)
	if err != nil {
		return nil, err
	}
	return asn1.MarshalWithParams(apRep{kerberosVersion, msgAPRep, enc}, tagAPRep)
}

// parseAPRep reads such an answer.
func parseAPRep(session types.EncryptionKey, message []byte) (*encAPRepPart, error) {
	var rep apRep
	if rest, err := asn1.UnmarshalWithParams(message, &rep, tagAPRep); err != nil || len(rest) != 0 {
		return nil, errors.New("gssapi: answer of the server: malformed")
	}
	if rep.PVNO != kerberosVersion || rep.MsgType != msgAPRep {
		return nil, errors.New("gssapi: answer of the server: not of Kerberos 5")
	}
	plain, err := decrypt(rep.EncPart, session, usageAPRep)
	if err != nil {
		return nil, err
	}
	var part encAPRepPart
	if rest, err := asn1.UnmarshalWithParams(plain, &part, tagEncAPRepPart); err != nil || len(rest) != 0 {
		return nil, errors.New("gssapi: answer of the server: malformed inside")
	}
	return &part, nil
}
