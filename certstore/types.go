package certstore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Type is a kind of store. The numbers are those of SFTPServer's StoreType
// (cstUser and so on); a file and the same thing in memory have one each.
type Type int

// The types. [Types] describes them.
const (
	User             Type = 0
	Machine          Type = 1
	PFXFile          Type = 2
	PFXBlob          Type = 3
	JKSFile          Type = 4
	JKSBlob          Type = 5
	PEMKeyFile       Type = 6
	PEMKeyBlob       Type = 7
	PublicKeyFile    Type = 8
	PublicKeyBlob    Type = 9
	SSHPublicKeyBlob Type = 10
	P7BFile          Type = 11
	P7BBlob          Type = 12
	SSHPublicKeyFile Type = 13
	PPKFile          Type = 14
	PPKBlob          Type = 15
	XMLFile          Type = 16
	XMLBlob          Type = 17
	JWKFile          Type = 18
	JWKBlob          Type = 19
	BCFKSFile        Type = 21 // there is no 20
	BCFKSBlob        Type = 22
	PKCS11           Type = 23
	Auto             Type = 99
)

// place is where a type of store is.
type place int

const (
	inFile   place = iota + 1 // the location is a path
	inMemory                  // the location is the contents
	inEither                  // either: see [Open]
	inSystem                  // the location is the name of a store of the system
	inToken                   // the location is the path of a library, or a URI
)

// typeRow is a type of store.
type typeRow struct {
	t       Type
	name    string // in SFTPServer
	where   place
	formats []string // that are tried, by name in the table of formats; nil for all
	doc     string
}

// types is the table, by number.
var types = []typeRow{
	{User, "cstUser", inSystem, []string{"SYSTEM"}, "Store of the current user on Windows, by its name: MY (also the empty name), CA, ROOT. As this is the zero value, any other location is opened as cstAuto."},
	{Machine, "cstMachine", inSystem, []string{"SYSTEM"}, "Store of the machine on Windows, by its name."},
	{PFXFile, "cstPFXFile", inFile, []string{"PFX"}, "PFX (PKCS#12) file."},
	{PFXBlob, "cstPFXBlob", inMemory, []string{"PFX"}, "PFX (PKCS#12) in memory, binary or Base64."},
	{JKSFile, "cstJKSFile", inFile, []string{"JKS", "JCEKS", "PFX"}, "Java key store: JKS, JCEKS, or the PKCS#12 that newer Java writes under the same name."},
	{JKSBlob, "cstJKSBlob", inMemory, []string{"JKS", "JCEKS", "PFX"}, "Java key store in memory, binary or Base64."},
	{PEMKeyFile, "cstPEMKeyFile", inFile, []string{"PEM", "DER"}, "PEM file of private keys and, if wanted, their certificates: PKCS#1, PKCS#8 (also encrypted), SEC 1, OpenSSH."},
	{PEMKeyBlob, "cstPEMKeyBlob", inMemory, []string{"PEM", "DER"}, "The same in memory, PEM, binary or Base64."},
	{PublicKeyFile, "cstPublicKeyFile", inFile, []string{"X509", "PEM", "DER"}, "File of X.509 certificates or of a public key, PEM or DER."},
	{PublicKeyBlob, "cstPublicKeyBlob", inMemory, []string{"X509", "PEM", "DER"}, "The same in memory, PEM, binary or Base64."},
	{SSHPublicKeyBlob, "cstSSHPublicKeyBlob", inMemory, []string{"SSH"}, "Public keys of SSH in memory: lines of OpenSSH, RFC 4716, or the wire form, binary or Base64."},
	{P7BFile, "cstP7BFile", inFile, []string{"P7B"}, "File of certificates in PKCS#7, DER or PEM."},
	{P7BBlob, "cstP7BBlob", inMemory, []string{"P7B"}, "The same in memory, PEM, binary or Base64."},
	{SSHPublicKeyFile, "cstSSHPublicKeyFile", inFile, []string{"SSH"}, "File of public keys of SSH: lines of OpenSSH, RFC 4716, or the wire form."},
	{PPKFile, "cstPPKFile", inFile, []string{"PPK"}, "PuTTY private key file, version 2 or 3."},
	{PPKBlob, "cstPPKBlob", inMemory, []string{"PPK"}, "The same in memory."},
	{XMLFile, "cstXMLFile", inFile, []string{"XML"}, "Key in XML in a file: RSAKeyValue or DSAKeyValue, as .NET writes them."},
	{XMLBlob, "cstXMLBlob", inMemory, []string{"XML"}, "The same in memory."},
	{JWKFile, "cstJWKFile", inFile, []string{"JWK"}, "JSON Web Key, or a set of them, in a file, with the certificates of x5c."},
	{JWKBlob, "cstJWKBlob", inMemory, []string{"JWK"}, "The same in memory."},
	{BCFKSFile, "cstBCFKSFile", inFile, []string{"BCFKS"}, "Bouncy Castle FIPS key store file."},
	{BCFKSBlob, "cstBCFKSBlob", inMemory, []string{"BCFKS"}, "The same in memory, binary or Base64."},
	{PKCS11, "cstPKCS11", inToken, []string{"PKCS11"}, "Token that a PKCS#11 library reaches: the location is the library's path or a URI of RFC 7512 with it, pkcs11:token=NAME;object=KEY?module-path=/path/of/library.so, the password is the PIN. Needs cgo."},
	{Auto, "cstAuto", inEither, nil, "Found by looking: a path, or the contents themselves."},
}

func (t Type) row() *typeRow {
	i := slices.IndexFunc(types, func(r typeRow) bool { return r.t == t })
	if i < 0 {
		return nil
	}
	return &types[i]
}

// A TypeInfo describes a [Type].
type TypeInfo struct {
	Type   Type   // its number
	Name   string // "cstPFXFile"
	InFile bool   // the location of a store is the path of a file
	Doc    string // one sentence
}

// Types returns all types by number.
func Types() []TypeInfo {
	out := make([]TypeInfo, 0, len(types))
	for _, r := range types {
		out = append(out, TypeInfo{r.t, r.name, r.where == inFile, r.doc})
	}
	return out
}

// String returns the name of SFTPServer, such as "cstPFXFile".
func (t Type) String() string {
	if r := t.row(); r != nil {
		return r.name
	}
	return "store type " + strconv.Itoa(int(t))
}

// ParseType reads a type: its number, or its name in any case, with or without
// the "cst" in front.
func ParseType(s string) (Type, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.Atoi(s)
	for _, r := range types {
		if err == nil && int(r.t) == n || strings.EqualFold(s, r.name) || strings.EqualFold("cst"+s, r.name) {
			return r.t, nil
		}
	}
	return 0, fmt.Errorf("certstore: store type: no type %+q", clip(s))
}

// MarshalText returns the name.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is [ParseType].
func (t *Type) UnmarshalText(text []byte) error {
	p, err := ParseType(string(text))
	if err == nil {
		*t = p
	}
	return err
}

// clip shortens a text from outside for an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
