package gssapi

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

var (
	_ ssh2.GSSAcceptor  = (*Acceptor)(nil)
	_ ssh2.GSSInitiator = (*Initiator)(nil)
)

const (
	testRealm   = "EXAMPLE.ORG"
	testService = "host/server.example.org"
)

// A realm stands for a KDC: it has the key of a service, and makes tickets.
type realm struct {
	t     testing.TB
	keys  *keytab.Keytab
	path  string
	etype int32
}

func newRealm(t testing.TB, etype int32) *realm {
	t.Helper()
	r := &realm{t: t, keys: keytab.New(), path: filepath.Join(t.TempDir(), "keytab"), etype: etype}
	r.addKey(testService, "secret of the service", 1)
	return r
}

// addKey puts a key into the keytab, on disk too.
func (r *realm) addKey(principal, password string, version uint8) {
	r.t.Helper()
	r.check(r.keys.AddEntry(principal, testRealm, password, time.Now(), version, r.etype))
	b, err := r.keys.Marshal()
	r.check(err)
	r.check(os.WriteFile(r.path, b, 0o600))
}

func (r *realm) check(err error) {
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
}

func (r *realm) acceptor() *Acceptor {
	r.t.Helper()
	a, err := NewAcceptor(&AcceptorConfig{Keytab: r.path})
	r.check(err)
	return a
}

// ticketFor is what a ticket says; a test changes it.
type ticketFor struct {
	client, realm, service string
	transited              string
	from, until            time.Duration // from now
	flags                  []int
	etype                  int32
}

// ticket returns a client's context with a ticket for the service.
func (r *realm) ticket(mutual bool, change func(*ticketFor)) *initiating {
	r.t.Helper()
	f := ticketFor{client: "alice", realm: testRealm, service: testService, from: -time.Minute, until: time.Hour, etype: r.etype}
	if change != nil {
		change(&f)
	}
	now := time.Now().UTC()
	set := types.NewKrbFlags()
	for _, n := range f.flags {
		types.SetFlag(&set, n)
	}
	client, service := types.NewPrincipalName(1, f.client), types.NewPrincipalName(1, f.service)
	session, err := newKey(types.EncryptionKey{KeyType: f.etype, KeyValue: make([]byte, keyLengths[f.etype])})
	r.check(err)
	part := messages.EncTicketPart{
		Flags: set, Key: session, CRealm: f.realm, CName: client,
		AuthTime: now.Add(f.from), StartTime: now.Add(f.from), EndTime: now.Add(f.until), RenewTill: now.Add(f.until),
	}
	part.Transited.Contents = []byte(f.transited)
	plain, err := asn1.Marshal(part)
	r.check(err)
	key, version, err := r.keys.GetEncryptionKey(service, testRealm, 0, f.etype)
	r.check(err)
	enc, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(plain, asnAppTag.EncTicketPart), key, 2, version)
	r.check(err)
	ticket := messages.Ticket{TktVNO: 5, Realm: testRealm, SName: service, EncPart: enc}
	return &initiating{ticket: ticket, session: session, name: client, realm: f.realm, mutual: mutual}
}

func accept(t testing.TB, a *Acceptor) *accepting {
	t.Helper()
	c, err := a.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.(*accepting)
}

var etypes = map[string]int32{
	"aes128-sha1": etypeID.AES128_CTS_HMAC_SHA1_96, "aes256-sha1": etypeID.AES256_CTS_HMAC_SHA1_96,
	"aes128-sha256": etypeID.AES128_CTS_HMAC_SHA256_128, "aes256-sha384": etypeID.AES256_CTS_HMAC_SHA384_192,
}

// Both ends of a context agree on who is who and on the MICs of each other, and
// on nothing else.
func TestContext(t *testing.T) { // RFC 4121 sections 4.1 and 4.2.6.1
	for name, etype := range etypes {
		for _, mutual := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				r := newRealm(t, etype)
				i, a := r.ticket(mutual, nil), accept(t, r.acceptor())
				if _, err := i.MIC(nil); err == nil {
					t.Error("a MIC before the context is established")
				}
				if _, err := a.MIC(nil); err == nil || a.VerifyMIC(nil, nil) == nil || i.VerifyMIC(nil, nil) == nil {
					t.Error("a MIC before the context is established")
				}
				token, done, err := i.Step(t.Context(), nil)
				if err != nil || done == mutual || len(token) == 0 {
					t.Fatalf("request: %d octets, done %t, %v", len(token), done, err)
				}
				answer, done, err := a.Step(t.Context(), token)
				if err != nil || !done || len(answer) > 0 != mutual {
					t.Fatalf("accepted: %d octets, done %t, %v", len(answer), done, err)
				}
				if mutual {
					if out, done, err := i.Step(t.Context(), answer); err != nil || !done || len(out) != 0 {
						t.Fatalf("answer: %d octets, done %t, %v", len(out), done, err)
					}
				}
				want := ssh2.GSSState{Initiator: "alice@" + testRealm, Mutual: mutual, Integrity: true}
				if i.State() != want || a.State() != want {
					t.Errorf("states %+v and %+v, want %+v", i.State(), a.State(), want)
				}
				if i.seal.acceptorSubkey != mutual || a.seal.acceptorSubkey != mutual {
					t.Errorf("subkey of the acceptor: %t and %t, want %t", i.seal.acceptorSubkey, a.seal.acceptorSubkey, mutual)
				}
				text := []byte("the message")
				up, err := i.MIC(text)
				r.check(err)
				down, err := a.MIC(text)
				r.check(err)
				r.check(a.VerifyMIC(text, up))
				r.check(i.VerifyMIC(text, down))
				if a.VerifyMIC(text, down) == nil || i.VerifyMIC(text, up) == nil {
					t.Error("a MIC is good in both directions")
				}
				if a.VerifyMIC([]byte("another message"), up) == nil {
					t.Error("a MIC is good for another message")
				}
				for n := range up {
					bad := bytes.Clone(up)
					bad[n] ^= 0x40
					if a.VerifyMIC(text, bad) == nil {
						t.Errorf("octet %d of a MIC does not matter", n)
					}
					if a.VerifyMIC(text, up[:n]) == nil {
						t.Errorf("%d octets of a MIC are enough", n)
					}
				}
				if a.VerifyMIC(text, append(up, 0)) == nil {
					t.Error("a MIC may be longer")
				}
				if _, _, err := a.Step(t.Context(), token); !errors.Is(err, errOver) {
					t.Errorf("a second token: %v", err)
				}
				if _, _, err := i.Step(t.Context(), token); !errors.Is(err, errOver) {
					t.Errorf("a further token: %v", err)
				}
			})
		}
	}
}

// Clients of other realms are known by their realm, if the KDC judged the way.
func TestCrossRealm(t *testing.T) { // RFC 4120 section 2.7
	r := newRealm(t, etypeID.AES256_CTS_HMAC_SHA384_192)
	for name, f := range map[string]ticketFor{
		"neighbour": {}, "judged": {transited: "MIDDLE.COM", flags: []int{flags.TransitedPolicyChecked}},
	} {
		i := r.ticket(false, func(g *ticketFor) { g.realm, g.transited, g.flags = "FAR.NET", f.transited, f.flags })
		token, _, err := i.Step(t.Context(), nil)
		r.check(err)
		a := accept(t, r.acceptor())
		if _, done, err := a.Step(t.Context(), token); err != nil || !done || a.State().Initiator != "alice@FAR.NET" {
			t.Errorf("%s: done %t, %+v, %v", name, done, a.State(), err)
		}
	}
}

// Every way in which a ticket or request is not good enough.
func TestRequestsThatAreRefused(t *testing.T) { // RFC 4120 section 3.2.3
	r := newRealm(t, etypeID.AES256_CTS_HMAC_SHA1_96)
	for name, tt := range map[string]struct {
		ticket  func(*ticketFor)
		context func(*initiating)
		token   func([]byte) []byte
		why     string
	}{
		"expired":           {ticket: func(f *ticketFor) { f.from, f.until = -time.Hour, -6*time.Minute }, why: "KRB_AP_ERR_TKT_EXPIRED"},
		"not yet valid":     {ticket: func(f *ticketFor) { f.from = 6 * time.Minute }, why: "KRB_AP_ERR_TKT_NYV"},
		"invalid flag":      {ticket: func(f *ticketFor) { f.flags = []int{flags.Invalid} }, why: "KRB_AP_ERR_TKT_NYV"},
		"unjudged realms":   {ticket: func(f *ticketFor) { f.realm, f.transited = "FAR.NET", "MIDDLE.COM" }, why: "did not judge"},
		"no client":         {ticket: func(f *ticketFor) { f.realm = "" }, why: "has no client"},
		"other client":      {context: func(c *initiating) { c.name = types.NewPrincipalName(1, "root") }, why: "KRB_AP_ERR_BADMATCH"},
		"other realm":       {context: func(c *initiating) { c.realm = "OTHER.ORG" }, why: "KRB_AP_ERR_BADMATCH"},
		"other service":     {context: func(c *initiating) { c.ticket.SName = types.NewPrincipalName(1, "HTTP/server.example.org") }, why: "KRB_AP_ERR_NOT_US"},
		"other host":        {context: func(c *initiating) { c.ticket.SName = types.NewPrincipalName(1, "host/other.example.org") }, why: "KRB_AP_ERR_NOKEY"},
		"no service":        {context: func(c *initiating) { c.ticket.SName = types.PrincipalName{NameString: []string{""}} }, why: "KRB_AP_ERR_NOT_US"},
		"other version":     {context: func(c *initiating) { c.ticket.TktVNO = 4 }, why: "KRB_AP_ERR_BADVERSION"},
		"other key version": {context: func(c *initiating) { c.ticket.EncPart.KVNO = 9 }, why: "KRB_AP_ERR_NOKEY"},
		"weak type":         {context: func(c *initiating) { c.ticket.EncPart.EType = etypeID.RC4_HMAC }, why: "KRB_AP_ERR_NOKEY"},
		"short ticket":      {context: func(c *initiating) { c.ticket.EncPart.Cipher = c.ticket.EncPart.Cipher[:5] }, why: "KRB_AP_ERR_BAD_INTEGRITY"},
		"empty ticket":      {context: func(c *initiating) { c.ticket.EncPart.Cipher = nil }, why: "KRB_AP_ERR_BAD_INTEGRITY"},
		"changed ticket":    {context: func(c *initiating) { c.ticket.EncPart.Cipher[20] ^= 1 }, why: "KRB_AP_ERR_BAD_INTEGRITY"},
		"wrong session key": {context: func(c *initiating) { c.session.KeyValue = bytes.Repeat([]byte{1}, 32) }, why: "KRB_AP_ERR_BAD_INTEGRITY"},
		"other mechanism":   {token: func(b []byte) []byte { return bytes.Replace(b, oid, spnegoLike, 1) }, why: "of another mechanism"},
		"answer instead":    {token: func(b []byte) []byte { i := bytes.Index(b, oid) + len(oid); b[i] = 2; return b }, why: "not of an initiator"},
		"empty":             {token: func([]byte) []byte { return nil }, why: "malformed"},
		"cut":               {token: func(b []byte) []byte { return b[:len(b)-1] }, why: "malformed"},
		"longer":            {token: func(b []byte) []byte { return append(b, 0) }, why: "malformed"},
		"garbage":           {token: func([]byte) []byte { return frame(idAPReq, []byte("garbage")) }, why: "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			i := r.ticket(true, tt.ticket)
			if tt.context != nil {
				tt.context(i)
			}
			token, _, err := i.Step(t.Context(), nil)
			r.check(err)
			if tt.token != nil {
				token = tt.token(token)
			}
			a := accept(t, r.acceptor())
			out, done, err := a.Step(t.Context(), token)
			if err == nil || done || !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("done %t, error %v, want %s", done, err, tt.why)
			}
			if a.State() != (ssh2.GSSState{}) {
				t.Errorf("state %+v", a.State())
			}
			if kerberos := strings.HasPrefix(tt.why, "KRB_"); kerberos != (len(out) > 0) {
				t.Errorf("token of %d octets with the error", len(out))
			} else if kerberos {
				if _, done, err := i.Step(t.Context(), out); err == nil || done || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("client: done %t, error %v, want %s", done, err, tt.why)
				}
			}
			if _, err := a.MIC([]byte("x")); err == nil {
				t.Error("a MIC after an error")
			}
			if _, _, err := a.Step(t.Context(), token); err == nil {
				t.Error("a second try")
			}
		})
	}
}

// spnegoLike is as long as oid and is none of ours.
var spnegoLike = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x03}

// An authenticator is taken once, by all contexts of an acceptor together.
func TestReplay(t *testing.T) { // RFC 4120 section 3.2.3
	r := newRealm(t, etypeID.AES128_CTS_HMAC_SHA256_128)
	a := r.acceptor()
	i := r.ticket(false, nil)
	token, _, err := i.Step(t.Context(), nil)
	r.check(err)
	_, done, err := accept(t, a).Step(t.Context(), token)
	if err != nil || !done {
		t.Fatal(err)
	}
	if _, done, err := accept(t, a).Step(t.Context(), token); err == nil || done || !strings.Contains(err.Error(), "KRB_AP_ERR_REPEAT") {
		t.Errorf("a second time: done %t, error %v", done, err)
	}

	var c replayCache
	now := time.Now()
	for n := range maxReplays {
		r.check(c.add([]byte{byte(n), byte(n >> 8), byte(n >> 16)}, now, now.Add(time.Minute)))
	}
	if c.add([]byte("one more"), now, now) == nil {
		t.Error("the cache has no bound")
	}
	later := now.Add(2 * time.Minute)
	if err := c.add([]byte("one more"), later, later); err != nil || len(c.seen) != 1 {
		t.Errorf("old ones stay: %d, %v", len(c.seen), err)
	}
}

// Clocks may be apart by as much as is configured.
func TestClockSkew(t *testing.T) { // RFC 4120 section 3.2.3
	r := newRealm(t, etypeID.AES256_CTS_HMAC_SHA384_192)
	a := r.acceptor()
	a.skew = time.Nanosecond // the time that the test takes is longer
	i := r.ticket(false, nil)
	token, _, err := i.Step(t.Context(), nil)
	r.check(err)
	out, _, err := accept(t, a).Step(t.Context(), token)
	if err == nil || !strings.Contains(err.Error(), "KRB_AP_ERR_SKEW") || len(out) == 0 {
		t.Errorf("error %v", err)
	}
}

// The answer of a server is good for the request that it answers.
func TestAnswersThatAreRefused(t *testing.T) { // RFC 4120 section 3.2.5
	r := newRealm(t, etypeID.AES256_CTS_HMAC_SHA1_96)
	ask := func() (*initiating, []byte) {
		i := r.ticket(true, nil)
		token, _, err := i.Step(t.Context(), nil)
		r.check(err)
		answer, _, err := accept(t, r.acceptor()).Step(t.Context(), token)
		r.check(err)
		return i, answer
	}
	_, other := ask()
	for name, change := range map[string]func(*initiating, []byte) []byte{
		"of another session": func(*initiating, []byte) []byte { return other },
		"changed":            func(_ *initiating, b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"cut":                func(_ *initiating, b []byte) []byte { return b[:len(b)-1] },
		"empty":              func(*initiating, []byte) []byte { return nil },
		"a request":          func(*initiating, []byte) []byte { return frame(idAPReq, nil) },
		"garbage":            func(*initiating, []byte) []byte { return frame(idAPRep, []byte("garbage")) },
		"broken error":       func(*initiating, []byte) []byte { return frame(idKrbError, []byte("garbage")) },
		"of another time": func(i *initiating, _ []byte) []byte {
			rep, err := newAPRep(i.session, &encAPRepPart{CTime: i.sent.CTime.Add(time.Second), Cusec: i.sent.Cusec})
			r.check(err)
			return frame(idAPRep, rep)
		},
		"with a key of no type": func(i *initiating, _ []byte) []byte {
			rep, err := newAPRep(i.session, &encAPRepPart{CTime: i.sent.CTime, Cusec: i.sent.Cusec, Subkey: types.EncryptionKey{KeyType: 99, KeyValue: []byte{1}}})
			r.check(err)
			return frame(idAPRep, rep)
		},
		"with a short key": func(i *initiating, _ []byte) []byte {
			rep, err := newAPRep(i.session, &encAPRepPart{CTime: i.sent.CTime, Cusec: i.sent.Cusec, Subkey: types.EncryptionKey{KeyType: 18, KeyValue: []byte{1}}})
			r.check(err)
			return frame(idAPRep, rep)
		},
	} {
		i, answer := ask()
		if _, done, err := i.Step(t.Context(), change(i, answer)); err == nil || done || i.State().Mutual || i.State().Integrity {
			t.Errorf("%s: done %t, state %+v, error %v", name, done, i.State(), err)
		}
	}
	// Without a subkey of the acceptor that of the request stays.
	i, _ := ask()
	rep, err := newAPRep(i.session, &encAPRepPart{CTime: i.sent.CTime, Cusec: i.sent.Cusec})
	r.check(err)
	if _, done, err := i.Step(t.Context(), frame(idAPRep, rep)); err != nil || !done || i.seal.acceptorSubkey {
		t.Errorf("no subkey: done %t, %v", done, err)
	}
}

// The checksum field of the authenticator carries flags, and delegated
// credentials that nobody looks at.
func TestChecksumField(t *testing.T) { // RFC 4121 section 4.1.1
	good := appendChecksum(flagMutual | flagInteg)
	if want := append(append([]byte{16, 0, 0, 0}, make([]byte, 16)...), 0x22, 0, 0, 0); !bytes.Equal(good, want) {
		t.Errorf("% x, want % x", good, want)
	}
	deleg := func(rest ...byte) []byte { return append(appendChecksum(flagDeleg|flagInteg), rest...) }
	for name, tt := range map[string]struct {
		kind int32
		sum  []byte
		want uint32
		ok   bool
	}{
		"good":                   {checksumType, good, flagMutual | flagInteg, true},
		"bindings":               {checksumType, append(append([]byte{16, 0, 0, 0}, bytes.Repeat([]byte{7}, 16)...), 0x20, 0, 0, 0), flagInteg, true},
		"delegation":             {checksumType, deleg(1, 0, 3, 0, 'a', 'b', 'c'), flagDeleg | flagInteg, true},
		"delegation, extensions": {checksumType, deleg(1, 0, 1, 0, 'a', 'x', 'y'), flagDeleg | flagInteg, true},
		"extensions":             {checksumType, append(bytes.Clone(good), 1, 2, 3), flagMutual | flagInteg, true},
		"delegation missing":     {checksumType, deleg(), 0, false},
		"delegation cut":         {checksumType, deleg(1, 0, 9, 0, 'a'), 0, false},
		"delegation option":      {checksumType, deleg(2, 0, 0, 0), 0, false},
		"other type":             {16, good, 0, false},
		"none":                   {0, nil, 0, false},
		"short":                  {checksumType, good[:23], 0, false},
		"other length":           {checksumType, append([]byte{17}, good[1:]...), 0, false},
	} {
		got, err := parseChecksum(tt.kind, tt.sum)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %#x, %v", name, got, err)
		}
	}
}

func TestFrame(t *testing.T) { // RFC 2743 section 3.1
	for _, n := range []int{0, 1, 100, 114, 115, 200, 241, 242, 243, 300, 65000} {
		m := bytes.Repeat([]byte{7}, n)
		id, got, err := unframe(frame(idAPRep, m))
		if err != nil || id != idAPRep || !bytes.Equal(got, m) {
			t.Errorf("%d octets: %d octets of %#x, %v", n, len(got), id, err)
		}
	}
	inner := append(bytes.Clone(oid), 1, 0)
	for name, token := range map[string][]byte{
		"empty": {}, "one octet": {0x60}, "no length": {0x60, 0x80}, "length of lengths": {0x60, 0x84, 0, 0, 0, 13},
		"long form of a short length": append([]byte{0x60, 0x81, 13}, inner...),
		"leading zero":                append([]byte{0x60, 0x82, 0, 13}, inner...),
		"wrong tag":                   append([]byte{0x61, 13}, inner...),
		"too short":                   append([]byte{0x60, 12}, inner...),
		"too long":                    append([]byte{0x60, 14}, inner...),
		"no identifier":               append([]byte{0x60, 11}, oid...),
		"beyond the limit":            frame(idAPReq, make([]byte, maxToken)),
	} {
		if _, _, err := unframe(token); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A name with a separator in it is no other name.
func TestPrintName(t *testing.T) {
	for want, parts := range map[string][]string{
		"alice@R": {"alice"}, "host/x@R": {"host", "x"}, `host\/x@R`: {"host/x"}, `root\@R@R`: {"root@R"},
		`a\\@R`: {`a\`}, `a\nb\0@R`: {"a\nb\x00"},
	} {
		if got := printName(types.PrincipalName{NameString: parts}, "R"); got != want {
			t.Errorf("%q is %s, want %s", parts, got, want)
		}
	}
}

func TestErrorsArePrintable(t *testing.T) {
	got := printable(errors.New("KDC says \x1b[2J\r\nroot \u202e" + strings.Repeat("x", 2000))).Error()
	if !strings.HasPrefix(got, "KDC says ?[2J??root ?xx") || len(got) != 1024 {
		t.Errorf("%d octets: %q", len(got), got[:40])
	}
}

func TestSameName(t *testing.T) {
	allow := SameName("R")
	for name, tt := range map[string]struct {
		user, peer string
		mech       []byte
		ok         bool
	}{
		"same": {"alice", "alice@R", oid, true}, "other realm": {"alice", "alice@S", oid, false}, "other user": {"bob", "alice@R", oid, false},
		"instance": {"alice", "alice/admin@R", oid, false}, "host": {"host/x", "host/x@R", oid, false}, "realm in the user": {"alice@R", "alice@R@R", oid, false},
		"escaped": {`a\`, `a\@R`, oid, false}, "other mechanism": {"alice", "alice@R", spnegoLike, false}, "empty": {"", "@R", oid, false},
	} {
		if name == "empty" {
			continue // ssh2 lets no empty user through
		}
		v := allow(context.Background(), &ssh2.AuthAttempt{User: tt.user}, ssh2.GSSPeer{Mechanism: tt.mech, Name: tt.peer})
		if v.OK != tt.ok || !tt.ok && v.Reason == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if v := SameName("")(context.Background(), &ssh2.AuthAttempt{User: "alice"}, ssh2.GSSPeer{Mechanism: oid, Name: "alice@"}); v.OK {
		t.Error("no realm allows everybody of none")
	}
}

// Keys are renewed while the server runs.
func TestKeytabIsReadAgain(t *testing.T) {
	r := newRealm(t, etypeID.AES256_CTS_HMAC_SHA1_96)
	a := r.acceptor()
	r.addKey("host/new.example.org", "another secret", 2)
	i := r.ticket(false, func(f *ticketFor) { f.service = "host/new.example.org" })
	token, _, err := i.Step(t.Context(), nil)
	r.check(err)
	if _, done, err := accept(t, a).Step(t.Context(), token); err != nil || !done {
		t.Errorf("the new key is not known: %v", err)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	conf := file("krb5.conf", "[libdefaults]\n default_realm = EXAMPLE.ORG\n[realms]\n EXAMPLE.ORG = {\n  kdc = 127.0.0.1:1\n }\n")
	other := newRealm(t, etypeID.AES256_CTS_HMAC_SHA1_96)
	for name, cfg := range map[string]AcceptorConfig{
		"no file": {Keytab: filepath.Join(dir, "none")}, "no keytab": {Keytab: conf}, "empty": {Keytab: file("empty", "")}, "two octets": {Keytab: file("two", "\x05\x02")},
		"garbage": {Keytab: file("garbage", "\x05\x02\x00\x00\xFF\xFFxx")}, "another principal": {Keytab: other.path, Principal: "host/other@EXAMPLE.ORG"},
	} {
		if a, err := NewAcceptor(&cfg); err == nil || a != nil {
			t.Errorf("%s: acceptor %v, %v", name, a, err)
		}
	}
	if _, err := NewAcceptor(&AcceptorConfig{Keytab: other.path, Principal: testService + "@" + testRealm}); err != nil {
		t.Error(err)
	}
	for name, cfg := range map[string]InitiatorConfig{
		"no configuration": {Config: filepath.Join(dir, "none")}, "kind of cache": {Config: conf, CredentialCache: "KEYRING:persistent:0"},
		"password without principal": {Config: conf, Password: "x"}, "principal alone": {Config: conf, Principal: "alice"},
		"both": {Config: conf, Principal: "alice", Password: "x", Keytab: other.path}, "cache and principal": {Config: conf, Principal: "alice", CredentialCache: conf},
		"no keytab": {Config: conf, Principal: "alice", Keytab: filepath.Join(dir, "none")},
	} {
		if _, err := NewInitiator(&cfg); err == nil {
			t.Errorf("initiator: %s is accepted", name)
		}
	}
	for name, cache := range map[string]string{"no cache": filepath.Join(dir, "none"), "garbage": file("cache", "\x05\x04\x00"), "empty": file("cache2", "")} {
		i, err := NewInitiator(&InitiatorConfig{Config: conf, CredentialCache: "FILE:" + cache})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Initiate(t.Context(), "server.example.org", true); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	i, err := NewInitiator(&InitiatorConfig{Config: conf, Principal: "alice", Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"", "a/b", "a@B"} {
		if _, err := i.Initiate(t.Context(), host, true); err == nil || !strings.Contains(err.Error(), "no name of a host") {
			t.Errorf("host %q: %v", host, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOver)
	if _, err := i.Initiate(ctx, "server.example.org", true); err == nil {
		t.Error("a ticket without a KDC")
	}
	// The library's client believes what stands unprotected in front of a
	// ticket, so what it got for one service must not serve for another.
	if a, b := i.login(), i.login(); a == b {
		t.Error("two tickets by one client")
	}
}

// FuzzAccept gives the acceptor tokens of anything.
func FuzzAccept(f *testing.F) {
	r := newRealm(f, etypeID.AES256_CTS_HMAC_SHA1_96)
	a := r.acceptor()
	token, _, err := r.ticket(true, nil).Step(f.Context(), nil)
	r.check(err)
	f.Add(token[len(oid)+8:])
	f.Add([]byte("\x6e\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		c := accept(t, a)
		if _, done, err := c.Step(t.Context(), frame(idAPReq, message)); done != (err == nil) || done != c.State().Integrity {
			t.Fatalf("done %t, state %+v, error %v", done, c.State(), err)
		} else if err != nil && strings.Contains(err.Error(), "malformed input") {
			t.Fatal(err) // a panic of the library that could be prevented
		}
	})
}

// FuzzAuthenticator gives the acceptor authenticators of somebody who has a ticket.
func FuzzAuthenticator(f *testing.F) {
	r := newRealm(f, etypeID.AES256_CTS_HMAC_SHA1_96)
	a := r.acceptor()
	i := r.ticket(true, nil)
	auth, err := types.NewAuthenticator(i.realm, i.name)
	r.check(err)
	auth.Cksum = types.Checksum{CksumType: checksumType, Checksum: appendChecksum(flagInteg)}
	plain, err := auth.Marshal()
	r.check(err)
	f.Add(plain)
	f.Add([]byte("\x62\x00"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		enc, err := crypto.GetEncryptedData(plain, i.session, 11, 0)
		if err != nil {
			return // too long or too short to encrypt
		}
		req := messages.APReq{PVNO: 5, MsgType: msgAPReq, APOptions: types.NewKrbFlags(), Ticket: i.ticket, EncryptedAuthenticator: enc}
		message, err := req.Marshal()
		r.check(err)
		c := accept(t, a)
		if _, done, err := c.Step(t.Context(), frame(idAPReq, message)); done != (err == nil) || done && c.State().Initiator != "alice@"+testRealm {
			t.Fatalf("done %t, state %+v, error %v", done, c.State(), err)
		} else if err != nil && strings.Contains(err.Error(), "malformed input") {
			t.Fatal(err) // a panic of the library that could be prevented
		}
	})
}

// FuzzAnswer gives the initiator answers of anything.
func FuzzAnswer(f *testing.F) {
	r := newRealm(f, etypeID.AES256_CTS_HMAC_SHA1_96)
	i := r.ticket(true, nil)
	token, _, err := i.Step(f.Context(), nil)
	r.check(err)
	answer, _, err := accept(f, r.acceptor()).Step(f.Context(), token)
	r.check(err)
	f.Add(answer)
	f.Add(frame(idKrbError, []byte("\x7e\x00")))
	f.Fuzz(func(t *testing.T, token []byte) {
		c := *i
		if _, done, err := c.Step(t.Context(), token); done != (err == nil) || done && !bytes.Equal(token, answer) {
			t.Fatalf("done %t, error %v", done, err)
		}
	})
}

// FuzzUnframe takes tokens apart and puts them together.
func FuzzUnframe(f *testing.F) {
	f.Add(frame(idAPReq, []byte("message")))
	f.Add([]byte{0x60, 0x81, 0x80})
	f.Fuzz(func(t *testing.T, token []byte) {
		id, m, err := unframe(token)
		if err == nil && !bytes.Equal(frame(id, m), token) {
			t.Fatalf("% x is not the only form", token)
		}
	})
}

// FuzzMIC gives MIC tokens of anything.
func FuzzMIC(f *testing.F) {
	s := sealing{key: types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}}
	good, err := s.mic([]byte("m"))
	if err != nil {
		f.Fatal(err)
	}
	peer := s
	peer.acceptor = true
	f.Add(good)
	f.Add([]byte{4, 4})
	f.Fuzz(func(t *testing.T, mic []byte) {
		if err := peer.verify([]byte("m"), mic); (err == nil) != bytes.Equal(mic, good) {
			t.Fatalf("% x: %v", mic, err)
		}
	})
}
