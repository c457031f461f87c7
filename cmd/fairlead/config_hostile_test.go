package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/settings"
)

// manyLines are n lines, each made by f of its number.
func manyLines(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i) + "\n")
	}
	return b.String()
}

// TestHostileConfig: whatever stands in a file, reading it takes memory, and with that time, in
// proportion to its length, and what is wrong is a fault with the number of its line, of bounded length.
func TestHostileConfig(t *testing.T) {
	const (
		head = "RootDirectory /srv\nUser a\nPublicKey " + goodKey + "\n" // three lines
		huge = 1 << 20
		many = 100_000
	)
	same := func(line string) func(int) string { return func(int) string { return line } }
	for name, tt := range map[string]struct {
		text string
		line int // of the first fault, 0 for none
		say  string
	}{
		"good":                 {head, 0, ""},
		"CRLF and a mark":      {"\ufeff" + strings.ReplaceAll(head, "\n", "\r\n"), 0, ""},
		"no end of line":       {strings.TrimSuffix(head, "\n"), 0, ""},
		"CR alone":             {strings.ReplaceAll(head, "\n", "\r"), 1, "control character"},
		"CR in the middle":     {head + "HomeDir /a\rb\n", 4, "control character"},
		"a mark further down":  {head + "\ufeffHomeDir /a\n", 4, "unknown setting"},
		"two marks":            {"\ufeff\ufeff" + head, 1, "unknown setting"},
		"UTF-16":               {"R\x00o\x00o\x00t\x00", 1, "UTF-8"},
		"the mark of UTF-16":   {"\xff\xfeR", 1, "UTF-8"},
		"NUL":                  {head + "HomeDir /a\x00b\n", 4, "UTF-8"},
		"NUL in quotes":        {head + "HomeDir \"/a\\x00b\"\n", 0, ""}, // to be refused where it is used
		"NUL in the root":      {"RootDirectory \"/srv\\x00\"\n", 0, ""},
		"invalid UTF-8":        {head + "HomeDir /\xc3\x28\n", 4, "UTF-8"},
		"in a comment":         {"# \xc3\x28\n" + head, 1, "UTF-8"},
		"a line of 1 MB":       {head + "HomeDir /" + strings.Repeat("a", huge) + "\n", 4, "longer than"},
		"a comment of 1 MB":    {"#" + strings.Repeat("a", huge) + "\n" + head, 1, "longer than"},
		"blanks of 1 MB":       {head + strings.Repeat(" ", huge) + "\n", 4, "longer than"},
		"a long name":          {strings.Repeat("N", 60000) + "\n" + head, 1, "no value"},
		"a long name, a value": {strings.Repeat("N", 60000) + " 1\n" + head, 1, "unknown setting"},
		"a long index":         {"MaxConnections[" + strings.Repeat("1", 60000) + "] 1\n" + head, 1, "index"},
		"a long value":         {"MaxConnections " + strings.Repeat("1", 60000) + "\n" + head, 1, "MaxConnections"},
		"a long user":          {head + "User " + strings.Repeat("u", 60000) + "\n" + "User " + strings.Repeat("u", 60000) + "\n", 4, ""},
		"brackets":             {strings.Repeat("[", 60000) + "\n" + head, 1, ""},
		"brackets and a value": {"MaxConnections" + strings.Repeat("[]", 30000) + "=1\n" + head, 1, ""},
		"quotes":               {head + "HomeDir " + strings.Repeat(`"`, 60000) + "\n", 4, "closing quote"},
		"quotes in quotes":     {head + "HomeDir " + strings.Repeat(`'"`, 30000) + "\n", 4, "closing quote"},
		"backslashes":          {head + `HomeDir "` + strings.Repeat(`\`, 60001) + "\n", 4, "missing"},
		"half an escape":       {head + `HomeDir "\x0` + "\n", 4, "hexadecimal"},
		"an open quote":        {head + "HomeDir '\n", 4, "missing"},
		"methods":              {head + "RequiredMethods " + strings.Repeat("publickey+", 6000) + "publickey\n", 4, "one after the other"},
		"many methods":         {head + "RequiredMethods " + strings.Repeat("publickey,", 6000) + "publickey\n", 0, ""},
		"faults":               {strings.Repeat("Nonsense 1\n", many), 1, "unknown setting"},
		"empty lines":          {strings.Repeat("\n", many) + head, 0, ""},
		"clients":              {manyLines(many, func(i int) string { return fmt.Sprintf("AllowedClients 10.%d.%d.%d", i>>16, i>>8&255, i&255) }) + head, 0, ""},
		"extensions":           {strings.Repeat("Extensions a,b\n", many) + head, 0, ""},
		"blocks":               {head + manyLines(many, func(i int) string { return fmt.Sprintf("User u%d\nPublicKey %s", i, goodKey) }), 0, ""},
		"empty blocks":         {head + manyLines(many, func(i int) string { return fmt.Sprintf("User u%d", i) }), 4, "cannot log in"},
		"the same block":       {head + manyLines(many, same("User a")), 4, "already"},
		"keys of a user":       {head + manyLines(many/10, same("PublicKey "+goodKey)), 0, ""},
		"sources":              {head + manyLines(many, same("SourceAddress 10.0.0.1, ::1")), 0, ""},
		"rules":                {head + manyLines(many, func(i int) string { return fmt.Sprintf("Rule list /dir%d", i) }), 0, ""},
		"operations":           {head + manyLines(many, same("Deny remove")), 0, ""},
		"names":                {head + manyLines(many, func(i int) string { return fmt.Sprintf("RefuseNames *.x%d", i) }), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := loadText(tt.text, nil)
			runtime.ReadMemStats(&after)
			// Copying what is there at each line would make terabytes of it.
			if took, most := after.TotalAlloc-before.TotalAlloc, uint64(8<<20+150*len(tt.text)); took > most {
				t.Errorf("%d octets took %d of memory", len(tt.text), took)
			}
			if err == nil {
				if tt.line != 0 {
					t.Fatal("no fault")
				}
				return
			}
			text := err.Error()
			var faults settings.Faults
			if tt.line == 0 || !errors.As(err, &faults) || len(faults) == 0 || len(faults) > 101 {
				t.Fatalf("%d faults: %.300q", len(faults), text)
			}
			if first := faults[0]; first.Line != tt.line || first.File != "f.conf" || !strings.Contains(first.Error(), tt.say) {
				t.Errorf("%s:%d: %.300q; want line %d and %q", first.File, first.Line, first.Error(), tt.line, tt.say)
			}
			for _, f := range faults {
				if n := len(f.Error()); n > 2048 {
					t.Errorf("line %d: a message of %d octets: %.200q", f.Line, n, f.Error())
				}
			}
		})
	}
}

// TestListInManyLines: a list grows by each line and by nothing else, not by the default that an empty line stands for.
func TestListInManyLines(t *testing.T) {
	const rest = "RootDirectory /srv\nUser a\nPublicKey " + goodKey + "\n"
	for text, want := range map[string]string{
		"AllowedClients=\nAllowedClients 10.0.0.1\n":                             "10.0.0.1",
		"AllowedClients 10.0.0.1, 10.0.0.2\nAllowedClients=\nAllowedClients ::1": "10.0.0.1 10.0.0.2 ::1",
	} {
		c, err := loadText(text+"\n"+rest, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.server.AllowedClients, " "); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
