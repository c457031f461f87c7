package interop

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Twisted Conch.

func findConch() (string, error) { return findPython("twisted")() }

func conchMatrix(args ...string) *exec.Cmd { return conch("matrix", args...) }

func conch(part string, args ...string) *exec.Cmd {
	return exec.Command(python(), append([]string{filepath.Join("testdata", "twisted_peer.py"), part}, args...)...)
}

func conchPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "conch")
	p.prefix = p.root // it knows no other root
	cmd := conch("sftp", "server", p.root, p.hostKeyFiles[0], userName, p.keys.password)
	return p.run(t, cmd, matrixListening) // it becomes an ordinary user once Python has all its files
}
