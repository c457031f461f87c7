package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
)

var opensshVersion = findProgram("ssh", "OpenSSH", "-V")

// sshOptions are the -o options every program on top of OpenSSH's ssh gets.
func sshOptions(j job) []string {
	options := []string{
		"StrictHostKeyChecking=yes", "UserKnownHostsFile=" + j.KnownHosts, "GlobalKnownHostsFile=none",
		"UpdateHostKeys=no", "IdentityAgent=none", "LogLevel=ERROR",
	}
	if j.Password != "" {
		options = append(options, "PreferredAuthentications=password", "NumberOfPasswordPrompts=1")
	} else {
		options = append(options, "PreferredAuthentications=publickey", "IdentitiesOnly=yes", "IdentityFile="+j.Key)
	}
	for _, o := range []struct{ name, value string }{
		{"KexAlgorithms", j.Algorithms.Kex},
		{"HostKeyAlgorithms", j.Algorithms.HostKey},
		{"Ciphers", j.Algorithms.Cipher},
		{"MACs", j.Algorithms.MAC},
	} {
		if o.value != "" {
			options = append(options, o.name+"="+o.value)
		}
	}
	if j.RekeyBytes > 0 {
		options = append(options, "LogLevel=DEBUG1", "RekeyLimit="+strconv.Itoa(j.RekeyBytes))
	}
	return options
}

// sshArgs are the same as command line arguments. ssh takes the first value of each option.
func sshArgs(j job) []string {
	args := []string{"-F", "none"}
	for _, option := range slices.Backward(sshOptions(j)) { // LogLevel=DEBUG1 must come before LogLevel=ERROR
		args = append(args, "-o", option)
	}
	return args
}

func opensshEnv(j job) []string {
	if j.Password != "" {
		return askpass(j.Password)
	}
	return nil
}

// countRekeys counts the key exchanges after the first in ssh's debug output.
func countRekeys(stderr string) int {
	return max(0, strings.Count(stderr, "SSH2_MSG_NEWKEYS received")-1)
}

// opensshSFTP runs sftp with all steps as one batch.
var opensshSFTP = &client{
	name: "OpenSSH sftp",
	find: opensshVersion,
	cannot: map[string]string{
		"exec": "sftp runs no commands",
	},
	run: func(ctx context.Context, j job) (outcome, error) {
		quote := quoteWith(strings.NewReplacer(`\`, `\\`, `"`, `\"`))
		var batch strings.Builder
		for _, s := range j.Steps {
			local, remote := quote(s.Local), quote(s.Remote)
			switch s.Verb {
			case vList:
				fmt.Fprintf(&batch, "cd %s\nls -1a\n", remote)
			case vPut:
				fmt.Fprintf(&batch, "put %s %s\n", local, remote)
			case vGet:
				fmt.Fprintf(&batch, "get %s %s\n", remote, local)
			case vPutKeep:
				fmt.Fprintf(&batch, "put -p %s %s\n", local, remote)
			case vGetKeep:
				fmt.Fprintf(&batch, "get -p %s %s\n", remote, local)
			case vReput:
				fmt.Fprintf(&batch, "reput %s %s\n", local, remote)
			case vReget:
				fmt.Fprintf(&batch, "reget %s %s\n", remote, local)
			case vRename:
				fmt.Fprintf(&batch, "rename %s %s\n", remote, quote(s.To))
			case vRemove, vMkdir, vRmdir:
				fmt.Fprintf(&batch, "%s %s\n", s.Verb, remote)
			case vChmod:
				fmt.Fprintf(&batch, "chmod %o %s\n", s.Mode, remote)
			case vSymlink:
				fmt.Fprintf(&batch, "ln -s %s %s\n", quote(s.To), remote)
			default:
				return outcome{}, fmt.Errorf("sftp: no verb %s", s.Verb)
			}
		}
		// The batch goes in a file's place on stdin; BatchMode would refuse password authentication.
		args := append(sshArgs(j), "-o", "BatchMode=no", "-P", strconv.Itoa(j.Port), "-b", "-", j.User+"@"+j.Host)
		args = append([]string{"-o", "BatchMode=no"}, args...)
		out, err := command{"sftp", args, opensshEnv(j), []byte(batch.String())}.run(ctx)
		result := outcome{Rekeys: countRekeys(out.stderr)}
		for line := range strings.Lines(out.stdout) {
			name := strings.TrimRight(line, "\r\n")
			if !strings.HasPrefix(name, "sftp> ") {
				result.Listed = append(result.Listed, name)
			}
		}
		return result, err
	},
}

// opensshSCP runs scp over SFTP, one process per step.
var opensshSCP = &client{
	name: "OpenSSH scp -s",
	find: opensshVersion,
	cannot: onlyCopies("scp", map[string]string{
		"reput": "scp has no resume",
		"reget": "scp has no resume",
	}),
	run: func(ctx context.Context, j job) (outcome, error) {
		var result outcome
		if len(j.Steps) == 0 { // scp logs in only to copy something
			return result, errors.New("scp: nothing to copy")
		}
		for _, s := range j.Steps {
			args := append(sshArgs(j), "-s", "-P", strconv.Itoa(j.Port))
			remote := fmt.Sprintf("%s@%s:%s", j.User, j.Host, s.Remote)
			switch s.Verb {
			case vPut:
				args = append(args, s.Local, remote)
			case vGet:
				args = append(args, remote, s.Local)
			case vPutKeep:
				args = append(args, "-p", s.Local, remote)
			case vGetKeep:
				args = append(args, "-p", remote, s.Local)
			default:
				return result, fmt.Errorf("scp: no verb %s", s.Verb)
			}
			if j.RekeyBytes > 0 {
				args = append([]string{"-v"}, args...)
			}
			out, err := command{"scp", args, opensshEnv(j), nil}.run(ctx)
			result.Rekeys += countRekeys(out.stderr)
			if err != nil {
				return result, err
			}
		}
		return result, nil
	},
}

// onlyCopies is the cannot table of a program that copies files and does nothing else.
func onlyCopies(program string, more map[string]string) map[string]string {
	cannot := map[string]string{"exec": program + " runs no commands"}
	for _, v := range []verb{vList, vRename, vRemove, vMkdir, vRmdir, vChmod, vSymlink} {
		cannot[string(v)] = fmt.Sprintf("%s has no %s command", program, v)
	}
	for v, why := range more {
		cannot[v] = why
		if why == "" {
			delete(cannot, v)
		}
	}
	return cannot
}

// opensshSSH runs ssh, for commands only.
var opensshSSH = &client{
	name: "OpenSSH ssh",
	find: opensshVersion,
	run: func(ctx context.Context, j job) (outcome, error) {
		var result outcome
		for _, s := range j.Steps {
			if s.Verb != vExec {
				return result, fmt.Errorf("ssh: no verb %s", s.Verb)
			}
			args := append(sshArgs(j), "-T", "-p", strconv.Itoa(j.Port), j.User+"@"+j.Host, s.Command)
			status, stderr, err := runFilter(ctx, command{"ssh", args, opensshEnv(j), nil}, s)
			result.Rekeys += countRekeys(stderr)
			result.Status = status
			if err != nil {
				return result, err
			}
		}
		return result, nil
	},
}

// runFilter runs c with the step's Local as standard input and its To as standard output, and returns the exit
// status that the remote command ended with.
func runFilter(ctx context.Context, c command, s step) (status int, stderr string, err error) {
	if s.Local != "" {
		if c.stdin, err = os.ReadFile(s.Local); err != nil {
			return 0, "", err
		}
	}
	out, err := c.run(ctx)
	if s.To != "" {
		if err := os.WriteFile(s.To, []byte(out.stdout), 0o600); err != nil {
			return 0, out.stderr, err
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), out.stderr, nil
	}
	return 0, out.stderr, err
}

// baseNames turns paths, one per line, into names.
func baseNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			names = append(names, path.Base(line))
		}
	}
	return names
}
