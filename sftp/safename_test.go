package sftp

import (
	"strings"
	"testing"
)

// Names of a listing that would lead out of the target of a download.
func TestCVE_8_11_NamesFromListings(t *testing.T) {
	for _, tt := range []struct {
		name           string
		posix, windows bool // refused
	}{
		{"plain", false, false},
		{"with space", false, false},
		{"-rf", false, false},
		{"...", false, true},
		{"ünïcödé", false, false},
		{"\xff\xfe", false, false},
		{"", true, true},
		{".", true, true},
		{"..", true, true},
		{"/", true, true},
		{"/etc/passwd", true, true},
		{"a/../../b", true, true},
		{"../x", true, true},
		{"a/", true, true},
		{"a\x00b", true, true},
		{strings.Repeat("x", 255), false, false},
		{strings.Repeat("x", 256), true, true},
		{`..\x`, false, true},
		{`C:\x`, false, true},
		{"C:", false, true},
		{"x:stream", false, true},
		{"x::$DATA", false, true},
		{"NUL", false, true},
		{"nul.txt", false, true},
		{"con .txt", false, true},
		{"COM1", false, true},
		{"com¹.log", false, true},
		{"LPT9.x.y", false, true},
		{"COM10", false, false},
		{"CONSOLE", false, false},
		{"trailing.", false, true},
		{"trailing ", false, true},
		{"a\x1fb", false, true},
		{"what?", false, true},
		{`"quoted"`, false, true},
	} {
		if got := badLocalName(tt.name, false) != ""; got != tt.posix {
			t.Errorf("%q: refused %v", tt.name, got)
		}
		if got := badLocalName(tt.name, true) != ""; got != tt.windows {
			t.Errorf("%q on Windows: refused %v", tt.name, got)
		}
	}
}

// What the links of a hostile tree may say.
func TestCVE_8_12_LinksThatLeaveTheTree(t *testing.T) {
	for _, tt := range []struct {
		link, target string
		ok           bool
	}{
		{"l", "f", true},
		{"l", "./f", true},
		{"l", "d/e/f", true},
		{"d/l", "../f", true},
		{"d/e/l", "../../f", true},
		{"d/l", ".././f", true},
		{"d/l", "..", true}, // the root itself
		{"l", ".", true},
		{"l", "", false},
		{"l", "/etc/passwd", false},
		{"l", "..", false},
		{"l", "../f", false},
		{"d/l", "../../f", false},
		{"d/e/l", "../.././../f", false},
		{"l", "d/../f", false}, // d may be a link by then
		{"l", "d/../../f", false},
		{"l", "a\x00b", false},
	} {
		if got := linkStaysInside(tt.link, tt.target, false); got != tt.ok {
			t.Errorf("%q -> %q: %v", tt.link, tt.target, got)
		}
	}
	for _, target := range []string{`..\..\x`, `C:x`, `a\b`} {
		if linkStaysInside("d/l", target, true) {
			t.Errorf("%q is taken on Windows", target)
		}
	}
}

func TestPartName(t *testing.T) {
	if got := partName("/a/b.txt", false); got != "/a/b.txt.filepart" {
		t.Error(got)
	}
	a, b := partName("f", true), partName("f", true)
	if a == b || !strings.HasSuffix(a, partSuffix) || !strings.HasPrefix(a, "f.") {
		t.Error(a, b)
	}
	for _, name := range []string{strings.Repeat("x", 255), strings.Repeat("ü", 127), "d/" + strings.Repeat("€", 85)} {
		for _, unique := range []bool{false, true} {
			got := partName(name, unique)
			base := got[strings.LastIndexByte(got, '/')+1:]
			if len(base) > maxElement || len(base) < 200 || strings.ToValidUTF8(base, "?") != base {
				t.Errorf("%d bytes: %q", len(base), base)
			}
		}
	}
}
