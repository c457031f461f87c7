// Fairlead is an SFTP server that is useful without any configuration:
//
//	fairlead serve
//
// serves ./fairlead-data on 127.0.0.1:2022 to a user whose password it makes
// up and prints. See "fairlead serve -h" for what can be set.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit statuses.
const (
	statusOK     = 0
	statusFailed = 1 // something went wrong while running
	statusUsage  = 2 // it could not start as asked
	// no connection, or no login, as ssh and sftp have it; 128 and the number of a signal
	// is for what it ended
	statusConnect = 255
)

const usage = `usage: fairlead get [flags] SOURCE... [DIR]
       fairlead put [flags] FILE... TARGET
       fairlead ls [flags] TARGET...
       fairlead serve [flags] [DIR]
       fairlead serve --stdio [flags]
       fairlead check [flags] FILE
       fairlead passwd [flags]
       fairlead version

"fairlead get --help" lists the flags of get, and so on.
`

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if _, stdio := cutStdio(os.Args[1:]); stdio {
		// What sshd does to a session whose client is gone. A pipe without a reader is
		// an error of Write then, and not the end of the process.
		signal.Notify(signals, syscall.SIGHUP)
		signal.Ignore(syscall.SIGPIPE)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, signals))
}

// run is main without the process around it.
func run(args []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	return thisProcess(stdout, stderr, signals).run(args)
}

// run runs the command that args name, and returns the exit status.
func (p *process) run(args []string) int {
	stdout, stderr, signals := p.stdout, p.stderr, p.signals
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "serve":
		if rest, stdio := cutStdio(args); stdio {
			err = serveStdio(rest, stdout, stderr, processStreams(), signals)
			break
		}
		err = serve(args, stdout, stderr, signals)
	case "get":
		err = p.get(args)
	case "put":
		err = p.put(args)
	case "ls":
		err = p.ls(args)
	case "check":
		err = p.check(args)
	case "passwd":
		err = p.passwd(args)
	case "version", "--version":
		_, err = fmt.Fprintln(stdout, "fairlead", version())
	case "help", "-h", "-help", "--help":
		if len(args) > 0 && args[0] != command { // "help get" is "get --help"
			return p.run([]string{args[0], "--help"})
		}
		_, err = io.WriteString(stdout, usage)
	case "":
		err = usageError{errors.New(`no command given; try "fairlead serve", or "fairlead help"`)}
	default:
		err = usageError{fmt.Errorf("%q is not a command; try %q", command, "fairlead help")}
	}
	return conclude(err, stderr)
}

// conclude tells what went wrong, if it was not told, and returns the exit status.
func conclude(err error, stderr io.Writer) int {
	if err == nil {
		return statusOK
	}
	if end := (signalError{}); errors.As(err, &end) {
		return end.status()
	}
	if !errors.As(err, new(loggedError)) {
		fmt.Fprintf(stderr, "fairlead: %s\n", reason(err))
	}
	switch {
	case errors.As(err, new(usageError)):
		return statusUsage
	case errors.Is(err, errConnect):
		return statusConnect
	}
	return statusFailed
}

// A usageError is a reason not to start: a wrong flag, an unreadable key, a
// busy port.
type usageError struct{ error }

// Unwrap returns the reason.
func (e usageError) Unwrap() error { return e.error }

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
