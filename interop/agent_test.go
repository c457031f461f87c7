package interop

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/agent"
)

// TestAgentOpenSSH uses OpenSSH's agent through ours, and ours through OpenSSH's ssh-add.
func TestAgentOpenSSH(t *testing.T) {
	for _, program := range []string{"ssh-agent", "ssh-add"} {
		if _, err := exec.LookPath(program); err != nil {
			missingPeer(t, program, errMissing)
		}
	}
	keys := keysOf(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	t.Run("their agent", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a")
		cmd := exec.Command("ssh-agent", "-D", "-a", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for deadline := time.Now().Add(10 * time.Second); ; {
			if _, err := os.Stat(path); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("ssh-agent does not listen")
			}
			<-time.After(10 * time.Millisecond) // polling another process
		}
		a := agent.Open(path)
		key, err := gossh.ParseRawPrivateKey(must(os.ReadFile(keys.userKey)))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Add(sshagent.AddedKey{PrivateKey: key, Comment: "ours"}); err != nil {
			t.Fatal(err)
		}
		signers, err := a.Signers()
		if err != nil || len(signers) != 1 {
			t.Fatalf("%d signers, %v", len(signers), err)
		}
		sig, err := signers[0].Sign(nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.user.PublicKey().Verify([]byte("x"), sig); err != nil {
			t.Error(err)
		}
		if out, err := exec.Command("sh", "-c", "SSH_AUTH_SOCK=\"$1\" exec ssh-add -l", "sh", path).Output(); err != nil || !bytes.Contains(out, []byte("ours")) {
			t.Errorf("ssh-add -l: %v: %s", err, out)
		}
	})

	t.Run("our agent", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		serve, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- agent.Listen(serve, l, sshagent.NewKeyring(), agent.Options{Manage: true}) }()
		add := func(args ...string) (string, error) {
			cmd := exec.CommandContext(ctx, "ssh-add", args...)
			cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+path)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		if out, err := add(keys.userKey); err != nil {
			t.Fatalf("ssh-add: %v: %s", err, out)
		}
		want := gossh.FingerprintSHA256(keys.user.PublicKey())
		if out, err := add("-l"); err != nil || !strings.Contains(out, want) {
			t.Errorf("ssh-add -l: %v: %s", err, out)
		}
		if out, err := add("-T", keys.userKey+".pub"); err != nil {
			t.Errorf("ssh-add -T, which has it sign: %v: %s", err, out)
		}
		if out, err := add("-c", keys.userKey); err == nil {
			t.Errorf("a key to be confirmed was taken by an agent that does not ask: %s", out)
		}
		if out, err := add("-D"); err != nil {
			t.Errorf("ssh-add -D: %v: %s", err, out)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
