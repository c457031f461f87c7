package settings

import (
	"errors"
	"fmt"
	"strings"
)

// A NameError is a name that is in no row of the table.
type NameError struct {
	Name string // as given
	Near string // the known name most like it, "" if none is
	Hint string // where in the file a setting of this name may stand, "" if nowhere
}

func (e *NameError) Error() string {
	text := "settings: unknown setting " + quoted(e.Name)
	if e.Hint != "" {
		return text + " here: " + e.Hint
	}
	if e.Near != "" {
		text += "; did you mean " + e.Near + "?"
	}
	return text
}

// An IndexError means that an index is missing, not allowed or malformed.
type IndexError struct {
	Name  string // of the setting, without index
	Index string // as given, "" for none
	Want  string // what the index should be, "" if the setting has none
}

func (e *IndexError) Error() string {
	switch {
	case e.Want == "":
		return fmt.Sprintf("settings: %s takes no index", e.Name)
	case e.Index == "":
		return fmt.Sprintf("settings: %s wants an index, as in %s[%s]", e.Name, e.Name, e.Want)
	default:
		return fmt.Sprintf("settings: %s: index %q is no %s", e.Name, e.Index, e.Want)
	}
}

// A ValueError is a value that a setting does not accept.
type ValueError struct {
	Name  string // of the setting, with its index
	Value string // as given; "" if it is a secret
	Want  string // what is allowed, as a noun phrase; may be ""
	Err   error  // why, if there is more to say
}

func (e *ValueError) Error() string {
	var b strings.Builder
	b.WriteString("settings: ")
	if e.Name != "" {
		b.WriteString(e.Name + ": ")
	}
	if e.Value != "" {
		fmt.Fprintf(&b, "bad value %s", quoted(e.Value))
	} else {
		b.WriteString("bad value")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Want != "" {
		b.WriteString(": want " + e.Want)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *ValueError) Unwrap() error { return e.Err }

// quoted is a value for a message, cut where it becomes long.
func quoted(value string) string {
	const most = 80
	if len(value) > most {
		return fmt.Sprintf("%q...", value[:most])
	}
	return fmt.Sprintf("%q", value)
}

// A ReadOnlyError is an attempt to set a read-only setting or, with WriteOnly,
// to read a setting that can only be set.
type ReadOnlyError struct {
	Name      string // of the setting, with its index
	WriteOnly bool
}

func (e *ReadOnlyError) Error() string {
	if e.WriteOnly {
		return fmt.Sprintf("settings: %s can be set and not read", e.Name)
	}
	return fmt.Sprintf("settings: %s can be read and not set", e.Name)
}

// A BusyError is an attempt to set, while the options are in use, a setting
// that can only be set before.
type BusyError struct {
	Name   string // of the setting, with its index
	Number int    // the row's Busy; 0 for none
}

func (e *BusyError) Error() string {
	text := fmt.Sprintf("settings: %s cannot change now: it is read at the start", e.Name)
	if e.Number != 0 {
		text += fmt.Sprintf(" (error %d)", e.Number)
	}
	return text
}

// A PlatformError means that a value asks for something that this platform does
// not have. errors.Is finds errors.ErrUnsupported.
type PlatformError struct {
	Name     string // of the setting
	Value    string // as given
	Platform string // where it would work
	Hint     string // what to do instead
}

func (e *PlatformError) Error() string {
	text := fmt.Sprintf("settings: %s: value %s is for %s only", e.Name, quoted(e.Value), e.Platform)
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return text
}

// Is makes the error match [errors.ErrUnsupported].
func (e *PlatformError) Is(target error) bool { return target == errors.ErrUnsupported }

// A LineError is an error in one line of a file.
type LineError struct {
	File string // as given to [Table.Load]
	Line int    // from 1
	Err  error  // what is wrong, of a type of this package or what a row's Set answered
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, strings.TrimPrefix(e.Err.Error(), "settings: "))
}

// Unwrap returns Err.
func (e *LineError) Unwrap() error { return e.Err }

// A RepeatedError is what [Block.Open] returns for a block that the file has already. The line
// that the first one begins at is filled in.
type RepeatedError struct {
	Why  string // in words
	Line int    // from 1; 0 is not known
}

func (e *RepeatedError) Error() string {
	if e.Line == 0 {
		return "settings: " + e.Why
	}
	return fmt.Sprintf("settings: %s, at line %d", e.Why, e.Line)
}

// A SyntaxError means that a line cannot be parsed as a setting.
type SyntaxError struct {
	Why string // in words
}

func (e *SyntaxError) Error() string { return "settings: " + e.Why }

// Faults are all errors in a file, in the order of its lines.
type Faults []*LineError

// Error returns one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, e := range f {
		lines[i] = e.Error()
	}
	return "settings: " + strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As look at each.
func (f Faults) Unwrap() []error {
	errs := make([]error, len(f))
	for i, e := range f {
		errs[i] = e
	}
	return errs
}

// nearest is the known name that is most like name, "" if all differ too much.
func nearest(name string, known []string) string {
	name = strings.ToLower(name)
	if len(name) > 64 {
		return ""
	}
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := distance(name, strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" && len(name) >= 4 { // part of a name, such as RootDir
		for _, k := range known {
			if strings.HasPrefix(strings.ToLower(k), name) && (best == "" || len(k) < len(best)) {
				best = k
			}
		}
	}
	return best
}

// distance counts the characters to insert, remove, replace or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	// rows of the table of distances between the beginnings of a and all of b's
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
