package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startOpenSSH runs sshd in a mount namespace of its own: its user and password exist only there, and the root
// directory is where chroot wants it. With jail, clients see s.root as "/"; without, they may run commands.
func (s *server) startOpenSSH(t *testing.T, dir string, jail bool) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("FAIRLEAD_INTEROP_SERVER=openssh needs root: sshd must know a user of ours")
	}
	sshd, err := findSSHD()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := exec.Command("openssl", "passwd", "-6", s.keys.password).Output()
	if err != nil {
		t.Fatalf("openssl passwd: %v", err)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	passwd = fmt.Appendf(passwd, "%s:%s:0:0::/:/bin/sh\n", userName, strings.TrimSpace(string(hash)))
	s.port = freePort(t)
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	passwdFile := write("passwd", passwd)
	config := write("sshd_config", []byte(s.sshdConfig(jail)))
	script := `set -e
mount --bind "$1" /etc/passwd
mount --bind "$2" /mnt
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
exec "$3" -D -e -f "$4"`
	s.start(t, exec.Command("unshare", "--mount", "sh", "-c", script, "sh", passwdFile, s.root, sshd, config))
	s.waitIdent(t)
}

// sshdConfig turns on everything that we offer ourselves, so that both servers answer the same questions.
func (s *server) sshdConfig(jail bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ListenAddress %s\nPort %d\nAuthorizedKeysFile %s\n", s.host, s.port, s.keys.authorizedKeys)
	for _, file := range s.hostKeyFiles {
		fmt.Fprintf(&b, "HostKey %s\nHostCertificate %s-cert.pub\n", file, file)
	}
	b.WriteString(`PidFile none
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
MaxStartups 1000
PrintMotd no
LogLevel INFO
MACs +hmac-sha1,hmac-sha1-etm@openssh.com
Subsystem sftp internal-sftp
`)
	if jail {
		b.WriteString("ChrootDirectory /mnt\n")
	}
	return b.String()
}

// findSSHD looks where distributions put it: sbin is not on every PATH.
func findSSHD() (string, error) {
	if name, err := exec.LookPath("sshd"); err == nil {
		return name, nil
	}
	for _, name := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("no sshd found: %w", exec.ErrNotFound)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
