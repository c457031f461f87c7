package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// lftpSFTP is lftp as a row of the tables: one process per version, whose SSH is OpenSSH's.
var lftpSFTP = &sftpClient{
	name: "lftp", versions: allVersions, find: lftp.find, coarse: true,
	start: func(*testing.T) (driver, error) { return new(lftpDriver), nil },
	cannot: map[string]string{
		"stat": "lftp shows the attributes of what it lists only", "fstat": "lftp shows the attributes of what it lists only",
		"append": "lftp appends only the rest of a file", "create": "lftp writes over files or goes on with them",
		"text": "lftp asks for no text mode", "overwrite": "lftp's mv does not replace",
		"posix-rename": "lftp has no posix-rename", "chown": "lftp sets no owners", "utimes": "lftp sets the time of what it puts only",
		"truncate": "lftp sets no sizes", "realpath": "lftp resolves paths itself", "composed": "lftp composes no paths",
		"locks": "lftp has no locks", "check-file": "lftp has no check-file", "md5-hash": "lftp has no md5-hash",
		"copy-file": "lftp has no copy-file", "copy-data": "lftp has no copy-data", "space": "lftp has no space-available",
		"statvfs": "lftp has no statvfs", "limits": "lftp asks for no limits", "fsync": "lftp has no fsync",
		"home": "lftp has no home-directory", "expand": "lftp has no expand-path",
		"hard link 3": "lftp makes hard links in version 6 only", "hard link 4": "lftp makes hard links in version 6 only",
		"hard link 5": "lftp makes hard links in version 6 only",
	},
}

// An lftpDriver writes lftp's commands to its standard input and reads what it says, its debug output included, which
// has the status codes.
type lftpDriver struct {
	cmd *exec.Cmd
	in  *os.File
	out *bufio.Reader
}

// lftpEnd is printed behind each command's output.
const lftpEnd = "-- end of the command --"

func (d *lftpDriver) quit() {
	if d.cmd == nil {
		return
	}
	d.in.Close()
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	_ = d.cmd.Wait() // killed
	d.cmd = nil
}

var (
	lftpStatus  = regexp.MustCompile(`^---- status code=([0-9]+)\(.*\), message=(.*)`)
	lftpVersion = regexp.MustCompile(`^---- protocol version set to ([0-9])`)
	lftpFailed  = regexp.MustCompile(`^(cd|cls|get|put|mv|rm|rmdir|mkdir|chmod|ln|open): (.*)`)
	lftpLine    = regexp.MustCompile(`^([-dl])([-rwx]{9}) +(?:[0-9]+ +)?(\S+) +(\S+) +([0-9]+) +([0-9]+) (.*)$`)
)

var lftpQuote = quoteWith(strings.NewReplacer(`\`, `\\`, `"`, `\"`))

func (d *lftpDriver) do(ctx context.Context, o op) (answer, error) {
	local, path, to := lftpQuote(o.local), lftpQuote(o.path), lftpQuote(o.to)
	var line string
	switch o.verb {
	case "connect":
		if err := d.start(o); err != nil {
			return nil, err
		}
		line = "cls -1 " + lftpQuote("/")
	case "close":
		d.quit()
		return told(), nil
	case "list":
		line = "cls -1 -a " + lftpQuote(o.path+"/")
	case "lstat":
		line = "cls -l -d --time-style=+%s " + path
	case "put", "get", "reput", "reget":
		line = o.verb + " " + map[bool]string{true: local + " -o " + path, false: path + " -o " + local}[strings.HasSuffix(o.verb, "put")]
		line = strings.NewReplacer("reput", "put -c", "reget", "get -c").Replace(o.verb) + strings.TrimPrefix(line, o.verb)
	case "rename":
		line = "mv " + path + " " + to
	case "symlink":
		line = "ln -s " + to + " " + path
	case "readlink":
		line = "cls -l -d --time-style=+%s " + path
	case "link":
		line = "ln " + to + " " + path
	case "mkdir", "rmdir":
		line = o.verb + " " + path
	case "remove":
		line = "rm " + path
	case "chmod":
		line = fmt.Sprintf("chmod %o %s", o.number("mode"), path)
	default:
		return nil, fmt.Errorf("lftp's driver has no verb %s", o.verb)
	}
	said, err := d.command(ctx, line)
	if err != nil {
		return nil, fmt.Errorf("%s: lftp is gone: %w: %s", o, err, tail(strings.Join(said, "\n")))
	}
	return lftpAnswer(o, said), nil
}

// start runs lftp in the version that o asks for.
func (d *lftpDriver) start(o op) error {
	d.quit()
	j := job{Host: o.word("host"), Port: int(o.number("port")), User: o.word("user"), Password: o.word("password"), KnownHosts: o.word("known_hosts")}
	var connect []string
	for _, word := range append([]string{"ssh", "-a", "-x"}, sshArgs(j)...) {
		connect = append(connect, strings.ReplaceAll(word, " ", `\ `))
	}
	d.cmd = exec.Command("lftp", "--norc")
	// Without a home directory lftp reads and writes no state of the user who runs the tests.
	d.cmd.Env = append(os.Environ(), append(opensshEnv(j), "LC_ALL=C.UTF-8", "TERM=dumb", "HOME="+scratch, "LFTP_HOME="+scratch)...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	theirs, in, err := os.Pipe()
	if err != nil {
		return err
	}
	out, said, err := os.Pipe()
	if err != nil {
		return errors.Join(err, theirs.Close(), in.Close())
	}
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr, d.in, d.out = theirs, said, said, in, bufio.NewReader(out)
	err = d.cmd.Start()
	if err := errors.Join(err, theirs.Close(), said.Close()); err != nil {
		d.cmd = nil
		return errors.Join(err, in.Close(), out.Close())
	}
	_, err = fmt.Fprintf(in, `debug 9
set cmd:fail-exit false
set cmd:interactive false
set cache:enable false
set net:max-retries 1
set net:timeout 60
set sftp:auto-confirm false
set sftp:charset UTF-8
set file:charset UTF-8
set xfer:clobber true
set xfer:use-temp-file false
set sftp:protocol-version %d
set sftp:connect-program %s
open -p %d -u %s,%s sftp://%s
`, o.number("version"), lftpQuote(strings.Join(connect, " ")), j.Port, j.User, j.Password, j.Host)
	return err
}

// command has lftp do what a line says, and returns what it printed meanwhile.
func (d *lftpDriver) command(ctx context.Context, line string) (said []string, err error) {
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	if _, err := fmt.Fprintf(d.in, "%s\necho %q\n", line, lftpEnd); err != nil {
		return nil, err
	}
	for {
		s, err := d.out.ReadString('\n')
		if s = strings.TrimRight(s, "\r\n"); s == lftpEnd {
			return said, nil
		}
		said = append(said, s)
		if err != nil {
			return said, errors.Join(err, ctx.Err())
		}
	}
}

// lftpAnswer takes what was said apart.
func lftpAnswer(o op, said []string) answer {
	var pairs []any
	code, failed := 0, ""
	for _, s := range said {
		if m := lftpStatus.FindStringSubmatch(s); m != nil {
			if n := atoi(m[1]); n > 1 { // neither success nor the end
				code = n
			}
		} else if m := lftpVersion.FindStringSubmatch(s); m != nil && o.verb == "connect" {
			pairs = append(pairs, "n", m[1])
		} else if m := lftpFailed.FindStringSubmatch(s); m != nil {
			failed = m[2]
		} else if strings.HasPrefix(s, "---") || strings.HasPrefix(s, "<---") || strings.HasPrefix(s, "**** ") || s == "" {
			continue
		} else if m := lftpLine.FindStringSubmatch(s); m != nil {
			name, to, _ := strings.Cut(m[7], " -> ")
			pairs = append(pairs, "name", name, "text", to, "type", map[string]int{"-": 1, "d": 2, "l": 3}[m[1]], "mode", modeOf(m[2]),
				"owner", m[3], "group", m[4], "size", m[5], "mtime", m[6])
		} else if o.verb == "list" {
			pairs = append(pairs, "name", strings.TrimRight(s[strings.LastIndexByte(strings.TrimRight(s, "/"), '/')+1:], "/@*"))
		} else if strings.HasPrefix(s, "Fatal error") {
			failed = s
		}
	}
	switch {
	case failed != "" && code == 0:
		return told("code", -1, "error", failed)
	case failed != "":
		return told("code", code, "error", failed)
	}
	return told(pairs...)
}

// modeOf reads permissions as ls writes them.
func modeOf(s string) (mode int) {
	for _, c := range s {
		mode <<= 1
		if c != '-' {
			mode |= 1
		}
	}
	return mode
}
