package gssapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// InitiatorConfig says whose Kerberos tickets a client uses.
type InitiatorConfig struct {
	// Config is the file that names realms and their KDCs. Empty means what the
	// environment variable KRB5_CONFIG says, or /etc/krb5.conf.
	Config string

	// CredentialCache is a file of tickets, such as kinit writes. If Principal
	// is empty, an empty one means what the environment variable KRB5CCNAME
	// says, or /tmp/krb5cc_UID. It is read for each connection. Caches that are
	// not files (KEYRING:, KCM:, DIR:) are not supported.
	CredentialCache string

	// Principal is the user who logs in, as user@REALM, with a ticket got for
	// each connection by the key in the file Keytab or by Password. Empty means
	// the owner of the credential cache.
	Principal string
	Keytab    string
	Password  string
}

// An Initiator authenticates by Kerberos tickets. It may be used by any number
// of connections at once.
type Initiator struct {
	conf  *config.Config
	cache string // file of tickets, if there is no login

	mu    sync.Mutex            // one ticket at a time
	login func() *client.Client // nil: tickets come from the cache
}

// NewInitiator reads the configuration. It does not contact a KDC.
func NewInitiator(cfg *InitiatorConfig) (i *Initiator, err error) {
	defer caught(&err)
	i = &Initiator{}
	if i.conf, err = loadConfig(cfg.Config); err != nil {
		return nil, err
	}
	if cfg.Principal == "" {
		if cfg.Keytab != "" || cfg.Password != "" {
			return nil, errors.New("gssapi: keytab or password without a principal")
		}
		i.cache, err = cachePath(cfg.CredentialCache)
		return i, err
	}
	name, realm := types.ParseSPNString(cfg.Principal)
	if realm == "" {
		realm = i.conf.LibDefaults.DefaultRealm
	}
	user := name.PrincipalNameString()
	switch {
	case cfg.CredentialCache != "":
		return nil, errors.New("gssapi: both a principal and a credential cache")
	case realm == "":
		return nil, errors.New("gssapi: principal has no realm, and the configuration has none either")
	case cfg.Keytab != "" && cfg.Password != "":
		return nil, errors.New("gssapi: both a keytab and a password")
	case cfg.Keytab != "":
		keys, err := keytab.Load(cfg.Keytab)
		if err != nil {
			return nil, fmt.Errorf("gssapi: keytab: %w", err)
		}
		i.login = func() *client.Client {
			return client.NewWithKeytab(user, realm, keys, i.conf, client.DisablePAFXFAST(true))
		}
	case cfg.Password != "":
		i.login = func() *client.Client {
			return client.NewWithPassword(user, realm, cfg.Password, i.conf, client.DisablePAFXFAST(true))
		}
	default:
		return nil, errors.New("gssapi: principal without a keytab or password")
	}
	return i, nil
}

// loadConfig reads krb5.conf. What the library does not know of it is left out.
func loadConfig(path string) (*config.Config, error) {
	if path == "" {
		path, _, _ = strings.Cut(os.Getenv("KRB5_CONFIG"), ":")
	}
	if path == "" {
		path = "/etc/krb5.conf"
	}
	c, err := config.Load(path)
	var unknown config.UnsupportedDirective
	if err != nil && !errors.As(err, &unknown) {
		return nil, fmt.Errorf("gssapi: configuration: %w", err)
	}
	return c, nil
}

func cachePath(path string) (string, error) {
	if path == "" {
		path = os.Getenv("KRB5CCNAME")
	}
	if path == "" {
		return fmt.Sprintf("/tmp/krb5cc_%d", os.Getuid()), nil
	}
	if kind, file, ok := strings.Cut(path, ":"); ok && !strings.Contains(kind, "/") && len(kind) > 1 {
		if kind != "FILE" {
			return "", fmt.Errorf("gssapi: credential cache: kind %s is not supported", strconv.Quote(kind))
		}
		path = file
	}
	return path, nil
}

// OID implements ssh2.GSSInitiator.
func (*Initiator) OID() []byte { return oid }

// Initiate implements ssh2.GSSInitiator: it gets a ticket for host/HOST.
func (i *Initiator) Initiate(ctx context.Context, host string, mutual bool) (ssh2.GSSContext, error) {
	if host == "" || strings.ContainsAny(host, "/@\\") {
		return nil, errors.New("gssapi: no name of a host")
	}
	type result struct {
		c   *initiating
		err error
	}
	// The library waits for KDCs without a context; it gives up by itself.
	got := make(chan result, 1)
	go func() {
		c, err := i.ticket("host/" + strings.ToLower(host))
		got <- result{c, err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			return nil, r.err
		}
		r.c.mutual = mutual
		return r.c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// printable is an error of the library with what a KDC says in it, which
// nothing vouches for, made fit for a log.
func printable(err error) error {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, err.Error())
	return errors.New(text[:min(len(text), 1024)])
}

// client returns a client that has a ticket to get tickets with.
func (i *Initiator) client() (*client.Client, error) {
	if i.login != nil {
		cl := i.login()
		if err := cl.Login(); err != nil {
			cl.Destroy()
			return nil, fmt.Errorf("gssapi: login: %w", printable(err))
		}
		return cl, nil
	}
	cache, err := credentials.LoadCCache(i.cache)
	if err != nil {
		return nil, fmt.Errorf("gssapi: credential cache: %w", err)
	}
	cl, err := client.NewFromCCache(cache, i.conf, client.DisablePAFXFAST(true))
	if err != nil {
		return nil, fmt.Errorf("gssapi: credential cache: %w", err)
	}
	return cl, nil
}

// ticket returns a context with a ticket for a service, from the cache or the KDC.
func (i *Initiator) ticket(service string) (c *initiating, err error) {
	defer caught(&err)
	i.mu.Lock()
	defer i.mu.Unlock()
	// Each ticket has a client of its own. The library believes the name that
	// stands unprotected in front of a ticket: who alters that on the way makes
	// it take a ticket for some service as the ticket that others are got with,
	// and then whoever runs that service could pass for any other. A client that
	// asks only once has nothing to lose by that. It also leaves no goroutine.
	cl, err := i.client()
	if err != nil {
		return nil, err
	}
	defer cl.Destroy()
	ticket, key, err := cl.GetServiceTicket(service)
	if err != nil {
		return nil, fmt.Errorf("gssapi: ticket for %s: %w", strconv.QuoteToASCII(service), printable(err))
	}
	if _, err := encryption(key); err != nil {
		return nil, err
	}
	return &initiating{ticket: ticket, session: key, name: cl.Credentials.CName(), realm: cl.Credentials.Realm()}, nil
}

// initiating is one client's context: a request, and the answer to it if the
// server is to prove itself.
type initiating struct {
	established
	ticket  messages.Ticket
	session types.EncryptionKey
	name    types.PrincipalName
	realm   string
	mutual  bool

	sent *types.Authenticator
}

// Step implements ssh2.GSSContext.
func (c *initiating) Step(_ context.Context, token []byte) (out []byte, done bool, err error) {
	defer caught(&err)
	switch {
	case c.sent == nil:
		if out, err = c.request(); err != nil {
			return nil, false, err
		}
		c.done = !c.mutual
	case !c.done:
		if err := c.answer(token); err != nil {
			return nil, false, err
		}
		c.done = true
	default:
		return nil, false, errOver
	}
	return out, c.done, nil
}

// request is RFC 4120 section 3.2.2 with the fields of RFC 4121 section 4.1.1.
func (c *initiating) request() ([]byte, error) {
	auth, err := types.NewAuthenticator(c.realm, c.name)
	if err != nil {
		return nil, fmt.Errorf("gssapi: authenticator: %w", err)
	}
	set := uint32(flagInteg)
	if c.mutual {
		set |= flagMutual
	}
	auth.Cksum = types.Checksum{CksumType: checksumType, Checksum: appendChecksum(set)}
	if auth.SubKey, err = newKey(c.session); err != nil {
		return nil, err
	}
	req, err := messages.NewAPReq(c.ticket, c.session, auth)
	if err != nil {
		return nil, fmt.Errorf("gssapi: request: %w", err)
	}
	if c.mutual {
		types.SetFlag(&req.APOptions, flags.APOptionMutualRequired)
	}
	message, err := req.Marshal()
	if err != nil {
		return nil, fmt.Errorf("gssapi: request: %w", err)
	}
	c.sent = &auth
	c.seal = sealing{key: auth.SubKey, sequence: uint64(auth.SeqNumber)}
	return frame(idAPReq, message), nil
}

// answer checks that the server could read the request (RFC 4120 section 3.2.5).
func (c *initiating) answer(token []byte) error {
	id, message, err := unframe(token)
	if err != nil {
		return err
	}
	switch id {
	case idAPRep:
	case idKrbError:
		var e messages.KRBError
		if err := e.Unmarshal(message); err != nil {
			return errors.New("gssapi: server refused the ticket")
		}
		return fmt.Errorf("gssapi: server refused the ticket: %s", errorcode.Lookup(e.ErrorCode))
	default:
		return errors.New("gssapi: token: not of an acceptor")
	}
	part, err := parseAPRep(c.session, message)
	if err != nil {
		return err
	}
	// KerberosTime has whole seconds.
	if part.CTime.Unix() != c.sent.CTime.Unix() || part.Cusec != c.sent.Cusec {
		return errors.New("gssapi: answer of the server: to another request")
	}
	if len(part.Subkey.KeyValue) > 0 {
		if _, err := encryption(part.Subkey); err != nil {
			return err
		}
		c.seal.key, c.seal.acceptorSubkey = part.Subkey, true
	}
	return nil
}

// State implements ssh2.GSSContext.
func (c *initiating) State() ssh2.GSSState {
	return ssh2.GSSState{Initiator: printName(c.name, c.realm), Mutual: c.mutual && c.done, Integrity: c.done}
}
