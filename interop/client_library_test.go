package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A library is a client whose program under testdata takes operations one by one (sftpop_test.go), as what its language
// is started by or compiled with would otherwise be most of the time. One program serves all tables: besides the verbs
// of SFTP it has "exec" (command; local is its input, to gets its output; n is the status, text the errors) and "rekeys"
// (n is the number of key exchanges after the first). Beside those of place.connect, "connect" takes
//
//	key       a private key to log in with, instead of a password
//	answer    what keyboard-interactive gets for an answer, likewise
//	everything  offer all algorithms that there are
//	kex, hostkey, cipher, mac, compression  offer this one only
//	rekey     take new keys each time that many octets have passed
//
// and opens no SFTP without a version.
type library struct {
	name string
	find func() (string, error)
	cmd  func() (*exec.Cmd, error)
	// cannot, reference and broken are those of client and matrixPeer.
	cannot, reference, broken map[string]string

	mu     sync.Mutex
	driver driver // between the jobs
}

var (
	rubyNet = &library{
		name: "Ruby Net::SFTP", find: findProgram("ruby", "Net::SFTP", filepath.Join("testdata", "netssh_client.rb"), "--version"),
		cmd:       libraryCommand("ruby", filepath.Join("testdata", "netssh_client.rb")),
		reference: map[string]string{"symlink": "Net::SFTP sends the draft's order, which OpenSSH reads the other way round"},
		cannot:    map[string]string{"stdin unread": waitsToSend},
	}
	phpseclib = &library{
		name: "phpseclib", find: findProgram("php", "phpseclib ", filepath.Join("testdata", "phpseclib_client.php"), "--version"),
		cmd:    libraryCommand("php", filepath.Join("testdata", "phpseclib_client.php")),
		cannot: map[string]string{"stdin unread": waitsToSend},
		broken: map[string]string{"blowfish-ctr": "the peer takes a key of 128 bits, where RFC 4344 section 4 wants 256"},
	}
	perlSSH2 = &library{
		name: "Perl Net::SSH2", find: findProgram("perl", "libssh2 ", filepath.Join("testdata", "netssh2_client.pl"), "--version"),
		cmd: libraryCommand("perl", filepath.Join("testdata", "netssh2_client.pl")),
		broken: map[string]string{
			"blowfish-cbc": noLegacyCipher, "cast128-cbc": noLegacyCipher, "arcfour": noLegacyCipher, "arcfour128": noLegacyCipher,
			"ecdsa-sha2-nistp256-cert-v01@openssh.com": readsBareKey, "ecdsa-sha2-nistp384-cert-v01@openssh.com": readsBareKey,
			"ecdsa-sha2-nistp521-cert-v01@openssh.com": readsBareKey,
		},
	}
	jsch = &library{name: "JSch", find: findJar("jsch"), cmd: javaCommand("JschPeer")}
	sshj = &library{name: "sshj", find: findJar("sshj"), cmd: javaCommand("SshjPeer"), broken: map[string]string{
		"arcfour": dividesByIV, "arcfour128": dividesByIV, "arcfour256": dividesByIV,
	}}

	libraries = []*library{rubyNet, phpseclib, perlSSH2, jsch, sshj}
)

const (
	noLegacyCipher = "the peer offers it and its OpenSSL 3 has no such cipher any more"
	readsBareKey   = "the peer reads the certificate as if it were the bare key"
	waitsToSend    = "the peer waits for room to send to a command that has ended, at OpenSSH's server too"
	dividesByIV    = "the peer takes the size of the IV for that of a block and divides by it"
)

func libraryCommand(name string, args ...string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		return cmd, nil
	}
}

// javaCommand runs one of the programs beside MINA's pom.xml, which names the jars of all of them.
func javaCommand(class string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		classes, err := javaClasses()
		if err != nil {
			return nil, err
		}
		return libraryCommand("java", "-cp", classes+string(filepath.ListSeparator)+filepath.Join(minaJars(), "*"), class)()
	}
}

// javaClasses compiles the programs, once for all the tables.
var javaClasses = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "libraries")
	sources := filepath.Join("testdata", "mina")
	out, err := exec.Command("javac", "-d", dir, "-cp", filepath.Join(minaJars(), "*"),
		filepath.Join(sources, "JschPeer.java"), filepath.Join(sources, "SshjPeer.java")).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("javac: %w: %s", err, tail(string(out)))
	}
	return dir, err
})

// findJar finds a library among the jars of testdata/mina/pom.xml.
func findJar(name string) func() (string, error) {
	return func() (string, error) {
		if _, err := findMina(); err != nil {
			return "", err
		}
		jars, err := filepath.Glob(filepath.Join(minaJars(), name+"-[0-9]*.jar"))
		if err != nil || len(jars) != 1 {
			return "", fmt.Errorf("%w: no %s in FAIRLEAD_PEERS_MINA", errMissing, name)
		}
		return strings.TrimSuffix(filepath.Base(jars[0]), ".jar"), nil
	}
}

// start starts the library's program.
func (l *library) start(*testing.T) (driver, error) {
	cmd, err := l.cmd()
	if err != nil {
		return nil, err
	}
	return newProgramDriver(cmd)
}

// client is the library as a row of TestMatrix. Its jobs run one after the other, in one program.
func (l *library) client() *client {
	return &client{name: l.name, find: l.find, cannot: l.cannot, reference: l.reference, run: l.run, modest: true}
}

func (l *library) run(ctx context.Context, j job) (outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.driver == nil {
		d, err := l.start(nil)
		if err != nil {
			return outcome{}, err
		}
		l.driver = d
	}
	x := &libraryJob{driver: l.driver}
	err := x.run(ctx, j)
	if x.gone {
		l.driver.quit()
		l.driver = nil
	}
	return x.outcome, err
}

// quitLibraries ends the programs that the jobs left behind.
func quitLibraries() {
	for _, l := range libraries {
		l.mu.Lock()
		if l.driver != nil {
			l.driver.quit()
			l.driver = nil
		}
		l.mu.Unlock()
	}
}

// A libraryJob translates a job into operations.
type libraryJob struct {
	driver  driver
	outcome outcome
	gone    bool
}

func (x *libraryJob) do(ctx context.Context, o op) (answer, error) {
	a, err := x.driver.do(ctx, o)
	switch {
	case err != nil:
		x.gone = true
		return nil, err
	case a.has("na"):
		return nil, fmt.Errorf("%s: %w", o, &notApplicableError{a.text("na")})
	case a.has("code"):
		return nil, fmt.Errorf("%s: code %s: %s", o, a.text("code"), a.text("error"))
	}
	return a, nil
}

func (x *libraryJob) run(ctx context.Context, j job) (err error) {
	connect := args{"host": j.Host, "port": j.Port, "user": j.User, "known_hosts": j.KnownHosts}
	if j.Password != "" {
		connect["password"] = j.Password
	} else {
		connect["key"] = j.Key
	}
	for name, value := range map[string]string{
		"kex": j.Algorithms.Kex, "hostkey": j.Algorithms.HostKey, "cipher": j.Algorithms.Cipher, "mac": j.Algorithms.MAC,
	} {
		if value != "" {
			connect[name] = value
		}
	}
	if j.RekeyBytes > 0 {
		connect["rekey"] = j.RekeyBytes
	}
	for _, s := range j.Steps {
		if s.Verb != vExec {
			connect["version"] = 3
		}
	}
	defer func() {
		if x.gone {
			return
		}
		_, closed := x.do(ctx, op{verb: "close"})
		if err == nil {
			err = closed
		}
	}()
	if _, err := x.do(ctx, op{verb: "connect", args: connect}); err != nil {
		return err
	}
	for _, s := range j.Steps {
		if err := x.step(ctx, s); err != nil {
			return err
		}
	}
	if j.RekeyBytes > 0 {
		a, err := x.do(ctx, op{verb: "rekeys"})
		if err != nil {
			return err
		}
		x.outcome.Rekeys = atoi(a.text("n"))
	}
	return nil
}

func (x *libraryJob) step(ctx context.Context, s step) error {
	o := op{verb: string(s.Verb), path: s.Remote, to: s.To, local: s.Local}
	switch s.Verb {
	case vRemove:
		o.verb = "remove"
	case vMkdir:
		o.args = args{"mode": 0o755}
	case vChmod:
		o.args = args{"mode": s.Mode}
	case vExec:
		o.args = args{"command": s.Command}
	case vPutKeep: // no library here keeps times by itself in all of its versions
		o.verb = "put"
	case vGetKeep:
		o.verb = "get"
	default: // the verb says it all
	}
	a, err := x.do(ctx, o)
	if err != nil {
		return err
	}
	switch s.Verb {
	case vList:
		x.outcome.Listed = append(x.outcome.Listed, a["name"]...)
	case vExec:
		x.outcome.Status = atoi(a.text("n"))
	case vPutKeep:
		info, err := os.Stat(s.Local)
		if err != nil {
			return err
		}
		at := info.ModTime().Unix()
		_, err = x.do(ctx, op{verb: "utimes", path: s.Remote, args: args{"atime": at, "atime_ns": 0, "mtime": at, "mtime_ns": 0}})
		return err
	case vGetKeep:
		a, err := x.do(ctx, op{verb: "stat", path: s.Remote})
		if err != nil {
			return err
		}
		at := time.Unix(int64(atoi(a.text("mtime"))), 0)
		return os.Chtimes(s.Local, at, at)
	default: // nothing comes back
	}
	return nil
}

// sftpClient is the library as rows of TestSFTPClients.
func (l *library) sftpClient(versions []int, cannot, deviates map[string]string) *sftpClient {
	return &sftpClient{name: l.name, versions: versions, find: l.find, start: l.start, cannot: cannot, deviates: deviates}
}

// matrixPeer is the library as a column of TestAlgorithmMatrix.
func (l *library) matrixPeer() *matrixPeer {
	return &matrixPeer{name: l.name + " client", find: l.find, broken: l.broken, client: l.matrixClient}
}

func (l *library) matrixClient(t *testing.T) func(context.Context, int) error {
	d, err := l.start(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.quit() })
	dir := t.TempDir()
	sent, back := filepath.Join(dir, "sent"), filepath.Join(dir, "back")
	return func(ctx context.Context, port int) error {
		data := matrixData()
		if err := os.WriteFile(sent, data, 0o600); err != nil {
			return err
		}
		x := &libraryJob{driver: d}
		_, err := x.do(ctx, op{verb: "connect", args: args{"host": "127.0.0.1", "port": port, "user": userName, "everything": 1}})
		if err == nil {
			_, err = x.do(ctx, op{verb: "exec", local: sent, to: back, args: args{"command": "echo"}})
		}
		if x.gone { // a fresh one for the next row
			d.quit()
			fresh, again := l.start(t)
			if again != nil {
				return errors.Join(err, again)
			}
			d = fresh
			return err
		}
		_, closed := x.do(ctx, op{verb: "close"})
		if err := errors.Join(err, closed); err != nil {
			return err
		}
		got, err := os.ReadFile(back)
		if err == nil && !bytes.Equal(got, data) {
			err = fmt.Errorf("%d octets came back, not as they went", len(got))
		}
		return err
	}
}
