package lint

import (
	"fmt"
	"go/ast"
	"go/printer"
	"strings"
)

// EventsPage is docs/events.md: the events of package sftpserver and their
// parameters, in the words of their doc comments.
func EventsPage(files []*File) (string, []Finding) {
	types := map[string]*ast.StructType{}
	docs := map[string]string{}
	where := map[string]*File{}
	for _, f := range files {
		if f.Test() || !strings.HasPrefix(f.Path, "sftpserver/") {
			continue
		}
		for _, d := range f.AST.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				t, ok := s.(*ast.TypeSpec)
				if !ok {
					continue
				}
				if st, ok := t.Type.(*ast.StructType); ok {
					types[t.Name.Name], where[t.Name.Name] = st, f
					if docs[t.Name.Name] = t.Doc.Text(); t.Doc == nil {
						docs[t.Name.Name] = g.Doc.Text()
					}
				}
			}
		}
	}
	events := types["Events"]
	if events == nil {
		return "", []Finding{{Path: "sftpserver/events.go", Text: "no struct Events"}}
	}
	var b strings.Builder
	var out []Finding
	b.WriteString(`# Events

The events of ` + "`sftpserver.Server`" + ` and their parameters, made from the doc comments (` + "`go test ./internal/lint -run EventsPage -update`" + `).
[Coming from IPWorks](coming-from-ipworks.md) has the names of that component beside ours.

`)
	b.WriteString(oneLine(docs["Events"]) + "\n")
	for _, f := range events.Fields.List {
		star, ok := param(f.Type)
		if !ok || len(f.Names) != 1 {
			out = append(out, Finding{Path: where["Events"].Path, Text: "a field of Events that is no func(*XEvent)"})
			continue
		}
		name := f.Names[0].Name
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", name, oneLine(f.Doc.Text()))
		if doc := oneLine(docs[star]); doc != "" {
			b.WriteString(doc + "\n\n")
		}
		b.WriteString("| field | type | meaning |\n|---|---|---|\n")
		rows, findings := eventFields(types, where, star)
		out = append(out, findings...)
		b.WriteString(rows)
	}
	return b.String(), out
}

// param is the name of the struct that a func(*T) takes.
func param(e ast.Expr) (string, bool) {
	fn, ok := e.(*ast.FuncType)
	if !ok || fn.Params.NumFields() != 1 || fn.Results.NumFields() != 0 {
		return "", false
	}
	star, ok := fn.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return "", false
	}
	id, ok := star.X.(*ast.Ident)
	return id.Name, ok
}

// eventFields are the table rows of a struct, those of embedded ones first as they stand. Fields without a
// comment of their own share the one above or behind them.
func eventFields(types map[string]*ast.StructType, where map[string]*File, name string) (rows string, out []Finding) {
	st := types[name]
	if st == nil {
		return "", []Finding{{Path: "sftpserver", Text: "no struct " + name}}
	}
	var b strings.Builder
	for _, f := range st.Fields.List {
		if len(f.Names) == 0 {
			if id, ok := f.Type.(*ast.Ident); ok {
				sub, more := eventFields(types, where, id.Name)
				b.WriteString(sub)
				out = append(out, more...)
			}
			continue
		}
		var names []string
		for _, n := range f.Names {
			if n.IsExported() {
				names = append(names, "`"+n.Name+"`")
			}
		}
		if len(names) == 0 {
			continue
		}
		doc := oneLine(f.Doc.Text() + " " + f.Comment.Text())
		if doc == "" {
			out = append(out, Finding{where[name].Path, where[name].Fset.Position(f.Pos()).Line, name + "." + f.Names[0].Name + ": an event's field without a comment"})
		}
		var typ strings.Builder
		if err := printer.Fprint(&typ, where[name].Fset, f.Type); err != nil {
			out = append(out, Finding{Path: where[name].Path, Text: err.Error()})
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", strings.Join(names, ", "), strings.ReplaceAll(typ.String(), "|", `\|`), strings.ReplaceAll(doc, "|", `\|`))
	}
	return b.String(), out
}

// oneLine makes one line of each paragraph.
func oneLine(text string) string {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.Join(strings.Fields(p), " ")
	}
	return strings.Join(paragraphs, "\n\n")
}
