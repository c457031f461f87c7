package interop

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Erlang/OTP's ssh application, by an escript.

func findErlang() (string, error) {
	if _, err := exec.LookPath("escript"); err != nil {
		return "", errMissing
	}
	const code = `ok = application:load(ssh), {ok, V} = application:get_key(ssh, vsn), io:format("OTP ~s, ssh ~s", [erlang:system_info(otp_release), V]), halt().`
	out, err := exec.Command("erl", "-noshell", "-eval", code).Output()
	if err != nil {
		return "", errMissing
	}
	return strings.TrimSpace(string(out)), nil
}

func erlangMatrix(args ...string) *exec.Cmd { return erlang("matrix", args...) }

func erlang(part string, args ...string) *exec.Cmd {
	return exec.Command("escript", append([]string{filepath.Join("testdata", "erlang_peer.escript"), part}, args...)...)
}

// Twisted Conch.

func findConch() (string, error) { return findPython("twisted")() }

func conchMatrix(args ...string) *exec.Cmd { return conch("matrix", args...) }

func conch(part string, args ...string) *exec.Cmd {
	return exec.Command(python(), append([]string{filepath.Join("testdata", "twisted_peer.py"), part}, args...)...)
}

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

func erlangPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "erlang")
	cmd := ordinarily(erlang("sftp", "server", p.root, p.hostKeyFiles[0], userName, p.keys.password))
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8") // or its names are octets
	return p.run(t, cmd, matrixListening)
}

func conchPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "conch")
	p.prefix = p.root // it knows no other root
	cmd := conch("sftp", "server", p.root, p.hostKeyFiles[0], userName, p.keys.password)
	return p.run(t, cmd, matrixListening) // it becomes an ordinary user once Python has all its files
}
