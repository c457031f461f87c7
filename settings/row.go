package settings

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// When says when a setting may be set.
type When uint8

// The times at which settings can be set.
const (
	Start    When = iota // before the options are in use, see [New]
	Runtime              // at any time
	ReadOnly             // never: it tells something
)

// String returns the word that the documentation uses.
func (w When) String() string {
	switch w {
	case Start:
		return "start"
	case Runtime:
		return "any time"
	default:
		return "read only"
	}
}

// A Row is one setting of options of type T. Exactly one of Field, Item, Get and Set, or Unsupported tells where its
// value is.
type Row[T any] struct {
	// Name is the setting's name, which is not case-sensitive. Two rows may have the same name if
	// one has an Index and the other has none.
	Name string
	// Aliases are other names of the same setting.
	Aliases []string
	// Index describes the index in brackets behind the name, as in Name[7]:
	// "number", which the table checks, or another word for what it is, such as
	// "connection". Empty means that the name has no index.
	Index string
	// Group is the heading under which the manual has the row.
	Group string

	// When says when the setting may be set.
	When When
	// Busy is a number for the [BusyError] of a row whose When is Start.
	Busy int

	// Field returns a pointer to the value, of a type that [Scan] knows. It must do nothing else:
	// it is also called with a zero T, to write the documentation.
	Field func(o *T) any
	// Item is Field for an element of a list, selected by the index.
	Item func(o *T, index string) (any, error)
	// Get and Set read and write a setting that is not a field; index is "" without Index. With a nil Get the setting
	// cannot be read, with a nil Set it cannot be written. An error of Set that is a *[ValueError] gets its Name and
	// Value from the table.
	Get func(o *T, index string) (string, error)
	Set func(o *T, index, value string) error
	// Type names, for the documentation, the type of a value behind Item, Get or Set; with Field it follows from the
	// pointer.
	Type string

	// Default is the value that the setting has when nobody sets it, spelled as Get
	// returns it.
	Default string
	// ZeroIsDefault tells that the zero value of the field means Default. Setting a number or duration to 0 then stores
	// -1, which must mean "none" for the field.
	ZeroIsDefault bool
	// GoName is the name of the field, for the documentation, if it differs from Name.
	GoName string
	// Inverse tells that the field is a bool with the opposite meaning of the setting.
	Inverse bool
	// Range bounds numbers, both ends included and in the row's unit: "1..65535",
	// "0..", "4k..1M".
	Range string
	// Unit is the unit of a number without a suffix.
	Unit Unit
	// Choices are the values that are allowed; empty allows all.
	Choices []Choice
	// Valid, if not nil, checks the text of a value before it is stored.
	Valid func(value string) error
	// Secret keeps the value out of errors and out of what [Table.Print] writes. [Table.Get] still returns it.
	Secret bool
	// Repeat lets a file have the setting on several lines: each line adds to a list, or calls Set again.
	Repeat bool
	// Unsupported, if not nil, says why the setting has no effect here, although its name is accepted.
	Unsupported *Unsupported

	// Flag is the name of the command's flag, without dashes; empty is none.
	Flag string
	// Since is the version that introduced the setting.
	Since string
	// Doc says what the setting does, in whole sentences.
	Doc string
}

// A Choice is one of the values of a setting.
type Choice struct {
	Value string // how it is written and printed
	// Word is another spelling. If the field is not a number, Word is the text of the field's
	// value: so "1" may stand for a value whose text is "offer".
	Word string
	Doc  string
}

// readable tells whether there is a word for people.
func (c Choice) readable() bool {
	return c.Word != "" && !strings.ContainsFunc(c.Word, unicode.IsControl)
}

// Unsupported describes a setting of other platforms: its name is accepted, and so are values that do not ask for
// anything that is missing.
type Unsupported struct {
	Platform string   // where it would work, such as "Windows"
	Accept   []string // values that ask for what is the case anyway, in any case; the default is always one
	Hint     string   // what to do instead, or why nothing is missing
}

// accepts reports whether value asks for nothing that is not the case.
func (u *Unsupported) accepts(value, def string) bool {
	value = strings.TrimSpace(value)
	b, errB := parseBool(value)
	for _, a := range append([]string{def}, u.Accept...) {
		if strings.EqualFold(a, value) {
			return true
		}
		if c, err := parseBool(a); err == nil && errB == nil && b == c {
			return true
		}
	}
	return false
}

// full is the name with its index.
func (r *Row[T]) full(index string) string {
	if r.Index == "" {
		return r.Name
	}
	return r.Name + "[" + index + "]"
}

// Title returns the name as the documentation shows it: with Index in brackets.
func (r *Row[T]) Title() string { return r.full(r.Index) }

// spec is what parsing and printing need of a row.
func (r *Row[T]) spec() spec {
	return spec{unit: r.Unit, bounds: r.Range, choices: r.Choices, zero: r.ZeroIsDefault, not: r.Inverse, def: r.Default}
}

// checkIndex says what is wrong with an index.
func (r *Row[T]) checkIndex(index string) error {
	if r.Index != "number" {
		return nil
	}
	if n, err := strconv.ParseInt(index, 10, 32); err != nil || n < 0 || index[0] == '+' {
		return &IndexError{Name: r.Name, Index: index, Want: r.Index}
	}
	return nil
}

// names are all names of the row.
func (r *Row[T]) names() []string { return slices.Concat([]string{r.Name}, r.Aliases) }
