package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The scripted clients are libraries: a small program under testdata reads the job as JSON from standard input
// and prints the outcome as JSON.

var (
	paramiko = &client{name: "Paramiko", find: findPython("paramiko"), run: runPython("paramiko_client.py")}
	asyncssh = &client{name: "AsyncSSH", find: findPython("asyncssh"), run: runPython("asyncssh_client.py")}
	nodeSSH2 = &client{name: "node ssh2", find: findNode, run: runNode}
)

func python() string {
	if name := os.Getenv("FAIRLEAD_PEERS_PY"); name != "" {
		return name
	}
	return "python3"
}

func findPython(module string) func() (string, error) {
	return func() (string, error) {
		if _, err := exec.LookPath(python()); err != nil {
			return "", errMissing
		}
		code := fmt.Sprintf("import %s, sys; print('%s', %[1]s.__version__, 'python', sys.version.split()[0])", module, module)
		out, err := exec.Command(python(), "-c", code).Output()
		if err != nil {
			return "", errMissing
		}
		return strings.TrimSpace(string(out)), nil
	}
}

func runPython(script string) func(context.Context, job) (outcome, error) {
	return func(ctx context.Context, j job) (outcome, error) {
		return runScript(ctx, j, command{name: python(), args: []string{filepath.Join("testdata", script)}})
	}
}

func nodeEnv() []string {
	if dir := os.Getenv("FAIRLEAD_PEERS_NODE"); dir != "" {
		return []string{"NODE_PATH=" + dir}
	}
	return nil
}

func findNode() (string, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "", errMissing
	}
	cmd := exec.Command("node", "-p", "'ssh2 ' + require('ssh2/package.json').version + ' node ' + process.version")
	cmd.Env = append(os.Environ(), nodeEnv()...)
	out, err := cmd.Output()
	if err != nil {
		return "", errMissing
	}
	return strings.TrimSpace(string(out)), nil
}

func runNode(ctx context.Context, j job) (outcome, error) {
	return runScript(ctx, j, command{name: "node", args: []string{filepath.Join("testdata", "ssh2_client.js")}, env: nodeEnv()})
}

func runScript(ctx context.Context, j job, c command) (outcome, error) {
	var result outcome
	var err error
	if c.stdin, err = json.Marshal(j); err != nil {
		return result, err
	}
	out, err := c.run(ctx)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal([]byte(out.stdout), &result); err != nil {
		return result, errors.Join(err, errors.New(tail(out.stdout)))
	}
	return result, nil
}
