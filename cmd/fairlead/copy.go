package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// copyOptions is what the flags of get and put say.
type copyOptions struct {
	clientOptions
	recursive, preserve, verify bool
	inPlace, noResume, sync     bool
	ifExists                    sftp.IfExists
	links                       sftp.Links
	include, exclude            []string
	parallel                    int
	dryRun                      bool
}

func copyFlags(command string, o *copyOptions) *flagSet {
	f := newFlagSet(command)
	there := map[string]string{"get": "here", "put": "on the host"}[command]
	f.on(&o.recursive, "r,recursive", "directories, with all that is in them")
	f.on(&o.preserve, "p,preserve", "keep times and permissions")
	f.on(&o.verify, "verify", "compare when all is there: by a hash that the host makes, or else by reading everything again")
	f.on(&o.noResume, "no-resume", "begin anew, whatever an earlier run left in NAME.filepart (which stays as it is), and leave nothing when this one fails")
	f.on(&o.inPlace, "in-place", "write into the file itself, in place of NAME.filepart that takes its place when it is whole; such a file is not gone on with")
	f.on(&o.sync, "sync", "make every file of a tree durable before it takes its place, as is done with single files")
	choice(f, &o.ifExists, "if-exists", "overwrite|skip|fail", "what to do about a file that is "+there+" already (default overwrite)",
		wordFor[sftp.IfExists]{"overwrite", sftp.Overwrite}, wordFor[sftp.IfExists]{"skip", sftp.SkipIfExists}, wordFor[sftp.IfExists]{"fail", sftp.FailIfExists})
	choice(f, &o.links, "links", "skip|follow|copy", "what to do about symlinks in a tree: leave them out, take what they lead to inside of the tree, or make them anew as far as they stay inside (default skip)",
		wordFor[sftp.Links]{"skip", sftp.SkipLinks}, wordFor[sftp.Links]{"follow", sftp.FollowLinks}, wordFor[sftp.Links]{"copy", sftp.CopyLinks})
	f.list(&o.include, "include", "PATTERN", "of a tree only files that match: a name, or with a slash a path below its root, ** being any directories; may be repeated")
	f.list(&o.exclude, "exclude", "PATTERN", "of a tree not what matches; may be repeated")
	f.value(func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 256 {
			return errors.New("is not a number from 1 to 256")
		}
		o.parallel = n
		return nil
	}, "parallel", "N", "how many files of a tree are under way at a time (default 16)")
	f.value(func(s string) error {
		err := settings.Scan(&o.limit, settings.Bytes, s)
		if err != nil || o.limit < 1 {
			return errors.New("is not a number of bytes a second, such as 500k or 2M")
		}
		return nil
	}, "l,limit", "RATE", "move no more than that many bytes a second, each way: 500k, 2M, 1G")
	f.on(&o.dryRun, "n,dry-run", "change nothing, and print what would be copied")
	o.clientOptions.add(f, "h,help")
	return f
}

// A copier gets or puts one thing after the other.
type copier struct {
	*client
	o      *copyOptions
	d      *display
	failed int
	// made is the source of a tree that became the target itself, which was not there: the
	// next time it is, and the tree would go into it.
	made string
}

// options are those of single files.
func (c *copier) options() sftp.TransferOptions {
	o := sftp.TransferOptions{
		IfExists: c.o.ifExists,
		Atomic:   !c.o.inPlace,
		// A server that cannot replace a file in one step: better no file for a moment
		// than half a one for a while.
		MoveAside:       !c.o.inPlace,
		BestEffortAttrs: true,
		Progress:        c.d.update,
	}
	if !c.o.noResume && !c.o.inPlace {
		o.Resume = sftp.ResumeOrRestart
	}
	if c.o.verify {
		o.Verify = sftp.VerifyContent
	}
	if c.o.preserve {
		o.Preserve = sftp.PreserveTimes | sftp.PreserveMode
	}
	return o
}

// streamOptions are those of standard input and output, which are no files.
func (c *copier) streamOptions() sftp.TransferOptions {
	o := sftp.TransferOptions{Progress: c.d.update}
	if c.o.verify {
		o.Verify = sftp.VerifyContent
	}
	return o
}

// treeOptions are those of trees.
func (c *copier) treeOptions(verb string) sftp.TreeOptions {
	o := sftp.TreeOptions{
		TransferOptions: c.options(), Links: c.o.links, Include: c.o.include, Exclude: c.o.exclude,
		Parallel: c.o.parallel, KeepGoing: true, DryRun: c.o.dryRun,
	}
	o.NoSync = !c.o.sync
	o.Report = func(e *sftp.TreeEvent) { c.report(verb, e) }
	return o
}

// report tells of an entry of a tree.
func (c *copier) report(verb string, e *sftp.TreeEvent) {
	name := plain(e.Path)
	if name == "" {
		name = "."
	}
	switch {
	case e.Action == sftp.EntryFailed:
		c.fail(e.Err)
	case e.Action == sftp.EntrySkipped || e.Result.Skipped:
		if c.o.verbose {
			c.d.say("%s: left out: %s", name, plain(orElse(e.Why, "it is there")))
		}
	case c.o.dryRun:
		fmt.Fprintf(c.stdout, "%s %s\n", verb, name)
	case c.o.verbose && e.Action == sftp.FileCopied:
		c.d.say("%s%s", name, checks(e.Result))
	}
	if e.Result.AttrsErr != nil {
		c.d.say("fairlead: %s: times or permissions were not kept: %s", name, reason(e.Result.AttrsErr))
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// checks tells what was kept and verified.
func checks(r sftp.TransferResult) string {
	var b strings.Builder
	if r.Resumed > 0 {
		fmt.Fprintf(&b, ", %s were there (compared by %s)", humanSize(uint64(r.Resumed)), how(r.Kept, r.Hash))
	}
	if r.Verified != sftp.CheckNone {
		fmt.Fprintf(&b, ", verified by %s", how(r.Verified, r.Hash))
	}
	return b.String()
}

func how(c sftp.Check, hash string) string {
	if c == sftp.CheckHash && hash != "" {
		return plain(hash)
	}
	return c.String()
}

// done tells of a file that is there.
func (c *copier) done(name string, r sftp.TransferResult, took time.Duration) {
	switch {
	case r.Skipped:
		c.tellBeside("%s: left out: it is there", plain(name))
	default:
		c.tellBeside("%s: %s in %s%s%s", plain(name), humanSize(uint64(r.Transferred)), clock(took), rate(r.Transferred, took), checks(r))
	}
	if r.AttrsErr != nil {
		c.d.say("fairlead: %s: times or permissions were not kept: %s", plain(name), reason(r.AttrsErr))
	}
}

// treeDone tells of a tree that is there.
func (c *copier) treeDone(name string, r *sftp.TreeResult, took time.Duration) {
	if r == nil || c.o.dryRun {
		return
	}
	text := fmt.Sprintf("%s: %d files and %d directories", plain(name), r.Files, r.Dirs)
	if r.Links > 0 {
		text += fmt.Sprintf(" and %d symlinks", r.Links)
	}
	text += fmt.Sprintf(", %s in %s%s", humanSize(uint64(r.Transferred)), clock(took), rate(r.Transferred, took))
	if r.Resumed > 0 {
		text += fmt.Sprintf(", %s were there", humanSize(uint64(r.Resumed)))
	}
	if r.Skipped > 0 {
		text += fmt.Sprintf(", %d left out", r.Skipped)
		if !c.o.verbose {
			text += " (-v names them)"
		}
	}
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d failed", r.Failed)
	}
	c.tellBeside("%s", text)
}

// rate is the speed of what took long enough to have one.
func rate(n int64, took time.Duration) string {
	if n == 0 || took < 100*time.Millisecond {
		return ""
	}
	return " (" + humanSize(uint64(float64(n)/took.Seconds())) + "/s)"
}

// tellBeside is tell beside a bar.
func (c *copier) tellBeside(format string, args ...any) {
	if !c.o.quiet {
		c.d.say(format, args...)
	}
}

// fail tells of something that failed, while others go on.
func (c *copier) fail(err error) {
	c.failed++
	c.d.say("fairlead: %s", reason(err))
}

// failFile is fail for a transfer, with what to do about it.
func (c *copier) failFile(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // said once, at the end
	}
	c.fail(c.advise(err))
}

// advise adds what can be done about an error.
func (c *copier) advise(err error) error {
	resumes := !c.o.noResume && !c.o.inPlace
	var status *sftp.StatusError
	switch {
	case errors.Is(err, sftp.ErrMismatch):
		return advised{err, "--no-resume begins anew"}
	case errors.As(err, new(*sftp.ConnectionError)) && resumes:
		return advised{err, c.again() + " goes on where this one stopped"}
	case isRename(err) && !c.o.inPlace:
		return advised{err, "a host that takes files and moves none wants --in-place"}
	case errors.As(err, &status) && isVerify(err) && errors.Is(err, sftp.CodePermissionDenied):
		return advised{err, "the host does not let this user read what it was sent; without --verify it counts that the host confirmed every write"}
	case errors.As(err, &status) && errors.Is(err, sftp.CodePermissionDenied) && resumes && strings.Contains(err.Error(), "put"):
		return advised{err, "where a file may be written but none made beside it, --in-place helps"}
	}
	return err
}

// again is the command that goes on where this one stops.
func (c *copier) again() string {
	if c.made == "" {
		return "the same command"
	}
	return fmt.Sprintf("the same command with %s/. for %s", plain(strings.TrimRight(c.made, "/")), plain(c.made))
}

// conclude is the end of get or put.
func (c *copier) conclude(ctx context.Context) error {
	c.d.end()
	if ctx.Err() != nil {
		text := "stopped"
		if !c.o.noResume && !c.o.inPlace {
			text += "; " + c.again() + " goes on where this one was"
		}
		fmt.Fprintf(c.stderr, "fairlead: %s\n", text)
		return context.Cause(ctx)
	}
	if c.failed > 0 {
		return loggedError{someFailed{c.failed}}
	}
	return nil
}

// copyUsage prints the help of get or put.
func copyUsage(w io.Writer, text string, f *flagSet) error {
	_, err := io.WriteString(w, text)
	f.help(w)
	return err
}
