package settings

import "testing"

// FuzzLine: every value can be written in a line and is read back as it was.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "a", " a ", "a #b", "#a", `"a"`, "'", `\`, "a\nb\r\t\x00\x7f", "\xff\xfe", "é", "\u00a0", "a\u2028", "= b", "a=b", "x\u00a0 #", "\ufeff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text := "Name " + quoteValue(value)
		l, err := parseLine(text)
		if err != nil || !l.given || l.name != "Name" || l.value != value {
			t.Fatalf("%q is written %q and read %+v, %v", value, text, l, err)
		}
		// Any text at all is a line or an error, and a line's name and value can be
		// written again.
		if l, err := parseLine(value); err == nil && l.given {
			if again, err := parseLine(l.name + "=" + quoteValue(l.value)); err != nil || again != l {
				t.Fatalf("%q is read %+v and then %+v, %v", value, l, again, err)
			}
		}
	})
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"ab", "ba", 1}, {"cuont", "count", 1}, {"kitten", "sitting", 3}, {"same", "same", 0}, {"abc", "ca", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
