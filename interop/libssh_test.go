package interop

import (
	"os/exec"
	"path/filepath"
)

// libssh and libssh2 in Python.

func libsshMatrix(library string) func(args ...string) *exec.Cmd {
	return func(args ...string) *exec.Cmd { return libsshPeer(library, append([]string{"matrix"}, args...)...) }
}

func libsshPeer(library string, args ...string) *exec.Cmd {
	return exec.Command(python(), append([]string{filepath.Join("testdata", "libssh_peer.py"), library}, args...)...)
}

// libssh2Broken: libssh2 offers what it has no code for.
var libssh2Broken = func() map[string]string {
	const (
		cert   = "libssh2 has certificates of users only, and offers those of hosts as well: sshd's do not work either"
		legacy = "libssh2 offers it even if its OpenSSL was built without"
	)
	return map[string]string{
		"ssh-ed25519-cert-v01@openssh.com": cert, "ecdsa-sha2-nistp256-cert-v01@openssh.com": cert,
		"ecdsa-sha2-nistp384-cert-v01@openssh.com": cert, "ecdsa-sha2-nistp521-cert-v01@openssh.com": cert,
		"rsa-sha2-512-cert-v01@openssh.com": cert, "rsa-sha2-256-cert-v01@openssh.com": cert, "ssh-rsa-cert-v01@openssh.com": cert,
		"blowfish-cbc": legacy, "cast128-cbc": legacy, "arcfour128": legacy, "arcfour": legacy,
	}
}()
