package settings_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/settings"
)

// TestLift: rows of a part read and set that part, and nothing of a row is lost on the way.
func TestLift(t *testing.T) {
	type command struct {
		Verbose bool
		server  *options
	}
	own := settings.Row[command]{Name: "Verbose", Default: "False", Group: "Own", Since: "0.1", Doc: "A switch.", Field: func(c *command) any { return &c.Verbose }}
	lifted := settings.New(nil, append([]settings.Row[command]{own}, settings.Lift(table, func(c *command) *options { return c.server })...)...)
	if err := lifted.Check(); err != nil {
		t.Fatal(err)
	}
	c := command{server: &options{Prompts: make([]prompt, 1)}}
	for _, expr := range []string{"Verbose=1", "Count=5", "PromptText[0]=x", "Prompts=7", "Prompts[7]=x", "UseIOCP=no"} {
		if _, err := lifted.Apply(&c, expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
		name, _, _ := strings.Cut(expr, "=")
		if _, err := lifted.Apply(&c, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !c.Verbose || c.server.Count != 5 || c.server.Prompts[0].Text != "x" || c.server.Own != "7" {
		t.Errorf("%+v", c.server)
	}
	// Every field of Row that is no function is there: what a row gains later must be lifted, too.
	rows := lifted.Rows()
	up := map[string]reflect.Value{}
	for r := range rows {
		up[r.Title()] = reflect.ValueOf(*r)
	}
	for r := range table.Rows() {
		was, is := reflect.ValueOf(*r), up[r.Title()]
		for i := range was.NumField() {
			name := was.Type().Field(i).Name
			if a, b := was.Field(i), is.FieldByName(name); a.Kind() == reflect.Func {
				if a.IsNil() != b.IsNil() {
					t.Errorf("%s: %s is lost", r.Title(), name)
				}
			} else if !reflect.DeepEqual(a.Interface(), b.Interface()) {
				t.Errorf("%s: %s is %v, was %v", r.Title(), name, b, a)
			}
		}
	}
}
