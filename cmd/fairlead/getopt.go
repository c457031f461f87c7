package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A flagSet is the flags of a command as people know them from other programs: one letter
// or a word, letters in a cluster (-lah), values behind them (-P2022), flags behind other
// arguments.
type flagSet struct {
	*flag.FlagSet
	command string
	rows    []flagRow
}

// A flagRow is one line of the help.
type flagRow struct {
	names []string
	arg   string // "" for a switch
	doc   string
}

func newFlagSet(command string) *flagSet {
	f := &flagSet{FlagSet: flag.NewFlagSet(command, flag.ContinueOnError), command: command}
	f.SetOutput(io.Discard)
	return f
}

// names splits "r,recursive".
func (f *flagSet) row(names, arg, doc string) []string {
	list := strings.Split(names, ",")
	f.rows = append(f.rows, flagRow{list, arg, doc})
	return list
}

// on is a switch.
func (f *flagSet) on(v *bool, names, doc string) {
	for _, name := range f.row(names, "", doc) {
		f.BoolVar(v, name, *v, doc)
	}
}

// value is a flag with one value; the last one given counts.
func (f *flagSet) value(set func(string) error, names, arg, doc string) {
	for _, name := range f.row(names, arg, doc) {
		f.Func(name, doc, func(s string) error {
			if s == "" {
				return errors.New("is empty")
			}
			return set(s)
		})
	}
}

// text is a value that is kept as it is.
func (f *flagSet) text(v *string, names, arg, doc string) {
	f.value(func(s string) error { *v = s; return nil }, names, arg, doc)
}

// list is a value that may be given several times.
func (f *flagSet) list(v *[]string, names, arg, doc string) {
	f.value(func(s string) error { *v = append(*v, s); return nil }, names, arg, doc)
}

// choice is one of several words, each of which stands for a value.
func choice[T any](f *flagSet, v *T, names, arg, doc string, words ...wordFor[T]) {
	f.value(func(s string) error {
		var known []string
		for _, w := range words {
			if w.word == s {
				*v = w.value
				return nil
			}
			known = append(known, w.word)
		}
		return fmt.Errorf("is not one of %s", strings.Join(known, ", "))
	}, names, arg, doc)
}

type wordFor[T any] struct {
	word  string
	value T
}

// parse reads args and returns what are no flags. Every error is one line.
func (f *flagSet) parse(args []string) ([]string, error) {
	rest, err := parseAnywhere(f.FlagSet, f.expand(args))
	if err != nil {
		return nil, fmt.Errorf("%s; try %q", oneLine(err), "fairlead "+f.command+" --help")
	}
	return rest, nil
}

// takesValue tells whether a flag has a value, and whether there is such a flag.
func (f *flagSet) takesValue(name string) (value, ok bool) {
	g := f.Lookup(name)
	if g == nil {
		return false, false
	}
	b, isBool := g.Value.(interface{ IsBoolFlag() bool })
	return !isBool || !b.IsBoolFlag(), true
}

// expand takes clusters apart, into what package flag understands.
func (f *flagSet) expand(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(out, args[i:]...)
		}
		if len(a) < 2 || a[0] != '-' {
			out = append(out, a)
			continue
		}
		name, _, joined := strings.Cut(strings.TrimPrefix(a[1:], "-"), "=")
		value, known := f.takesValue(name)
		if !known && a[1] != '-' {
			parts := f.cluster(a[1:])
			if parts != nil {
				out = append(out, parts...)
				value, _ = f.takesValue(strings.TrimPrefix(parts[len(parts)-1], "-"))
				joined = !strings.HasPrefix(parts[len(parts)-1], "-") || !value
			} else {
				out, joined = append(out, a), true
			}
		} else {
			out = append(out, a)
		}
		if value && !joined && i+1 < len(args) { // that may begin with a minus
			i++
			out = append(out, args[i])
		}
	}
	return out
}

// cluster splits letters: switches, and at the end a flag with its value if there is
// anything behind it. It returns nil if they are no such thing.
func (f *flagSet) cluster(letters string) []string {
	var out []string
	for i := range len(letters) {
		name := letters[i : i+1]
		value, ok := f.takesValue(name)
		switch {
		case !ok:
			return nil
		case value && i+1 < len(letters):
			return append(out, "-"+name+"="+strings.TrimPrefix(letters[i+1:], "="))
		}
		out = append(out, "-"+name)
	}
	return out
}

// helpWidth is how long lines of help are at most.
const helpWidth = 84

// help prints the flags.
func (f *flagSet) help(w io.Writer) {
	rows := slices.Clone(f.rows)
	for _, r := range rows {
		var names []string
		for _, name := range r.names {
			if len(name) == 1 {
				names = append(names, "-"+name)
			} else {
				names = append(names, "--"+name)
			}
		}
		line := "  " + strings.Join(names, ", ")
		if r.arg != "" {
			line += " " + r.arg
		}
		fmt.Fprintln(w, line)
		for _, l := range wrap(r.doc, helpWidth-8) {
			fmt.Fprintln(w, "        "+l)
		}
	}
}

// wrap breaks text at spaces.
func wrap(text string, width int) []string {
	var out []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			out, line = append(out, line), word
		default:
			line += " " + word
		}
	}
	return append(out, line)
}
