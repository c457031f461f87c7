package ssh2_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairlead-ssh/fairlead/agent"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// uptime is the example of README.md.
func uptime(ctx context.Context, addr string) (string, error) {
	known, err := ssh2.ReadKnownHosts() // the user's file and the machine's
	if err != nil {
		return "", err
	}
	client, err := ssh2.Dial(ctx, "tcp", addr, &ssh2.ClientConfig{
		User: "ann", Auth: []ssh2.AuthMethod{ssh2.Agent(agent.Open(""))}, HostKeyPolicy: known,
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	session, err := client.Session(ctx)
	if err != nil {
		return "", err
	}
	out, err := session.Output(ctx, "uptime") // an exit status other than 0 is an *ssh2.ExitError
	return string(out), err
}

// TestReadmeClient: the example fails for the right reasons where nothing is known of the server.
func TestReadmeClient(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	var no *net.OpError
	if out, err := uptime(t.Context(), "127.0.0.1:1"); !errors.As(err, &no) {
		t.Errorf("%q, %v", out, err)
	}
}
