package kex

import (
	"crypto"
	"crypto/ecdh"
	_ "crypto/sha1"   // the hashes of the rows below
	_ "crypto/sha256" //
	_ "crypto/sha512"
	"slices"

	"github.com/fairlead-ssh/fairlead/internal/alg"
)

// Row is one key exchange method.
type Row struct {
	// Name is the method's name in KEXINIT.
	Name string
	// Hash is the hash for the exchange hash and for key derivation.
	Hash crypto.Hash
	// New starts a run. It is nil for group exchange, where the run starts
	// with [Group.Method] once a group is chosen.
	New func() (Method, error)
	// GEX marks group exchange (RFC 4419), which has two more messages.
	GEX bool
	// Status says whether the method is offered by default.
	Status alg.Status
	// PostQuantum marks methods that a quantum computer does not break.
	PostQuantum bool
	// Aliases are the names of rows for the same method.
	Aliases []string
	// Reference names the method's specification.
	Reference string
}

// Meta describes the row for lists of algorithms.
func (r Row) Meta() alg.Row {
	return alg.Row{Name: r.Name, Aliases: r.Aliases, Status: r.Status, Reference: r.Reference}
}

const gexName = "diffie-hellman-group-exchange"

// rows is sorted by preference. Post-quantum comes first, because traffic that
// is recorded today may be broken later; then the fast curves; then the primes.
// What hashes with SHA-1 stands at the end.
var rows = []Row{
	hybridRow("mlkem768x25519-sha256", crypto.SHA256, mlkem768, ecdh.X25519(), "draft-ietf-sshm-mlkem-hybrid-kex"),
	hybridRow("sntrup761x25519-sha512", crypto.SHA512, sntrup761, ecdh.X25519(), "RFC 9941", "sntrup761x25519-sha512@openssh.com"),
	hybridRow("sntrup761x25519-sha512@openssh.com", crypto.SHA512, sntrup761, ecdh.X25519(), "RFC 9941", "sntrup761x25519-sha512"),
	offered(hybridRow("mlkem1024nistp384-sha384", crypto.SHA384, mlkem1024, ecdh.P384(), "draft-ietf-sshm-mlkem-hybrid-kex")),
	offered(hybridRow("mlkem768nistp256-sha256", crypto.SHA256, mlkem768, ecdh.P256(), "draft-ietf-sshm-mlkem-hybrid-kex")),
	curveRow("curve25519-sha256", crypto.SHA256, ecdh.X25519(), "RFC 8731", "curve25519-sha256@libssh.org"),
	curveRow("curve25519-sha256@libssh.org", crypto.SHA256, ecdh.X25519(), "RFC 8731", "curve25519-sha256"),
	offered(curveRow("ecdh-sha2-nistp256", crypto.SHA256, ecdh.P256(), "RFC 5656")),
	offered(curveRow("ecdh-sha2-nistp384", crypto.SHA384, ecdh.P384(), "RFC 5656")),
	offered(curveRow("ecdh-sha2-nistp521", crypto.SHA512, ecdh.P521(), "RFC 5656")),
	groupExchangeRow(gexName+"-sha256", crypto.SHA256, "RFC 4419, RFC 8270"),
	fixedRow("diffie-hellman-group16-sha512", crypto.SHA512, 4096, "RFC 8268"),
	fixedRow("diffie-hellman-group18-sha512", crypto.SHA512, 8192, "RFC 8268"),
	offered(fixedRow("diffie-hellman-group17-sha512", crypto.SHA512, 6144, "RFC 8268")),
	offered(fixedRow("diffie-hellman-group15-sha512", crypto.SHA512, 3072, "RFC 8268")),
	fixedRow("diffie-hellman-group14-sha256", crypto.SHA256, 2048, "RFC 8268"),
	legacy(groupExchangeRow(gexName+"-sha1", crypto.SHA1, "RFC 4419")),
	legacy(fixedRow("diffie-hellman-group14-sha1", crypto.SHA1, 2048, "RFC 4253")),
	legacy(fixedRow("diffie-hellman-group1-sha1", crypto.SHA1, oakleyBits, "RFC 4253")),
}

func hybridRow(name string, h crypto.Hash, k *kem, c ecdh.Curve, ref string, aliases ...string) Row {
	return Row{
		Name: name, Hash: h, Status: alg.Default, PostQuantum: true, Aliases: aliases, Reference: ref,
		New: func() (Method, error) { return newHybrid(name, h, k, c), nil },
	}
}

// offered takes a row out of the defaults. The NIST curves are not known to be
// broken; but their constants are unexplained, auditors refuse them, and what
// speaks neither X25519 nor a large MODP group hardly exists anymore. Nobody
// needs the groups 15 and 17 who has 14, 16 and 18.
func offered(r Row) Row {
	r.Status = alg.Offered
	return r
}

// legacy marks a row as weak: two transcripts that hash to the same value are
// within reach for SHA-1 (RFC 9142 §1.1), and so is group 1 for a large attacker.
func legacy(r Row) Row {
	r.Status = alg.Legacy
	return r
}

func curveRow(name string, h crypto.Hash, c ecdh.Curve, ref string, aliases ...string) Row {
	return Row{
		Name: name, Hash: h, Status: alg.Default, Aliases: aliases, Reference: ref,
		New: func() (Method, error) { return newAgreement(name, c), nil },
	}
}

func fixedRow(name string, h crypto.Hash, bits int, ref string) Row {
	return Row{
		Name: name, Hash: h, Status: alg.Default, Reference: ref,
		New: func() (Method, error) { return newFixed(bits) },
	}
}

func groupExchangeRow(name string, h crypto.Hash, ref string) Row {
	return Row{Name: name, Hash: h, GEX: true, Status: alg.Default, Reference: ref}
}

// Rows returns all methods, the most preferred first. The slice is the caller's.
func Rows() []Row { return slices.Clone(rows) }

// Find returns the method of that name. The row must not be changed.
func Find(name string) (*Row, bool) {
	for i := range rows {
		if rows[i].Name == name {
			return &rows[i], true
		}
	}
	return nil, false
}
