package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A client is a foreign program or library that can be given jobs.
type client struct {
	name string
	// find returns the installed version, or why the client cannot be run here.
	find func() (string, error)
	// run does the job; it fails when any step fails.
	run func(ctx context.Context, j job) (outcome, error)
	// cannot says what this client has no way to do, by verb or column name, with the reason.
	cannot map[string]string
	// reference is as cannot, but only against OpenSSH's sshd.
	reference map[string]string
	// modest: the large file is no larger than 64 MiB for it, or it would take minutes.
	modest bool
}

// errMissing is the reason of a client that is not installed.
var errMissing = errors.New("not installed")

// clients are the rows of the matrix.
var clients = []*client{
	opensshSFTP, opensshSCP, sshfs, puttyPSFTP, puttyPSCP,
	paramiko, asyncssh, nodeSSH2, curl, lftp, rclone, goClient,
	rubyNet.client(), phpseclib.client(), perlSSH2.client(), jsch.client(), sshj.client(),
}

// reason returns why the client cannot do something that needs these verbs, "" if it can.
func (c *client) reason(column string, needs ...verb) string {
	if why := c.cannot[column]; why != "" {
		return why
	}
	if why := c.reference[column]; why != "" && reference {
		return why
	}
	for _, v := range needs {
		if why := c.cannot[string(v)]; why != "" {
			return why
		}
	}
	return ""
}

// A command is one run of a program.
type command struct {
	name  string
	args  []string
	env   []string // on top of the environment, which has a UTF-8 locale
	stdin []byte
}

// output is what a program printed.
type output struct{ stdout, stderr string }

// run runs the program to its end. When ctx ends first, the program's whole process group is killed.
func (c command) run(ctx context.Context) (output, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.name, c.args...)
	cmd.Env = append(slices.Clone(os.Environ()), "LC_ALL=C.UTF-8", "TERM=dumb", "DISPLAY=")
	cmd.Env = append(cmd.Env, c.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.stdin), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	out := output{stdout.String(), stderr.String()}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\nstdout: %s\nstderr: %s", c.name, err, tail(out.stdout), tail(out.stderr))
	}
	return out, err
}

func tail(s string) string { return s[max(0, len(s)-1500):] }

// findProgram returns a find function that asks an installed program for its version. versionLine picks the
// line that contains it, the first line if empty.
func findProgram(program, versionLine string, versionArgs ...string) func() (string, error) {
	return func() (string, error) {
		if _, err := exec.LookPath(program); err != nil {
			return "", errMissing
		}
		// Several programs print their version and exit with an error: the text decides.
		out, _ := exec.Command(program, versionArgs...).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, versionLine) {
				return strings.TrimSpace(line), nil
			}
		}
		return "", fmt.Errorf("%s does not tell its version: %s", program, tail(string(out)))
	}
}

// askpass returns the environment in which OpenSSH's programs get the password from this test binary.
func askpass(password string) []string {
	self, err := os.Executable()
	if err != nil {
		panic(err) // the running program has no name: nothing can be tested on such a machine
	}
	return []string{"SSH_ASKPASS=" + self, "SSH_ASKPASS_REQUIRE=force", askpassEnv + "=" + password}
}

// quoteWith returns a function that puts double quotes round a name.
func quoteWith(escapes *strings.Replacer) func(string) string {
	return func(s string) string { return `"` + escapes.Replace(s) + `"` }
}
