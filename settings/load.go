package settings

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of a file. A file that is longer is not one that somebody wrote.
const (
	maxLine   = 64 << 10
	maxFaults = 100
)

// Load reads a file of settings, one per line:
//
//	# comments and blank lines do not count
//	MaxConnections 100
//	ServerVersion = "SSH-2.0-my server"   # a comment after a blank
//
// In double quotes \" \\ \n \r \t and \x41 have their usual meaning, in single
// quotes nothing has. A name without a value is an error, one with an empty value is
// written Name=. A setting stands in a file once, unless its row says Repeat.
//
// Sections begin with their keyword and end where the next one begins. What stands before the first
// is for o. The parameter file is the name of the file for error messages.
//
// If the file has errors, the error is of type [Faults] and has all of them, up to a hundred. Some
// of the settings in o are then changed: discard it.
func (t *Table[T]) Load(o *T, r io.Reader, file string, sections ...Section) error {
	l := loader{file: file, sections: sections, knows: t.knows}
	l.into(t.receiver(o))
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	for in.Scan() && len(l.faults) < maxFaults {
		l.line++
		text := in.Text()
		if l.line == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // the mark that Windows editors put in front
		}
		if err := l.take(text); err != nil {
			l.fault(l.line, err)
		}
	}
	l.close()
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		l.fault(l.line+1, &SyntaxError{fmt.Sprintf("the line is longer than %d bytes", maxLine)})
	case err != nil:
		return fmt.Errorf("settings: %s: %w", file, err)
	}
	if len(l.faults) > 0 {
		return l.faults
	}
	return nil
}

// A Section is a kind of block in a file. [Block] is the only implementation.
type Section interface {
	keyword() string
	knows(name string) bool
	begin(arg string) (receiver, error)
	doc() string
	markdown(w io.Writer, level string) error
}

// A Block is a [Section] with settings for options of type U:
//
//	User alice
//	    Root /srv/alice
//	    MaxSessions 2
type Block[U any] struct {
	// Keyword begins a block. It is not case-sensitive and hides a setting of the same name.
	Keyword string
	// Doc describes, for the documentation, the block and the text behind the keyword.
	Doc string
	// Table has the settings that may stand in the block.
	Table *Table[U]
	// Open gets the text behind the keyword and returns the options that the block sets. After an
	// error the block is still read, to find its other faults; see also [RepeatedError].
	Open func(arg string) (*U, error)
	// Done, if not nil, is called at the end of a block without faults, with what Open returned. An
	// error is reported for the line of the keyword.
	Done func(u *U) error
}

func (b *Block[U]) keyword() string { return b.Keyword }
func (b *Block[U]) doc() string     { return b.Doc }

func (b *Block[U]) knows(name string) bool { return b.Table.knows(name) }

func (b *Block[U]) markdown(w io.Writer, level string) error { return b.Table.markdown(w, level) }

// begin opens a block. With an error the receiver only looks at names.
func (b *Block[U]) begin(arg string) (receiver, error) {
	u, err := b.Open(arg)
	if err != nil {
		u = nil
	}
	in := b.Table.receiver(u)
	if u != nil && b.Done != nil {
		in.done = func() error { return b.Done(u) }
	}
	return in, err
}

// A receiver is what takes settings, with the type of the options behind it.
type receiver struct {
	// set stores a value. It asks seen, with the setting's full name, for the line of
	// the same block that set it before; 0 is none.
	set  func(name, value string, seen func(full string) int) error
	done func() error // what to do when the block is over, or nil
}

// receiver takes settings for o; if that is nil, for nobody.
func (t *Table[T]) receiver(o *T) receiver {
	return receiver{set: func(name, value string, seen func(string) int) error {
		r, index, err := t.find(name)
		if err != nil {
			return err
		}
		before := seen(r.full(index))
		switch {
		case before != 0 && !r.Repeat:
			return &SyntaxError{fmt.Sprintf("%s is set a second time, after line %d", r.full(index), before)}
		case o == nil:
			return nil
		case before != 0 && r.Field != nil:
			if p, is := r.Field(o).(*[]string); is { // grows by what is new, so that many lines cost no more than their number
				earlier := *p
				if err := t.set(o, r, index, value); err != nil {
					return err
				}
				*p = append(earlier, *p...)
				return nil
			}
			// What the lines before left is printed, and grows.
			list, err := t.get(o, r, index)
			if err != nil {
				return err
			}
			value = list + "," + value
		}
		return t.set(o, r, index, value)
	}}
}

// A loader is a file that is being read.
type loader struct {
	file     string
	line     int
	sections []Section
	knows    func(name string) bool // before the first section
	faults   Faults

	now   receiver       // of the block that is read
	first int            // the line that it began with
	clean int            // how many faults there were by then
	seen  map[string]int // the settings of the block, with their lines
	begun map[begun]int  // the blocks that were begun without an error, with their lines
}

// begun is a block, by what makes it one of its own.
type begun struct{ keyword, arg string }

func (l *loader) fault(line int, err error) {
	l.faults = append(l.faults, &LineError{File: l.file, Line: line, Err: err})
}

// into begins a block.
func (l *loader) into(r receiver) {
	l.now, l.first, l.clean, l.seen = r, l.line, len(l.faults), map[string]int{}
}

// close ends a block.
func (l *loader) close() {
	if l.now.done == nil || len(l.faults) > l.clean {
		return
	}
	if err := l.now.done(); err != nil {
		l.fault(l.first, err)
	}
}

// take carries a line out.
func (l *loader) take(text string) error {
	said, err := parseLine(text)
	if err != nil || said.name == "" {
		return err
	}
	for _, s := range l.sections {
		if strings.EqualFold(s.keyword(), said.name) {
			l.close()
			if !said.given {
				l.into(receiver{set: func(string, string, func(string) int) error { return nil }})
				return &SyntaxError{s.keyword() + ": what it is about must follow it on the line"}
			}
			r, err := s.begin(said.value)
			l.into(r)
			which := begun{s.keyword(), said.value}
			if twice, ok := errors.AsType[*RepeatedError](err); ok {
				twice.Line = l.begun[which]
			} else if err == nil {
				if l.begun == nil {
					l.begun = map[begun]int{}
				}
				l.begun[which] = l.line
			}
			return err
		}
	}
	if !said.given {
		how := "Name="
		if len(said.name) <= 80 {
			how = said.name + "="
		}
		return &SyntaxError{fmt.Sprintf("%s has no value; an empty one is written %s", quoted(said.name), how)}
	}
	err = l.now.set(said.name, said.value, func(full string) int {
		line := l.seen[full]
		if line == 0 {
			l.seen[full] = l.line
		}
		return line
	})
	if e, ok := errors.AsType[*NameError](err); ok {
		e.Hint = l.elsewhere(said.name)
	}
	return err
}

// elsewhere says where the setting may stand that may not stand here, if anywhere.
func (l *loader) elsewhere(name string) string {
	for _, s := range l.sections {
		if s.knows(name) {
			return fmt.Sprintf("it stands behind %s, in a block", s.keyword())
		}
	}
	if l.first > 0 && l.knows(name) {
		return "it stands in front of the first block"
	}
	return ""
}
