package certstore

import (
	"bytes"
	encasn1 "encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// pkcs7 is how the object identifiers of PKCS#7's kinds of contents begin.
var pkcs7 = []byte{byte(asn1.OBJECT_IDENTIFIER), 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07}

// isP7B detects any kind of PKCS#7.
func isP7B(data []byte) bool { return bytes.HasPrefix(inside(data), pkcs7) }

var errP7B = errors.New("not as RFC 2315 says")

// readP7B reads the certificates of SignedData (RFC 2315 section 9, RFC 5652
// section 5). That there are signatures too is nothing to it.
func readP7B(in *input) ([]Entry, error) {
	der, err := toDER(in.data)
	if err != nil {
		return nil, err
	}
	s := cryptobyte.String(der)
	oid, content, ok := contentInfo(&s)
	switch {
	case !ok || !s.Empty():
		return nil, errP7B
	case !oid.Equal(oidSignedData):
		return nil, unsupported("", "contents "+oid.String())
	}
	var signed, info cryptobyte.String
	var inner encasn1.ObjectIdentifier
	if !content.ReadASN1(&signed, asn1.SEQUENCE) || !content.Empty() || !signed.SkipASN1(asn1.INTEGER) ||
		!signed.SkipASN1(asn1.SET) || !signed.ReadASN1(&info, asn1.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&inner) {
		return nil, errP7B
	}
	var certs cryptobyte.String
	if !signed.ReadOptionalASN1(&certs, nil, asn1.Tag(0).ContextSpecific().Constructed()) {
		return nil, errP7B
	}
	var out []Entry
	for n := 1; !certs.Empty(); n++ {
		var tag asn1.Tag
		var cert cryptobyte.String
		switch {
		case n > maxEntries:
			return nil, bad("", "more than %d certificates", maxEntries)
		case !certs.ReadAnyASN1Element(&cert, &tag):
			return nil, errP7B
		case tag != asn1.SEQUENCE: // certificates of attributes and other things
			continue
		}
		e, err := certEntry(cert)
		if err != nil {
			return nil, at(fmt.Sprintf("certificate %d", n), complete("", err))
		}
		out = append(out, e)
	}
	return out, nil
}
