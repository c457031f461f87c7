package certstore

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
)

// A Store is what a store held when it was opened. It does not change and may
// be used concurrently.
type Store struct {
	typ     Type
	format  string
	certs   []*Certificate
	onClose []func() error
	close   func() error
}

// Open opens the store of type t at location: the path of a file, for types in
// memory the contents as text, for those of the system a name, for tokens the
// path of a library or a URI (see the overview). With [Auto], and with [User] where location is not the
// name of a store of Windows, it is a path or, if there is no such file, the
// contents, and their form is found by looking.
//
// Errors are of type [*PasswordError], [*FormatError] or [*PlatformError], those
// of reading the file, or that of o.Ask.
func Open(t Type, location string, o Options) (*Store, error) {
	r := t.row()
	if r == nil {
		return nil, fmt.Errorf("certstore: open: no %s", t)
	}
	if r.t == User && !systemStore(location) {
		r = Auto.row()
	}
	in := &input{typ: r.t, location: location, opts: o}
	switch r.where {
	case inMemory:
		return open(r, in, []byte(location))
	case inSystem, inToken:
		return open(r, in, nil)
	case inFile, inEither:
	}
	data, err := readFile(location)
	if err != nil && r.where == inEither && looksLikeContents(location) {
		data, err = []byte(location), nil
		in.location = ""
	}
	if err != nil {
		return nil, err
	}
	s, err := open(r, in, data)
	return s, locate(err, in.location)
}

// OpenBytes opens a store that is in memory. For types in files data is what
// the file would hold; with [User], which has no contents, their form is found
// by looking, as with [Auto]. Errors are those of [Open].
func OpenBytes(t Type, data []byte, o Options) (*Store, error) {
	r := t.row()
	switch {
	case r == nil:
		return nil, fmt.Errorf("certstore: open: no %s", t)
	case r.t == User:
		r = Auto.row()
	case r.where == inSystem || r.where == inToken:
		return nil, &FormatError{Format: r.formats[0], Err: errNoContents}
	}
	return open(r, &input{typ: r.t, opts: o}, data)
}

var (
	errNoContents = errors.New("a store of this type has no contents, but a name")
	errUnknown    = errors.New("not a store in any known form")
)

// systemStores are names of stores that Windows has.
var systemStores = []string{"", "MY", "CA", "ROOT", "AddressBook", "AuthRoot", "Disallowed", "Trust", "TrustedPeople", "TrustedPublisher", "WebHosting", "Remote Desktop"}

func systemStore(name string) bool {
	return slices.ContainsFunc(systemStores, func(s string) bool { return strings.EqualFold(s, name) })
}

// readFile reads a file of at most the size of a store. What the file says of
// its size is not relied upon: it may be a pipe.
func readFile(name string) ([]byte, error) {
	if name == "" {
		return nil, fmt.Errorf("certstore: open: %w", &os.PathError{Op: "open", Path: "", Err: os.ErrNotExist})
	}
	if strings.ContainsAny(name, "\x00\n") { // contents where a path should be: they stay out of the error
		return nil, fmt.Errorf("certstore: open: not the path of a file: %w", os.ErrInvalid)
	}
	f, err := os.Open(name)
	if err != nil {
		const longest = 512                                 // of paths as people write them
		if len(name) > longest || looksLikeContents(name) { // may be a secret
			return nil, fmt.Errorf("certstore: open: not the path of a file: %w", os.ErrNotExist)
		}
		return nil, fmt.Errorf("certstore: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStore+1))
	if err != nil {
		return nil, fmt.Errorf("certstore: %w", err)
	}
	return data, nil
}

// open reads the store with the first of the row's formats that knows it.
func open(r *typeRow, in *input, data []byte) (*Store, error) {
	in.limits = in.opts.Limits.OrDefault()
	var f *formatRow
	if r.where == inSystem || r.where == inToken {
		f = findFormat(r.formats[0])
	} else {
		if len(data) > maxStore {
			return nil, bad("", "more than %d octets", maxStore)
		}
		f, in.data = detect(r, data)
		if f == nil {
			e := &FormatError{Err: errUnknown}
			if r.formats != nil {
				e.Format, e.Err = r.formats[0], fmt.Errorf("not a store of type %s", r.name)
				if other, _ := detect(Auto.row(), data); other != nil {
					e.Err = fmt.Errorf("not a store of type %s: it is of the form %s, which cstAuto finds", r.name, other.name)
				}
			}
			return nil, e
		}
	}
	in.format = f.name
	entries, err := f.read(in)
	if err == nil {
		entries, err = link(entries)
	}
	s := newStore(r, f.name, in)
	if err != nil {
		_ = s.Close()
		if in.asked != nil {
			return nil, in.asked
		}
		return nil, complete(f.name, err)
	}
	for i := range entries {
		s.certs = append(s.certs, &Certificate{e: entries[i], typ: r.t, location: in.location})
	}
	return s, nil
}

func newStore(r *typeRow, format string, in *input) *Store {
	s := &Store{typ: r.t, format: format, onClose: in.onClose}
	s.close = sync.OnceValue(s.closeAll)
	return s
}

// Type returns the type that the store was opened as: with [Auto], Auto.
func (s *Store) Type() Type { return s.typ }

// Format returns the form that was found, such as "PFX".
func (s *Store) Format() string { return s.format }

// Len returns the number of entries.
func (s *Store) Len() int { return len(s.certs) }

// All returns the entries in the order of the store, counted from 0. A private
// key and its certificate are one entry, at the place of the certificate.
func (s *Store) All() iter.Seq2[int, *Certificate] { return slices.All(s.certs) }

// Close ends the use of what the store holds open, such as a session with a
// token, whose keys then sign no more. Stores in files hold nothing open.
func (s *Store) Close() error { return s.close() }

func (s *Store) closeAll() error {
	var errs []error
	for _, f := range slices.Backward(s.onClose) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
