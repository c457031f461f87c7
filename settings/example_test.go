package settings_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/settings"
)

// One row for each field is all there is to write.
func ExampleTable() {
	type options struct {
		MaxConnections int
		IdleTimeout    time.Duration
	}
	table := settings.New(nil,
		settings.Row[options]{
			Name: "MaxConnections", Default: "0", Range: "0..100000", Group: "Limits", Since: "0.1",
			Field: func(o *options) any { return &o.MaxConnections },
			Doc:   "How many clients may be connected at once; 0 is any number.",
		},
		settings.Row[options]{
			Name: "IdleTimeout", Aliases: []string{"DefaultIdleTimeout"}, Default: "0", Unit: settings.Seconds, Group: "Limits", Since: "0.1",
			Field: func(o *options) any { return &o.IdleTimeout },
			Doc:   "A client that does nothing for so long is disconnected; 0 is never.",
		},
	)

	var o options
	fmt.Println(table.Set(&o, "maxconnections", "50"))
	fmt.Println(table.Set(&o, "MaxConections", "50"))
	fmt.Println(table.Apply(&o, "IdleTimeout = 1m30s"))
	fmt.Println(table.Apply(&o, "IdleTimeout"))
	fmt.Println(o.MaxConnections, o.IdleTimeout)

	file := "# a small server\nMaxConnections many\nIdleTimeout -\n"
	fmt.Println(table.Load(&o, strings.NewReader(file), "server.conf"))
	_ = table.Print(&o, os.Stdout)
	// Output:
	// <nil>
	// settings: unknown setting "MaxConections"; did you mean MaxConnections?
	//  <nil>
	// 90 <nil>
	// 50 1m30s
	// settings: server.conf:2: MaxConnections: bad value "many": want a whole number
	// server.conf:3: IdleTimeout: bad value "-": want a number of seconds, or a duration such as 90s or 1m30s
	// # Limits
	// MaxConnections 50
	// IdleTimeout 90
}

// A file can have blocks, each with settings of its own type.
func ExampleBlock() {
	type user struct {
		Name, Root string
		Quota      int64
	}
	type options struct{ Greeting string }
	table := settings.New(nil, settings.Row[options]{
		Name: "Greeting", Group: "Server", Since: "0.1", Doc: "Shown to clients.",
		Field: func(o *options) any { return &o.Greeting },
	})
	userTable := settings.New(nil,
		settings.Row[user]{
			Name: "Root", Group: "User", Since: "0.1", Doc: "What the user sees as /.",
			Field: func(u *user) any { return &u.Root },
		},
		settings.Row[user]{
			Name: "Quota", Default: "0", Unit: settings.Bytes, Group: "User", Since: "0.1", Doc: "How much the user may keep; 0 is any amount.",
			Field: func(u *user) any { return &u.Quota },
		},
	)

	var users []*user
	section := &settings.Block[user]{
		Keyword: "User", Table: userTable,
		Open: func(name string) (*user, error) {
			users = append(users, &user{Name: name})
			return users[len(users)-1], nil
		},
		Done: func(u *user) error {
			if u.Root == "" {
				return fmt.Errorf("user %s has no Root", u.Name)
			}
			return nil
		},
	}
	file := `
Greeting "Ahoy"       # what stands before the first block is of the server

User alice
    Root  /srv/alice
    Quota 10G

User bob
    Quota 5
`
	var o options
	fmt.Println(table.Load(&o, strings.NewReader(file), "server.conf", section))
	fmt.Println(o.Greeting, *users[0])
	// Output:
	// settings: server.conf:8: user bob has no Root
	// Ahoy {alice /srv/alice 10737418240}
}
