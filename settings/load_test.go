package settings_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fairlead-ssh/fairlead/settings"
)

// user is what a block of a file is about.
type user struct {
	Name   string
	Root   string
	Max    int
	Groups []string
}

var userTable = settings.New(nil,
	settings.Row[user]{Name: "Root", Group: "Of a user", Since: "0.1", Doc: "Where the user is.", Field: func(u *user) any { return &u.Root }},
	settings.Row[user]{Name: "Max", Default: "0", Range: "0..9", Group: "Of a user", Since: "0.1", Doc: "How many.", Field: func(u *user) any { return &u.Max }},
	settings.Row[user]{Name: "Groups", Repeat: true, Group: "Of a user", Since: "0.1", Doc: "Which.", Field: func(u *user) any { return &u.Groups }},
)

// users is a section that collects.
func users(into *[]*user) settings.Section {
	return &settings.Block[user]{
		Keyword: "User", Doc: "The settings of one user, by name.", Table: userTable,
		Open: func(arg string) (*user, error) {
			if slices.ContainsFunc(*into, func(u *user) bool { return u.Name == arg }) {
				return nil, fmt.Errorf("user %q has a block already", arg)
			}
			u := &user{Name: arg}
			*into = append(*into, u)
			return u, nil
		},
		Done: func(u *user) error {
			if u.Root == "" {
				return fmt.Errorf("user %q has no Root", u.Name)
			}
			return nil
		},
	}
}

func TestLoad(t *testing.T) {
	file := "\ufeff# a server\r\n" + `
Count 5
	name =  a "b" c   # a comment
Idle=1m30s
Password "swordfish"
Hosts a, b
Keys one
Keys two,three	# tab
Prompts 1
Prompts 2
PromptText[0] 'Your "code" \n: '
PromptText[1]="PIN\x3a\t\"\\\r\n "
Kind 'dir'# close by
Big=
`
	o := options{Prompts: make([]prompt, 2)}
	err := table.Load(&o, strings.NewReader(strings.Replace(file, "Big=\n", "Big=#\n", 1)), "a.conf")
	if err == nil || err.Error() != `settings: a.conf:15: Big: bad value: want a number of bytes, such as 65536, 64k or 1 GiB` {
		t.Errorf("%v", err)
	}
	o = options{Prompts: make([]prompt, 2)}
	if err := table.Load(&o, strings.NewReader(strings.Replace(file, "Big=\n", "", 1)), "a.conf"); err != nil {
		t.Fatal(err)
	}
	want := options{
		Count: 5, Name: `a "b" c`, Idle: 90 * time.Second, Password: "swordfish", Hosts: []string{"a", "b"}, Keys: []string{"one", "two", "three"}, Own: "2", Times: 2, Kind: "dir",
		Prompts: []prompt{{Text: `Your "code" \n: `}, {Text: "PIN:\t\"\\\r\n "}},
	}
	if got, want := fmt.Sprintf("%+v", o), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestLoadFaults has all that can be wrong with a line, and wants every one told.
func TestLoadFaults(t *testing.T) {
	file := `Count 101
Cuont 1
Count
= 5
Name "open
Name 'open
Name "a" b
Name "\q"
Name "\x4"
Name "\
Name a` + "\x01" + `b
Name ` + "\xff" + `
Count 5
Count 6
Build 2
On
UseIOCP yes
PromptText x
Prompts[8] x
Name "a" # fine
Level=`
	var o options
	err := table.Load(&o, strings.NewReader(file), "b.conf")
	var faults settings.Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	want := []string{
		`b.conf:1: Count: bad value "101": want 0 to 100`,
		`b.conf:2: unknown setting "Cuont"; did you mean Count?`,
		`b.conf:3: "Count" has no value; an empty one is written Count=`,
		`b.conf:4: no name before =`,
		`b.conf:5: the closing " is missing`,
		`b.conf:6: the closing ' is missing`,
		`b.conf:7: something stands behind the closing quote`,
		`b.conf:8: \q has no meaning in double quotes; a backslash is \\, or take single quotes`,
		`b.conf:9: \x wants two hexadecimal digits`,
		`b.conf:10: the closing " is missing`,
		`b.conf:11: control character "\x01"; in quotes it can be written as \x01`,
		`b.conf:12: the line is not UTF-8 text; save the file as UTF-8`,
		`b.conf:13: Count is set a second time, after line 1`, // line 1 set it, be it wrongly
		`b.conf:14: Count is set a second time, after line 1`,
		`b.conf:15: Build can be read and not set`,
		`b.conf:16: "On" has no value; an empty one is written On=`,
		`b.conf:17: UseIOCP: value "yes" is for Windows only: Go has its own.`,
		`b.conf:18: PromptText wants an index, as in PromptText[number]`,
		`b.conf:19: Prompts[8]: no such connection`,
		`b.conf:21: Level: bad value: want one of 0 (INFO), 1 (WARN)`,
	}
	got := strings.Split(strings.TrimPrefix(err.Error(), "settings: "), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Each is there by its type too.
	var name *settings.NameError
	var busy *settings.PlatformError
	var syntax *settings.SyntaxError
	if !errors.As(err, &name) || !errors.As(err, &busy) || !errors.As(err, &syntax) || !errors.Is(err, errNoConnection) || faults[1].Line != 2 || faults[1].File != "b.conf" {
		t.Error("the faults are not reachable by type")
	}
}

func TestLoadSections(t *testing.T) {
	var all []*user
	var o options
	err := table.Load(&o, strings.NewReader("Count 5\nUser alice\n  Root /a\n  Max 2\n  Groups x\n  Groups y\nUSER bob\nRoot /b\n"), "c.conf", users(&all))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || o.Count != 5 || fmt.Sprintf("%+v%+v", *all[0], *all[1]) != "{Name:alice Root:/a Max:2 Groups:[x y]}{Name:bob Root:/b Max:0 Groups:[]}" {
		t.Errorf("%+v %v", o, all)
	}
}

// TestLoadSectionFaults: faults of blocks carry their lines, and a block that cannot
// be opened is looked at all the same.
func TestLoadSectionFaults(t *testing.T) {
	var all []*user
	var o options
	err := table.Load(&o, strings.NewReader(`User alice
Max 10
User bob
Max 1
User carol
Root /c
Count 5
User carol
Rooot /x
Max 10
Max 1
User
Anything goes
User "dave d"
Root=/d
`), "d.conf", users(&all))
	want := []string{
		`d.conf:2: Max: bad value "10": want 0 to 9`, // and not besides that alice has no Root
		`d.conf:3: user "bob" has no Root`,
		`d.conf:7: unknown setting "Count" here: it stands in front of the first block`,
		`d.conf:8: user "carol" has a block already`,
		`d.conf:9: unknown setting "Rooot"; did you mean Root?`,
		`d.conf:11: Max is set a second time, after line 10`,
		`d.conf:12: User: what it is about must follow it on the line`,
	}
	if err == nil {
		t.Fatal("no faults")
	}
	if got := strings.Split(strings.TrimPrefix(err.Error(), "settings: "), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if last := all[len(all)-1]; last.Name != "dave d" || last.Root != "/d" {
		t.Errorf("%+v", last)
	}
}

// TestLoadMisplaced: a setting of blocks in front of them is told where it belongs.
func TestLoadMisplaced(t *testing.T) {
	var all []*user
	err := table.Load(&options{}, strings.NewReader("Max 1\nRooot /x\n"), "f.conf", users(&all))
	want := "settings: f.conf:1: unknown setting \"Max\" here: it stands behind User, in a block\nf.conf:2: unknown setting \"Rooot\""
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// TestLoadLimits: long lines and endless faults end.
func TestLoadLimits(t *testing.T) {
	var o options
	err := table.Load(&o, strings.NewReader("Count 1\nName "+strings.Repeat("x", 70000)+"\nCount 2\n"), "e.conf")
	if err == nil || err.Error() != "settings: e.conf:2: the line is longer than 65536 bytes" {
		t.Error(err)
	}
	err = table.Load(&o, strings.NewReader(strings.Repeat("Nope 1\n", 10000)), "e.conf")
	var faults settings.Faults
	if !errors.As(err, &faults) || len(faults) != 100 {
		t.Error(len(faults))
	}
	broken := errors.New("broken")
	if err := table.Load(&o, iotest.ErrReader(broken), "e.conf"); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := table.Load(&o, iotest.OneByteReader(strings.NewReader("Count 7")), "e.conf"); err != nil || o.Count != 7 {
		t.Error(err)
	}
}

// TestPrint: what is printed loads, and gives the same options.
func TestPrint(t *testing.T) {
	o := options{Count: 5, Name: ` "x" # \ `, Password: "swordfish", Hosts: []string{"a", "b"}, Idle: 1500 * time.Millisecond, Grace: -1, Own: "3", Mode: 2, Level: 4, On: true}
	var b bytes.Buffer
	if err := table.Print(&o, &b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"# Plain", "Count 5", `Name " \"x\" # \\ "`, "Idle 1.5s", "Grace 0", "Mode 2", "#Kind file", "#Keys=", "Level 1", "On True", "#Small 0"} {
		if !slices.Contains(strings.Split(b.String(), "\n"), line) {
			t.Errorf("%q is missing", line)
		}
	}
	if strings.Contains(b.String(), "swordfish") || strings.Contains(b.String(), "UseIOCP") || strings.Contains(b.String(), "Build") {
		t.Error("a secret, or what cannot be set, is printed")
	}
	if t.Failed() {
		t.Log(b.String())
	}
	var back options
	if err := table.Load(&back, &b, "printed"); err != nil {
		t.Fatal(err)
	}
	o.Password, back.Times = "", 0
	if fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", o) {
		t.Errorf("\n got %+v\nwant %+v", back, o)
	}
	bad := settings.New(nil, settings.Row[options]{Name: "A", Field: func(*options) any { return new(badText) }})
	if err := bad.Print(&o, io.Discard); err == nil {
		t.Error("what cannot be printed was")
	}
}

func TestMarkdown(t *testing.T) {
	var b bytes.Buffer
	var all []*user
	if err := table.Markdown(&b, users(&all)); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"\n## Plain\n\n| Name | Values | Default | When | Meaning |\n|---|---|---|---|---|\n| `On` | True or False | `False` | any time | A switch. Flag `--on`. |\n",
		"| `Count` | number, 0 to 100 | `0` | start | A number. Also called `Number`, `MaxCount`. Flag `--count`. |\n",
		"| A switch. The field is `Off`, which means the opposite. |\n",
		"| `Signed` | number, from -5 | ", "| `Free` | duration, up to 1m | ", "| `Idle` | seconds, 0 to 1h | `0` | any time | How long a\\|b. |\n",
		"| `Level` | `0` or `INFO`: what happens; `1` or `WARN` | `0` |",
		"| `PromptText[number]` | text |", "| `Build` |  |  | read only | What it is. |\n",
		"| `UseIOCP` |  | `False` | start | Completion ports. For Windows only; other values are an error here. Go has its own. |\n",
		"| `Keys` | list |  | start | A list. May stand in a file several times. |\n",
		"\n## Blocks that begin with `User`\n\nThe settings of one user, by name.\n\n### Of a user\n\n| Name |", "| `Root` | text |",
	} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("%q is missing", part)
		}
	}
	if t.Failed() {
		t.Log(b.String())
	}
}

func TestFlags(t *testing.T) {
	var o options
	f := flag.NewFlagSet("x", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	table.Flags(&o, f)
	if err := f.Parse([]string{"--on", "--count", "7"}); err != nil || !o.On || o.Count != 7 {
		t.Errorf("%+v, %v", o, err)
	}
	if err := f.Parse([]string{"--on=no", "--count=x"}); err == nil || !strings.Contains(err.Error(), "whole number") || o.On {
		t.Errorf("%+v, %v", o, err)
	}
}

// FuzzLoad: no file makes it panic, every fault has a line of the file, and what was
// loaded prints as a file that loads to the same.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"Count 5\nName \"a\\x41\" # c\n", "User alice\nRoot /a\nUser", "Name 'x'\r\nName=y", "\ufeffCount=1", "A[=]=x", "PromptText[a b = c] x", "Keys a\nKeys b\n# x", "Name a #b", "Name=#", "Hosts a,\"b\"", "Name \u00a0x\u00a0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		o := options{Prompts: make([]prompt, 2)}
		var all []*user
		if err := table.Load(&o, strings.NewReader(file), "f", users(&all)); err != nil {
			var faults settings.Faults
			if !errors.As(err, &faults) {
				t.Fatal(err)
			}
			for _, e := range faults {
				if e.Line < 1 || e.Line > strings.Count(file, "\n")+1 {
					t.Fatalf("fault in line %d", e.Line)
				}
			}
			return
		}
		var first, second bytes.Buffer
		var back options
		if err := table.Print(&o, &first); err != nil {
			t.Fatal(err)
		}
		if err := table.Load(&back, bytes.NewReader(first.Bytes()), "printed"); err != nil {
			t.Fatalf("%v in\n%s", err, first.Bytes())
		}
		if err := table.Print(&back, &second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("%v\n%s\n%s", err, first.Bytes(), second.Bytes())
		}
	})
}
