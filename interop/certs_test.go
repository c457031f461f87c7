package interop

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// TestUserCertificates has ssh-keygen make certificates and OpenSSH's sftp log in to the component with them.
func TestUserCertificates(t *testing.T) {
	for _, tool := range []string{"ssh-keygen", "sftp"} {
		if _, err := exec.LookPath(tool); err != nil {
			missingPeer(t, tool, err)
		}
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	keygen := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", append([]string{"-q"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
		}
	}
	for name, kind := range map[string]string{"host": "ed25519", "ca": "ecdsa", "stranger": "ed25519", "ed25519": "ed25519", "rsa": "rsa", "ecdsa": "ecdsa", "gone": "ed25519"} {
		keygen("-t", kind, "-N", "", "-C", name, "-f", path(name))
	}
	hostKey, err := sftpserver.HostKeyFile(path("host"))
	if err != nil {
		t.Fatal(err)
	}
	s := sftpserver.New()
	s.RootDirectory, s.HostKeys, s.LocalHost, s.LocalPort = t.TempDir(), []gossh.Signer{hostKey}, "127.0.0.1", 0
	for _, expr := range []string{"TrustedUserCAKeys=" + path("ca.pub"), "RevokedKeys=" + path("gone.pub")} {
		if _, err := s.Config(expr); err != nil {
			t.Fatal(err)
		}
	}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		e.Accept = e.Certificate != nil && e.Certificate.KeyId == "id of "+e.User
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	port := strconv.Itoa(s.Addr().(*net.TCPAddr).Port)
	for i, c := range []struct {
		what, key, ca string
		args          []string
		want          bool
	}{
		{"Ed25519", "ed25519", "ca", nil, true},
		{"RSA", "rsa", "ca", nil, true},
		{"ECDSA", "ecdsa", "ca", nil, true},
		{"for an hour", "ed25519", "ca", []string{"-V", "-1m:+1h"}, true},
		{"internal-sftp", "ed25519", "ca", []string{"-O", "force-command=internal-sftp"}, true},
		{"from here", "ed25519", "ca", []string{"-O", "source-address=127.0.0.0/8"}, true},
		{"without permissions", "ed25519", "ca", []string{"-O", "clear"}, true},
		{"expired", "ed25519", "ca", []string{"-V", "-2h:-1h"}, false},
		{"not yet valid", "ed25519", "ca", []string{"-V", "+1h:+2h"}, false},
		{"another's", "ed25519", "ca", []string{"-n", "bob"}, false},
		{"a stranger's", "ed25519", "stranger", nil, false},
		{"a host's", "ed25519", "ca", []string{"-h"}, false},
		{"from elsewhere", "ed25519", "ca", []string{"-O", "source-address=192.0.2.0/24"}, false},
		{"unknown option", "ed25519", "ca", []string{"-O", "critical:x@example.com=1"}, false},
		{"another command", "ed25519", "ca", []string{"-O", "force-command=/bin/true"}, false},
		{"revoked", "gone", "ca", nil, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			keygen(append([]string{"-s", path(c.ca), "-I", "id of alice", "-z", strconv.Itoa(i + 1), "-n", "alice"}, append(c.args, path(c.key)+".pub")...)...)
			batch := path("batch")
			if err := os.WriteFile(batch, []byte("ls /\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sftp", "-F", "none", "-b", batch, "-P", port, "-i", path(c.key), "-o", "CertificateFile="+path(c.key)+"-cert.pub",
				"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+path("known"), "alice@127.0.0.1")
			out, err := cmd.CombinedOutput()
			if (err == nil) != c.want {
				t.Errorf("%v, want %v\n%s", err, c.want, out)
			}
		})
	}
}
