package certstore

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"slices"
)

// detect finds the format of a store among those of its type, and its contents
// without what they are wrapped in: Base64, or the armour of PEM around a form
// that is not PEM by itself.
func detect(r *typeRow, data []byte) (*formatRow, []byte) {
	for _, p := range wrapped(data) {
		for i := range formats {
			f := &formats[i]
			if f.detect != nil && (r.formats == nil || slices.Contains(r.formats, f.name)) && f.detect(p) {
				return f, p
			}
		}
	}
	return nil, nil
}

// armours are the types of PEM blocks that hold a whole store.
var armours = []string{"PKCS7", "CMS", "PKCS #7 SIGNED DATA", "PKCS12", "PFX"}

// wrapped returns data as it is and what is in it if it is nothing but Base64,
// or one block of armour.
func wrapped(data []byte) [][]byte {
	text := trim(data)
	out := [][]byte{data}
	if b, _ := pem.Decode(text); b != nil && slices.Contains(armours, b.Type) {
		out = [][]byte{b.Bytes}
	}
	if p, ok := fromBase64(text); ok {
		out = append(out, p)
	}
	return out
}

// trim takes off a byte order mark and white space.
func trim(data []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")))
}

// fromBase64 decodes text that is nothing else, with white space in it.
func fromBase64(text []byte) ([]byte, bool) {
	const least = 16
	if len(text) < least || bytes.ContainsFunc(text[:least], func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, false
	}
	packed := slices.DeleteFunc(bytes.Clone(text), func(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' })
	out := make([]byte, base64.StdEncoding.DecodedLen(len(packed)))
	n, err := base64.StdEncoding.Decode(out, packed)
	return out[:n], err == nil && n > 0
}

// looksLikeContents tells whether a location is rather a store than a path: it
// has lines, or some format knows it.
func looksLikeContents(location string) bool {
	if bytes.ContainsAny([]byte(location), "\n\x00") {
		return true
	}
	f, _ := detect(Auto.row(), []byte(location))
	return f != nil
}

// starts tells whether the text of data begins with one of the prefixes.
func starts(data []byte, prefixes ...string) bool {
	text := trim(data)
	return slices.ContainsFunc(prefixes, func(p string) bool { return bytes.HasPrefix(text, []byte(p)) })
}
