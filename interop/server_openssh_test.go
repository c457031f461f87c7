package interop

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// sshd says how OpenSSH's server is to run.
type sshd struct {
	jail bool // clients see s.root as "/"; without, they may run commands
	// ordinary makes the user an ordinary one and not root. Then sshd runs as users have it: PAM asks for the
	// password, and the session's process has no privileges.
	ordinary bool
	keys     string   // authorized_keys instead of the usual key; only for an ordinary user
	settings []string // lines of sshd_config that come before ours, so that they count
	env      []string // on top of the environment
	sftp     string   // the command of the SFTP subsystem, or empty for sshd's own
	etc      string   // a directory that is /etc/ssh for it, or empty
}

// startOpenSSH runs sshd in a mount namespace of its own: its user and password exist only there, and the root
// directory is in a fixed place, where chroot and an ordinary user can get to it.
func (s *server) startOpenSSH(t *testing.T, dir string, o *sshd) {
	t.Helper()
	program, err := sshdHere()
	if err != nil {
		missingPeer(t, "OpenSSH sshd", err)
	}
	hash, err := exec.Command("openssl", "passwd", "-6", s.keys.password).Output()
	if err != nil {
		t.Fatalf("openssl passwd: %v", err)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	id := 0
	if o.ordinary {
		id = ordinaryID
	}
	passwd = fmt.Appendf(passwd, "%s:%s:%d:%d::/:/bin/sh\n", userName, strings.TrimSpace(string(hash)), id, id)
	s.port = freePort(t)
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	passwdFile := write("passwd", string(passwd))
	pam := write("pam", "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n")
	keys := o.keys
	if keys == "" {
		data, err := os.ReadFile(s.keys.authorizedKeys)
		if err != nil {
			t.Fatal(err)
		}
		keys = string(data)
	}
	keysFile := write("authorized_keys", keys)
	config := write("sshd_config", s.sshdConfig(o))
	script := `set -e
mount --bind "$1" /etc/passwd
mount --bind "$2" /mnt
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
cp "$5" /run/authorized_keys
[ ! -e /etc/pam.d/sshd ] || mount --bind "$6" /etc/pam.d/sshd
[ -z "$7" ] || mount --bind "$7" /etc/ssh
exec "$3" -D -e -f "$4"`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", passwdFile, s.root, program, config, keysFile, pam, o.etc)
	cmd.Env = append(os.Environ(), o.env...)
	s.start(t, cmd)
	s.waitIdent(t)
}

// ordinaryID is the user and group of an ordinary user: those of Debian's nobody and nogroup.
const ordinaryID = 65534

// sshdConfig turns on everything that we offer ourselves, so that both servers answer the same questions.
func (s *server) sshdConfig(o *sshd) string {
	var b strings.Builder
	for _, line := range o.settings {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "ListenAddress %s\nPort %d\n", s.host, s.port)
	for _, file := range s.hostKeyFiles {
		fmt.Fprintf(&b, "HostKey %s\nHostCertificate %s-cert.pub\n", file, file)
	}
	b.WriteString(`AuthorizedKeysFile /run/authorized_keys
PidFile none
PermitRootLogin yes
PasswordAuthentication yes
StrictModes no
UseDNS no
MaxStartups 1000
PrintMotd no
PrintLastLog no
LogLevel INFO
MACs +hmac-sha1,hmac-sha1-etm@openssh.com
`)
	fmt.Fprintln(&b, "Subsystem sftp", cmp.Or(o.sftp, "internal-sftp"))
	if o.ordinary {
		b.WriteString("UsePAM yes\nKbdInteractiveAuthentication yes\n")
	} else {
		b.WriteString("UsePAM no\nKbdInteractiveAuthentication no\n")
	}
	if o.jail {
		b.WriteString("ChrootDirectory /mnt\n")
	}
	return b.String()
}

// sshdHere returns the program, or why it cannot be run here.
var sshdHere = sync.OnceValues(func() (string, error) {
	program, err := findSbin("sshd")
	if err != nil {
		return "", errMissing
	}
	if os.Getuid() != 0 {
		return "", errors.New("needs root: it must know a user of ours")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		return "", fmt.Errorf("needs a mount namespace: %w: %s", err, out)
	}
	return program, nil
})

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
