package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the manual anew")

const manual = "../../docs/cli.md"

// blocks are what the manual quotes: a command between backticks, and its output.
var blocks = regexp.MustCompile("(?ms)^<!-- output of `fairlead ([^`]+)` -->\n```\n(.*?)^```\n")

// TestManual: the manual says what the commands say of themselves.
func TestManual(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(data), "\r\n", "\n")
	quoted := map[string]bool{}
	now := blocks.ReplaceAllStringFunc(page, func(block string) string {
		m := blocks.FindStringSubmatch(block)
		quoted[m[1]] = true
		var out bytes.Buffer
		if status := run(strings.Fields(m[1]), &out, io.Discard, nil); status != statusOK {
			t.Errorf("fairlead %s: status %d", m[1], status)
		}
		return "<!-- output of `fairlead " + m[1] + "` -->\n```\n" + out.String() + "```\n"
	})
	for _, command := range []string{"help", "get --help", "put --help", "ls --help", "serve -h", "serve --stdio -h", "check --help", "passwd --help"} {
		if !quoted[command] {
			t.Errorf("the manual does not quote fairlead %s", command)
		}
	}
	for i := range sshOptions {
		if !strings.Contains(page, sshOptions[i].name) {
			t.Errorf("the manual does not name %s", sshOptions[i].name)
		}
	}
	switch {
	case now == page:
	case *update:
		if err := os.WriteFile(manual, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/cli.md is stale: go test ./cmd/fairlead -run Manual -update")
	}
}
