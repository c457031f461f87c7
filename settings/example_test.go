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
