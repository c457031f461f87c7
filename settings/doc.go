// Package settings turns a table of settings into all the ways to set and read
// them: "Name=Value" strings, configuration files (with line numbers in
// errors), command-line flags, and a page of documentation.
//
// A setting is one [Row]: its name, default, range, unit, when it may change,
// and where its value lies. For most rows that is a pointer to a field, and the
// Go type of the pointer chooses the parser (see [Scan]); the few that are not
// a field have functions of their own. A [Table] has the rows of one type of
// options.
//
//	var table = settings.New(nil,
//		settings.Row[Options]{
//			Name: "MaxConnections", Default: "1000", Range: "1..100000",
//			Field: func(o *Options) any { return &o.MaxConnections },
//			Doc:   "How many clients may be connected at once.",
//		},
//		settings.Row[Options]{
//			Name: "IdleTimeout", Default: "0", Unit: settings.Seconds,
//			Field: func(o *Options) any { return &o.IdleTimeout }, // a time.Duration
//			Doc:   "A client that does nothing for so long is disconnected; 0 is never.",
//		},
//	)
//
//	err := table.Set(&options, "MaxConnections", "50")
//	value, err := table.Apply(&options, "IdleTimeout = 90")
//	err = table.Load(&options, file, "server.conf")
//
// Names are not case-sensitive. Every error is typed: [NameError],
// [IndexError], [ValueError], [ReadOnlyError], [BusyError], [PlatformError],
// and [Faults] for a file, which lists all that is wrong with it and not only
// the first.
//
// The package does not lock: if options are changed and read concurrently, the
// caller holds a lock around the calls. The package knows nothing of SSH.
package settings
