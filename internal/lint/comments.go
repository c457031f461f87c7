package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// selfExplaining are methods whose meaning the standard library fixes.
var selfExplaining = []string{"Error", "String", "GoString", "Unwrap", "Is", "LogValue"}

// checkDocs finds exported names without a doc comment. Among constants,
// variables, fields of structs and methods of interfaces a comment above or
// beside counts, and also one on an earlier line of the same paragraph; the
// comment of a const or var group counts for all of it. Fields and methods of
// internal packages need none: there they carry the names of the RFC.
func checkDocs(f *File) []Finding {
	if f.Test() || f.AST.Name.Name == "main" || f.In("interop") {
		return nil
	}
	public := !strings.Contains("/"+f.Path, "/internal/")
	var out []Finding
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Doc != nil || !d.Name.IsExported() {
				continue
			}
			if d.Recv != nil {
				if !exportedReceiver(d.Recv) || slices.Contains(selfExplaining, name) {
					continue
				}
			}
			out = append(out, f.at(d, "%s is exported and has no doc comment", name))
		case *ast.GenDecl:
			said, last := false, 0
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if !s.Name.IsExported() {
						continue
					}
					if s.Doc == nil && d.Doc == nil {
						out = append(out, f.at(s, "%s is exported and has no doc comment", s.Name.Name))
					}
					if public {
						out = append(out, f.members(s)...)
					}
				case *ast.ValueSpec:
					said = f.paragraph(s.Doc, s.Comment, s, said, &last)
					if said || d.Doc != nil {
						continue
					}
					for _, n := range s.Names {
						if n.IsExported() {
							out = append(out, f.at(n, "%s is exported and has no doc comment", n.Name))
						}
					}
				}
			}
		}
	}
	return out
}

// members checks the fields of a struct or the methods of an interface.
func (f *File) members(s *ast.TypeSpec) []Finding {
	var list *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return nil
	}
	var out []Finding
	said, last := false, 0
	for _, m := range list.List {
		said = f.paragraph(m.Doc, m.Comment, m, said, &last)
		for _, n := range m.Names { // embedded members have no name of their own
			if n.IsExported() && !said {
				out = append(out, f.at(n, "%s.%s is exported and has no comment", s.Name.Name, n.Name))
			}
		}
	}
	return out
}

// paragraph tells whether n is commented, by itself or by an earlier line of
// the same paragraph; last is the line on which the previous member ended.
func (f *File) paragraph(doc, comment *ast.CommentGroup, n ast.Node, said bool, last *int) bool {
	start := n.Pos()
	if doc != nil {
		start = doc.Pos()
	}
	if f.Fset.Position(start).Line > *last+1 {
		said = false
	}
	*last = f.Fset.Position(n.End()).Line
	return said || doc != nil || comment != nil
}

func exportedReceiver(recv *ast.FieldList) bool {
	t := recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return token.IsExported(x.Name)
		default:
			return false
		}
	}
}

// CheckPackageComments finds packages without a package comment, packages with
// several, and comments that do not start as godoc expects.
func CheckPackageComments(files []*File) []Finding {
	type state struct{ first, commented string }
	pkgs := map[string]*state{}
	var order []string
	var out []Finding
	for _, f := range files {
		if f.Test() {
			continue
		}
		dir := f.Dir()
		p := pkgs[dir]
		if p == nil {
			p = &state{first: f.Path}
			pkgs[dir] = p
			order = append(order, dir)
		}
		if f.AST.Doc == nil || len(strings.TrimSpace(f.AST.Doc.Text())) == 0 {
			continue
		}
		if p.commented != "" {
			out = append(out, Finding{Path: f.Path, Text: "second package comment, the first is in " + p.commented})
			continue
		}
		p.commented = f.Path
		want := "Package " + f.AST.Name.Name + " "
		if f.AST.Name.Name == "main" {
			base := dir[strings.LastIndexByte(dir, '/')+1:]
			want = strings.ToUpper(base[:1]) + base[1:] + " "
		}
		if !strings.HasPrefix(f.AST.Doc.Text(), want) && !strings.HasPrefix(f.AST.Doc.Text(), "Command ") {
			out = append(out, f.at(f.AST, "the package comment must start with %q", want))
		}
	}
	for _, dir := range order {
		if p := pkgs[dir]; p.commented == "" {
			out = append(out, Finding{Path: p.first, Text: fmt.Sprintf("package in %s has no package comment", dir)})
		}
	}
	return out
}

// LongFile is the number of lines from which [LongFiles] reports a file.
const LongFile = 500

// LongFiles lists files that have passed LongFile lines, the longest first.
// Length is a question (which second noun hides here?), not an error.
func LongFiles(files []*File) []Finding {
	var out []Finding
	for _, f := range files {
		if n := strings.Count(string(f.Src), "\n"); n > LongFile && !f.Test() {
			out = append(out, Finding{Path: f.Path, Line: n, Text: "lines: which second noun hides in it?"})
		}
	}
	slices.SortFunc(out, func(a, b Finding) int { return b.Line - a.Line })
	return out
}
