package interop

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// curl runs one process per step. Its SFTP is libssh2's.
var curl = &client{
	name: "curl (libssh2)",
	find: findCurl,
	cannot: map[string]string{
		"putp": "curl sets no times on the server",
		"exec": "curl runs no commands",
	},
	run: func(ctx context.Context, j job) (outcome, error) {
		var result outcome
		steps := j.Steps
		if len(steps) == 0 {
			steps = []step{{Verb: vList, Remote: "/"}}
		}
		quote := quoteWith(strings.NewReplacer(`\`, `\\`, `"`, `\"`))
		home, err := curlHome(j)
		if err != nil {
			return result, err
		}
		defer os.RemoveAll(home)
		for _, s := range steps {
			args := curlArgs(j)
			remote := (&url.URL{Scheme: "sftp", Host: fmt.Sprintf("%s:%d", j.Host, j.Port), Path: s.Remote}).String()
			// A command rides on a transfer: list a directory that is always there, and print none of it.
			do := func(command string) {
				args = append(args, "-Q", command, "-l", "-o", os.DevNull, fmt.Sprintf("sftp://%s:%d/", j.Host, j.Port))
			}
			switch s.Verb {
			case vList:
				args = append(args, "-l", strings.TrimSuffix(remote, "/")+"/")
			case vPut:
				args = append(args, "-T", s.Local, remote)
			case vGet:
				args = append(args, "-o", s.Local, remote)
			case vGetKeep:
				args = append(args, "-R", "-o", s.Local, remote)
			case vReput:
				args = append(args, "-C", "-", "-T", s.Local, remote)
			case vReget:
				args = append(args, "-C", "-", "-o", s.Local, remote)
			case vRename:
				do("rename " + quote(s.Remote) + " " + quote(s.To))
			case vRemove, vMkdir, vRmdir:
				do(string(s.Verb) + " " + quote(s.Remote))
			case vChmod:
				do(fmt.Sprintf("chmod %o %s", s.Mode, quote(s.Remote)))
			case vSymlink:
				do("symlink " + quote(s.To) + " " + quote(s.Remote))
			default:
				return result, fmt.Errorf("curl: no verb %s", s.Verb)
			}
			out, err := command{"curl", args, []string{"HOME=" + home}, nil}.run(ctx)
			if err != nil {
				return result, err
			}
			if s.Verb == vList {
				result.Listed = append(result.Listed, baseNames(out.stdout)...)
			}
		}
		return result, nil
	},
}

// findCurl wants a curl that was built with an SFTP library.
func findCurl() (string, error) {
	if _, err := exec.LookPath("curl"); err != nil {
		return "", errMissing
	}
	out, err := exec.Command("curl", "-V").Output()
	if err != nil {
		return "", err
	}
	version, protocols, _ := strings.Cut(string(out), "Protocols:")
	if !strings.Contains(protocols, " sftp") {
		return "", fmt.Errorf("%w: this curl was built without sftp", errMissing)
	}
	var words []string
	for word := range strings.FieldsSeq(version) {
		if strings.HasPrefix(word, "libcurl/") || strings.HasPrefix(word, "libssh") {
			words = append(words, word)
		}
	}
	return strings.Join(words, " "), nil
}

func curlArgs(j job) []string {
	args := []string{"-sS", "-q", "--user", j.User + ":" + j.Password}
	if j.Password == "" {
		args = append(args, "--key", j.Key, "--pubkey", j.Key+".pub")
	}
	return args
}

// curlHome makes a home directory for curl: its known_hosts file is the one thing curl knows servers by.
func curlHome(j job) (string, error) {
	home, err := os.MkdirTemp(scratch, "curl-")
	if err != nil {
		return "", err
	}
	known, err := os.ReadFile(j.KnownHosts)
	if err != nil {
		return "", err
	}
	return home, errors.Join(
		os.Mkdir(filepath.Join(home, ".ssh"), 0o700),
		os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), known, 0o600))
}

// lftp runs one batch; its SFTP is its own, its SSH is OpenSSH's.
var lftp = &client{
	name: "lftp",
	find: findProgram("lftp", "Version", "--version"),
	cannot: map[string]string{
		"exec": "lftp runs no commands over SFTP",
	},
	run: func(ctx context.Context, j job) (outcome, error) {
		quote := quoteWith(strings.NewReplacer(`\`, `\\`, `"`, `\"`))
		var connect []string
		for _, word := range append([]string{"ssh", "-a", "-x"}, sshArgs(j)...) {
			connect = append(connect, strings.ReplaceAll(word, " ", `\ `))
		}
		var batch strings.Builder
		fmt.Fprintf(&batch, `set cmd:fail-exit true
set net:max-retries 1
set net:timeout 60
set sftp:auto-confirm false
set sftp:charset UTF-8
set file:charset UTF-8
set xfer:clobber true
set xfer:use-temp-file false
set sftp:connect-program %s
open -p %d -u %s,%s sftp://%s
`, quote(strings.Join(connect, " ")), j.Port, j.User, j.Password, j.Host)
		if len(j.Steps) == 0 {
			batch.WriteString("cls -1 /\n")
		}
		for _, s := range j.Steps {
			local, remote := quote(s.Local), quote(s.Remote)
			switch s.Verb {
			case vList:
				fmt.Fprintf(&batch, "cls -1 -a %s\n", quote(strings.TrimSuffix(s.Remote, "/")+"/"))
			case vPut, vPutKeep:
				fmt.Fprintf(&batch, "put %s -o %s\n", local, remote)
			case vGet, vGetKeep:
				fmt.Fprintf(&batch, "get %s -o %s\n", remote, local)
			case vReput:
				fmt.Fprintf(&batch, "put -c %s -o %s\n", local, remote)
			case vReget:
				fmt.Fprintf(&batch, "get -c %s -o %s\n", remote, local)
			case vRename:
				fmt.Fprintf(&batch, "mv %s %s\n", remote, quote(s.To))
			case vRemove, vMkdir, vRmdir:
				fmt.Fprintf(&batch, "%s %s\n", s.Verb, remote)
			case vChmod:
				fmt.Fprintf(&batch, "chmod %o %s\n", s.Mode, remote)
			case vSymlink:
				fmt.Fprintf(&batch, "ln -s %s %s\n", quote(s.To), remote)
			default:
				return outcome{}, fmt.Errorf("lftp: no verb %s", s.Verb)
			}
		}
		batch.WriteString("bye\n")
		script, err := tempFile("lftp-", batch.String())
		if err != nil {
			return outcome{}, err
		}
		defer os.Remove(script)
		// Without a home directory lftp reads and writes no state of the user who runs the tests.
		env := append(opensshEnv(j), "HOME="+scratch, "LFTP_HOME="+scratch)
		out, err := command{"lftp", []string{"--norc", "-f", script}, env, nil}.run(ctx)
		result := outcome{Listed: baseNames(out.stdout)}
		return result, err
	},
}

// rclone runs one process per step. Its SFTP is pkg/sftp's, its SSH x/crypto's.
var rclone = &client{
	name: "rclone",
	find: findProgram("rclone", "rclone v", "version"),
	cannot: map[string]string{
		"reput":   "rclone copies a changed file whole",
		"reget":   "rclone copies a changed file whole",
		"chmod":   "rclone sets no modes",
		"symlink": "rclone makes no symlinks on SFTP",
		"exec":    "rclone runs no commands for its user",
	},
	run: func(ctx context.Context, j job) (outcome, error) {
		var result outcome
		steps := j.Steps
		if len(steps) == 0 {
			steps = []step{{Verb: vList, Remote: "/"}}
		}
		for _, s := range steps {
			args, err := rcloneArgs(ctx, j)
			if err != nil {
				return result, err
			}
			remote := ":sftp:" + s.Remote
			switch s.Verb {
			case vList:
				args = append(args, "lsf", remote)
			case vPut, vPutKeep:
				args = append(args, "copyto", s.Local, remote)
			case vGet, vGetKeep:
				args = append(args, "copyto", remote, s.Local)
			case vRename:
				args = append(args, "moveto", remote, ":sftp:"+s.To)
			case vRemove:
				args = append(args, "deletefile", remote)
			case vMkdir, vRmdir:
				args = append(args, string(s.Verb), remote)
			default:
				return result, fmt.Errorf("rclone: no verb %s", s.Verb)
			}
			out, err := command{"rclone", args, []string{"RCLONE_CONFIG=" + os.DevNull}, nil}.run(ctx)
			if err != nil {
				return result, err
			}
			if s.Verb == vList {
				result.Listed = append(result.Listed, baseNames(out.stdout)...)
			}
		}
		return result, nil
	},
}

func rcloneArgs(ctx context.Context, j job) ([]string, error) {
	args := []string{
		"--retries", "1", "--low-level-retries", "1",
		"--sftp-host", j.Host, "--sftp-port", strconv.Itoa(j.Port), "--sftp-user", j.User,
		"--sftp-known-hosts-file", j.KnownHosts, "--sftp-shell-type", "none",
	}
	if j.Password == "" {
		return append(args, "--sftp-key-file", j.Key), nil
	}
	out, err := command{"rclone", []string{"obscure", "-"}, []string{"RCLONE_CONFIG=" + os.DevNull}, []byte(j.Password)}.run(ctx)
	if err != nil {
		return nil, err
	}
	return append(args, "--sftp-pass", strings.TrimSpace(out.stdout)), nil
}
