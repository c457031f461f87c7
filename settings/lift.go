package settings

// Lift makes rows for T from the rows of a table for U, where a U is part of a T. So a command can have settings of its
// own together with those of a server:
//
//	table := settings.New(nil, append(own, settings.Lift(server, func(c *config) *Server { return c.server })...)...)
//
// part may return nil for a zero T; an empty U is used then. The live function of the new table, not that of t, decides
// whether rows with When Start can be set.
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
