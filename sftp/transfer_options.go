package sftp

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"
)

// TransferOptions say how files are transferred. The zero value transfers the whole file and writes
// directly to the target, replacing its content.
type TransferOptions struct {
	// Offset is the first byte of the remote file that is read or written. The bytes of a
	// GetFile go to the same place of the local file, those of a PutFile come from its
	// beginning; neither file is emptied. It excludes Resume, Atomic and IfExists.
	Offset int64
	// Length is how many bytes are transferred at most; 0 is all.
	Length int64
	// Size is what the size of the source is taken to be, for progress and verification,
	// without asking; 0 asks if anything needs it. The end of the file is where
	// reading ends in any case: files grow, and those of /proc say that they are empty.
	Size int64
	// Mode is the permission bits of the target. With 0 and without Preserve a file that is made
	// gets those of the source as far as they are known, less the umask of whoever makes it; an
	// existing file keeps its own.
	Mode fs.FileMode
	// IfExists says what to do about a target that is there.
	IfExists IfExists
	// Atomic writes a temporary file beside the target, makes it durable, and renames it to the
	// target when it is complete; if the transfer fails, it is removed and the target is left as it
	// was. A new file put over an old one keeps the permissions of the old one, unless Mode or
	// Preserve say otherwise. A symlink at the target is replaced, not followed.
	Atomic bool
	// MoveAside lets Atomic do without a server that can replace a file in one step
	// (versions 3 and 4 without posix-rename@openssh.com): the old file is renamed out
	// of the way, and back if the new one cannot take its place. For a moment the name is
	// missing. Without it, such a server gets an error instead, and its file is kept.
	MoveAside bool
	// NoSync makes Atomic skip the step that makes the file durable: fsync@openssh.com for a Put,
	// where the server has it, and fsync for a Get.
	NoSync bool
	// Resume goes on with what an earlier transfer left. See [Client.GetFile] and
	// [Client.PutFile] for what a transfer that failed leaves.
	Resume Resume
	// ResumeTail is how many bytes at the end of what is there are suspect if the server
	// cannot hash: a GetFile reads and compares that many, a PutFile writes them again
	// (an upload that was cut off may have holes there) and compares 32 KiB before them.
	// 0 is 32 KiB for GetFile and 4 MiB for PutFile.
	ResumeTail int64
	// Verify compares target and source after everything is transferred.
	Verify Verify
	// Preserve gives the target attributes of the source.
	Preserve Preserve
	// BestEffortAttrs makes a transfer succeed although Mode and Preserve could not be
	// kept; TransferResult.AttrsErr tells. Many servers take no attributes.
	BestEffortAttrs bool
	// Concurrency is how many requests of one file are under way at most, ChunkSize how
	// many bytes each carries; 0 leaves both to the client, which goes by the server's
	// limits and the round-trip time.
	Concurrency int
	ChunkSize   int
	// Progress is called about every ProgressInterval, 0 being 100 ms, and once when all is
	// over. Calls come from one goroutine at a time, not the caller's, and delay nothing
	// but each other and the end of the transfer.
	Progress         func(Progress)
	ProgressInterval time.Duration
}

// IfExists says what a transfer does about a target that exists already.
type IfExists uint8

// The ways to treat an existing target.
const (
	Overwrite    IfExists = iota // its content is replaced
	FailIfExists                 // an error that is fs.ErrExist; the server or host decides, without a race
	SkipIfExists                 // nothing is transferred, TransferResult.Skipped tells
	AppendTo                     // the source goes behind what is there
)

// Resume says whether a transfer continues where an earlier one ended.
type Resume uint8

// The ways to resume. The existing part is first compared with the source: by a hash if the server
// can make one, else by its size and its last bytes (TransferOptions.ResumeTail). If the source of
// a GetFile or PutFile was changed after the existing part was written, all of it is compared.
const (
	NoResume        Resume = iota
	ResumeOrRestart        // from the beginning if what is there is not the source's
	ResumeOrFail           // ErrMismatch if what is there is not the source's
)

// Verify says how a finished transfer is verified. A difference is [ErrMismatch], and an
// Atomic target does not take its place. Without any the transfer rests on SSH's MACs and
// on the status of every request, CLOSE included.
type Verify uint8

// The ways to verify.
const (
	VerifyNone    Verify = iota
	VerifySize           // the size, which takes a STAT
	VerifyBest           // a hash if the server can and does, else the size
	VerifyHash           // a hash; errors.ErrUnsupported, before anything is transferred, if the server cannot
	VerifyContent        // a hash if the server can and does, else everything is read again
)

// Preserve is a set of attributes that the target takes from the source.
type Preserve uint8

// The bits of Preserve.
const (
	PreserveTimes Preserve = 1 << iota // access and modification
	PreserveMode                       // the nine permission bits
	PreserveSetID                      // set-user-id, set-group-id and sticky bit, too; needs PreserveMode
)

// TransferResult is the outcome of a transfer.
type TransferResult struct {
	Transferred int64  // bytes that went over the wire
	Resumed     int64  // bytes that were there and were kept
	Skipped     bool   // there was a target, and IfExists said to leave it
	Kept        Check  // how what was there was compared, if Resumed is not 0
	Verified    Check  // how all was verified
	Hash        string // the algorithm, if Kept or Verified is CheckHash
	AttrsErr    error  // with BestEffortAttrs: what could not be kept
}

// Check is how two contents were compared.
type Check uint8

// The checks, from none to the best.
const (
	CheckNone    Check = iota
	CheckSize          // by their sizes
	CheckTail          // by their sizes and their last bytes
	CheckHash          // by a hash that the server made
	CheckContent       // byte by byte, or by a hash of what was read again
)

// String returns a word for people.
func (c Check) String() string {
	if int(c) < len(checkNames) {
		return checkNames[c]
	}
	return "unknown"
}

var checkNames = [...]string{"none", "size", "tail", "hash", "content"}

// ErrMismatch is in the chain of errors of a transfer whose target differs from its source: found
// by Verify after the transfer, or by ResumeOrFail before anything was changed.
var ErrMismatch = errors.New("source and target differ")

// ErrChanged is in the chain of errors of a transfer with Verify whose local source changed
// while it was read.
var ErrChanged = errors.New("source changed while it was transferred")

// TransferError reports the file and the step in which a transfer failed.
type TransferError struct {
	Op   string // "get", "put" or "copy"
	Step string // such as "open", "read", "verify", "rename"
	Path string // the remote name; a local one for steps that begin with "local"
	Err  error
}

// Error returns "sftp: op path: step: what".
func (e *TransferError) Error() string {
	return fmt.Sprintf("sftp: %s %q: %s: %v", e.Op, e.Path, e.Step, e.Err)
}

// Unwrap returns Err.
func (e *TransferError) Unwrap() error { return e.Err }

// errOption is what contradictory options are.
func errOption(text string) error { return Status(CodeInvalidParameter, text) }

// check refuses options that contradict each other or that the form of the call
// cannot keep, rather than leave them out silently.
func (o *TransferOptions) check(op string, f form) error {
	switch {
	case o.Offset < 0 || o.Length < 0 || o.Size < 0 || o.ResumeTail < 0 || o.Concurrency < 0 || o.ChunkSize < 0:
		return errOption(op + ": negative option")
	case o.Length > math.MaxInt64-o.Offset:
		return errOption(op + ": Offset and Length lie beyond any file")
	case o.Offset > 0 && (o.Resume != NoResume || o.Atomic || o.IfExists != Overwrite):
		return errOption(op + ": Offset excludes Resume, Atomic and IfExists")
	case o.IfExists > AppendTo || o.Resume > ResumeOrFail || o.Verify > VerifyContent:
		return errOption(op + ": unknown option value")
	case o.IfExists == AppendTo && (o.Resume != NoResume || o.Atomic || o.Verify != VerifyNone):
		return errOption(op + ": AppendTo excludes Resume, Atomic and Verify")
	case o.Resume != NoResume && !o.Atomic && (o.IfExists == FailIfExists || o.IfExists == SkipIfExists):
		return errOption(op + ": Resume without Atomic wants the file to be there")
	case o.Resume != NoResume && o.Length > 0:
		return errOption(op + ": Length excludes Resume")
	case o.Preserve&PreserveSetID != 0 && o.Preserve&PreserveMode == 0:
		return errOption(op + ": PreserveSetID needs PreserveMode")
	case f&toWriter != 0 && (o.Resume != NoResume || o.Atomic || o.IfExists != Overwrite || o.Preserve != 0 || o.Mode != 0):
		return errOption(op + ": the options about a local file need GetFile")
	case f&fromReader != 0 && o.Preserve != 0:
		return errOption(op + ": Preserve needs PutFile")
	case f&unseekable != 0 && o.Resume != NoResume:
		return errOption(op + ": Resume needs a source that is an io.ReadSeeker")
	case f&wholeFiles != 0 && (o.Offset > 0 || o.Length > 0 || o.Size > 0 || o.IfExists == AppendTo):
		return errOption(op + ": Offset, Length, Size and AppendTo are for single files")
	}
	return nil
}

// form is what a call has in its hands.
type form uint8

const (
	toWriter   form = 1 << iota // the local side is an io.Writer
	fromReader                  // the local side is an io.Reader
	unseekable                  // ... that cannot seek
	wholeFiles                  // trees
)

// modeMask is what of a source's mode the target takes, 0 being nothing: bits that would give
// rights away are taken only when asked for (cves 8.15).
func (o *TransferOptions) modeMask() uint32 {
	switch {
	case o.Preserve&PreserveSetID != 0:
		return ModePerm
	case o.Preserve&PreserveMode != 0:
		return 0o777
	}
	return 0
}

// modeOf returns the mode that the target is to get, if any: Mode, or that of the source.
func (o *TransferOptions) modeOf(source *Attrs) (mode uint32, ok bool) {
	if o.Mode != 0 {
		return ModeFromFS(o.Mode) & ModePerm, true
	}
	if mask := o.modeMask(); mask != 0 && source != nil && source.Has(AttrMode) {
		return source.Mode & mask, true
	}
	return 0, false
}
