package sftp

import "fmt"

// TreeOptions say how a tree is transferred; the zero value takes all directories and regular
// files, skips symlinks, and stops at the first error.
type TreeOptions struct {
	// TransferOptions are for each file. Offset, Length, Size and AppendTo do not apply.
	// Progress is about the whole tree. Preserve is kept for directories, too.
	TransferOptions
	// Links says what to do about symlinks.
	Links Links
	// Include and Exclude choose by patterns (path.Match, and "**" for any number of
	// directories) on the path below the root, or, without a slash, on the last element.
	// What matches an Exclude is left out, directories with all that is in them. If there
	// is an Include, files and symlinks must match one.
	Include, Exclude []string
	// Filter, if set, is asked about whatever the patterns let through; of a directory,
	// false leaves out all that is in it. It may be called concurrently.
	Filter func(path string, a *Attrs) bool
	// Parallel is how many files and listings are under way at a time; 0 is 16.
	// Small files over a long link take round trips, not bytes.
	Parallel int
	// MaxDepth is how many directories may lie in one another; 0 is 256. Deeper ones are errors.
	MaxDepth int
	// KeepGoing goes on after errors about single entries.
	KeepGoing bool
	// DryRun changes nothing; events and the result tell what would be done.
	DryRun bool
	// Report, if set, is told of every entry, by one goroutine at a time. The event is
	// valid during the call.
	Report func(*TreeEvent)
}

// Links says what a tree transfer does about symlinks.
type Links uint8

// The ways to treat symlinks.
const (
	SkipLinks Links = iota // reported and left out
	// FollowLinks transfers what a link leads to, if that lies inside the tree; a
	// directory inside itself is an error.
	FollowLinks
	// CopyLinks makes symlinks, if their text leads to something inside the tree:
	// relative, and with ".." only at its beginning.
	CopyLinks
)

// TreeEvent is the outcome for one entry of a tree.
type TreeEvent struct {
	Path   string         // below the root, with slashes; "" is the root itself
	Action TreeAction     // what was done
	Attrs  *Attrs         // of the source, as far as they are known
	Result TransferResult // of a file
	Why    string         // of what was left out
	Err    error          // of what failed: a *TransferError
}

// TreeAction is what was done about an entry.
type TreeAction uint8

// The actions.
const (
	FileCopied   TreeAction = iota // or there already, see TransferResult.Skipped
	DirMade                        // or there already
	LinkMade                       // with CopyLinks
	EntrySkipped                   // by its type or by the options; see TreeEvent.Why
	EntryFailed                    // see TreeEvent.Err
)

// TreeResult is the outcome of a tree transfer.
type TreeResult struct {
	Files, Dirs, Links int64 // done
	Skipped            int64 // left out: special files, symlinks, what there was; not what patterns leave out
	Failed             int64
	Transferred        int64 // bytes that went over the wire
	Resumed            int64 // bytes that were there and were kept
}

// TreeError is what a tree transfer with KeepGoing returns if entries failed.
type TreeError struct {
	Failed int64   // how many entries
	Errors []error // the first of them: *TransferError
}

// Error returns the number and the first error.
func (e *TreeError) Error() string {
	if e.Failed == 1 && len(e.Errors) == 1 {
		return e.Errors[0].Error()
	}
	return fmt.Sprintf("sftp: %d entries failed, the first: %v", e.Failed, e.Errors[0])
}

// Unwrap returns Errors.
func (e *TreeError) Unwrap() []error { return e.Errors }
