package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// puttyArgs are the options that psftp, pscp and plink share.
func puttyArgs(j job) ([]string, error) {
	args := []string{"-batch", "-P", strconv.Itoa(j.Port), "-l", j.User}
	for _, line := range j.HostKeys {
		key, _, _, _, err := gossh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, err
		}
		args = append(args, "-hostkey", gossh.FingerprintSHA256(key))
	}
	switch {
	case j.Password != "":
		args = append(args, "-pw", j.Password)
	case j.PPK != "":
		args = append(args, "-noagent", "-i", j.PPK)
	default:
		return nil, errors.New("putty: no puttygen to convert the user's key with")
	}
	return args, nil
}

// puttyEnv gives each run an empty configuration directory, with the rekey limit as its only setting.
func puttyEnv(j job) (env []string, cleanup func(), err error) {
	dir, err := os.MkdirTemp(scratch, "putty-")
	if err != nil {
		return nil, nil, err
	}
	if j.RekeyBytes > 0 {
		if err := os.Mkdir(dir+"/sessions", 0o700); err != nil {
			return nil, nil, err
		}
		text := fmt.Sprintf("RekeyBytes=%d\n", j.RekeyBytes)
		if err := os.WriteFile(dir+"/sessions/Default%20Settings", []byte(text), 0o600); err != nil {
			return nil, nil, err
		}
	}
	return []string{"PUTTYDIR=" + dir}, func() { os.RemoveAll(dir) }, nil
}

// puttyPSFTP runs psftp with all steps as one batch.
var puttyPSFTP = &client{
	name: "PuTTY psftp",
	find: findProgram("psftp", "Release", "-V"),
	cannot: map[string]string{
		"putp":    "psftp does not keep times",
		"getp":    "psftp does not keep times",
		"symlink": "psftp has no symlink command",
		"exec":    "psftp runs no commands",
	},
	reference: map[string]string{
		// Measured with PuTTY 0.78 and OpenSSH 9.2 over loopback: the same upload of 1 GiB took from 8 s to 6 min;
		// in a slow one both ends waited 10 to 140 ms between bursts of small packets. The cause was not found.
		"put big": "psftp to sshd takes from 8 s to 6 min for 1 GiB: no fair cell",
	},
	run: func(ctx context.Context, j job) (outcome, error) {
		quote := quoteWith(strings.NewReplacer(`"`, `""`))
		var batch strings.Builder
		for _, s := range j.Steps {
			local, remote := quote(s.Local), quote(s.Remote)
			switch s.Verb {
			case vList:
				fmt.Fprintf(&batch, "ls %s\n", remote)
			case vPut, vReput:
				fmt.Fprintf(&batch, "%s %s %s\n", s.Verb, local, remote)
			case vGet, vReget:
				fmt.Fprintf(&batch, "%s %s %s\n", s.Verb, remote, local)
			case vRename:
				fmt.Fprintf(&batch, "mv %s %s\n", remote, quote(s.To))
			case vRemove, vMkdir, vRmdir:
				fmt.Fprintf(&batch, "%s %s\n", s.Verb, remote)
			case vChmod:
				fmt.Fprintf(&batch, "chmod %o %s\n", s.Mode, remote)
			default:
				return outcome{}, fmt.Errorf("psftp: no verb %s", s.Verb)
			}
		}
		batch.WriteString("quit\n")
		args, err := puttyArgs(j)
		if err != nil {
			return outcome{}, err
		}
		env, cleanup, err := puttyEnv(j)
		if err != nil {
			return outcome{}, err
		}
		defer cleanup()
		script, err := tempFile("psftp-", batch.String())
		if err != nil {
			return outcome{}, err
		}
		defer os.Remove(script)
		args = append(args, "-b", script, j.Host)
		out, err := command{"psftp", args, env, nil}.run(ctx)
		return outcome{Listed: longNames(out.stdout)}, err
	},
}

// puttyPSCP runs pscp over SFTP, one process per step.
var puttyPSCP = &client{
	name: "PuTTY pscp",
	find: findProgram("pscp", "Release", "-V"),
	cannot: onlyCopies("pscp", map[string]string{
		"list":  "",
		"reput": "pscp has no resume",
		"reget": "pscp has no resume",
	}),
	run: func(ctx context.Context, j job) (outcome, error) {
		var result outcome
		if len(j.Steps) == 0 {
			return result, errors.New("pscp: nothing to copy")
		}
		for _, s := range j.Steps {
			args, err := puttyArgs(j)
			if err != nil {
				return result, err
			}
			args = append(args, "-sftp", "-q")
			remote := j.Host + ":" + s.Remote
			switch s.Verb {
			case vList:
				args = append(args, "-ls", remote)
			case vPut:
				args = append(args, s.Local, remote)
			case vGet:
				args = append(args, remote, s.Local)
			case vPutKeep:
				args = append(args, "-p", s.Local, remote)
			case vGetKeep:
				args = append(args, "-p", remote, s.Local)
			default:
				return result, fmt.Errorf("pscp: no verb %s", s.Verb)
			}
			env, cleanup, err := puttyEnv(j)
			if err != nil {
				return result, err
			}
			out, err := command{"pscp", args, env, nil}.run(ctx)
			cleanup()
			if err != nil {
				return result, err
			}
			if s.Verb == vList {
				result.Listed = append(result.Listed, longNames(out.stdout)...)
			}
		}
		return result, nil
	},
}

// puttyPlink runs plink, for commands only.
var puttyPlink = &client{
	name: "PuTTY plink",
	find: findProgram("plink", "Release", "-V"),
	run: func(ctx context.Context, j job) (outcome, error) {
		var result outcome
		for _, s := range j.Steps {
			if s.Verb != vExec {
				return result, fmt.Errorf("plink: no verb %s", s.Verb)
			}
			args, err := puttyArgs(j)
			if err != nil {
				return result, err
			}
			env, cleanup, err := puttyEnv(j)
			if err != nil {
				return result, err
			}
			result.Status, _, err = runFilter(ctx, command{"plink", append(args, "-T", j.Host, s.Command), env, nil}, s)
			cleanup()
			if err != nil {
				return result, err
			}
		}
		return result, nil
	},
}

// longLine tells a line of a listing from what PuTTY says about itself.
var longLine = regexp.MustCompile(`^[-bcdlps][-rwxsStT]{9}\S* `)

// longNames takes the file names out of ls -l style lines, which PuTTY prints as the server sent them.
func longNames(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if !longLine.MatchString(line) {
			continue
		}
		rest, ok := line, true
		for range 8 { // mode links owner group size month day time-or-year
			_, rest, ok = strings.Cut(strings.TrimLeft(rest, " "), " ")
			if !ok {
				break
			}
		}
		if name, _, _ := strings.Cut(rest, " -> "); ok && name != "" {
			names = append(names, name)
		}
	}
	return names
}

func tempFile(prefix, text string) (string, error) {
	f, err := os.CreateTemp(scratch, prefix)
	if err != nil {
		return "", err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return "", err
	}
	return f.Name(), f.Close()
}
