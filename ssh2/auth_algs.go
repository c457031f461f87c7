package ssh2

import (
	"crypto"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/keys"
)

// keyAlg is a public key algorithm as it is named in a request: what the key
// blob and the signature that go with it must be called. RFC 8332 and OpenSSH's
// certificates are why these are three names and not one.
type keyAlg struct {
	alg.Row
	blob string // type in front of the key blob
	sig  string // format of the signature
}

// isCert tells whether the key is a certificate.
func (k *keyAlg) isCert() bool { return strings.HasSuffix(k.blob, "-cert-v01@openssh.com") }

// isSK tells whether the signature is made by a security key and so has flags
// and a counter behind it (PROTOCOL.u2f).
func (k *keyAlg) isSK() bool { return strings.HasPrefix(k.sig, "sk-") }

// keyAlgs are the public key algorithms for users, by preference.
var keyAlgs = append([]keyAlg{
	plainKey(gossh.KeyAlgoED25519, alg.Default, "RFC 8709"),
	certKey(gossh.CertAlgoED25519v01, gossh.CertAlgoED25519v01, gossh.KeyAlgoED25519, alg.Default),
	plainKey(gossh.KeyAlgoSKED25519, alg.Default, "OpenSSH PROTOCOL.u2f"),
	certKey(gossh.CertAlgoSKED25519v01, gossh.CertAlgoSKED25519v01, gossh.KeyAlgoSKED25519, alg.Default),
	plainKey(gossh.KeyAlgoECDSA256, alg.Default, "RFC 5656"),
	certKey(gossh.CertAlgoECDSA256v01, gossh.CertAlgoECDSA256v01, gossh.KeyAlgoECDSA256, alg.Default),
	plainKey(gossh.KeyAlgoECDSA384, alg.Default, "RFC 5656"),
	certKey(gossh.CertAlgoECDSA384v01, gossh.CertAlgoECDSA384v01, gossh.KeyAlgoECDSA384, alg.Default),
	plainKey(gossh.KeyAlgoECDSA521, alg.Default, "RFC 5656"),
	certKey(gossh.CertAlgoECDSA521v01, gossh.CertAlgoECDSA521v01, gossh.KeyAlgoECDSA521, alg.Default),
	plainKey(gossh.KeyAlgoSKECDSA256, alg.Default, "OpenSSH PROTOCOL.u2f"),
	certKey(gossh.CertAlgoSKECDSA256v01, gossh.CertAlgoSKECDSA256v01, gossh.KeyAlgoSKECDSA256, alg.Default),
	{alg.Row{Name: gossh.KeyAlgoRSASHA512, Status: alg.Default, Reference: "RFC 8332"}, gossh.KeyAlgoRSA, gossh.KeyAlgoRSASHA512},
	certKey(gossh.CertAlgoRSASHA512v01, gossh.CertAlgoRSAv01, gossh.KeyAlgoRSASHA512, alg.Default),
	{alg.Row{Name: gossh.KeyAlgoRSASHA256, Status: alg.Default, Reference: "RFC 8332"}, gossh.KeyAlgoRSA, gossh.KeyAlgoRSASHA256},
	certKey(gossh.CertAlgoRSASHA256v01, gossh.CertAlgoRSAv01, gossh.KeyAlgoRSASHA256, alg.Default),
	plainKey(gossh.KeyAlgoRSA, alg.Legacy, "RFC 4253 section 6.6"),
	certKey(gossh.CertAlgoRSAv01, gossh.CertAlgoRSAv01, gossh.KeyAlgoRSA, alg.Legacy),
	plainKey("ssh-dss", alg.Legacy, "RFC 4253 section 6.6"),
}, x509Keys()...)

// x509Keys are the rows of keys inside X.509 certificates (RFC 6187).
func x509Keys() (rows []keyAlg) {
	for _, x := range keys.X509Algorithms() {
		status := alg.Offered
		if x.SHA1 {
			status = alg.Legacy
		}
		rows = append(rows, keyAlg{alg.Row{Name: x.Name, Status: status, Reference: x.Reference}, x.Name, x.Signature})
	}
	return rows
}

// isX509 tells whether the key is an X.509 certificate.
func (k *keyAlg) isX509() bool { return isX509(k.blob) }

func isX509(typ string) bool { return strings.HasPrefix(typ, "x509v3-") }

// sigHashes are the hash functions of the signature formats that name one.
var sigHashes = map[string]crypto.Hash{
	gossh.KeyAlgoECDSA256:   crypto.SHA256,
	gossh.KeyAlgoECDSA384:   crypto.SHA384,
	gossh.KeyAlgoECDSA521:   crypto.SHA512,
	gossh.KeyAlgoSKECDSA256: crypto.SHA256,
	gossh.KeyAlgoRSASHA512:  crypto.SHA512,
	gossh.KeyAlgoRSASHA256:  crypto.SHA256,
	gossh.KeyAlgoRSA:        crypto.SHA1,
	"ssh-dss":               crypto.SHA1,
	"rsa2048-sha256":        crypto.SHA256,
	"x509v3-sign-rsa":       crypto.SHA1,
	"x509v3-sign-dss":       crypto.SHA1,
}

// plainKey is the row of an algorithm that has one name for all three.
func plainKey(name string, s alg.Status, ref string) keyAlg {
	return keyAlg{alg.Row{Name: name, Status: s, Reference: ref}, name, name}
}

func certKey(name, blob, sig string, s alg.Status) keyAlg {
	return keyAlg{alg.Row{Name: name, Status: s, Reference: "OpenSSH PROTOCOL.certkeys"}, blob, sig}
}

// findKeyAlg returns the row of that name, nil if there is none.
func findKeyAlg(name string) *keyAlg {
	for i := range keyAlgs {
		if keyAlgs[i].Name == name {
			return &keyAlgs[i]
		}
	}
	return nil
}

// resolveKeyAlgs returns the names that a preference list stands for.
func resolveKeyAlgs(list AlgList, p Profile) ([]string, error) {
	return alg.Resolve(string(list), alg.Names(keyAlgs), alg.UpTo(p.worst(), keyAlgs))
}

// sigAlgs returns the content of the server-sig-algs extension (RFC 8308
// section 3.1): all names that a request of method publickey may have. An
// unknown name in the configuration is an error.
func sigAlgs(a *ServerAuth, p Profile) ([]byte, error) {
	names, err := resolveKeyAlgs(a.PublicKeyAlgorithms, p)
	return []byte(strings.Join(names, ",")), err
}
