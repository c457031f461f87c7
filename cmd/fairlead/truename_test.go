package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestNamesThatAreNoText: get by a wildcard, by the text that stands for a name, and as a
// tree makes files of the octets that the host's have.
func TestNamesThatAreNoText(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return // there are no such names to make here
	}
	h := knownHostFor(t, nil)
	h.write(t, "/non\xff\xfeutf", "content")
	h.write(t, "/plain", "other")
	at := func(p string) string { return "127.0.0.1:" + p }
	for i, source := range []string{"/non*", "/non%{=FF}%{=FE}utf", "/"} {
		dir := string(rune('a' + i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		h.ok(t, "get", "-r", at(source), dir)
		if got := readFile(t, filepath.Join(dir, "non\xff\xfeutf")); got != "content" {
			list, _ := os.ReadDir(dir)
			t.Errorf("%s: %q %v", source, got, list)
		}
	}
	if r := h.ok(t, "ls", "--json", at("/")); !strings.Contains(r.stdout, `"name":"non%{=FF}%{=FE}utf","nameBytes":"bm9u//51dGY="`) {
		t.Error(r.stdout)
	}
}
