// Package alg chooses algorithms by name: it edits preference lists and
// negotiates SSH_MSG_KEXINIT (RFC 4253 §7.1).
//
// It holds no cryptography and no table of its own. The packages that do the
// work (kex, seal) keep a table each, whose rows describe themselves with a
// [Row]; the lists made from these rows are what this package works on:
//
//	ours, err := alg.Resolve("^aes256-ctr,-*-gcm@openssh.com", known, defaults)
//	...
//	chosen, err := alg.Agree(clientOffer, serverOffer, alg.Rules{AEAD: isAEAD})
//
// Nothing here keeps state; all functions may be called concurrently.
package alg

// Status says how much an algorithm is trusted, and so where it may appear
// without being asked for. The zero Status is not valid, so that a row that
// forgot its status is found by the tests of its table and never offered.
type Status uint8

const (
	// Default algorithms are safe and offered unless the settings say otherwise.
	Default Status = iota + 1
	// Offered algorithms are safe but offered only when named.
	Offered
	// Legacy algorithms are weak or broken; they are offered only when named
	// or when a profile for old peers is chosen.
	Legacy
)

// String returns the word the documentation uses for s.
func (s Status) String() string {
	switch s {
	case Default:
		return "default"
	case Offered:
		return "offered"
	case Legacy:
		return "legacy"
	}
	return "invalid"
}

// MaxNameLen is the longest name that a row may have, in octets (RFC 4251 §6).
const MaxNameLen = 64

// Row is what every algorithm table says about each of its rows. Embedded in
// the type of a table's rows it makes them [Described].
type Row struct {
	// Name is the name on the wire, of [MaxNameLen] octets at most.
	Name string
	// Aliases are other rows' names for the very same algorithm. They are
	// information for the documentation: on the wire each name stands for
	// itself, so each alias has a row of its own.
	Aliases []string
	// Status says whether it is offered by default.
	Status Status
	// Reference names the document that specifies it, such as "RFC 8731".
	Reference string
}

// Meta returns r itself.
func (r Row) Meta() Row { return r }

// Described is a table's row that can say what it is.
type Described interface {
	Meta() Row
}

// Names returns the names of all rows in table order, which is what [Resolve]
// takes as the known names.
func Names[R Described](rows []R) []string {
	names := make([]string, 0, len(rows))
	for _, r := range rows {
		names = append(names, r.Meta().Name)
	}
	return names
}

// Defaults returns the names of the rows whose status is [Default], in table
// order: a table is sorted by preference.
func Defaults[R Described](rows []R) []string { return UpTo(Default, rows) }

// UpTo returns the names of the rows that are no weaker than worst, in table
// order. Rows without a valid status are not among them.
func UpTo[R Described](worst Status, rows []R) []string {
	var names []string
	for _, r := range rows {
		if m := r.Meta(); m.Status >= Default && m.Status <= min(worst, Legacy) {
			names = append(names, m.Name)
		}
	}
	return names
}
