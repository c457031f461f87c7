package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagsAsPeopleWriteThem(t *testing.T) {
	for in, want := range map[string]string{
		"-lah x":         "l a h | x",
		"x -lah":         "l a h | x",
		"-P2022 x":       "P=2022 | x",
		"-P 2022 x":      "P=2022 | x",
		"-P=2022 x":      "P=2022 | x",
		"--port 2022 x":  "P=2022 | x",
		"--port=2022 x":  "P=2022 | x",
		"-laP2022 x":     "l a P=2022 | x",
		"-laP 2022 x":    "l a P=2022 | x",
		"-P -l x":        "P=-l | x",
		"-oA=b -o C=d x": "o=A=b o=C=d | x",
		"-l -- -a":       "l | -a",
		"- x -l":         "l | - x",
		"--long":         "l |",
		"-lx":            "error",
		"-z":             "error",
		"--nothing":      "error",
		"-P":             "error",
		"-o=":            "error",
		"-la --port= x":  "error",
	} {
		f := newFlagSet("test")
		var got []string
		port, opts := "", []string{}
		var l, a, h bool
		f.on(&l, "l,long", "")
		f.on(&a, "a", "")
		f.on(&h, "h", "")
		f.text(&port, "P,port", "PORT", "")
		f.list(&opts, "o", "O", "")
		rest, err := f.parse(strings.Fields(in))
		if err != nil {
			if want != "error" || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v", in, err)
			}
			continue
		}
		for name, on := range map[string]bool{"l": l, "a": a, "h": h} {
			if on {
				got = append(got, name)
			}
		}
		slices.SortFunc(got, func(x, y string) int { return strings.Index("lah", x) - strings.Index("lah", y) })
		if port != "" {
			got = append(got, "P="+port)
		}
		for _, o := range opts {
			got = append(got, "o="+o)
		}
		got = append(append(got, "|"), rest...)
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %q, want %q", in, s, want)
		}
	}
}

func FuzzFlags(f *testing.F) {
	f.Add("-la\n-P\n22\n--\n-x")
	f.Add("-oX\n-P=\n-")
	f.Fuzz(func(_ *testing.T, s string) {
		fs := newFlagSet("test")
		var b bool
		var v string
		fs.on(&b, "l,long", "")
		fs.text(&v, "P,port", "", "")
		_, _ = fs.parse(strings.Split(s, "\n"))
	})
}
