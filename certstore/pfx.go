package certstore

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" // files that have it are read
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	encasn1 "encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
	"github.com/fairlead-ssh/fairlead/keys"
)

// The object identifiers of RFC 7292 and RFC 2315.
var (
	oidData          = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnvelopedData = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidEncryptedData = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidFriendlyName  = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidX509Cert      = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	oidPBMAC1        = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}

	oidKeyBag      = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedBag = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag     = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidSafeBag     = encasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 6}
)

// pfxDigests are the functions of MACs (RFC 7292 section 4).
var pfxDigests = []struct {
	oid  encasn1.ObjectIdentifier
	hash func() hash.Hash
}{
	{encasn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, sha1.New},
	{encasn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}, sha256.New224},
	{encasn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, sha256.New},
	{encasn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, sha512.New384},
	{encasn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, sha512.New},
	{encasn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 5}, sha512.New512_224},
	{encasn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 6}, sha512.New512_256},
}

// isPFX detects version 3 and what follows it (RFC 7292 section 4).
func isPFX(data []byte) bool {
	return bytes.HasPrefix(inside(data), []byte{byte(asn1.INTEGER), 1, 3, byte(asn1.SEQUENCE)})
}

var errPFX = errors.New("not as RFC 7292 says")

// pfx is a PKCS#12 store that is being read.
type pfx struct {
	in       *input
	purse    *pbe.Limits
	verified bool          // the MAC has shown that the password is right
	empty    *pbe.Password // and that it is empty
	safes    []pfxSafe     // that are still to be read
	out      []Entry
	bags     int
}

// pfxSafe is SafeContents, which may hold further ones.
type pfxSafe struct {
	data  []byte
	depth int
}

// readPFX reads a PKCS#12 store (RFC 7292), protected by a password. It may
// hold any number of keys and certificates, encrypted or not.
func readPFX(in *input) ([]Entry, error) {
	p := &pfx{in: in, purse: purse(in.limits)}
	s, err := sequence(in.data)
	if err != nil {
		return nil, err
	}
	if !s.SkipASN1(asn1.INTEGER) {
		return nil, errPFX
	}
	oid, content, ok := contentInfo(&s)
	switch {
	case !ok:
		return nil, errPFX
	case oid.Equal(oidSignedData):
		return nil, unsupported("", "integrity by a signature")
	case !oid.Equal(oidData):
		return nil, unsupported("", "contents "+oid.String())
	}
	var safe cryptobyte.String
	if !content.ReadASN1(&safe, asn1.OCTET_STRING) || !content.Empty() {
		return nil, errPFX
	}
	if !s.Empty() {
		if err := p.checkMAC(&s, safe); err != nil {
			return nil, err
		}
	}
	if err := p.authenticatedSafe(safe); err != nil {
		return nil, err
	}
	return p.out, nil
}

// contentInfo reads ContentInfo (RFC 2315 section 7).
func contentInfo(s *cryptobyte.String) (oid encasn1.ObjectIdentifier, content cryptobyte.String, ok bool) {
	var seq cryptobyte.String
	ok = s.ReadASN1(&seq, asn1.SEQUENCE) && seq.ReadASN1ObjectIdentifier(&oid)
	if ok && !seq.Empty() {
		ok = seq.ReadASN1(&content, asn1.Tag(0).ContextSpecific().Constructed()) && seq.Empty()
	}
	return oid, content, ok
}

// checkMAC checks MacData against the contents, and so the password, before
// anything of them is looked at.
func (p *pfx) checkMAC(s *cryptobyte.String, contents []byte) error {
	const where = "MAC"
	var mac, info, digest, salt cryptobyte.String
	iterations := 1
	ok := s.ReadASN1(&mac, asn1.SEQUENCE) && s.Empty() && mac.ReadASN1(&info, asn1.SEQUENCE)
	if !ok {
		return &FormatError{Where: where, Err: errPFX}
	}
	a, ok := readAlgorithm(&info)
	if !ok || !info.ReadASN1(&digest, asn1.OCTET_STRING) || !info.Empty() || !mac.ReadASN1(&salt, asn1.OCTET_STRING) ||
		!mac.Empty() && !mac.ReadASN1Integer(&iterations) || !mac.Empty() {
		return &FormatError{Where: where, Err: errPFX}
	}
	verify, err := macFunc(a, salt, iterations)
	if err != nil {
		return err
	}
	try := func(pass pbe.Password) (bool, error) {
		sum, err := verify(contents, p.purse, pass)
		return hmac.Equal(sum, digest), pbeError(err, "")
	}
	if len(p.in.opts.Password) == 0 {
		// The empty password has two forms, and there is no need to ask for it.
		for _, pass := range []pbe.Password{pbe.Text(nil), {}} {
			if ok, err := try(pass); ok || err != nil {
				p.empty, p.verified = &pass, ok
				return err
			}
		}
	}
	pass, err := p.in.needPassword()
	if err != nil {
		return err
	}
	if ok, err := try(pbe.Text(pass)); !ok || err != nil {
		if err == nil {
			err = wrong("")
		}
		return err
	}
	p.verified = true
	return nil
}

// macFunc returns what computes a MAC: PKCS#12's own way, or PBMAC1 (RFC 9579).
func macFunc(a pkix.AlgorithmIdentifier, salt []byte, iterations int) (func(contents []byte, l *pbe.Limits, pass pbe.Password) ([]byte, error), error) {
	if a.Algorithm.Equal(oidPBMAC1) {
		s := cryptobyte.String(a.Parameters.FullBytes)
		var seq cryptobyte.String
		ok := s.ReadASN1(&seq, asn1.SEQUENCE) && s.Empty()
		kdf, ok1 := readAlgorithm(&seq)
		mac, ok2 := readAlgorithm(&seq)
		if !ok || !ok1 || !ok2 || !seq.Empty() {
			return nil, &FormatError{Where: "MAC", Err: errPFX}
		}
		return func(contents []byte, l *pbe.Limits, pass pbe.Password) ([]byte, error) {
			return pbe.MAC(kdf, mac, contents, l, given(pass))
		}, nil
	}
	for _, d := range pfxDigests {
		if a.Algorithm.Equal(d.oid) {
			return func(contents []byte, l *pbe.Limits, pass pbe.Password) ([]byte, error) {
				if err := l.Spend(iterations); err != nil {
					return nil, err
				}
				m := hmac.New(d.hash, pbe.PKCS12Key(d.hash, pbe.ForMAC, d.hash().Size(), pass.BMP, salt, iterations))
				m.Write(contents)
				return m.Sum(nil), nil
			}, nil
		}
	}
	return nil, unsupported("MAC", a.Algorithm.String())
}

// password is that of the contents.
func (p *pfx) password() (pbe.Password, error) {
	if p.empty != nil {
		return *p.empty, nil
	}
	pass, err := p.in.needPassword()
	return pbe.Text(pass), err
}

// authenticatedSafe reads AuthenticatedSafe (RFC 7292 section 4.1) and all that
// is in it.
func (p *pfx) authenticatedSafe(data []byte) error {
	s, err := sequence(data)
	if err != nil {
		return at("authenticated safe", complete("", err))
	}
	for n := 1; !s.Empty(); n++ {
		safe, encrypted, err := p.content(&s)
		if err == nil && encrypted && !p.verified {
			if _, noise := sequence(safe); noise != nil {
				err = wrong("") // the padding fitted by chance
			}
		}
		if err == nil {
			p.safes = append(p.safes, pfxSafe{safe, 0})
			for len(p.safes) > 0 && err == nil {
				next := p.safes[0]
				p.safes = p.safes[1:]
				err = p.safeContents(next)
			}
		}
		if err != nil {
			return at(fmt.Sprintf("contents %d", n), complete("", err))
		}
	}
	return nil
}

// content opens the next SafeContents, and tells whether it was encrypted.
func (p *pfx) content(s *cryptobyte.String) (safe []byte, encrypted bool, err error) {
	oid, content, ok := contentInfo(s)
	var octets, seq, info cryptobyte.String
	switch {
	case !ok:
		return nil, false, errPFX
	case oid.Equal(oidData):
		if !content.ReadASN1(&octets, asn1.OCTET_STRING) || !content.Empty() {
			return nil, false, errPFX
		}
		return octets, false, nil
	case oid.Equal(oidEnvelopedData):
		return nil, false, unsupported("", "contents encrypted for a certificate")
	case !oid.Equal(oidEncryptedData):
		return nil, false, unsupported("", "contents "+oid.String())
	}
	// EncryptedData (RFC 2315 section 13).
	var inner encasn1.ObjectIdentifier
	ok = content.ReadASN1(&seq, asn1.SEQUENCE) && content.Empty() && seq.SkipASN1(asn1.INTEGER) &&
		seq.ReadASN1(&info, asn1.SEQUENCE) && info.ReadASN1ObjectIdentifier(&inner) && inner.Equal(oidData)
	if !ok {
		return nil, false, errPFX
	}
	a, ok := readAlgorithm(&info)
	if !ok {
		return nil, false, errPFX
	}
	data, err := implicitOctets(&info)
	if err != nil {
		return nil, false, err
	}
	safe, err = openPBE(a, data, p.purse, "", p.password)
	return safe, true, err
}

// implicitOctets reads an octet string with the tag 0, which in BER may be in
// parts.
func implicitOctets(s *cryptobyte.String) ([]byte, error) {
	var v cryptobyte.String
	const tag = asn1.Tag(0)
	if s.PeekASN1Tag(tag.ContextSpecific()) {
		s.ReadASN1(&v, tag.ContextSpecific())
		return v, nil
	}
	if !s.ReadASN1(&v, tag.ContextSpecific().Constructed()) {
		return nil, errPFX
	}
	var out []byte
	for !v.Empty() {
		var part cryptobyte.String
		if !v.ReadASN1(&part, asn1.OCTET_STRING) {
			return nil, errPFX
		}
		out = append(out, part...)
	}
	return out, nil
}

// safeContents reads the bags of one SafeContents (RFC 7292 section 4.2).
func (p *pfx) safeContents(safe pfxSafe) error {
	s, err := sequence(safe.data)
	if err != nil {
		return err
	}
	for !s.Empty() {
		if p.bags++; p.bags > maxEntries {
			return bad("", "more than %d entries", maxEntries)
		}
		var bag, value cryptobyte.String
		var oid encasn1.ObjectIdentifier
		if !s.ReadASN1(&bag, asn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&oid) || !bag.ReadASN1(&value, asn1.Tag(0).ContextSpecific().Constructed()) {
			return errPFX
		}
		e := Entry{Alias: friendlyName(bag)}
		ok := true
		switch {
		case oid.Equal(oidKeyBag):
			e.Key, err = p.in.pkcs8(value)
		case oid.Equal(oidShroudedBag):
			err = p.shrouded(&e, value)
		case oid.Equal(oidCertBag):
			ok, err = certBag(&e, value)
		case oid.Equal(oidSafeBag):
			// Contents in contents: each level is read anew, so the levels are few.
			const most = 4
			if ok = false; safe.depth == most {
				return bad("", "contents nested more than %d deep", most)
			}
			p.safes = append(p.safes, pfxSafe{value, safe.depth + 1})
		default: // revocation lists and secrets
			ok = false
		}
		if err != nil {
			return at(fmt.Sprintf("entry %d", p.bags), complete("", err))
		}
		if ok {
			p.out = append(p.out, e)
		}
	}
	return nil
}

// shrouded opens PKCS8ShroudedKeyBag.
func (p *pfx) shrouded(e *Entry, value []byte) error {
	a, data, err := encryptedKey(value)
	if err != nil {
		return err
	}
	open := func(pass pbe.Password) (*keys.PrivateKey, error) {
		der, err := openPBE(a, data, p.purse, e.Alias, given(pass))
		if err != nil {
			return nil, err
		}
		k, err := p.in.pkcs8(der)
		if byChance(err) && (!p.verified || len(p.in.opts.KeyPassword) != 0) {
			return nil, wrong(e.Alias)
		}
		return k, err
	}
	if p.empty != nil {
		if e.Key, err = open(*p.empty); !isPassword(err) {
			return err
		}
	}
	e.Key, err = p.in.openKey(e.Alias, func(pass keys.Passphrase) (*keys.PrivateKey, error) { return open(pbe.Text(pass)) })
	return err
}

// certBag reads CertBag. Those of SDSI are passed over.
func certBag(e *Entry, value cryptobyte.String) (bool, error) {
	var bag, explicit, der cryptobyte.String
	var oid encasn1.ObjectIdentifier
	if !value.ReadASN1(&bag, asn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&oid) || !bag.ReadASN1(&explicit, asn1.Tag(0).ContextSpecific().Constructed()) {
		return false, errPFX
	}
	if !oid.Equal(oidX509Cert) {
		return false, nil
	}
	if !explicit.ReadASN1(&der, asn1.OCTET_STRING) {
		return false, errPFX
	}
	c, err := certEntry(der)
	e.Cert = c.Cert
	return true, err
}

// friendlyName finds the name among the attributes of a bag. Attributes that
// are not well formed are no reason to refuse a key.
func friendlyName(bag cryptobyte.String) string {
	var set cryptobyte.String
	if !bag.ReadASN1(&set, asn1.SET) {
		return ""
	}
	for !set.Empty() {
		var attr, values, text cryptobyte.String
		var oid encasn1.ObjectIdentifier
		if !set.ReadASN1(&attr, asn1.SEQUENCE) || !attr.ReadASN1ObjectIdentifier(&oid) {
			return ""
		}
		const bmpString = asn1.Tag(30)
		if oid.Equal(oidFriendlyName) && attr.ReadASN1(&values, asn1.SET) && values.ReadASN1(&text, bmpString) {
			units := make([]uint16, len(text)/2)
			for i := range units {
				units[i] = uint16(text[2*i])<<8 | uint16(text[2*i+1])
			}
			return string(utf16.Decode(units))
		}
	}
	return ""
}
