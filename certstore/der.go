package certstore

import (
	"crypto/x509"
	"encoding/pem"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// shape returns the tags of the first elements of the sequence that data
// begins with, at most n of them: enough to tell forms apart without reading
// them. It is empty if data is not one sequence in DER.
func shape(data []byte, n int) []asn1.Tag {
	s := cryptobyte.String(data)
	var seq, element cryptobyte.String
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !s.Empty() {
		return nil
	}
	var out []asn1.Tag
	var tag asn1.Tag
	for len(out) < n && !seq.Empty() && seq.ReadAnyASN1Element(&element, &tag) {
		out = append(out, tag)
	}
	return out
}

// isX509 detects certificates in DER, one or several behind each other, by the
// first: a sequence, the algorithm, the signature (RFC 5280 section 4.1).
func isX509(data []byte) bool {
	s := cryptobyte.String(data)
	var first, rest cryptobyte.String
	if !s.ReadASN1Element(&first, asn1.SEQUENCE) || !first.ReadASN1(&rest, asn1.SEQUENCE) {
		return false
	}
	var tbs cryptobyte.String
	return rest.ReadASN1(&tbs, asn1.SEQUENCE) && rest.SkipASN1(asn1.SEQUENCE) && rest.SkipASN1(asn1.BIT_STRING) && rest.Empty()
}

// readX509 reads certificates in DER.
func readX509(in *input) ([]Entry, error) {
	certs, err := x509.ParseCertificates(in.data)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(certs))
	for i, c := range certs {
		out[i].Cert = c
	}
	return out, nil
}

// derKeys are the forms of keys in DER by their shape, and the PEM blocks that
// they go by.
var derKeys = []struct {
	block string
	tags  []asn1.Tag
}{
	{"PRIVATE KEY", []asn1.Tag{asn1.INTEGER, asn1.SEQUENCE, asn1.OCTET_STRING}},
	{"EC PRIVATE KEY", []asn1.Tag{asn1.INTEGER, asn1.OCTET_STRING}},
	{"RSA PRIVATE KEY", []asn1.Tag{asn1.INTEGER, asn1.INTEGER, asn1.INTEGER, asn1.INTEGER}},
	{"ENCRYPTED PRIVATE KEY", []asn1.Tag{asn1.SEQUENCE, asn1.OCTET_STRING}},
	{"PUBLIC KEY", []asn1.Tag{asn1.SEQUENCE, asn1.BIT_STRING}},
	{"RSA PUBLIC KEY", []asn1.Tag{asn1.INTEGER, asn1.INTEGER}},
}

// derBlock returns the kind of key that data is, empty if none.
func derBlock(data []byte) string {
	const most = 4
	got := shape(data, most)
	for _, k := range derKeys {
		// A form of two elements has just these; the longer ones may have more behind.
		if len(got) == len(k.tags) || len(got) > len(k.tags) && k.tags[0] == asn1.INTEGER && k.tags[1] != asn1.INTEGER {
			match := true
			for i := range k.tags {
				match = match && got[i] == k.tags[i]
			}
			if match {
				return k.block
			}
		}
	}
	return ""
}

func isDER(data []byte) bool { return derBlock(data) != "" }

// readDER reads a key in DER as the PEM block that it would be.
func readDER(in *input) ([]Entry, error) {
	b := &pem.Block{Type: derBlock(in.data), Bytes: in.data}
	e, err := pemBlocks[b.Type](in, b)
	if err != nil {
		return nil, err
	}
	return []Entry{e}, nil
}
