package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// The tests named TestSFTP put clients and servers through the operations of SFTP's versions 3 to 6. A driver is a
// client in one connection; it takes one op after the other. The programs under testdata read each as one line of
// form-encoded fields and answer with such a line.

// An op is one thing that a client is asked to do. Remote paths are absolute.
type op struct {
	verb  string
	path  string
	to    string // the other path: a new name, the target of a link, a copy
	local string // a local file
	args  args
}

// args are an op's fields beyond the paths; numbers are decimal.
type args map[string]any

func (o op) String() string {
	s := o.verb
	for _, name := range []string{o.path, o.to} {
		if name != "" {
			s += " " + name
		}
	}
	return s
}

// encode returns the op as a line for a program.
func (o op) encode() string {
	v := url.Values{"verb": {o.verb}}
	for key, value := range map[string]string{"path": o.path, "to": o.to, "local": o.local} {
		if value != "" {
			v.Set(key, value)
		}
	}
	for key, value := range o.args {
		v.Set(key, fmt.Sprint(value))
	}
	return v.Encode()
}

// An answer is what a client tells of an op: its fields by name.
//
//	na              why the client or this server has no way to do it
//	code, error     an SFTP status code and text; code -1 is an error of another kind
//	name, n, text   names, numbers and one text that the op asks for
//	type, size, uid, gid, owner, group, mode, atime, atime_ns, mtime, mtime_ns, nlink
//	                attributes; what the client did not get is not there
type answer url.Values

func (a answer) text(key string) string { return url.Values(a).Get(key) }
func (a answer) has(key string) bool    { return url.Values(a).Has(key) }
func (a answer) code() int              { return atoi(a.text("code")) }

// numbers are the fields n.
func (a answer) numbers() []int {
	var all []int
	for _, n := range a["n"] {
		all = append(all, atoi(n))
	}
	return all
}

// atoi takes what is no number for -1, which no field can be.
func atoi(s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// told makes an answer of keys and values.
func told(pairs ...any) answer {
	a := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		a.Add(fmt.Sprint(pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return answer(a)
}

func notApplicable(why string) answer { return told("na", why) }

// A notApplicableError is the reason why there is no way to do something.
type notApplicableError struct{ why string }

func (e *notApplicableError) Error() string { return e.why }

// A driver is an SFTP client. An error means that it is gone.
type driver interface {
	do(ctx context.Context, o op) (answer, error)
	quit()
}

// A programDriver is one of the programs under testdata.
type programDriver struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *bufio.Reader
	stderr *lockedBuffer
}

func newProgramDriver(cmd *exec.Cmd) (driver, error) {
	d := &programDriver{cmd: cmd, stderr: new(lockedBuffer)}
	cmd.Stderr = d.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	theirs, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin, d.in = theirs, in
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	theirs.Close()
	if err != nil {
		in.Close()
		return nil, err
	}
	d.out = bufio.NewReader(out)
	return d, nil
}

func (d *programDriver) do(ctx context.Context, o op) (answer, error) {
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	fail := func(err error) (answer, error) {
		return nil, fmt.Errorf("%s: the client is gone: %w %s", o, errors.Join(err, ctx.Err()), tail(d.stderr.String()))
	}
	if _, err := fmt.Fprintln(d.in, o.encode()); err != nil {
		return fail(err)
	}
	line, err := d.out.ReadString('\n')
	if err != nil {
		return fail(err)
	}
	a, err := parseAnswer(strings.TrimSpace(line))
	if err != nil {
		return fail(fmt.Errorf("%w: %q", err, tail(line)))
	}
	return a, nil
}

// parseAnswer reads a line of form-encoded fields, of which there may be more than url.ParseQuery takes.
func parseAnswer(line string) (answer, error) {
	a := make(answer)
	for field := range strings.SplitSeq(line, "&") {
		if field == "" {
			continue
		}
		key, value, _ := strings.Cut(field, "=")
		text, err := url.QueryUnescape(value)
		if err != nil {
			return nil, err
		}
		a[key] = append(a[key], text)
	}
	return a, nil
}

func (d *programDriver) quit() {
	d.in.Close()
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	_ = d.cmd.Wait() // killed
}
