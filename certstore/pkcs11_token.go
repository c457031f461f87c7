//go:build cgo

package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	encasn1 "encoding/asn1"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	gossh "golang.org/x/crypto/ssh"
)

// PKCS#11 3.0, which the library's constants do not have.
const (
	ckkECEdwards = 0x40
	ckmEDDSA     = 0x1057
)

// readPKCS11 reads what a token holds: certificates, and private keys that the
// token signs with. They work until the store is closed.
func readPKCS11(in *input) ([]Entry, error) {
	u, err := parseToken(in.location)
	if err != nil {
		return nil, err
	}
	in.location = u.shown
	m, err := useModule(u.module)
	if err != nil {
		return nil, err
	}
	slot, flags, err := m.findSlot(u)
	if err != nil {
		_ = m.release()
		return nil, err
	}
	t, err := newToken(m, slot)
	if err != nil {
		return nil, err
	}
	in.closeWith(t.close)
	if flags&pkcs11.CKF_LOGIN_REQUIRED != 0 {
		if len(in.opts.Password) == 0 {
			in.opts.Password = u.pin
		}
		pad := flags&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0
		if !pad {
			pin, err := in.needPassword()
			if err != nil {
				return nil, err
			}
			t.pin = string(pin)
		}
		if err := m.login(t.home, slot, t.pin, pad); err != nil {
			return nil, err
		}
		t.loggedIn = true
	}
	return t.entries(t.home, u)
}

// fits tells whether an attribute is not asked for, or is this.
func (u *tokenURI) fits(name, value string) bool {
	want, asked := u.path[name]
	return !asked || want == value
}

// wants tells whether objects of a kind are asked for. Public keys alone are
// only on request: with a private key or a certificate they say nothing more.
func (u *tokenURI) wants(kind string) bool {
	want, asked := u.path["type"]
	if !asked {
		return kind != "public"
	}
	return want == kind
}

// findSlot returns the slot of the one token that the URI fits.
func (m *module) findSlot(u *tokenURI) (slot, flags uint, err error) {
	fail := func(where string, err error) (uint, uint, error) { return 0, 0, &FormatError{Where: where, Err: err} }
	if lib, err := m.ctx.GetInfo(); err != nil {
		return fail("library", err)
	} else if !u.fits("library-manufacturer", padded(lib.ManufacturerID)) || !u.fits("library-description", padded(lib.LibraryDescription)) ||
		!u.fits("library-version", fmt.Sprintf("%d.%d", lib.LibraryVersion.Major, lib.LibraryVersion.Minor)) && !u.fits("library-version", strconv.Itoa(int(lib.LibraryVersion.Major))) {
		return fail("library", errNoToken)
	}
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		return fail("slots", err)
	}
	var found []string
	for _, s := range slots {
		i, err := m.ctx.GetTokenInfo(s)
		if err != nil || i.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue // a slot without a usable token
		}
		if !u.fits("token", padded(i.Label)) || !u.fits("manufacturer", padded(i.ManufacturerID)) || !u.fits("model", padded(i.Model)) ||
			!u.fits("serial", padded(i.SerialNumber)) || !u.fits("slot-id", strconv.FormatUint(uint64(s), 10)) {
			continue
		}
		if d, err := m.ctx.GetSlotInfo(s); err != nil || !u.fits("slot-description", padded(d.SlotDescription)) || !u.fits("slot-manufacturer", padded(d.ManufacturerID)) {
			continue
		}
		found = append(found, strconv.QuoteToASCII(padded(i.Label)))
		slot, flags = s, i.Flags
	}
	switch len(found) {
	case 0:
		return fail("token", errNoToken)
	case 1:
		return slot, flags, nil
	}
	const most = 8
	return fail("token", fmt.Errorf("%d fit, say which, as in pkcs11:token=NAME: %s", len(found), strings.Join(found[:min(len(found), most)], ", ")))
}

var errNoToken = fmt.Errorf("none fits: %w", ErrNoMatch)

// padded takes off the spaces that fill a text of fixed length.
func padded(s string) string { return strings.TrimRight(s, " \x00") }

// entries finds certificates and keys.
func (t *token) entries(session pkcs11.SessionHandle, u *tokenURI) ([]Entry, error) {
	o := objects{ctx: t.m.ctx, session: session, publics: map[string]crypto.PublicKey{}}
	if label, ok := u.path["object"]; ok {
		o.filter = append(o.filter, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	}
	if id, ok := u.path["id"]; ok {
		o.filter = append(o.filter, pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(id)))
	}
	certs, err := o.certificates()
	if err != nil {
		return nil, err
	}
	keys, err := o.publicKeys()
	if err != nil {
		return nil, err
	}
	var out []Entry
	if u.wants("cert") {
		out = append(out, certs...)
	}
	if u.wants("public") {
		out = append(out, keys...)
	}
	if u.wants("private") {
		keys, err := o.privateKeys(t)
		if err != nil {
			return nil, err
		}
		out = append(out, keys...)
	}
	return out, nil
}

// objects are what a session with a token finds.
type objects struct {
	ctx     *pkcs11.Ctx
	session pkcs11.SessionHandle
	filter  []*pkcs11.Attribute // what the wanted ones must have
	// publics are public keys by the ID of their object. The public half of a private key
	// is in the key itself, in an object beside it with the same ID, or in a certificate
	// with that ID, be that object wanted or not.
	publics map[string]crypto.PublicKey
}

// all finds the objects of a class, and which of them are wanted.
func (o *objects) all(class uint) (all []pkcs11.ObjectHandle, wanted map[pkcs11.ObjectHandle]bool, err error) {
	if all, err = o.find(class); err != nil {
		return nil, nil, err
	}
	fit := all
	if len(o.filter) > 0 {
		if fit, err = o.find(class, o.filter...); err != nil {
			return nil, nil, err
		}
	}
	wanted = map[pkcs11.ObjectHandle]bool{}
	for _, h := range fit {
		wanted[h] = true
	}
	return all, wanted, nil
}

func (o *objects) find(class uint, also ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	found, err := findObjects(o.ctx, o.session, append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}, also...))
	if err != nil {
		return nil, &FormatError{Where: "objects", Err: err}
	}
	return found, nil
}

func (o *objects) value(h pkcs11.ObjectHandle, attribute uint) []byte {
	return tokenValue(o.ctx, o.session, h, attribute)
}

func (o *objects) text(h pkcs11.ObjectHandle, attribute uint) string {
	return string(o.value(h, attribute))
}

// certificates returns the wanted certificates, and notes the keys of all.
func (o *objects) certificates() (out []Entry, err error) {
	all, wanted, err := o.all(pkcs11.CKO_CERTIFICATE)
	if err != nil {
		return nil, err
	}
	for i, h := range all {
		e, err := certEntry(o.value(h, pkcs11.CKA_VALUE))
		if err != nil {
			return nil, at(fmt.Sprintf("certificate %d", i+1), complete("", err))
		}
		o.publics[o.text(h, pkcs11.CKA_ID)] = e.Cert.PublicKey
		if wanted[h] {
			e.Alias = o.text(h, pkcs11.CKA_LABEL)
			out = append(out, e)
		}
	}
	return out, nil
}

// publicKeys returns the wanted public keys, and notes all.
func (o *objects) publicKeys() (out []Entry, err error) {
	all, wanted, err := o.all(pkcs11.CKO_PUBLIC_KEY)
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		raw := publicKey(o.ctx, o.session, h)
		if raw == nil {
			continue
		}
		o.publics[o.text(h, pkcs11.CKA_ID)] = raw
		if !wanted[h] {
			continue
		}
		if k, err := gossh.NewPublicKey(raw); err == nil {
			out = append(out, Entry{Alias: o.text(h, pkcs11.CKA_LABEL), Public: k})
		}
	}
	return out, nil
}

// privateKeys returns the wanted private keys that can sign. The public ones must have been
// noted before.
func (o *objects) privateKeys(t *token) (out []Entry, err error) {
	found, err := o.find(pkcs11.CKO_PRIVATE_KEY, o.filter...)
	if err != nil {
		return nil, err
	}
	for _, h := range found {
		if sign := o.value(h, pkcs11.CKA_SIGN); len(sign) == 1 && sign[0] == 0 {
			continue // for decryption only
		}
		k := publicKey(o.ctx, o.session, h)
		if k == nil {
			k = o.publics[o.text(h, pkcs11.CKA_ID)]
		}
		if k == nil || keyID(k) == nil {
			continue // not a key of SSH, or nothing tells which
		}
		always := o.value(h, pkcs11.CKA_ALWAYS_AUTHENTICATE)
		out = append(out, Entry{
			Alias:  o.text(h, pkcs11.CKA_LABEL),
			Signer: &tokenKey{t, h, k, len(always) == 1 && always[0] != 0},
		})
	}
	return out, nil
}

func findObjects(ctx *pkcs11.Ctx, session pkcs11.SessionHandle, template []*pkcs11.Attribute) (out []pkcs11.ObjectHandle, err error) {
	if err := ctx.FindObjectsInit(session, template); err != nil {
		return nil, err
	}
	defer func() {
		if e := ctx.FindObjectsFinal(session); err == nil {
			err = e
		}
	}()
	const step = 256
	for {
		found, _, err := ctx.FindObjects(session, step)
		if err != nil || len(found) == 0 {
			return out, err
		}
		if out = append(out, found...); len(out) > maxEntries {
			return nil, fmt.Errorf("more than %d", maxEntries)
		}
	}
}

// tokenValue returns an attribute of an object, nil if it has none that may be
// seen.
func tokenValue(ctx *pkcs11.Ctx, session pkcs11.SessionHandle, o pkcs11.ObjectHandle, name uint) []byte {
	a, err := ctx.GetAttributeValue(session, o, []*pkcs11.Attribute{pkcs11.NewAttribute(name, nil)})
	if err != nil || len(a) != 1 {
		return nil
	}
	return a[0].Value
}

var (
	oidEd25519  = encasn1.ObjectIdentifier{1, 3, 101, 112}
	tokenCurves = []struct {
		oid   encasn1.ObjectIdentifier
		curve elliptic.Curve
	}{
		{encasn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, elliptic.P256()},
		{encasn1.ObjectIdentifier{1, 3, 132, 0, 34}, elliptic.P384()},
		{encasn1.ObjectIdentifier{1, 3, 132, 0, 35}, elliptic.P521()},
	}
)

// publicKey reads a public key, or the public half of a private one where the
// token shows it. It is nil for other kinds.
func publicKey(ctx *pkcs11.Ctx, session pkcs11.SessionHandle, o pkcs11.ObjectHandle) crypto.PublicKey {
	get := func(name uint) []byte { return tokenValue(ctx, session, o, name) }
	kind := get(pkcs11.CKA_KEY_TYPE)
	is := func(t uint) bool { return bytes.Equal(kind, pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, t).Value) }
	switch {
	case is(pkcs11.CKK_RSA):
		n, e := new(big.Int).SetBytes(get(pkcs11.CKA_MODULUS)), new(big.Int).SetBytes(get(pkcs11.CKA_PUBLIC_EXPONENT))
		if n.Sign() == 0 || n.BitLen() > maxRSABits || e.BitLen() == 0 || e.BitLen() > 31 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case is(pkcs11.CKK_EC), is(ckkECEdwards):
		return curveKey(get(pkcs11.CKA_EC_PARAMS), get(pkcs11.CKA_EC_POINT))
	}
	return nil
}

// curveKey reads a curve and a point, which is an octet string in DER, or with
// some tokens the point alone.
func curveKey(params, point []byte) crypto.PublicKey {
	s := cryptobyte.String(point)
	var p cryptobyte.String
	if s.ReadASN1(&p, asn1.OCTET_STRING) && s.Empty() {
		point = p
	}
	s = cryptobyte.String(params)
	var oid encasn1.ObjectIdentifier
	var name cryptobyte.String
	switch {
	case s.PeekASN1Tag(asn1.PrintableString):
		if !s.ReadASN1(&name, asn1.PrintableString) || string(name) != "edwards25519" {
			return nil
		}
		oid = oidEd25519
	case !s.ReadASN1ObjectIdentifier(&oid):
		return nil
	}
	if oid.Equal(oidEd25519) && len(point) == ed25519.PublicKeySize {
		return ed25519.PublicKey(point)
	}
	for _, c := range tokenCurves {
		if c.oid.Equal(oid) {
			if k, err := ecdsa.ParseUncompressedPublicKey(c.curve, point); err == nil {
				return k
			}
		}
	}
	return nil
}
