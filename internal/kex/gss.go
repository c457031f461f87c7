package kex

import (
	"crypto"
	"crypto/ecdh"
	"crypto/md5" // names of methods are made with it, nothing else
	"encoding/base64"
	"slices"
	"strings"
)

// gssRows are the families of RFC 4462 section 2 and RFC 8732, by preference:
// the host proves itself by a GSS-API mechanism instead of a signature. The
// names end where that of the mechanism is to follow, see [GSSSuffix].
var gssRows = []Row{
	curveRow("gss-curve25519-sha256-", crypto.SHA256, ecdh.X25519(), "RFC 8732"),
	fixedRow("gss-group16-sha512-", crypto.SHA512, 4096, "RFC 8732"),
	fixedRow("gss-group18-sha512-", crypto.SHA512, 8192, "RFC 8732"),
	fixedRow("gss-group14-sha256-", crypto.SHA256, 2048, "RFC 8732"),
	offered(curveRow("gss-nistp256-sha256-", crypto.SHA256, ecdh.P256(), "RFC 8732")),
	offered(curveRow("gss-nistp384-sha384-", crypto.SHA384, ecdh.P384(), "RFC 8732")),
	offered(curveRow("gss-nistp521-sha512-", crypto.SHA512, ecdh.P521(), "RFC 8732")),
	offered(fixedRow("gss-group17-sha512-", crypto.SHA512, 6144, "RFC 8732")),
	offered(fixedRow("gss-group15-sha512-", crypto.SHA512, 3072, "RFC 8732")),
	legacy(groupExchangeRow("gss-gex-sha1-", crypto.SHA1, "RFC 4462")),
	legacy(fixedRow("gss-group14-sha1-", crypto.SHA1, 2048, "RFC 4462")),
	legacy(fixedRow("gss-group1-sha1-", crypto.SHA1, oakleyBits, "RFC 4462")),
}

// GSSSuffix is the end of the names of methods that use a mechanism, given its
// object identifier in DER (RFC 4462 section 2.3).
func GSSSuffix(oid []byte) string {
	sum := md5.Sum(oid)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// GSSRows returns the methods of all families for one mechanism, the most
// preferred first. The slice is the caller's.
func GSSRows(oid []byte) []Row {
	out := slices.Clone(gssRows)
	suffix := GSSSuffix(oid)
	for i := range out {
		out[i].Name += suffix
	}
	return out
}

// FindGSS returns the family that a method's name belongs to, and the rest of
// the name. The row must not be changed.
func FindGSS(name string) (row *Row, suffix string, ok bool) {
	// Base64 has no hyphen.
	i := strings.LastIndexByte(name, '-') + 1
	for j := range gssRows {
		if gssRows[j].Name == name[:i] && i < len(name) {
			return &gssRows[j], name[i:], true
		}
	}
	return nil, "", false
}
