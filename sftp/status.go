package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// Code is a status code of SSH_FXP_STATUS (filexfer-13 §9.1). It is an error too, so
// that `errors.Is(err, sftp.CodeNoSpace)` works and a FileSystem may return one.
type Code uint32

// The status codes. A table gives, for each code, the version that introduced it ([Code.Since]),
// what older versions get in its place ([Code.In]), and the Go errors that it matches ([Code.Is]).
const (
	CodeOK                  Code = 0  // done
	CodeEOF                 Code = 1  // READ beyond the end, READDIR after the last name
	CodeNoSuchFile          Code = 2  // the file does not exist; its directory does
	CodePermissionDenied    Code = 3  // the user may not
	CodeFailure             Code = 4  // anything that no other code says
	CodeBadMessage          Code = 5  // the packet does not parse
	CodeNoConnection        Code = 6  // never sent
	CodeConnectionLost      Code = 7  // never sent
	CodeOpUnsupported       Code = 8  // the request is unknown or switched off
	CodeInvalidHandle       Code = 9  // never given out, or closed
	CodeNoSuchPath          Code = 10 // a directory on the way does not exist
	CodeFileAlreadyExists   Code = 11 // the target of a CREATE_NEW, MKDIR, RENAME or LINK
	CodeWriteProtect        Code = 12 // the medium or the server is read-only
	CodeNoMedia             Code = 13 // the drive is empty
	CodeNoSpace             Code = 14 // the file system is full
	CodeQuotaExceeded       Code = 15 // the user's share is
	CodeUnknownPrincipal    Code = 16 // an owner, group or ACL names somebody unknown
	CodeLockConflict        Code = 17 // another handle holds a lock on the file
	CodeDirNotEmpty         Code = 18 // RMDIR
	CodeNotADirectory       Code = 19 // READDIR of, or a path through, something else
	CodeInvalidFilename     Code = 20 // no file can be called so here
	CodeLinkLoop            Code = 21 // too many symbolic links, or one under OpenNoFollow
	CodeCannotDelete        Code = 22 // forbidden by an attribute such as BitImmutable
	CodeInvalidParameter    Code = 23 // a value out of range, or two that exclude each other
	CodeIsADirectory        Code = 24 // READ, WRITE or REMOVE of a directory
	CodeRangeLockConflict   Code = 25 // READ or WRITE against another's BLOCK
	CodeRangeLockRefused    Code = 26 // BLOCK against another's BLOCK
	CodeDeletePending       Code = 27 // removed, but some handle is still open
	CodeFileCorrupt         Code = 28 // the file system itself is damaged here
	CodeOwnerInvalid        Code = 29 // the owner cannot be set to that
	CodeGroupInvalid        Code = 30 // the group cannot be set to that
	CodeNoMatchingRangeLock Code = 31 // UNBLOCK of what is not locked

	codeCount     = 32
	maxStatusText = 512 // octets
	defaultLang   = "en"
)

// statusRow is one status code: its RFC name, the first version that has it, what it
// becomes in older ones, the text sent with it, and the Go errors it is.
type statusRow struct {
	name  string
	since int
	older Code
	text  string
	is    []error
}

// statusTable drives both directions of the error mapping. The codes that older
// versions get are those that OpenSSH sends for the same errno.
var statusTable = [codeCount]statusRow{
	CodeOK:                  {"SSH_FX_OK", 3, CodeOK, "success", nil},
	CodeEOF:                 {"SSH_FX_EOF", 3, CodeEOF, "end of file", []error{io.EOF}},
	CodeNoSuchFile:          {"SSH_FX_NO_SUCH_FILE", 3, CodeNoSuchFile, "no such file", []error{fs.ErrNotExist}},
	CodePermissionDenied:    {"SSH_FX_PERMISSION_DENIED", 3, CodePermissionDenied, "permission denied", []error{fs.ErrPermission}},
	CodeFailure:             {"SSH_FX_FAILURE", 3, CodeFailure, "failure", nil},
	CodeBadMessage:          {"SSH_FX_BAD_MESSAGE", 3, CodeBadMessage, "bad message", nil},
	CodeNoConnection:        {"SSH_FX_NO_CONNECTION", 3, CodeFailure, "no connection", nil},
	CodeConnectionLost:      {"SSH_FX_CONNECTION_LOST", 3, CodeFailure, "connection lost", []error{io.ErrUnexpectedEOF}},
	CodeOpUnsupported:       {"SSH_FX_OP_UNSUPPORTED", 3, CodeOpUnsupported, "operation unsupported", []error{errors.ErrUnsupported}},
	CodeInvalidHandle:       {"SSH_FX_INVALID_HANDLE", 4, CodeFailure, "invalid handle", []error{fs.ErrClosed}},
	CodeNoSuchPath:          {"SSH_FX_NO_SUCH_PATH", 4, CodeNoSuchFile, "no such path", []error{fs.ErrNotExist}},
	CodeFileAlreadyExists:   {"SSH_FX_FILE_ALREADY_EXISTS", 4, CodeFailure, "file already exists", []error{fs.ErrExist}},
	CodeWriteProtect:        {"SSH_FX_WRITE_PROTECT", 4, CodePermissionDenied, "write protected", []error{fs.ErrPermission}},
	CodeNoMedia:             {"SSH_FX_NO_MEDIA", 4, CodeFailure, "no media", nil},
	CodeNoSpace:             {"SSH_FX_NO_SPACE_ON_FILESYSTEM", 5, CodeFailure, "no space on file system", nil},
	CodeQuotaExceeded:       {"SSH_FX_QUOTA_EXCEEDED", 5, CodeFailure, "quota exceeded", nil},
	CodeUnknownPrincipal:    {"SSH_FX_UNKNOWN_PRINCIPAL", 5, CodeFailure, "unknown principal", nil},
	CodeLockConflict:        {"SSH_FX_LOCK_CONFLICT", 5, CodeFailure, "lock conflict", nil},
	CodeDirNotEmpty:         {"SSH_FX_DIR_NOT_EMPTY", 6, CodeFailure, "directory not empty", []error{fs.ErrExist}},
	CodeNotADirectory:       {"SSH_FX_NOT_A_DIRECTORY", 6, CodeNoSuchFile, "not a directory", nil},
	CodeInvalidFilename:     {"SSH_FX_INVALID_FILENAME", 6, CodeBadMessage, "invalid file name", []error{fs.ErrInvalid}},
	CodeLinkLoop:            {"SSH_FX_LINK_LOOP", 6, CodeNoSuchFile, "too many symbolic links", nil},
	CodeCannotDelete:        {"SSH_FX_CANNOT_DELETE", 6, CodeFailure, "cannot delete", nil},
	CodeInvalidParameter:    {"SSH_FX_INVALID_PARAMETER", 6, CodeBadMessage, "invalid parameter", []error{fs.ErrInvalid}},
	CodeIsADirectory:        {"SSH_FX_FILE_IS_A_DIRECTORY", 6, CodeFailure, "file is a directory", nil},
	CodeRangeLockConflict:   {"SSH_FX_BYTE_RANGE_LOCK_CONFLICT", 6, CodeFailure, "byte range is locked", nil},
	CodeRangeLockRefused:    {"SSH_FX_BYTE_RANGE_LOCK_REFUSED", 6, CodeFailure, "byte range lock refused", nil},
	CodeDeletePending:       {"SSH_FX_DELETE_PENDING", 6, CodeFailure, "delete pending", nil},
	CodeFileCorrupt:         {"SSH_FX_FILE_CORRUPT", 6, CodeFailure, "file is corrupt", nil},
	CodeOwnerInvalid:        {"SSH_FX_OWNER_INVALID", 6, CodePermissionDenied, "unknown owner", nil},
	CodeGroupInvalid:        {"SSH_FX_GROUP_INVALID", 6, CodePermissionDenied, "unknown group", nil},
	CodeNoMatchingRangeLock: {"SSH_FX_NO_MATCHING_BYTE_RANGE_LOCK", 6, CodeFailure, "no matching byte range lock", nil},
}

// statusOf5 are the codes that version 5 gets in place of some of version 6: it has better
// ones than the column older, which is for versions 3 and 4 there.
var statusOf5 = map[Code]Code{
	CodeRangeLockConflict: CodeLockConflict,
	CodeRangeLockRefused:  CodeLockConflict,
	CodeOwnerInvalid:      CodeUnknownPrincipal,
	CodeGroupInvalid:      CodeUnknownPrincipal,
}

// goErrors maps Go's errors that no errno underlies; the first that matches wins.
var goErrors = []struct {
	err  error
	code Code
}{
	{io.EOF, CodeEOF},
	{fs.ErrNotExist, CodeNoSuchFile},
	{fs.ErrPermission, CodePermissionDenied},
	{fs.ErrExist, CodeFileAlreadyExists},
	{errors.ErrUnsupported, CodeOpUnsupported},
	{fs.ErrClosed, CodeInvalidHandle},
	{fs.ErrInvalid, CodeInvalidParameter},
	{context.Canceled, CodeFailure},
	{context.DeadlineExceeded, CodeFailure},
	{os.ErrDeadlineExceeded, CodeFailure},
}

// String returns the name in the draft, such as SSH_FX_NO_SUCH_FILE.
func (c Code) String() string {
	if c < codeCount {
		return statusTable[c].name
	}
	return "SSH_FX_" + strconv.FormatUint(uint64(c), 10)
}

// Error makes a Code an error; the text is the table's.
func (c Code) Error() string { return "sftp: " + c.Text() }

// Text returns the text sent with c when there is none more exact.
func (c Code) Text() string {
	if c < codeCount {
		return statusTable[c].text
	}
	return "status " + strconv.FormatUint(uint64(c), 10)
}

// Since returns the first protocol version that has c, or 0 for an unknown code.
func (c Code) Since() int {
	if c < codeCount {
		return statusTable[c].since
	}
	return 0
}

// In returns the code to send for c in a protocol version: c itself, or what stands
// for it in versions that do not have it.
func (c Code) In(version int) Code {
	if five, ok := statusOf5[c]; ok && version == Version5 {
		return five
	}
	switch {
	case c >= codeCount:
		return CodeFailure
	case version < statusTable[c].since || c == CodeNoConnection || c == CodeConnectionLost:
		return statusTable[c].older
	}
	return c
}

// Is makes errors.Is(c, fs.ErrNotExist) and the like true by the table.
func (c Code) Is(target error) bool {
	if c < codeCount {
		return slices.Contains(statusTable[c].is, target)
	}
	return false
}

// StatusError is an SSH_FXP_STATUS: one that a client received, or one that a FileSystem wants sent
// as it is. errors.Is finds its Code, and the Go errors that the code stands for (fs.ErrNotExist,
// fs.ErrPermission, fs.ErrExist, io.EOF, errors.ErrUnsupported ...).
type StatusError struct {
	Code Code   // what programs go by
	Text string // for people; "" is the code's own text
	Lang string // RFC 3066 tag of Text
	// Names are the users and groups that are not known, with CodeUnknownPrincipal in
	// versions 5 and 6 (filexfer-13 §9.1). They are text of the peer.
	Names []string
}

// Status makes a StatusError with a text for the peer, which must not name anything
// that the peer may not know (host paths, secrets).
func Status(code Code, text string) *StatusError {
	return &StatusError{Code: code, Text: text, Lang: defaultLang}
}

// Error returns "sftp: text".
func (e *StatusError) Error() string {
	if e.Text == "" {
		return e.Code.Error()
	}
	return "sftp: " + strconv.QuoteToGraphic(e.Text)[1:len(strconv.QuoteToGraphic(e.Text))-1]
}

// Is matches its Code, a StatusError of the same code, and the Go errors that the code stands for.
func (e *StatusError) Is(target error) bool {
	switch t := target.(type) {
	case Code:
		return e.Code == t
	case *StatusError:
		return e.Code == t.Code
	}
	return e.Code.Is(target)
}

// CodeOf returns the status code for any error: a Code or StatusError in its chain
// first, then the errno table of this system, then Go's own errors, else CodeFailure.
// nil is CodeOK.
func CodeOf(err error) Code {
	if err == nil {
		return CodeOK
	}
	if se, ok := errors.AsType[*StatusError](err); ok {
		return se.Code
	}
	if c, ok := errors.AsType[Code](err); ok {
		return c
	}
	if c, ok := codeOfErrno(err); ok {
		return c
	}
	for i := range goErrors {
		if errors.Is(err, goErrors[i].err) {
			return goErrors[i].code
		}
	}
	return CodeFailure
}

// cutText is what fits a STATUS.
func cutText(text string) string { return text[:min(len(text), maxStatusText)] }

// ToStatus returns the status to send for err. The text of err is used only if err is a
// *StatusError, since the texts of other errors contain paths of the host.
func ToStatus(err error) StatusError {
	if se, ok := errors.AsType[*StatusError](err); ok {
		out := *se
		if out.Text == "" {
			out.Text = out.Code.Text()
		}
		out.Text = cutText(out.Text)
		if out.Lang == "" {
			out.Lang = defaultLang
		}
		return out
	}
	code := CodeOf(err)
	return StatusError{Code: code, Text: code.Text(), Lang: defaultLang}
}
