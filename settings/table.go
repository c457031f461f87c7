package settings

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// A Table is the settings of options of type T. It is immutable, and any number of goroutines may
// use it; but it does not lock the options.
type Table[T any] struct {
	rows   []Row[T]
	byName map[key]*Row[T]
	names  []string // all that are known, for hints
	live   func(*T) bool
}

// key is what a row is found by.
type key struct {
	name    string // in lower case
	indexed bool
}

// New makes a table. The function live, if not nil, tells whether options are in use; rows with
// When Start can then not be set. Contradictory rows are found by [Table.Check], which a test
// should call for every table.
func New[T any](live func(*T) bool, rows ...Row[T]) *Table[T] {
	t := &Table[T]{rows: rows, byName: make(map[key]*Row[T], 2*len(rows)), live: live}
	for i := range rows {
		r := &rows[i]
		for _, name := range r.names() {
			t.names = append(t.names, name)
			k := key{strings.ToLower(name), r.Index != ""}
			if _, ok := t.byName[k]; !ok {
				t.byName[k] = r
			}
		}
	}
	return t
}

// Rows yields the rows in their order. They must not be changed.
func (t *Table[T]) Rows() iter.Seq[*Row[T]] {
	return func(yield func(*Row[T]) bool) {
		for i := range t.rows {
			if !yield(&t.rows[i]) {
				return
			}
		}
	}
}

// Set sets a setting. The value is used unchanged: blanks around it are part of a
// text. The name may have an index, Name[index]. The errors are of the types of
// this package, or those of the row's own Set.
func (t *Table[T]) Set(o *T, name, value string) error {
	r, index, err := t.find(name)
	if err != nil {
		return err
	}
	return t.set(o, r, index, value)
}

// Get returns the value of a setting as text, in the form that Set takes.
func (t *Table[T]) Get(o *T, name string) (string, error) {
	r, index, err := t.find(name)
	if err != nil {
		return "", err
	}
	return t.get(o, r, index)
}

// Apply carries out "Name=Value", which sets, or "Name", which returns the value. Blanks around the
// name and the value are ignored; use Set for a value that has such blanks.
func (t *Table[T]) Apply(o *T, expr string) (string, error) {
	name, value, set := cutExpr(expr)
	if !set {
		return t.Get(o, name)
	}
	return "", t.Set(o, name, strings.Trim(value, blanks))
}

// RowOf finds the row that an expression of Apply is about, nil if there is none, and tells whether the
// expression sets it. The row must not be changed.
func (t *Table[T]) RowOf(expr string) (r *Row[T], set bool) {
	name, _, set := cutExpr(expr)
	r, _, _ = t.find(name)
	return r, set
}

// Reset gives every setting that is a field its default. It fails like Set; some settings are reset
// then and some are not.
func (t *Table[T]) Reset(o *T) error {
	for i := range t.rows {
		r := &t.rows[i]
		if r.Field == nil || r.When == ReadOnly || r.Unsupported != nil {
			continue
		}
		if err := t.set(o, r, "", r.Default); err != nil {
			return err
		}
	}
	return nil
}

// blanks are what does not count round names and values. Line ends do: they can be
// the end of a text.
const blanks = " \t"

// cutExpr cuts "Name=Value" at the first = behind the index.
func cutExpr(expr string) (name, value string, set bool) {
	from := 0
	if open := strings.IndexByte(expr, '['); open >= 0 && open < equals(expr) {
		from = max(strings.IndexByte(expr, ']'), 0)
	}
	i := strings.IndexByte(expr[from:], '=')
	if i < 0 {
		return strings.Trim(expr, blanks), "", false
	}
	return strings.Trim(expr[:from+i], blanks), expr[from+i+1:], true
}

// equals is where the first = stands, the length of s if there is none.
func equals(s string) int {
	if i := strings.IndexByte(s, '='); i >= 0 {
		return i
	}
	return len(s)
}

// find looks a name up, with or without index.
func (t *Table[T]) find(name string) (r *Row[T], index string, err error) {
	bare, index, indexed, ok := cutIndex(name)
	if !ok {
		return nil, "", &NameError{Name: name}
	}
	lower := strings.ToLower(bare)
	if r = t.byName[key{lower, indexed}]; r != nil {
		if indexed {
			err = r.checkIndex(index)
		}
		return r, index, err
	}
	if r = t.byName[key{lower, !indexed}]; r != nil {
		return nil, "", &IndexError{Name: r.Name, Index: index, Want: r.Index}
	}
	return nil, "", &NameError{Name: bare, Near: nearest(bare, t.names)}
}

// knows tells whether there is a setting of that name.
func (t *Table[T]) knows(name string) bool {
	_, _, err := t.find(name)
	return err == nil
}

// cutIndex takes Name[index] apart. An index is not empty and has no bracket.
func cutIndex(name string) (bare, index string, indexed, ok bool) {
	name = strings.Trim(name, blanks)
	bare, rest, indexed := strings.Cut(name, "[")
	bare = strings.Trim(bare, blanks)
	if bare == "" {
		return "", "", false, false
	}
	if !indexed {
		return bare, "", false, true
	}
	index, found := strings.CutSuffix(rest, "]")
	index = strings.Trim(index, blanks)
	if !found || index == "" || strings.ContainsAny(index, "[]") {
		return "", "", false, false
	}
	return bare, index, true, true
}

// set stores value where the row says.
func (t *Table[T]) set(o *T, r *Row[T], index, value string) error {
	full := r.full(index)
	switch u := r.Unsupported; {
	case r.When == ReadOnly:
		return &ReadOnlyError{Name: full}
	case u != nil && u.accepts(value, r.Default):
		return nil
	case u != nil:
		return &PlatformError{Name: full, Value: value, Platform: u.Platform, Hint: u.Hint}
	case r.When == Start && t.live != nil && t.live(o):
		return &BusyError{Name: full, Number: r.Busy}
	}
	if r.Valid != nil {
		if err := r.Valid(value); err != nil {
			return r.named(full, value, &ValueError{Err: err})
		}
	}
	switch {
	case r.Field != nil:
		return r.named(full, value, r.spec().scan(r.Field(o), value))
	case r.Item != nil:
		p, err := r.Item(o, index)
		if err != nil {
			return r.named(full, value, err)
		}
		return r.named(full, value, r.spec().scan(p, value))
	case r.Set != nil:
		value, err := r.spec().check(value)
		if err != nil {
			return r.named(full, value, err)
		}
		return r.named(full, value, r.Set(o, index, value))
	default:
		return &ReadOnlyError{Name: full}
	}
}

// check applies choices and ranges to a value that the row's own Set parses.
func (s spec) check(value string) (string, error) {
	switch {
	case len(s.choices) > 0:
		c, ok := s.choice(value)
		if !ok {
			return value, &ValueError{Want: s.want()}
		}
		return c.Value, nil
	case s.bounds == "":
		return value, nil
	}
	parse := s.parseInt
	if s.unit.duration() != 0 {
		parse = func(v string) (int64, error) {
			d, err := s.parseDuration(v)
			return int64(d), err
		}
	}
	n, err := parse(value)
	if err != nil {
		return value, err
	}
	return value, s.within(n, value, parse)
}

// named tells an error which setting it is about.
func (r *Row[T]) named(full, value string, err error) error {
	if err == nil {
		return nil
	}
	var bad *ValueError
	if v, ok := err.(*ValueError); ok && v != nil { //nolint:errorlint // only the error itself is ours to fill in
		bad = v
	}
	if bad == nil {
		return fmt.Errorf("settings: %s: %w", full, err)
	}
	filled := *bad
	filled.Name, filled.Value = full, value
	if r.Secret {
		// What the parser of a field says may quote the value; a row's own Set knows better.
		filled.Value = ""
		if r.Set == nil {
			filled.Err = nil
		}
	}
	return &filled
}

// get prints what lies where the row says.
func (t *Table[T]) get(o *T, r *Row[T], index string) (string, error) {
	full := r.full(index)
	switch {
	case r.Unsupported != nil:
		return r.Default, nil
	case r.Field != nil:
		text, err := r.spec().text(r.Field(o))
		return text, r.named(full, "", err)
	case r.Item != nil:
		p, err := r.Item(o, index)
		if err != nil {
			return "", r.named(full, "", err)
		}
		text, err := r.spec().text(p)
		return text, r.named(full, "", err)
	case r.Get != nil:
		text, err := r.Get(o, index)
		if err != nil {
			return "", r.named(full, "", err)
		}
		return text, nil
	default:
		return "", &ReadOnlyError{Name: full, WriteOnly: true}
	}
}

// Check returns everything that is wrong with the rows: duplicate names, rows without a value or
// with two, missing texts, and defaults that the row rejects or prints in another form. It tries
// the rows on a new(T). Call it in a test of the table.
func (t *Table[T]) Check() error {
	var errs []error
	seen := map[key]string{}
	flags := map[string]string{}
	for i := range t.rows {
		r := &t.rows[i]
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("settings: row %s: %w", r.Title(), fmt.Errorf(format, args...)))
		}
		for _, name := range r.names() {
			if bare, _, indexed, ok := cutIndex(name); !ok || indexed || bare != name || strings.ContainsAny(name, " \t=#\"'") {
				bad("%q is no name", name)
			}
			k := key{strings.ToLower(name), r.Index != ""}
			if other, ok := seen[k]; ok {
				bad("the name %q is also that of row %s", name, other)
			}
			seen[k] = r.Title()
		}
		if r.Flag != "" && flags[r.Flag] != "" {
			bad("flag %q is also that of row %s", r.Flag, flags[r.Flag])
		}
		flags[r.Flag] = r.Title()
		if r.Doc == "" || r.Group == "" || r.Since == "" {
			bad("Doc, Group and Since must not be empty")
		}
		for _, fault := range r.faults() {
			bad("%s", fault)
		}
		if r.Field == nil || r.Unsupported != nil {
			continue
		}
		o := new(T)
		if _, is := r.Field(o).(*bool); r.Inverse && !is {
			bad("is Inverse and no bool")
		}
		untouched, err := r.spec().text(r.Field(o))
		if err != nil {
			bad("its field: %w", err)
			continue
		}
		if r.ZeroIsDefault && untouched != r.Default {
			bad("the zero value reads %q and not %q", untouched, r.Default)
		}
		if r.When == ReadOnly {
			continue
		}
		if r.Valid != nil {
			if err := r.Valid(r.Default); err != nil {
				bad("default: %w", err)
			}
		}
		if err := r.spec().scan(r.Field(o), r.Default); err != nil {
			bad("default: %w", err)
		} else if text, err := r.spec().text(r.Field(o)); err != nil || text != r.Default {
			bad("default %q is printed as %q, %v", r.Default, text, err)
		}
	}
	return errors.Join(errs...)
}

// faults says what is wrong with a row by itself.
func (r *Row[T]) faults() (out []string) {
	places := 0
	for _, is := range []bool{r.Field != nil, r.Item != nil, r.Get != nil || r.Set != nil, r.Unsupported != nil} {
		if is {
			places++
		}
	}
	if places != 1 {
		out = append(out, fmt.Sprintf("has %d of Field, Item, Get or Set, and Unsupported: want one", places))
	}
	if (r.Item != nil) != (r.Index != "" && r.Get == nil && r.Set == nil && r.Unsupported == nil) {
		out = append(out, "Index goes with Item, or Get and Set, or Unsupported")
	}
	if r.When == ReadOnly && r.Set != nil {
		out = append(out, "is read only and has a Set")
	}
	if r.Range != "" && len(r.Choices) > 0 {
		out = append(out, "has a Range and Choices")
	}
	return out
}
