package sftp

import (
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/*", "a/b", true},
		{"a/*", "a/b/c", false},
		{"*", "a/b", false},
		{"**", "a/b/c", true},
		{"**/c", "c", true},
		{"**/c", "a/b/c", true},
		{"**/c", "a/b/d", false},
		{"a/**", "a", true},
		{"a/**/c", "a/c", true},
		{"a/**/c", "a/x/y/c", true},
		{"a/**/c", "b/x/c", false},
		{"**/b/**/d", "a/b/c/d", true},
		{"**/b/**/d", "b/x/b/d", true},
		{"**/b/**/d", "a/c/d", false},
		{"a/**/**/b", "a/b", true},
		{"a[0-9]/?", "a7/x", true},
		{`\*`, "*", true},
		{`\*`, "x", false},
		{"**x", "yyx", true}, // not an element by itself: as "*"
	} {
		p, err := splitPattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := matchElems(p, strings.Split(tt.path, "/")); got != tt.want {
			t.Errorf("%q %q: %v", tt.pattern, tt.path, got)
		}
	}
	for _, bad := range []string{"[", "a/[x", `a\`} {
		if _, err := splitPattern(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Many "**" over a deep path do not multiply.
func TestPatternsTakePolynomialTime(t *testing.T) {
	p, err := splitPattern(strings.Repeat("**/a/", 60) + "b")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if matchElems(p, strings.Split(strings.Repeat("a/", 2000)+"a", "/")) {
		t.Error("matches")
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Error("took", d)
	}
}

func TestFilter(t *testing.T) {
	f, err := newFilter([]string{"*.go", "docs/**"}, []string{".git", "vendor/*", "*_test.go"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		dir  bool
		want bool
	}{
		{"main.go", false, true},
		{"a/b/main.go", false, true},
		{"a/b/main_test.go", false, false},
		{"a/b/README.md", false, false},
		{"docs/README.md", false, true},
		{"a", true, true},
		{".git", true, false},
		{"a/.git", true, false},
		{"vendor/x", true, false},
		{"a/vendor/x", true, true},
	} {
		if got := f.takes(tt.path, tt.dir); got != tt.want {
			t.Errorf("%s: %v", tt.path, got)
		}
	}
	if _, err := newFilter([]string{"["}, nil); err == nil {
		t.Error("a bad pattern is taken")
	}
	if _, err := newFilter(nil, []string{""}); err == nil {
		t.Error("an empty pattern is taken")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("a/**/b*", "a/x/bc")
	f.Add("**/**/[", "a")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		p, err := splitPattern(pattern)
		if err != nil || len(p) > 20 || len(name) > 200 {
			return
		}
		matchElems(p, strings.Split(name, "/"))
	})
}
