package settings

// Lift returns the rows of a table as rows for options that those of the table are a part of: a command has
// settings of its own and, behind them, a server's.
//
//	table := settings.New(nil, append(own, settings.Lift(server, func(c *config) *Server { return c.server })...)...)
//
// Where part returns nil, as it may for options that nobody made, an empty part is used. Whether rows for
// [Start] can still be set is for the new table to know.
func Lift[T, U any](t *Table[U], part func(*T) *U) []Row[T] {
	of := func(o *T) *U {
		if u := part(o); u != nil {
			return u
		}
		return new(U)
	}
	rows := make([]Row[T], 0, len(t.rows))
	for r := range t.Rows() {
		up := Row[T]{
			Name: r.Name, Aliases: r.Aliases, Index: r.Index, Group: r.Group, When: r.When, Busy: r.Busy,
			Type: r.Type, Default: r.Default, ZeroIsDefault: r.ZeroIsDefault, GoName: r.GoName, Inverse: r.Inverse, Range: r.Range, Unit: r.Unit,
			Choices: r.Choices, Valid: r.Valid, Secret: r.Secret, Repeat: r.Repeat, Unsupported: r.Unsupported,
			Flag: r.Flag, Since: r.Since, Doc: r.Doc,
		}
		if f := r.Field; f != nil {
			up.Field = func(o *T) any { return f(of(o)) }
		}
		if f := r.Item; f != nil {
			up.Item = func(o *T, index string) (any, error) { return f(of(o), index) }
		}
		if f := r.Get; f != nil {
			up.Get = func(o *T, index string) (string, error) { return f(of(o), index) }
		}
		if f := r.Set; f != nil {
			up.Set = func(o *T, index, value string) error { return f(of(o), index, value) }
		}
		rows = append(rows, up)
	}
	return rows
}
