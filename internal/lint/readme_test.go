package lint

import (
	"path/filepath"
	"testing"
)

// TestExamples wants the Go code of the pages that have some to be compiled by a test.
func TestExamples(t *testing.T) {
	tests := []*File{sample(t, Sample{"x/x_test.go", "package x\n\nfunc f() {}\n"})}
	if got := CheckExamples("x", "text\n```go\nfunc f() {}\n```\n```\nfunc g() {}\n```\n", tests); len(got) != 0 {
		t.Errorf("objections to good examples: %v", got)
	}
	if got := CheckExamples("x", "text\n```go\nfunc g() {}\n```\n", tests); len(got) != 1 || got[0].Line != 2 {
		t.Errorf("no objection to an example that nothing compiles: %v", got)
	}
	for _, page := range []string{"README.md", "docs/embedding.md", "docs/coming-from-ipworks.md", "docs/coming-from-xcrypto.md"} {
		report(t, CheckExamples(page, read(t, filepath.Join(root, page)), tree(t)))
	}
}

// TestPageNames wants the names that a page speaks of to be there.
func TestPageNames(t *testing.T) {
	files := []*File{sample(t, Sample{"x/x.go", "package x\n\ntype A struct{ B }\ntype B struct{ C int }\nfunc (B) D() {}\n"})}
	if got := CheckNames("x", "| a | `x.A`, `A.C`, `A.D`, `A.B`, `y.Z` |\n| `A.Q` | same |\n", files, "x"); len(got) != 0 {
		t.Errorf("objections to names that are there: %v", got)
	}
	if got := CheckNames("x", "| a | `x.Q`, `A.E(1)` |\n| b | `Q.C` |\n", files, "x"); len(got) != 3 || got[2].Line != 2 {
		t.Errorf("no objection to names that are not there: %v", got)
	}
	const page = "docs/coming-from-xcrypto.md"
	report(t, CheckNames(page, read(t, filepath.Join(root, page)), tree(t), "agent", "keys", "packet", "sftp", "ssh2"))
}
