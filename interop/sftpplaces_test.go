package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A place is a running SFTP server that a driver can be sent to. Where the tests run as root, its files are those of
// an ordinary user, whom the system denies things.
type place struct {
	*server
	prefix string // of its directory, as clients name it
	asRoot bool   // its user is root all the same
	blind  bool   // it does not learn who the client is
}

// A foreign is an SFTP server by others.
type foreign struct {
	name     string
	versions []int
	find     func() (string, error)
	start    func(t *testing.T) *place
	// cannot has reasons, by column or by column and version ("locks", "locks 6"), why there is nothing to try.
	cannot map[string]string
	// deviates has reasons why a column fails here, and through no fault of ours. It is tried, and must fail.
	deviates map[string]string
	// codes are the status codes that the server has in place of the drafts', by column or by column and version.
	codes map[string]int
	login string // as in sftpCell
	// numeric: owners are told as numbers; seconds: times are kept without fractions; tellsSeconds: they are told
	// without.
	numeric, seconds, tellsSeconds bool
}

// newPlace makes the directories and keys of a server that will run as an ordinary user.
func newPlace(t *testing.T, kind string) *place {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, kind+"-") //nolint:usetesting // not where TempDir is
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(t)
	s := &server{kind: kind, keys: keys, host: "127.0.0.1", log: new(lockedBuffer), root: filepath.Join(dir, "root")}
	p := &place{server: s, prefix: "/"}
	if err := errors.Join(openForOthers(dir), os.Mkdir(s.root, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{keys.hostKeyFiles[0], keys.hostKeyFiles[4], keys.passwordFile} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(dir, filepath.Base(file))
		if err := errors.Join(os.WriteFile(own, data, 0o600), giveOrdinary(own)); err != nil {
			t.Fatal(err)
		}
		if file != keys.passwordFile {
			s.hostKeyFiles = append(s.hostKeyFiles, own)
		}
	}
	if err := errors.Join(giveOrdinary(s.root), makeMany(s.root)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return p
}

// openForOthers lets an ordinary user through to what lies in dir, which is one level below the scratch directory.
func openForOthers(dir string) error {
	return errors.Join(os.Chmod(scratch, 0o711), os.Chmod(dir, 0o711))
}

// giveOrdinary gives a file to an ordinary user, if the tests run as root.
func giveOrdinary(name string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Lchown(name, ordinaryID, ordinaryID)
}

// ordinarily makes cmd run as an ordinary user.
func ordinarily(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryID, Gid: ordinaryID}}
	}
	return cmd
}

// own is a file that newPlace has put beside the root.
func (p *place) own(name string) string { return filepath.Join(filepath.Dir(p.root), name) }

// run starts the server and waits for the line that has its port.
func (p *place) run(t *testing.T, cmd *exec.Cmd, listening *regexp.Regexp) *place {
	t.Helper()
	p.start(t, cmd)
	t.Cleanup(func() { p.stop(t) })
	match := p.waitLine(t, listening)
	var err error
	if p.port, err = strconv.Atoi(match[len(match)-1]); err != nil {
		t.Fatal(err)
	}
	p.known(t)
	return p
}

// known writes the known_hosts file, once the port is known.
func (p *place) known(t *testing.T) {
	t.Helper()
	p.knownHosts = p.own("known_hosts")
	if err := p.keys.knownHosts(p.knownHosts, p.host, p.port); err != nil {
		t.Fatal(err)
	}
}

// connect is the op that logs in.
func (p *place) connect(version int) op {
	a := args{
		"host": p.host, "port": p.port, "user": userName, "password": p.keys.password, "known_hosts": p.knownHosts, "version": version,
	}
	if p.blind {
		a["blind"] = 1
	}
	return op{verb: "connect", args: a}
}

// fairleadPlace is `fairlead serve`.
func fairleadPlace(t *testing.T) *place {
	t.Helper()
	program, err := fairleadBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, "fairlead")
	cmd := exec.Command(program, "serve", "--root", p.root, "--listen", "127.0.0.1:0", "--user", userName,
		"--password-file", p.own("password"), "--host-key", p.hostKeyFiles[0], "--log-level", "info")
	return p.run(t, ordinarily(cmd), listeningLine)
}

// sshdPlace is OpenSSH's sshd with a subsystem for SFTP, "" for its own.
func sshdPlace(t *testing.T, subsystem string) *place {
	t.Helper()
	s := launch(t, serverOptions{sshd: &sshd{ordinary: true, sftp: subsystem}})
	p := &place{server: s, prefix: "/mnt"}
	if err := errors.Join(openForOthers(filepath.Dir(s.root)), giveOrdinary(s.root), makeMany(s.root)); err != nil {
		t.Fatal(err)
	}
	return p
}

// asyncsshPlace is AsyncSSH's server.
func asyncsshPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "asyncssh")
	cmd := exec.Command(python(), filepath.Join("testdata", "asyncssh_sftp.py"), "server", p.root, p.hostKeyFiles[0], userName, p.keys.password)
	return p.run(t, cmd, matrixListening) // it becomes an ordinary user once Python has all its files
}

// minaPlace is Apache MINA's server.
func minaPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "mina")
	return p.run(t, ordinarily(minaSFTP(t, "server", p.root, p.hostKeyFiles[1], userName, p.keys.password)), matrixListening)
}

// minaSFTP runs MINA's program in a directory of its own, where an ordinary user can read its parts.
func minaSFTP(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := minaParts()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", append([]string{"-XX:TieredStopAtLevel=1", "-cp", "*", "MinaSftp.java"}, args...)...)
	cmd.Dir = dir
	return cmd
}

var minaParts = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "mina")
	files, err := filepath.Glob(filepath.Join(minaJars(), "*.jar"))
	if err := errors.Join(err, os.Mkdir(dir, 0o755), os.Chmod(scratch, 0o711)); err != nil {
		return "", err
	}
	for _, file := range append(files, filepath.Join("testdata", "mina", "MinaSftp.java")) {
		data, err := os.ReadFile(file)
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o644)); err != nil {
			return "", err
		}
	}
	return dir, nil
})

func findMinaSFTP() (string, error) {
	version, err := findMina()
	if err != nil {
		return "", err
	}
	if jars, err := filepath.Glob(filepath.Join(minaJars(), "sshd-sftp-*.jar")); err != nil || len(jars) != 1 {
		return "", fmt.Errorf("%w: no sshd-sftp among MINA's jars", errMissing)
	}
	return version, nil
}

// nodePlace is a server on node's ssh2.
func nodePlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "node")
	cmd := exec.Command("node", filepath.Join("testdata", "ssh2_sftp_server.js"), p.root, p.hostKeyFiles[0], userName, p.keys.password)
	cmd.Env = append(os.Environ(), nodeEnv()...)
	return p.run(t, cmd, matrixListening) // it becomes an ordinary user once node has all its files
}

// proftpdPlace is ProFTPD with mod_sftp.
func proftpdPlace(t *testing.T) *place {
	t.Helper()
	program, err := findSbin("proftpd")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, "proftpd")
	p.prefix = p.root // jailed, it would give other targets to links
	p.port = freePort(t)
	hash, err := exec.Command("openssl", "passwd", "-6", p.keys.password).Output()
	if err != nil {
		t.Fatalf("openssl passwd: %v", err)
	}
	// The first name of an id is the one that it is told by.
	users := fmt.Sprintf("root:!:0:0::/:/bin/sh\nnobody:!:%[2]d:%[2]d::/:/bin/sh\n%[1]s:%[3]s:%[2]d:%[2]d::%[4]s:/bin/sh\n",
		userName, ordinaryID, strings.TrimSpace(string(hash)), p.root)
	groups := fmt.Sprintf("root:x:0:\nnogroup:x:%d:\n", ordinaryID)
	config := fmt.Sprintf(`ModulePath /usr/lib/proftpd
LoadModule mod_sftp.c
ServerType standalone
ServerName interop
UseIPv6 off
UseReverseDNS off
WtmpLog off
User nobody
Group nogroup
DefaultAddress 127.0.0.1
Port %d
PidFile %s
ScoreboardFile none
SystemLog %s
MaxInstances 30
AuthOrder mod_auth_file.c
AuthUserFile %s
AuthGroupFile %s
RequireValidShell off
ShowSymlinks on
AllowOverwrite on
AllowStoreRestart on
AllowRetrieveRestart on
ListOptions -a
SFTPEngine on
SFTPHostKey %s
SFTPAuthMethods password
SFTPCompression off
`, p.port, p.own("pid"), p.own("system.log"), p.own("users"), p.own("groups"), p.hostKeyFiles[1])
	err = errors.Join(os.WriteFile(p.own("users"), []byte(users), 0o600), os.WriteFile(p.own("groups"), []byte(groups), 0o600),
		os.WriteFile(p.own("config"), []byte(config), 0o600),
		os.Chown(p.hostKeyFiles[1], os.Getuid(), os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	p.start(t, exec.Command(program, "-n", "-c", p.own("config")))
	t.Cleanup(func() { p.stop(t) })
	p.waitIdent(t)
	p.known(t)
	return p
}

func findProFTPD() (string, error) {
	program, err := findSbin("proftpd")
	if err != nil {
		return "", errMissing
	}
	if os.Getuid() != 0 {
		return "", errors.New("needs root: it becomes its user")
	}
	if _, err := os.Stat("/usr/lib/proftpd/mod_sftp.so"); err != nil {
		return "", fmt.Errorf("%w: no mod_sftp", errMissing)
	}
	out, err := exec.Command(program, "-v").CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// findSbin looks where distributions put daemons: sbin is not on every PATH.
func findSbin(program string) (string, error) {
	if name, err := exec.LookPath(program); err == nil {
		return name, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		name := filepath.Join(dir, program)
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("no %s found: %w", program, exec.ErrNotFound)
}
