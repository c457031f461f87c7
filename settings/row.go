package settings

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// When says when a setting may be set.
type When uint8

// The times.
const (
	Start    When = iota // before the options are in use, see [New]
	Runtime              // at any time
	ReadOnly             // never: it tells something
)

// String is the word that the manual has.
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

// A Row is one setting of options of type T. Its value lies where one of Field,
// Item, or Get and Set says, unless Unsupported says that it has none.
type Row[T any] struct {
	// Name is the setting's name, known in any case. A name may stand in two rows,
	// one with Index and one without.
	Name string
	// Aliases are other names of the same setting, known in the same way.
	Aliases []string
	// Index says what stands in brackets behind the name, as in Name[7]: "number",
	// which the table checks to be one, or another word for what it is, such as
	// "connection". Empty: the name has no index.
	Index string
	// Group is the heading under which the manual has the row.
	Group string

	// When says when the setting may be set.
	When When
	// Busy is a number that goes into the [BusyError] of a row for Start.
	Busy int

	// Field returns a pointer to the value, of a type that [Scan] knows. It must not
	// do more than that: the manual calls it with options that nobody made.
	Field func(o *T) any
	// Item is Field for what lies in a place of a list.
	Item func(o *T, index string) (any, error)
	// Get and Set read and write what is no field; index is "" without Index. A nil
	// Get is a setting that cannot be read, a nil Set one that cannot be written. An
	// error of Set that is a *[ValueError] gets its Name and Value from the table.
	Get func(o *T, index string) (string, error)
	Set func(o *T, index, value string) error
	// Type is what the manual calls the type of a value behind Item, Get or Set;
	// with Field it follows from the pointer.
	Type string

	// Default is the value that the setting has when nobody sets it, spelled as Get
	// returns it.
	Default string
	// ZeroIsDefault tells that the zero value of the field means Default. A number or
	// duration of 0 is then stored as -1, which the field takes for "none".
	ZeroIsDefault bool
	// GoName is the name of the field for the manual, where it is not Name.
	GoName string
	// Inverse tells that the field is a bool that means the opposite.
	Inverse bool
	// Range bounds numbers, both ends included and in the row's unit: "1..65535",
	// "0..", "4k..1M".
	Range string
	// Unit is what a bare number counts.
	Unit Unit
	// Choices are the values that are allowed; empty is all.
	Choices []Choice
	// Valid, if not nil, judges the text of a value before it is stored.
	Valid func(value string) error
	// Secret keeps the value out of errors and of what [Table.Print] writes. Get returns it.
	Secret bool
	// Repeat lets a file name the setting on several lines: lists grow by each, and
	// Set is called for each.
	Repeat bool
	// Unsupported says that the name is known and why it does nothing here.
	Unsupported *Unsupported

	// Flag is the name of the command's flag, without dashes; empty is none.
	Flag string
	// Since is the version that brought the setting.
	Since string
	// Doc says what the setting does, in whole sentences.
	Doc string
}

// A Choice is one of the values of a setting.
type Choice struct {
	Value string // how it is written and printed
	// Word is another spelling. Where the field is no number it is the field's own
	// text, so that "1" may stand for a type whose text is "offer".
	Word string
	Doc  string
}

// readable tells whether there is a word for people.
func (c Choice) readable() bool {
	return c.Word != "" && !strings.ContainsFunc(c.Word, unicode.IsControl)
}

// Unsupported describes a setting of other platforms: its name is known, and the
// value that asks for nothing is accepted.
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

// Title is the name as the manual has it: with Index in brackets.
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
