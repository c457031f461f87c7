package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEventsPage keeps docs/events.md what the doc comments say.
func TestEventsPage(t *testing.T) {
	page, findings := EventsPage(tree(t))
	report(t, findings)
	samePage(t, "docs/events.md", page)
}

// TestIPWorksPage keeps docs/coming-from-ipworks.md what the inventory says, below its hand-written head.
func TestIPWorksPage(t *testing.T) {
	rows, findings := ParseParity("docs/parity/sftpserver.tsv", read(t, filepath.Join(root, "docs/parity/sftpserver.tsv")))
	report(t, findings)
	const name = "docs/coming-from-ipworks.md"
	head, _, found := strings.Cut(read(t, filepath.Join(root, name)), "\n## "+ipworksSections[0]+"\n")
	if !found && !*update {
		t.Errorf("%s: no section %s", name, ipworksSections[0])
	}
	page, findings := IPWorksPage(head, rows)
	report(t, findings)
	samePage(t, name, page)
}

// TestEventsPageChecks feeds the page what it must object to.
func TestEventsPageChecks(t *testing.T) {
	for what, src := range map[string]string{
		"no Events":           "package sftpserver\n",
		"a field without doc": "package sftpserver\n// Events are.\ntype Events struct {\n// A is.\nA func(*AEvent)\n}\ntype AEvent struct{ B int }\n",
		"another kind":        "package sftpserver\ntype Events struct { A int }\n",
		"an unknown type":     "package sftpserver\ntype Events struct { A func(*AEvent) }\n",
	} {
		f, err := ParseFile("sftpserver/x.go", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if _, findings := EventsPage([]*File{f}); len(findings) == 0 {
			t.Errorf("%s: nothing found", what)
		}
	}
}

// samePage compares a page with its file, or writes it.
func samePage(t *testing.T, name, page string) {
	t.Helper()
	file := filepath.Join(root, name)
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(file); err != nil || string(old) != page {
		t.Errorf("%s is stale (%v): go test ./internal/lint -run Page -update", name, err)
	}
}
