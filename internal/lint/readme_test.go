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
	for _, page := range []string{"README.md", "docs/embedding.md"} {
		report(t, CheckExamples(page, read(t, filepath.Join(root, page)), tree(t)))
	}
}
