package lint

import (
	"fmt"
	"go/ast"
	"maps"
	"regexp"
	"strings"
)

// pageName is what a page says of a name: `package.Name` or `Type.Member`, with anything behind it.
var pageName = regexp.MustCompile("`([A-Za-z]\\w*)\\.([A-Z]\\w*)")

// CheckNames finds names in the second column of a page's tables that the packages of the module do not have. A package goes by
// the last element of its path; a type and its members are looked for in the given packages.
func CheckNames(name, page string, files []*File, packages ...string) []Finding {
	have := pageNames(files, packages)
	var out []Finding
	for i, line := range strings.Split(page, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range pageName.FindAllStringSubmatch(cells[2], -1) {
			if _, known := have[m[1]]; known && !have[m[1]][m[2]] {
				out = append(out, Finding{name, i + 1, fmt.Sprintf("there is no %s.%s", m[1], m[2])})
			} else if !known && ast.IsExported(m[1]) {
				out = append(out, Finding{name, i + 1, fmt.Sprintf("there is no %s", m[1])})
			}
		}
	}
	return out
}

// pageNames has the exported names of packages and the members of types, those of embedded ones included.
func pageNames(files []*File, packages []string) map[string]map[string]bool {
	n := names{have: map[string]map[string]bool{}, embeds: map[string][]string{}}
	for _, f := range files {
		if f.Test() || !f.In(packages...) {
			continue
		}
		for _, d := range f.AST.Decls {
			n.declaration(f.AST.Name.Name, d)
		}
	}
	for of, all := range n.embeds { // one level: no page speaks of more
		for _, e := range all {
			if n.add(of, e); n.have[e] != nil {
				maps.Copy(n.have[of], n.have[e])
			}
		}
	}
	return n.have
}

// names are those of packages and types.
type names struct {
	have   map[string]map[string]bool // by package or type
	embeds map[string][]string        // the types that a type embeds
}

func (n *names) add(of, name string) {
	if n.have[of] == nil {
		n.have[of] = map[string]bool{}
	}
	n.have[of][name] = true
}

func (n *names) declaration(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			n.add(pkg, d.Name.Name)
		} else if of := typeName(d.Recv.List[0].Type); of != "" {
			n.add(of, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					n.add(pkg, name.Name)
				}
			case *ast.TypeSpec:
				n.add(pkg, s.Name.Name)
				n.typeMembers(s)
			}
		}
	}
}

func (n *names) typeMembers(s *ast.TypeSpec) {
	for _, m := range members(s.Type) {
		if len(m.Names) == 0 {
			n.embeds[s.Name.Name] = append(n.embeds[s.Name.Name], typeName(m.Type))
		}
		for _, name := range m.Names {
			n.add(s.Name.Name, name.Name)
		}
	}
}

// members are the fields of a struct or the methods of an interface.
func members(e ast.Expr) []*ast.Field {
	switch t := e.(type) {
	case *ast.StructType:
		return t.Fields.List
	case *ast.InterfaceType:
		return t.Methods.List
	}
	return nil
}

// typeName is the name of a type or of what a pointer points to, without its package.
func typeName(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.SelectorExpr:
		return t.Sel.Name
	case *ast.Ident:
		return t.Name
	}
	return ""
}
