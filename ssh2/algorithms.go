package ssh2

import (
	"slices"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// An AlgorithmKind is what an algorithm is for: which AlgList it goes into.
type AlgorithmKind uint8

// The kinds, in the order of KEXINIT (RFC 4253 section 7.1), and the public key
// algorithms of users, which are announced by server-sig-algs (RFC 8308).
const (
	KeyExchange      AlgorithmKind = iota + 1 // Config.KeyExchanges
	HostKeyAlgorithm                          // Config.HostKeyAlgorithms
	Cipher                                    // Config.Ciphers
	MAC                                       // Config.MACs
	Compression                               // Config.Compression
	UserKeyAlgorithm                          // ServerAuth and ClientConfig.PublicKeyAlgorithms
)

// algorithmKinds has the table of each kind.
var algorithmKinds = []struct {
	kind AlgorithmKind
	name string
	rows func() []alg.Row
}{
	{KeyExchange, "key exchange", func() []alg.Row { return metas(kex.Rows()) }},
	{HostKeyAlgorithm, "host key", transport.HostKeyAlgorithms},
	{Cipher, "cipher", func() []alg.Row { return metas(slices.Collect(seal.Ciphers())) }},
	{MAC, "MAC", func() []alg.Row { return metas(slices.Collect(seal.MACs())) }},
	{Compression, "compression", func() []alg.Row { return metas(transport.Compressions()) }},
	{UserKeyAlgorithm, "user key", func() []alg.Row { return metas(keyAlgs) }},
}

func metas[R alg.Described](rows []R) []alg.Row {
	out := make([]alg.Row, len(rows))
	for i, r := range rows {
		out[i] = r.Meta()
	}
	return out
}

// String returns the kind's name, such as "key exchange".
func (k AlgorithmKind) String() string {
	for _, row := range algorithmKinds {
		if row.kind == k {
			return row.name
		}
	}
	return "unknown"
}

// An Algorithm describes an algorithm that this library implements.
type Algorithm struct {
	Kind AlgorithmKind // what it is for
	// Name is what an AlgList calls it.
	Name string
	// Profile is the first profile that has it: Modern algorithms are on by
	// default, Legacy ones are weak or broken. No profile compresses: methods
	// other than none must be named.
	Profile Profile
	// Aliases are other names on the wire for the same, each with a row of its own.
	Aliases []string
	// Reference names the specification.
	Reference string
}

// Algorithms returns all algorithms, kind by kind, the preferred ones first.
// The slice is the caller's.
func Algorithms() []Algorithm {
	var out []Algorithm
	for _, k := range algorithmKinds {
		for _, r := range k.rows() {
			out = append(out, Algorithm{Kind: k.kind, Name: r.Name, Profile: profileOf(r.Status), Aliases: slices.Clone(r.Aliases), Reference: r.Reference})
		}
	}
	return out
}
