package certstore

import (
	"errors"
	"fmt"

	"github.com/fairlead-ssh/fairlead/keys"
)

// ErrNoMatch means that a store was opened, but holds nothing of what was
// asked for.
var ErrNoMatch = errors.New("no certificate or key matches")

// A PasswordError means that a store, or a key in it, is encrypted and that no
// password was given, or a wrong one.
type PasswordError struct {
	Format string // of the store, such as "PFX"
	Alias  string // the entry whose key has a password of its own; empty for the store
	Wrong  bool   // a password was given, but not this one's
	File   string // the path of the store; empty for one that is in no file
}

func (e *PasswordError) Error() string {
	s := "certstore: " + pathOf(e.File) + e.Format + ": "
	if e.Alias != "" {
		s += fmt.Sprintf("key %+q: ", clip(e.Alias))
	}
	if e.Wrong {
		return s + "wrong password, or a damaged store"
	}
	return s + "password needed"
}

// A FormatError means that a store is damaged, too large, of an unknown form,
// or of one that is not read; then Err is errors.ErrUnsupported.
type FormatError struct {
	Format string // of the store; empty if it was not recognised
	Where  string // the part of it, such as "certificate 2" or "octet 17"
	Err    error
	File   string // the path of the store; empty for one that is in no file
}

func (e *FormatError) Error() string {
	s := "certstore: " + pathOf(e.File)
	if e.Format != "" {
		s += e.Format + ": "
	}
	if e.Where != "" {
		s += e.Where + ": "
	}
	return s + e.Err.Error()
}

// pathOf is how an error says which file it is about.
func pathOf(name string) string {
	if name == "" {
		return ""
	}
	return name + ": "
}

// locate adds the path of the store to an error.
func locate(err error, name string) error {
	if e, ok := errors.AsType[*PasswordError](err); ok {
		e.File = name
	} else if e, ok := errors.AsType[*FormatError](err); ok {
		e.File = name
	}
	return err
}

// Unwrap returns the reason.
func (e *FormatError) Unwrap() error { return e.Err }

// A PlatformError means that a store of that type does not exist on this
// platform, or not in this build. It is errors.ErrUnsupported.
type PlatformError struct {
	Type Type   // that was asked for
	Hint string // what to use in its place
}

func (e *PlatformError) Error() string {
	return "certstore: " + e.Type.String() + ": not on this platform: " + e.Hint
}

// Unwrap returns errors.ErrUnsupported.
func (e *PlatformError) Unwrap() error { return errors.ErrUnsupported }

// bad is the error of a part of a store; the format is filled in by the table.
func bad(where, format string, args ...any) error {
	return &FormatError{Where: where, Err: fmt.Errorf(format, args...)}
}

// unsupported is the error of what exists but is not read.
func unsupported(where, what string) error {
	return &FormatError{Where: where, Err: fmt.Errorf("%s: %w", what, errors.ErrUnsupported)}
}

// wrong is the error of a password that did not open the store, or the key of
// an entry.
func wrong(alias string) error { return &PasswordError{Alias: alias, Wrong: true} }

// needed is the error of a password that was not given.
func needed(alias string) error { return &PasswordError{Alias: alias} }

// complete gives an error that the reader of a format returned one of the types of
// this package. The text of a key's error that is not known stays.
func complete(format string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*PasswordError](err); ok {
		if e.Format == "" {
			e.Format = format
		}
		return e
	}
	if e, ok := errors.AsType[*PlatformError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*FormatError](err); ok {
		if e.Format == "" {
			e.Format = format
		}
		return e
	}
	if e, ok := errors.AsType[*keys.PassphraseError](err); ok {
		return &PasswordError{Format: format, Wrong: e.Wrong}
	}
	if e, ok := errors.AsType[*keys.FormatError](err); ok {
		return &FormatError{Format: format, Where: e.Where, Err: e.Err}
	}
	return &FormatError{Format: format, Err: err}
}
