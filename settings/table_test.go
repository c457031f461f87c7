package settings_test

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ssh/fairlead/settings"
)

// options has a field of every kind.
type options struct {
	On       bool
	Off      bool
	Count    int
	Small    uint8
	Signed   int16
	Big      uint64
	Buffer   int
	Idle     time.Duration
	Probe    time.Duration
	Free     time.Duration
	Name     string
	Password string
	Hosts    []string
	Keys     []string
	Level    slog.Level
	Mode     int
	Kind     string
	Backlog  int
	Grace    time.Duration
	Prompts  []prompt
	EOL      string
	Own      string
	Times    int

	running bool
}

type prompt struct {
	Text string
	Echo bool
}

var errNoConnection = errors.New("no such connection")

var table = settings.New(func(o *options) bool { return o.running },
	settings.Row[options]{Name: "On", Default: "False", When: settings.Runtime, Group: "Plain", Since: "0.1", Doc: "A switch.", Field: func(o *options) any { return &o.On }, Flag: "on"},
	settings.Row[options]{Name: "NotOff", GoName: "Off", Default: "True", Inverse: true, Group: "Plain", Since: "0.1", Doc: "A switch.", Field: func(o *options) any { return &o.Off }},
	settings.Row[options]{Name: "Count", Aliases: []string{"Number", "MaxCount"}, Default: "0", Range: "0..100", Busy: 108, Group: "Plain", Since: "0.1", Doc: "A number.", Field: func(o *options) any { return &o.Count }, Flag: "count"},
	settings.Row[options]{Name: "Small", Default: "0", Group: "Plain", Since: "0.1", Doc: "A byte.", Field: func(o *options) any { return &o.Small }},
	settings.Row[options]{Name: "Signed", Default: "0", Range: "-5..", Group: "Plain", Since: "0.1", Doc: "A signed number.", Field: func(o *options) any { return &o.Signed }},
	settings.Row[options]{Name: "Big", Default: "0", Unit: settings.Bytes, Group: "Plain", Since: "0.1", Doc: "Many bytes.", Field: func(o *options) any { return &o.Big }},
	settings.Row[options]{Name: "Buffer", Default: "4096", Range: "1k..1M", Unit: settings.Bytes, ZeroIsDefault: true, Group: "Plain", Since: "0.1", Doc: "Bytes.", Field: func(o *options) any { return &o.Buffer }},
	settings.Row[options]{Name: "Idle", Default: "0", Unit: settings.Seconds, Range: "0..1h", When: settings.Runtime, Group: "Times", Since: "0.1", Doc: "How long a|b.", Field: func(o *options) any { return &o.Idle }},
	settings.Row[options]{Name: "Probe", Default: "0", Unit: settings.Milliseconds, Group: "Times", Since: "0.1", Doc: "How often.", Field: func(o *options) any { return &o.Probe }},
	settings.Row[options]{Name: "Free", Default: "0", Range: "..1m", Group: "Times", Since: "0.1", Doc: "A duration.", Field: func(o *options) any { return &o.Free }},
	settings.Row[options]{Name: "Grace", Default: "120", Unit: settings.Seconds, ZeroIsDefault: true, Group: "Times", Since: "0.1", Doc: "0 is none.", Field: func(o *options) any { return &o.Grace }},
	settings.Row[options]{Name: "Backlog", Default: "5", ZeroIsDefault: true, Group: "Times", Since: "0.1", Doc: "0 is none.", Field: func(o *options) any { return &o.Backlog }},
	settings.Row[options]{Name: "Name", Group: "Texts", Since: "0.1", Doc: "A text.", Field: func(o *options) any { return &o.Name }, Valid: func(v string) error {
		if strings.Contains(v, "/") {
			return errors.New("has a slash")
		}
		return nil
	}},
	settings.Row[options]{Name: "Password", Secret: true, Group: "Texts", Since: "0.1", Doc: "A secret.", Field: func(o *options) any { return &o.Password }, Choices: []settings.Choice{{Value: "swordfish"}, {Value: ""}}},
	settings.Row[options]{Name: "Hosts", Group: "Texts", Since: "0.1", Doc: "A list.", Field: func(o *options) any { return &o.Hosts }},
	settings.Row[options]{Name: "Keys", Repeat: true, Group: "Texts", Since: "0.1", Doc: "A list.", Field: func(o *options) any { return &o.Keys }},
	settings.Row[options]{
		Name: "Level", Default: "0", Group: "Texts", Since: "0.1", Doc: "A level.", Field: func(o *options) any { return &o.Level },
		Choices: []settings.Choice{{Value: "0", Word: "INFO", Doc: "what happens"}, {Value: "1", Word: "WARN"}},
	},
	settings.Row[options]{
		Name: "Mode", Default: "1", ZeroIsDefault: true, Group: "Texts", Since: "0.1", Doc: "A mode.", Field: func(o *options) any { return &o.Mode },
		Choices: []settings.Choice{{Value: "1", Word: "offer"}, {Value: "2", Word: "require"}},
	},
	settings.Row[options]{
		Name: "Kind", Default: "file", Group: "Texts", Since: "0.1", Doc: "A kind.", ZeroIsDefault: true, Field: func(o *options) any { return &o.Kind },
		Choices: []settings.Choice{{Value: "file"}, {Value: "dir"}},
	},
	settings.Row[options]{
		Name: "EOL", Default: "LF", ZeroIsDefault: true, Group: "Texts", Since: "0.1", Doc: "A line end.", Field: func(o *options) any { return &o.EOL },
		Choices: []settings.Choice{{Value: "LF", Word: "\n"}, {Value: "CRLF", Word: "\r\n"}},
	},
	settings.Row[options]{Name: "PromptText", Index: "number", When: settings.Runtime, Group: "Prompts", Since: "0.1", Doc: "Its text.", Type: "text", Item: func(o *options, index string) (any, error) {
		p, err := promptAt(o, index)
		return &p.Text, err
	}},
	settings.Row[options]{Name: "PromptEcho", Index: "number", Default: "False", Group: "Prompts", Since: "0.1", Doc: "Its echo.", Type: "True or False", Item: func(o *options, index string) (any, error) {
		p, err := promptAt(o, index)
		return &p.Echo, err
	}},
	settings.Row[options]{
		Name: "Prompts", Index: "connection", When: settings.Runtime, Group: "Prompts", Since: "0.1", Doc: "Of a connection.",
		Get: func(_ *options, id string) (string, error) {
			if id != "7" {
				return "", errNoConnection
			}
			return "seven", nil
		},
		Set: func(_ *options, id, value string) error {
			switch {
			case id != "7":
				return errNoConnection
			case value == "":
				return &settings.ValueError{Want: "prompts"}
			}
			return nil
		},
	},
	settings.Row[options]{
		Name: "Prompts", Group: "Prompts", Since: "0.1", Doc: "Of all.", Range: "0..10", Default: "0",
		Get: func(o *options, _ string) (string, error) { return cmp.Or(o.Own, "0"), nil },
		Set: func(o *options, _, value string) error { o.Own = value; o.Times++; return nil }, Repeat: true,
	},
	settings.Row[options]{Name: "Secretive", Group: "Prompts", Since: "0.1", Doc: "Written only.", Set: func(*options, string, string) error { return nil }},
	settings.Row[options]{Name: "Build", When: settings.ReadOnly, Group: "Told", Since: "0.1", Doc: "What it is.", Get: func(*options, string) (string, error) { return "1.2", nil }},
	settings.Row[options]{Name: "UseIOCP", Default: "False", Group: "Told", Since: "0.1", Doc: "Completion ports.", Unsupported: &settings.Unsupported{Platform: "Windows", Hint: "Go has its own."}},
	settings.Row[options]{Name: "Crypto", Default: "own", Group: "Told", Since: "0.1", Doc: "Which.", Unsupported: &settings.Unsupported{Platform: "Windows", Accept: []string{"any"}}},
)

func promptAt(o *options, index string) (*prompt, error) {
	var n int
	if err := settings.Scan(&n, settings.NoUnit, index); err != nil {
		return new(prompt), err
	}
	if n >= len(o.Prompts) {
		return new(prompt), errors.New("no such prompt")
	}
	return &o.Prompts[n], nil
}

func TestCheck(t *testing.T) {
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	if n := len(slices.Collect(table.Rows())); n != 28 {
		t.Errorf("%d rows", n)
	}
}

// TestCheckFinds gives Check tables with one fault each.
func TestCheckFinds(t *testing.T) {
	good := settings.Row[options]{Name: "A", Default: "0", Group: "G", Since: "0.1", Doc: "D.", Field: func(o *options) any { return &o.Count }}
	for _, c := range []struct {
		want string
		edit func(r *settings.Row[options])
	}{
		{"Doc, Group and Since", func(r *settings.Row[options]) { r.Doc = "" }},
		{"is no name", func(r *settings.Row[options]) { r.Name = "a b" }},
		{"is no name", func(r *settings.Row[options]) { r.Aliases = []string{"x[1]"} }},
		{"is no name", func(r *settings.Row[options]) { r.Aliases = []string{""} }},
		{"also that of row A", func(r *settings.Row[options]) { r.Aliases = []string{"a"} }},
		{"default", func(r *settings.Row[options]) { r.Default = "x" }},
		{"printed as", func(r *settings.Row[options]) { r.Default = "00" }},
		{"want 1 to 2", func(r *settings.Row[options]) { r.Range = "1..2" }},
		{"FROM..TO", func(r *settings.Row[options]) { r.Range = "1-2" }},
		{"whole number", func(r *settings.Row[options]) { r.Range = "1..b" }},
		{"whole number", func(r *settings.Row[options]) { r.Range = "b.." }},
		{"zero value reads", func(r *settings.Row[options]) {
			r.Field = func(o *options) any { o.Count = 1; return &o.Count }
			r.ZeroIsDefault = true
		}},
		{"0 of Field", func(r *settings.Row[options]) { r.Field = nil }},
		{"2 of Field", func(r *settings.Row[options]) { r.Unsupported = &settings.Unsupported{} }},
		{"Index goes with", func(r *settings.Row[options]) { r.Index = "number" }},
		{"read only and has a Set", func(r *settings.Row[options]) {
			r.Field, r.When, r.Set = nil, settings.ReadOnly, func(*options, string, string) error { return nil }
		}},
		{"Range and Choices", func(r *settings.Row[options]) { r.Range, r.Choices = "0..1", []settings.Choice{{Value: "0"}} }},
		{"no bool", func(r *settings.Row[options]) { r.Inverse = true }},
		{"no good", func(r *settings.Row[options]) { r.Valid = func(string) error { return errors.New("no good") } }},
		{"cannot be printed", func(r *settings.Row[options]) { r.Field = func(*options) any { return new(complex64) } }},
		{"its field", func(r *settings.Row[options]) { r.Field = func(*options) any { return new(badText) } }},
	} {
		bad := good
		c.edit(&bad)
		if err := settings.New(nil, bad).Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
	twice := good
	twice.Name, twice.Flag = "B", "f"
	first := good
	first.Flag = "f"
	if err := settings.New(nil, first, twice).Check(); err == nil || !strings.Contains(err.Error(), "flag") {
		t.Error(err)
	}
}

// badText cannot be printed.
type badText struct{}

func (*badText) UnmarshalText([]byte) error   { return errors.New("never") }
func (*badText) MarshalText() ([]byte, error) { return nil, errors.New("never") }

// TestValues sets every kind of value and reads it back.
func TestValues(t *testing.T) {
	for _, c := range []struct{ name, value, back string }{
		{"On", "True", "True"},
		{"On", "YES", "True"},
		{"On", " on ", "True"},
		{"On", "1", "True"},
		{"On", "no", "False"},
		{"On", "FALSE", "False"},
		{"on", "0", "False"},
		{"ON", "off", "False"},
		{"NotOff", "no", "False"},
		{"NotOff", "1", "True"},
		{"Count", "100", "100"},
		{"number", " 7 ", "7"},
		{"MAXCOUNT", "0", "0"},
		{"Small", "255", "255"},
		{"Signed", "-5", "-5"},
		{"Signed", "32767", "32767"},
		{"Big", "4096", "4096"},
		{"Big", "512k", "524288"},
		{"Big", "1 GiB", "1073741824"},
		{"Big", "3MB", "3145728"},
		{"Big", "2t", "2199023255552"},
		{"Big", "5b", "5"},
		{"Buffer", "1k", "1024"},
		{"Buffer", "1M", "1048576"},
		{"Idle", "90", "90"},
		{"Idle", "1m30s", "90"},
		{"Idle", "1500ms", "1.5s"},
		{"Idle", "0", "0"},
		{"Idle", "1h", "3600"},
		{"Probe", "250", "250"},
		{"Probe", "2s", "2000"},
		{"Probe", "5us", "5µs"},
		{"Free", "1m", "1m0s"},
		{"Free", "0", "0"},
		{"Free", "-1s", "-1s"},
		{"Grace", "0", "0"},
		{"Grace", "120", "120"},
		{"Backlog", "0", "0"},
		{"Backlog", "5", "5"},
		{"Name", " a b ", " a b "},
		{"Name", "", ""},
		{"Hosts", "a, b ,,c", "a,b,c"},
		{"Hosts", "", ""},
		{"Level", "1", "1"},
		{"Level", "warn", "1"},
		{"Level", "INFO", "0"},
		{"Mode", "Require", "2"},
		{"Mode", "1", "1"},
		{"Kind", "DIR", "dir"},
		{"EOL", "crlf", "CRLF"},
		{"EOL", "\r\n", "CRLF"},
		{"EOL", "\n", "LF"},
		{"Prompts[7]", "x,echo=True", "seven"},
		{"Prompts [ 7 ]", "x", "seven"},
		{"Prompts", "4", "4"},
		{"PromptText[1]", "Code: ", "Code: "},
		{"PromptEcho[0]", "yes", "True"},
		{"UseIOCP", "no", "False"},
		{"UseIOCP", "False", "False"},
		{"Crypto", "ANY", "own"},
		{"Crypto", "Own", "own"},
	} {
		o := options{Prompts: make([]prompt, 2)}
		if err := table.Set(&o, c.name, c.value); err != nil {
			t.Errorf("%s=%q: %v", c.name, c.value, err)
			continue
		}
		if got, err := table.Get(&o, c.name); got != c.back || err != nil {
			t.Errorf("%s=%q: reads %q, %v, want %q", c.name, c.value, got, err, c.back)
		}
		// The same by one string, where blanks round the value do not count.
		if _, err := table.Apply(&o, c.name+" = "+c.value); err != nil {
			t.Errorf("%s = %q: %v", c.name, c.value, err)
		}
	}
}

// TestDefaults reads options that nobody touched.
func TestDefaults(t *testing.T) {
	var fresh, reset options
	reset = options{On: true, Count: 3, Name: "x", Grace: 4, Level: slog.LevelWarn, Hosts: []string{"a"}}
	if err := table.Reset(&reset); err != nil {
		t.Fatal(err)
	}
	for r := range table.Rows() {
		if r.Field == nil {
			continue
		}
		for which, o := range map[string]*options{"fresh": &fresh, "reset": &reset} {
			if got, err := table.Get(o, r.Name); got != r.Default || err != nil {
				t.Errorf("%s %s = %q, %v, want %q", which, r.Name, got, err, r.Default)
			}
		}
	}
	if err := table.Set(&fresh, "NotOff", "False"); err != nil || !fresh.Off {
		t.Error("an inverse switch is not the opposite")
	}
	if reset.Grace != 2*time.Minute || reset.Backlog != 5 || reset.Hosts != nil {
		t.Errorf("reset: %+v", reset)
	}
	busy := options{running: true}
	if err := table.Reset(&busy); err == nil {
		t.Error("options in use were reset")
	}
}

// TestNone: where zero is the default, the value 0 is stored as less.
func TestNone(t *testing.T) {
	var o options
	if err := errors.Join(table.Set(&o, "Grace", "0"), table.Set(&o, "Backlog", "0")); err != nil || o.Grace != -1 || o.Backlog != -1 {
		t.Errorf("%v, %v, %v", o.Grace, o.Backlog, err)
	}
}

func TestApply(t *testing.T) {
	o := options{Prompts: make([]prompt, 1)}
	for _, c := range []struct{ expr, want string }{
		{"Count=5", ""},
		{" count ", "5"},
		{"\tCOUNT = 6 ", ""},
		{"Count", "6"},
		{"Name = a=b ", ""},
		{"Name", "a=b"},
		{"Name=[1]=2", ""},
		{"Name", "[1]=2"},
		{"Name=", ""},
		{"Name", ""},
		{"Name=line\r\n", ""},
		{"Name", "line\r\n"},
		{"PromptText[0] = Code: ", ""},
		{"PromptText[0]", "Code:"},
		{"Prompts[7]=Code,echo=True;PIN,echo=False", ""},
		{"Prompts[7]", "seven"},
	} {
		if got, err := table.Apply(&o, c.expr); got != c.want || err != nil {
			t.Errorf("Apply(%q) = %q, %v, want %q", c.expr, got, err, c.want)
		}
	}
}

// TestErrors wants each error by its type, with its fields, and as text.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		expr string
		want error
		text string
	}{
		{"Cuont=1", &settings.NameError{Name: "Cuont", Near: "Count"}, `settings: unknown setting "Cuont"; did you mean Count?`},
		{"maxcont", &settings.NameError{Name: "maxcont", Near: "MaxCount"}, ""},
		{"Zebra", &settings.NameError{Name: "Zebra"}, `settings: unknown setting "Zebra"`},
		{strings.Repeat("x", 100), &settings.NameError{Name: strings.Repeat("x", 100)}, ""},
		{"=1", &settings.NameError{}, ""},
		{"", &settings.NameError{}, ""},
		{"[1]=2", &settings.NameError{Name: "[1]"}, ""},
		{"Name[=2", &settings.NameError{Name: "Name["}, ""},
		{"Name[]", &settings.NameError{Name: "Name[]"}, ""},
		{"Name[a]b", &settings.NameError{Name: "Name[a]b"}, ""},
		{"Name[[a]]", &settings.NameError{Name: "Name[[a]]"}, ""},
		{"Count[1]=1", &settings.IndexError{Name: "Count", Index: "1"}, "settings: Count takes no index"},
		{"PromptText=x", &settings.IndexError{Name: "PromptText", Want: "number"}, "settings: PromptText wants an index, as in PromptText[number]"},
		{"PromptText[x]", &settings.IndexError{Name: "PromptText", Index: "x", Want: "number"}, `settings: PromptText: index "x" is no number`},
		{"PromptText[-1]", &settings.IndexError{Name: "PromptText", Index: "-1", Want: "number"}, ""},
		{"PromptText[+1]", &settings.IndexError{Name: "PromptText", Index: "+1", Want: "number"}, ""},
		{"PromptText[99999999999]", &settings.IndexError{Name: "PromptText", Index: "99999999999", Want: "number"}, ""},
		{"On=maybe", &settings.ValueError{Name: "On", Value: "maybe", Want: "True or False, 1 or 0, Yes or No, On or Off"}, ""},
		{"Count=101", &settings.ValueError{Name: "Count", Value: "101", Want: "0 to 100"}, `settings: Count: bad value "101": want 0 to 100`},
		{"Count=-1", &settings.ValueError{Name: "Count", Value: "-1", Want: "0 to 100"}, ""},
		{"Count=", &settings.ValueError{Name: "Count", Want: "a whole number"}, "settings: Count: bad value: want a whole number"},
		{"Count=1k", &settings.ValueError{Name: "Count", Value: "1k", Want: "a whole number"}, ""},
		{"Count=+1", &settings.ValueError{Name: "Count", Value: "+1", Want: "a whole number"}, ""},
		{"Count=1_0", &settings.ValueError{Name: "Count", Value: "1_0", Want: "a whole number"}, ""},
		{"Count=99999999999999999999", &settings.ValueError{Name: "Count", Value: "99999999999999999999", Want: "a number that fits"}, ""},
		{"Small=256", &settings.ValueError{Name: "Small", Value: "256", Want: "a number that fits"}, ""},
		{"Small=-1", &settings.ValueError{Name: "Small", Value: "-1", Want: "a number that fits"}, ""},
		{"Signed=-6", &settings.ValueError{Name: "Signed", Value: "-6", Want: "at least -5"}, ""},
		{"Big=1x", &settings.ValueError{Name: "Big", Value: "1x", Want: "a number of bytes, such as 65536, 64k or 1 GiB"}, ""},
		{"Big=1kx", &settings.ValueError{Name: "Big", Value: "1kx", Want: "a number of bytes, such as 65536, 64k or 1 GiB"}, ""},
		{"Big=k", &settings.ValueError{Name: "Big", Value: "k", Want: "a number of bytes, such as 65536, 64k or 1 GiB"}, ""},
		{"Big=9999999999T", &settings.ValueError{Name: "Big", Value: "9999999999T", Want: "a number that fits"}, ""},
		{"Buffer=0", &settings.ValueError{Name: "Buffer", Value: "0", Want: "1k to 1M bytes"}, ""},
		{"Idle=2h", &settings.ValueError{Name: "Idle", Value: "2h", Want: "0 to 1h seconds"}, ""},
		{"Idle=x", &settings.ValueError{Name: "Idle", Value: "x", Want: "a number of seconds, or a duration such as 90s or 1m30s"}, ""},
		{"Idle=+5", &settings.ValueError{Name: "Idle", Value: "+5", Want: "a number of seconds, or a duration such as 90s or 1m30s"}, ""},
		{"Idle=9999999999999", &settings.ValueError{Name: "Idle", Value: "9999999999999", Want: "a duration that fits"}, ""},
		{"Free=5", &settings.ValueError{Name: "Free", Value: "5", Want: "a duration, such as 90s or 1m30s"}, ""},
		{"Free=2m", &settings.ValueError{Name: "Free", Value: "2m", Want: "at most 1m"}, ""},
		{"Free=", &settings.ValueError{Name: "Free", Want: "a duration, such as 90s or 1m30s"}, ""},
		{"Idle=1 0s", &settings.ValueError{Name: "Idle", Value: "1 0s", Want: "a number of seconds, or a duration such as 90s or 1m30s"}, ""},
		{"Grace=-5", &settings.ValueError{Name: "Grace", Value: "-5", Want: "no negative number"}, ""},
		{"Backlog=-1", &settings.ValueError{Name: "Backlog", Value: "-1", Want: "no negative number"}, ""},
		{"Mode=3", &settings.ValueError{Name: "Mode", Value: "3", Want: "one of 1 (offer), 2 (require)"}, ""},
		{"EOL=x", &settings.ValueError{Name: "EOL", Value: "x", Want: "one of LF, CRLF"}, ""},
		{"Kind=", &settings.ValueError{Name: "Kind", Want: "one of file, dir"}, ""},
		{"Name=a/b", &settings.ValueError{Name: "Name", Value: "a/b", Err: errors.New("has a slash")}, `settings: Name: bad value "a/b": has a slash`},
		{"Password=letmein", &settings.ValueError{Name: "Password", Want: "one of swordfish, "}, "settings: Password: bad value: want one of swordfish, "},
		{"Prompts[7]=", &settings.ValueError{Name: "Prompts[7]", Want: "prompts"}, ""},
		{"Prompts=11", &settings.ValueError{Name: "Prompts", Value: "11", Want: "0 to 10"}, ""},
		{"Prompts=x", &settings.ValueError{Name: "Prompts", Value: "x", Want: "a whole number"}, ""},
		{"Build=2", &settings.ReadOnlyError{Name: "Build"}, "settings: Build can be read and not set"},
		{"Secretive", &settings.ReadOnlyError{Name: "Secretive", WriteOnly: true}, "settings: Secretive can be set and not read"},
		{"UseIOCP=True", &settings.PlatformError{Name: "UseIOCP", Value: "True", Platform: "Windows", Hint: "Go has its own."}, `settings: UseIOCP: value "True" is for Windows only: Go has its own.`},
	} {
		var o options
		_, err := table.Apply(&o, c.expr)
		if fmt.Sprintf("%T %+v", err, err) != fmt.Sprintf("%T %+v", c.want, c.want) {
			t.Errorf("%s:\n got %T %+v\nwant %T %+v", c.expr, err, err, c.want, c.want)
		}
		if c.text != "" && (err == nil || err.Error() != c.text) {
			t.Errorf("%s: text %q", c.expr, err)
		}
	}
	_, err := table.Apply(&options{}, "UseIOCP=1")
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Error("a PlatformError is not errors.ErrUnsupported")
	}
}

// TestErrorsOfRows: what a row's own functions answer comes through.
func TestErrorsOfRows(t *testing.T) {
	var o options
	for _, expr := range []string{"Prompts[8]=x", "Prompts[8]"} {
		if _, err := table.Apply(&o, expr); !errors.Is(err, errNoConnection) || err.Error() != "settings: Prompts[8]: no such connection" {
			t.Errorf("%s: %v", expr, err)
		}
	}
	for _, expr := range []string{"PromptText[0]=x", "PromptText[0]"} {
		if _, err := table.Apply(&o, expr); err == nil || err.Error() != "settings: PromptText[0]: no such prompt" {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

// TestBusy: while options are in use, only rows for any time can be set.
func TestBusy(t *testing.T) {
	o := options{running: true}
	_, err := table.Apply(&o, "number=5")
	var busy *settings.BusyError
	if !errors.As(err, &busy) || *busy != (settings.BusyError{Name: "Count", Number: 108}) || !strings.Contains(err.Error(), "108") || o.Count != 0 {
		t.Errorf("%v, count %d", err, o.Count)
	}
	if err := table.Set(&o, "Name", "x"); !errors.As(err, &busy) || busy.Number != 0 {
		t.Error(err)
	}
	if err := table.Set(&o, "Idle", "5"); err != nil || o.Idle != 5*time.Second {
		t.Error(err)
	}
	if _, err := table.Get(&o, "Count"); err != nil {
		t.Error(err)
	}
}

// TestBadValueChangesNothing sets bad values over good ones.
func TestBadValueChangesNothing(t *testing.T) {
	for _, c := range []struct{ good, bad string }{
		{"On=1", "On=x"},
		{"Count=5", "Count=500"},
		{"Small=5", "Small=500"},
		{"Idle=5", "Idle=x"},
		{"Hosts=a", "Hosts[1]=b"},
		{"Level=1", "Level=x"},
		{"Kind=dir", "Kind=x"},
		{"Name=a", "Name=/"},
		{"Buffer=4k", "Buffer=9G"},
	} {
		var o options
		if _, err := table.Apply(&o, c.good); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(c.good, "=")
		before, _ := table.Get(&o, name)
		if _, err := table.Apply(&o, c.bad); err == nil {
			t.Errorf("%s is taken", c.bad)
		}
		if after, _ := table.Get(&o, name); after != before {
			t.Errorf("%s left %q, was %q", c.bad, after, before)
		}
	}
}

// TestScan has the types that no row above has.
func TestScan(t *testing.T) {
	var (
		i8  int8
		i32 int32
		i64 int64
		u   uint
		u16 uint16
		u32 uint32
		l   slog.Level
	)
	for _, p := range []any{&i8, &i32, &i64, &u, &u16, &u32} {
		if err := settings.Scan(p, settings.NoUnit, "100"); err != nil || settings.Print(p, settings.NoUnit) != "100" {
			t.Errorf("%T: %v, %q", p, err, settings.Print(p, settings.NoUnit))
		}
	}
	if err := settings.Scan(&i64, settings.Bytes, "9223372036854775808"); err == nil {
		t.Error("2^63 fits")
	}
	if err := settings.Scan(&l, settings.NoUnit, "loud"); err == nil {
		t.Error("a level that is none")
	}
	if err := settings.Scan(new(complex64), settings.NoUnit, "1"); err == nil || settings.Print(new(complex64), settings.NoUnit) != "" {
		t.Error("a type without a parser")
	}
	huge := uint64(1) << 63
	if got := settings.Print(&huge, settings.NoUnit); got != "9223372036854775808" {
		t.Error(got)
	}
}

// FuzzApply: no expression makes it panic, and a value that was taken reads back as
// one that is taken and changes nothing.
func FuzzApply(f *testing.F) {
	for _, s := range []string{"Count=5", "Name[a]=b", "Idle = 1m", "Big=1 GiB", "PromptText[0]=x", "Prompts[7]=a,echo=True", "Mode=offer", "=", "[", "Hosts=a,b", "Level=warn", "Grace=0", "Big=-9223372036854775808", "Free=-1ns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		o := options{Prompts: make([]prompt, 2)}
		if _, err := table.Apply(&o, expr); err != nil || !strings.Contains(expr, "=") {
			return
		}
		for r := range table.Rows() {
			if r.Field == nil {
				continue
			}
			before, err := table.Get(&o, r.Name)
			if err != nil {
				t.Fatal(err)
			}
			if err := table.Set(&o, r.Name, before); err != nil {
				t.Fatalf("after %q: %s reads %q, which is not taken: %v", expr, r.Name, before, err)
			}
			if after, _ := table.Get(&o, r.Name); after != before {
				t.Fatalf("after %q: %s reads %q and then %q", expr, r.Name, before, after)
			}
		}
	})
}
