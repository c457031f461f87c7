package sftpserver

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/fairlead-ssh/fairlead/settings"
)

// row is a setting of a Server.
type row = settings.Row[Server]

// table is every setting there is. The files settings_*.go have the rows.
var table = settings.New((*Server).Listening, slices.Concat(
	group("Listening", listenSettings),
	group("Secure connection", sshSettings),
	group("Host keys", certSettings),
	group("Logging in", loginSettings),
	group("Files", fileSettings),
	group("Logging", logSettings),
	group("Connections", connectionSettings),
	group("Other", otherSettings),
)...)

// group gives rows their heading.
func group(name string, rows []row) []row {
	for i := range rows {
		rows[i].Group = name
		if rows[i].Since == "" {
			rows[i].Since = "0.1"
		}
		if rows[i].Field != nil && rows[i].Busy == 0 && rows[i].When == settings.Start {
			rows[i].When = settings.Runtime // for connections to come: see Server.Update
		}
	}
	return rows
}

// Settings is the table of all settings: one row drives Server.Config, files,
// flags and docs/settings.md.
func Settings() *settings.Table[Server] { return table }

// Config sets and reads settings by name: "Name=Value" sets, "Name" returns the value. Blanks around both are ignored.
// Names are not case-sensitive, and those of the 2020 editions are known too. Some names have an index, as in
// "DirListBufferSize[7]"; docs/settings.md lists them all.
//
// The errors are those of package settings: *NameError, *IndexError, *ValueError, *ReadOnlyError, *PlatformError, and
// *BusyError for what cannot change while the server listens, wrapped in an [*Error] that has its number. An unknown
// connection is ErrUnknownConnection. [ErrorCode] has numbers for all of them: 10022 for names, indexes and values that
// cannot be, 10045 for what other platforms have, 106, 107 or 108 for what cannot change while the server listens, and
// 126 for an unknown connection; a value that fails for a reason with a number, such as a file that does not exist, has
// that.
//
// Any goroutine may call it at any time, except for SFTPConnectionFileData, which is only for the handler that is being
// shown the data. What is set while the server listens is set as by [Server.Update]: it holds for connections that come
// later, an error changes nothing, and each such call costs as much as a start. Settings of connections, which have their
// id as index, hold at once.
func (s *Server) Config(expr string) (string, error) {
	r, set := table.RowOf(expr)
	if r == nil || r.Index == "connection" || r.When == settings.ReadOnly {
		value, err := table.Apply(s, expr)
		return value, numbered(err)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if set && r.When == settings.Runtime && s.Listening() {
		return "", numbered(s.change(func(next *Server) error {
			_, err := table.Apply(next, expr)
			return err
		}))
	}
	value, err := table.Apply(s, expr)
	return value, numbered(err)
}

// LoadSettings reads settings from a file, see [settings.Table.Load]. The error is of type settings.Faults if
// the file is at fault, and has all of its faults with their lines. While the server listens the file can have only what can
// be changed then; it all changes in one step as by Update, or with an error not at all.
func (s *Server) LoadSettings(r io.Reader, file string, sections ...settings.Section) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.Listening() {
		return s.change(func(next *Server) error { return table.Load(next, r, file, sections...) })
	}
	return table.Load(s, r, file, sections...)
}

// numbered gives a BusyError an Error with its number.
func numbered(err error) error {
	if busy, ok := errors.AsType[*settings.BusyError](err); ok {
		return &Error{Code: cmp.Or(busy.Number, CodeLocalPort), Op: "set", Err: listeningError{err}}
	}
	return err
}

// A listeningError is also ErrListening, whose number may be another.
type listeningError struct{ error }

func (e listeningError) Unwrap() []error { return []error{e.error, ErrListening} }

// A stash is what settings say that no field of Options has.
type stash struct {
	hostKeyFiles []string
	userCAFiles  []string
	revokedFiles []string
	cert         certSetting
	altCerts     []certSetting
	// What is known and changes nothing.
	internalAPI bool
	selectWait  time.Duration
}

// forget empties the stash.
func (s *stash) forget() {
	s.cert.change()
	for i := range s.altCerts {
		s.altCerts[i].change()
	}
	*s = stash{}
}
