package settings

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Print writes the settings of o as a file that [Table.Load] reads. Settings that have their
// default are written as comments; secrets, settings with an index, and read-only settings are left
// out.
func (t *Table[T]) Print(o *T, w io.Writer) error {
	out := bufio.NewWriter(w)
	group := ""
	for i := range t.rows {
		r := &t.rows[i]
		if r.Index != "" || r.When == ReadOnly || r.Unsupported != nil || r.Secret || (r.Field == nil && r.Get == nil) {
			continue
		}
		value, err := t.get(o, r, "")
		if err != nil {
			return err
		}
		if r.Group != group {
			if group != "" {
				fmt.Fprintln(out)
			}
			group = r.Group
			fmt.Fprintf(out, "# %s\n", group)
		}
		mark := ""
		if value == r.Default {
			mark = "#"
		}
		if value == "" {
			fmt.Fprintf(out, "%s%s=\n", mark, r.Name)
			continue
		}
		fmt.Fprintf(out, "%s%s %s\n", mark, r.Name, quoteValue(value))
	}
	return out.Flush()
}

// Flags defines a flag for every row with a Flag; parsing the flags sets o.
func (t *Table[T]) Flags(o *T, f *flag.FlagSet) {
	for i := range t.rows {
		r := &t.rows[i]
		if r.Flag == "" {
			continue
		}
		set := func(value string) error { return t.set(o, r, "", value) }
		if r.Field != nil {
			if _, ok := r.Field(o).(*bool); ok {
				f.BoolFunc(r.Flag, r.Doc, set)
				continue
			}
		}
		f.Func(r.Flag, r.Doc, set)
	}
}

// Markdown writes the settings as tables in Markdown, one for each group, followed by those of the
// sections.
func (t *Table[T]) Markdown(w io.Writer, sections ...Section) error {
	return t.markdown(w, "##", sections...)
}

// markdown is Markdown with headings of a level.
func (t *Table[T]) markdown(w io.Writer, level string, sections ...Section) error {
	out := bufio.NewWriter(w)
	group := ""
	for i := range t.rows {
		r := &t.rows[i]
		if r.Group != group {
			group = r.Group
			fmt.Fprintf(out, "\n%s %s\n\n| Name | Values | Default | When | Meaning |\n|---|---|---|---|---|\n", level, group)
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", cell("`"+r.Title()+"`"), cell(r.values()), cell(code(r.Default)), r.When, cell(r.meaning()))
	}
	for _, s := range sections {
		fmt.Fprintf(out, "\n%s Blocks that begin with %s\n\n%s\n", level, code(s.keyword()), s.doc())
		if err := s.markdown(out, level+"#"); err != nil {
			return err
		}
	}
	return out.Flush()
}

// values says in the manual what a row takes.
func (r *Row[T]) values() string {
	kind := r.Type
	if r.Field != nil {
		kind = r.spec().kind(r.Field(new(T)))
	}
	if len(r.Choices) > 0 {
		var b strings.Builder
		for i, c := range r.Choices {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(code(c.Value))
			if c.readable() {
				b.WriteString(" or " + code(c.Word))
			}
			if c.Doc != "" {
				b.WriteString(": " + c.Doc)
			}
		}
		return b.String()
	}
	if r.Range != "" {
		from, to, _ := strings.Cut(r.Range, "..")
		switch {
		case to == "":
			kind += ", from " + from
		case from == "":
			kind += ", up to " + to
		default:
			kind += ", " + from + " to " + to
		}
	}
	return kind
}

// meaning is the row's text with all that belongs to it.
func (r *Row[T]) meaning() string {
	parts := []string{r.Doc}
	if u := r.Unsupported; u != nil {
		parts = append(parts, "For "+u.Platform+" only; other values are an error here. "+u.Hint)
	}
	if len(r.Aliases) > 0 {
		names := make([]string, len(r.Aliases))
		for i, a := range r.Aliases {
			if names[i] = code(a); a == r.GoName {
				names[i] += ", which is the field"
			}
		}
		parts = append(parts, "Also called "+strings.Join(names, ", ")+".")
	}
	if r.GoName != "" && !slices.Contains(r.Aliases, r.GoName) {
		field := "The field is " + code(r.GoName)
		if r.Inverse {
			field += ", which means the opposite"
		}
		parts = append(parts, field+".")
	}
	if r.Repeat {
		parts = append(parts, "May stand in a file several times.")
	}
	if r.Flag != "" {
		parts = append(parts, "Flag "+code("--"+r.Flag)+".")
	}
	return strings.Join(parts, " ")
}

// code is a value as the manual has it.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// cell keeps a text from ending its cell.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
