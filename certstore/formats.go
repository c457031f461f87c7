package certstore

import "slices"

// formatRow is a form of stores: what it looks like and what reads it.
//
// A reader returns one entry for each thing in the file, in the file's order,
// and need not bring keys and certificates together: [link] does. It takes
// passwords from the input, and its errors are completed by the table.
type formatRow struct {
	name   string
	detect func(data []byte) bool // by the beginning; nil for what is no file
	read   func(*input) ([]Entry, error)
}

// formats is the table, in the order in which contents are looked at: what
// begins with a text of its own comes before what is told apart by its shape.
var formats []formatRow

func init() { // because readers look into the table
	formats = []formatRow{
		{"PEM", isPEM, readPEM},
		{"PPK", isPPK, readKey},
		{"JWK", isJWK, readJWK},
		{"XML", isXML, readKey},
		{"JKS", isJKS, readJKS},
		{"JCEKS", isJCEKS, readJCEKS},
		{"SSH", isSSH, readSSH},
		{"PFX", isPFX, readPFX},
		{"P7B", isP7B, readP7B},
		{"BCFKS", isBCFKS, readBCFKS},
		{"X509", isX509, readX509},
		{"DER", isDER, readDER},
		{"PKCS11", nil, readPKCS11},
		{"SYSTEM", nil, readSystem},
	}
}

func findFormat(name string) *formatRow {
	i := slices.IndexFunc(formats, func(r formatRow) bool { return r.name == name })
	if i < 0 {
		return nil
	}
	return &formats[i]
}
