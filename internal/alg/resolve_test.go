package alg

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

var (
	testKnown    = []string{"a", "b", "c", "d1", "d2", "weak"}
	testDefaults = []string{"a", "b", "c", "d1"}
)

func TestResolve(t *testing.T) {
	for _, tt := range []struct{ spec, want string }{
		{"", "a,b,c,d1"},
		{"  ", "a,b,c,d1"},
		{"b,a", "b,a"},
		{" b , a ", "b,a"},
		{"a,a,b,a", "a,b"},
		{"weak", "weak"},
		{"+weak", "a,b,c,d1,weak"},
		{"+weak,d2", "a,b,c,d1,weak,d2"},
		{"+a", "a,b,c,d1"},
		{"-b", "a,c,d1"},
		{"-b,c", "a,d1"},
		{"-d*", "a,b,c"},
		{"-d?", "a,b,c"},
		{"-weak", "a,b,c,d1"}, // known but not in the list: nothing to do
		{"^c", "c,a,b,d1"},
		{"^c,b", "c,b,a,d1"},
		{"^weak,c", "weak,c,a,b,d1"},
		{"^c,-a,+weak", "c,b,d1,weak"},
		{"+weak,-weak", "a,b,c,d1"},
		{"^c,^b", "b,c,a,d1"},
		{"-*,+b", "b"},
		{"- b", "a,c,d1"},
	} {
		got, err := Resolve(tt.spec, testKnown, testDefaults)
		if err != nil || strings.Join(got, ",") != tt.want {
			t.Errorf("Resolve(%q) = %q, %v; want %s", tt.spec, got, err, tt.want)
		}
	}
	if !slices.Equal(testDefaults, []string{"a", "b", "c", "d1"}) {
		t.Errorf("Resolve changed its arguments: %q", testDefaults)
	}
	got, _ := Resolve("", testKnown, testDefaults)
	got[0] = "x"
	if testDefaults[0] != "a" {
		t.Error("the result shares memory with the defaults")
	}
}

// A misspelled name must stop the program, not weaken the list.
func TestCVE_10_8_UnknownNameIsAnError(t *testing.T) {
	for spec, name := range map[string]string{
		"x":       "x",
		"a,x":     "x",
		"+x":      "x",
		"-x":      "x",
		"^a,x":    "x",
		"-x*":     "x*",
		"+d*":     "d*", // patterns never add
		"d?":      "d?",
		"A":       "A", // names are case-sensitive
		"a;b":     "a;b",
		"a,*":     "*",
		"-a,+b,z": "z",
	} {
		got, err := Resolve(spec, testKnown, testDefaults)
		var unknown *UnknownNameError
		if !errors.As(err, &unknown) || got != nil {
			t.Errorf("Resolve(%q) = %q, %v; want an UnknownNameError", spec, got, err)
			continue
		}
		if unknown.Name != name || !strings.Contains(err.Error(), "d2") {
			t.Errorf("Resolve(%q): error does not help: %v", spec, err)
		}
	}
}

func TestResolveSpecErrors(t *testing.T) {
	for _, spec := range []string{",", "a,", ",a", "a,,b", "+", "-", "^", "+a,", "a,+b", "a,-b", "a,^b", "-*", "-a,b,c,d1"} {
		got, err := Resolve(spec, testKnown, testDefaults)
		var bad *SpecError
		if !errors.As(err, &bad) || got != nil {
			t.Errorf("Resolve(%q) = %q, %v; want a SpecError", spec, got, err)
		} else if bad.Spec != spec {
			t.Errorf("Resolve(%q): error names %q", spec, bad.Spec)
		}
	}
	var bad *SpecError
	if _, err := Resolve("", testKnown, nil); !errors.As(err, &bad) {
		t.Errorf("no defaults: %v; want a SpecError", err)
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "abc", true},
		{"a*c", "abc", true},
		{"a*c", "abcd", false},
		{"a*b*c", "axxbyybc", true},
		{"*-cbc", "aes128-cbc", true},
		{"*@openssh.com", "umac-64@openssh.com", true},
		{"?", "", false},
		{"??", "ab", true},
		{"a?", "a", false},
		{"[a]", "a", false},
		{"[a]", "[a]", true},
		{strings.Repeat("*a", 40), strings.Repeat("a", 39), false},
	} {
		if got := match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}

type testRow struct {
	name   string
	status Status
}

func (r testRow) Meta() Row { return Row{Name: r.name, Status: r.status} }

func TestNamesAndDefaults(t *testing.T) {
	rows := []testRow{{"a", Default}, {"b", Offered}, {"c", Legacy}, {"d", Default}, {"zero", 0}, {"wrong", 9}}
	if got := Names(rows); !slices.Equal(got, []string{"a", "b", "c", "d", "zero", "wrong"}) {
		t.Errorf("Names = %q", got)
	}
	if got := Defaults(rows); !slices.Equal(got, []string{"a", "d"}) {
		t.Errorf("Defaults = %q: a row without a status must not be offered", got)
	}
	for worst, want := range map[Status][]string{0: nil, Default: {"a", "d"}, Offered: {"a", "b", "d"}, Legacy: {"a", "b", "c", "d"}, 9: {"a", "b", "c", "d"}} {
		if got := UpTo(worst, rows); !slices.Equal(got, want) {
			t.Errorf("UpTo(%v) = %q, want %q", worst, got, want)
		}
	}
	for s, want := range map[Status]string{0: "invalid", Default: "default", Offered: "offered", Legacy: "legacy", 9: "invalid"} {
		if s.String() != want {
			t.Errorf("Status(%d) = %q, want %q", s, s, want)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, s := range []string{"", "a,b", "+weak", "-d*", "^c,-a,+weak", "a,,b", "+", "-*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		got, err := Resolve(spec, testKnown, testDefaults)
		if (err == nil) == (len(got) == 0) {
			t.Fatalf("Resolve(%q) = %q, %v", spec, got, err)
		}
		for i, n := range got {
			if !slices.Contains(testKnown, n) || slices.Contains(got[:i], n) {
				t.Fatalf("Resolve(%q) = %q: unknown or repeated name", spec, got)
			}
		}
	})
}
