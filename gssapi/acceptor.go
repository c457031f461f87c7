package gssapi

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// DefaultClockSkew is how far clocks may be apart (RFC 4120 section 3.2.3).
const DefaultClockSkew = 5 * time.Minute

// AcceptorConfig says for which principals a server accepts Kerberos tickets.
type AcceptorConfig struct {
	// Keytab is the file with the server's keys. Empty means what the
	// environment variable KRB5_KTNAME says, or /etc/krb5.keytab. It is read
	// again when it has changed, so that keys can be renewed.
	Keytab string
	// Principal is the only one to accept tickets for, such as
	// "host/server.example.org@EXAMPLE.ORG". Empty means any principal of
	// the keytab whose service is host.
	Principal string
	// ClockSkew is how far a client's clock may be off; 0 means
	// DefaultClockSkew.
	ClockSkew time.Duration
}

// An Acceptor authenticates clients by their Kerberos tickets. It may be used
// by any number of connections at once.
type Acceptor struct {
	path      string
	principal string
	skew      time.Duration
	replays   replayCache

	mu    sync.Mutex // guards what follows
	keys  *keytab.Keytab
	mtime time.Time
	size  int64
}

// NewAcceptor reads the keytab. It fails if there is none or if it has no key
// of the principal.
func NewAcceptor(cfg *AcceptorConfig) (*Acceptor, error) {
	a := &Acceptor{path: cfg.Keytab, principal: cfg.Principal, skew: cfg.ClockSkew}
	if a.path == "" {
		a.path = strings.TrimPrefix(os.Getenv("KRB5_KTNAME"), "FILE:")
	}
	if a.path == "" {
		a.path = "/etc/krb5.keytab"
	}
	if a.skew <= 0 {
		a.skew = DefaultClockSkew
	}
	keys, err := a.keytab()
	if err != nil {
		return nil, err
	}
	for _, e := range keys.Entries {
		if a.serves(types.PrincipalName{NameString: e.Principal.Components}, e.Principal.Realm) {
			return a, nil
		}
	}
	return nil, errors.New("gssapi: keytab: has no key of the service")
}

// OID implements ssh2.GSSAcceptor.
func (*Acceptor) OID() []byte { return oid }

// Accept implements ssh2.GSSAcceptor.
func (a *Acceptor) Accept(context.Context) (ssh2.GSSContext, error) {
	return &accepting{a: a}, nil
}

// keytab returns the keys, read again if the file has changed.
func (a *Acceptor) keytab() (k *keytab.Keytab, err error) {
	defer caught(&err)
	info, err := os.Stat(a.path)
	if err != nil {
		return nil, fmt.Errorf("gssapi: keytab: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys == nil || !info.ModTime().Equal(a.mtime) || info.Size() != a.size {
		keys, err := keytab.Load(a.path)
		if err != nil {
			return nil, fmt.Errorf("gssapi: keytab: %w", err)
		}
		a.keys, a.mtime, a.size = keys, info.ModTime(), info.Size()
	}
	return a.keys, nil
}

// serves tells whether tickets for a principal are accepted, if there is a key.
func (a *Acceptor) serves(name types.PrincipalName, realm string) bool {
	if a.principal != "" {
		return printName(name, realm) == a.principal
	}
	return len(name.NameString) == 2 && name.NameString[0] == "host"
}

// accepting is one server's context. Kerberos needs a single step.
type accepting struct {
	established
	a     *Acceptor
	began bool
	state ssh2.GSSState
}

// Step implements ssh2.GSSContext.
func (c *accepting) Step(_ context.Context, token []byte) (out []byte, done bool, err error) {
	// The library is not written for hostile octets everywhere.
	defer caught(&err)
	if c.began {
		return nil, false, errOver
	}
	c.began = true
	id, message, err := unframe(token)
	if err != nil {
		return nil, false, err
	}
	if id != idAPReq {
		return nil, false, errors.New("gssapi: token: not of an initiator")
	}
	out, err = c.accept(message)
	if refused, ok := errors.AsType[messages.KRBError](err); ok {
		// The client may learn why: so RFC 4120 section 3.2.3 wants it.
		if text, e := refused.Marshal(); e == nil {
			out = frame(idKrbError, text)
		}
		return out, false, err
	}
	if err != nil {
		return nil, false, err
	}
	c.done = true
	return out, true, nil
}

// accept is RFC 4120 section 3.2.3, and the answer of section 3.2.4 if the
// client wants it.
func (c *accepting) accept(message []byte) (out []byte, err error) {
	var req messages.APReq
	if err := req.Unmarshal(message); err != nil {
		return nil, errors.New("gssapi: request: malformed")
	}
	ticket := &req.Ticket
	switch {
	case req.PVNO != kerberosVersion || req.MsgType != msgAPReq || ticket.TktVNO != kerberosVersion:
		return nil, refusal(ticket, errorcode.KRB_AP_ERR_BADVERSION)
	case types.IsFlagSet(&req.APOptions, flags.APOptionUseSessionKey):
		return nil, errors.New("gssapi: request: user to user")
	case len(ticket.SName.NameString) == 0 || !c.a.serves(ticket.SName, ticket.Realm):
		return nil, refusal(ticket, errorcode.KRB_AP_ERR_NOT_US)
	}
	part, err := c.openTicket(ticket)
	if err != nil {
		return nil, err
	}
	auth, set, err := c.openAuthenticator(&req, part)
	if err != nil {
		return nil, err
	}

	// RFC 4121 section 2: whose subkey is used.
	c.seal = sealing{key: part.Key, acceptor: true, sequence: uint64(uint32(auth.SeqNumber))}
	if len(auth.SubKey.KeyValue) > 0 {
		c.seal.key = auth.SubKey
	}
	if _, err := encryption(c.seal.key); err != nil {
		return nil, err
	}
	c.state = ssh2.GSSState{
		Initiator: printName(part.CName, part.CRealm),
		Mutual:    set&flagMutual != 0,
		Integrity: set&flagInteg != 0,
	}
	if !c.state.Mutual {
		return nil, nil
	}
	return c.answer(part, auth)
}

// refusal is the KRB_ERROR of that code about a ticket.
func refusal(ticket *messages.Ticket, code int32) error {
	return messages.NewKRBError(ticket.SName, ticket.Realm, code, "")
}

// openTicket decrypts a ticket with the key of the keytab that it is made with,
// and checks it.
func (c *accepting) openTicket(ticket *messages.Ticket) (*messages.EncTicketPart, error) {
	keys, err := c.a.keytab()
	if err != nil {
		return nil, err
	}
	key, _, err := keys.GetEncryptionKey(ticket.SName, ticket.Realm, ticket.EncPart.KVNO, ticket.EncPart.EType)
	if err != nil {
		return nil, refusal(ticket, errorcode.KRB_AP_ERR_NOKEY)
	}
	const usageTicket = 2
	plain, err := decrypt(ticket.EncPart, key, usageTicket)
	if err != nil {
		return nil, refusal(ticket, errorcode.KRB_AP_ERR_BAD_INTEGRITY)
	}
	part := new(messages.EncTicketPart)
	if err := part.Unmarshal(plain); err != nil {
		return nil, errors.New("gssapi: ticket: malformed")
	}
	return part, c.checkTicket(ticket, part)
}

// openAuthenticator decrypts the authenticator with the session key in the
// ticket, and checks it. set are the flags that the client wants.
func (c *accepting) openAuthenticator(req *messages.APReq, part *messages.EncTicketPart) (auth *types.Authenticator, set uint32, err error) {
	ticket := &req.Ticket
	const usageAuthenticator = 11
	plain, err := decrypt(req.EncryptedAuthenticator, part.Key, usageAuthenticator)
	if err != nil {
		return nil, 0, refusal(ticket, errorcode.KRB_AP_ERR_BAD_INTEGRITY)
	}
	auth = new(types.Authenticator)
	if err := auth.Unmarshal(plain); err != nil {
		return nil, 0, errors.New("gssapi: authenticator: malformed")
	}
	made := auth.CTime.Add(time.Duration(auth.Cusec) * time.Microsecond)
	now := time.Now()
	switch {
	case auth.AVNO != kerberosVersion:
		return nil, 0, refusal(ticket, errorcode.KRB_AP_ERR_BADVERSION)
	case !auth.CName.Equal(part.CName) || auth.CRealm != part.CRealm:
		return nil, 0, refusal(ticket, errorcode.KRB_AP_ERR_BADMATCH)
	case now.Sub(made) > c.a.skew || made.Sub(now) > c.a.skew:
		return nil, 0, refusal(ticket, errorcode.KRB_AP_ERR_SKEW)
	}
	if set, err = parseChecksum(auth.Cksum.CksumType, auth.Cksum.Checksum); err != nil {
		return nil, 0, err
	}
	if err := c.a.replays.add(req.EncryptedAuthenticator.Cipher, now, made.Add(c.a.skew)); err != nil {
		return nil, 0, refusal(ticket, errorcode.KRB_AP_ERR_REPEAT)
	}
	return auth, set, nil
}

// answer makes the AP_REP, with a subkey and a first sequence number of our own.
func (c *accepting) answer(part *messages.EncTicketPart, auth *types.Authenticator) ([]byte, error) {
	var err error
	if c.seal.key, err = newKey(c.seal.key); err != nil {
		return nil, err
	}
	c.seal.acceptorSubkey = true
	var number [4]byte
	_, _ = rand.Read(number[:])
	number[0] &= 0x3F // old implementations read it as signed
	c.seal.sequence = uint64(binary.BigEndian.Uint32(number[:]))
	rep, err := newAPRep(part.Key, &encAPRepPart{
		CTime: auth.CTime, Cusec: auth.Cusec, Subkey: c.seal.key, Sequence: int64(c.seal.sequence),
	})
	if err != nil {
		return nil, err
	}
	return frame(idAPRep, rep), nil
}

// checkTicket looks at what a ticket says of itself. Addresses in it are passed
// over: they say nothing behind a NAT, and few realms still have them.
func (c *accepting) checkTicket(ticket *messages.Ticket, part *messages.EncTicketPart) error {
	start, now := part.StartTime, time.Now()
	if start.IsZero() {
		start = part.AuthTime
	}
	switch {
	case start.Sub(now) > c.a.skew || types.IsFlagSet(&part.Flags, flags.Invalid):
		return refusal(ticket, errorcode.KRB_AP_ERR_TKT_NYV)
	case now.Sub(part.EndTime) > c.a.skew:
		return refusal(ticket, errorcode.KRB_AP_ERR_TKT_EXPIRED)
	case len(part.CName.NameString) == 0 || part.CRealm == "":
		return errors.New("gssapi: ticket: has no client")
	case part.CRealm != ticket.Realm && len(part.Transited.Contents) > 0 && !types.IsFlagSet(&part.Flags, flags.TransitedPolicyChecked):
		// Through which realms it came is for the KDC to judge (RFC 4120 section 2.7).
		return errors.New("gssapi: ticket: came through realms that its KDC did not judge")
	}
	_, err := encryption(part.Key)
	return err
}

// newKey makes a random key of the same type.
func newKey(like types.EncryptionKey) (types.EncryptionKey, error) {
	if _, err := encryption(like); err != nil {
		return types.EncryptionKey{}, err
	}
	k := types.EncryptionKey{KeyType: like.KeyType, KeyValue: make([]byte, len(like.KeyValue))}
	_, _ = rand.Read(k.KeyValue)
	return k, nil
}

var errOver = errors.New("gssapi: context has had all of its tokens")

// caught turns a panic of the library into an error.
func caught(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("gssapi: malformed input: %v", v)
	}
}

// State implements ssh2.GSSContext.
func (c *accepting) State() ssh2.GSSState { return c.state }
