package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Module is the import path of the main module.
const Module = "github.com/fairlead-ssh/fairlead"

// File is one parsed Go source file.
type File struct {
	Path string // slash-separated, relative to the top of the repository
	Fset *token.FileSet
	AST  *ast.File
	Src  []byte
}

// Finding is one violation of a rule.
type Finding struct {
	Path string // file, relative to the top of the repository
	Line int    // 0 when the finding is about the whole file or package
	Text string // what is wrong and what to do instead
}

// String prints the finding as path:line: text.
func (f Finding) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text)
}

// ParseFile parses one file whose content is given, as if it stood at path.
func ParseFile(path string, src []byte) (*File, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("lint: parse: %w", err)
	}
	return &File{Path: path, Fset: fset, AST: tree, Src: src}, nil
}

// Load parses every Go file below root, the top of the repository, except
// those in testdata, in hidden directories and in tools/ (which has no code).
func Load(root string) ([]*File, error) {
	var files []*File
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			base := d.Name()
			if rel != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" || rel == "tools") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := ParseFile(rel, src)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// Dir is the directory of the file relative to the top, "." for the top.
func (f *File) Dir() string {
	if i := strings.LastIndexByte(f.Path, '/'); i >= 0 {
		return f.Path[:i]
	}
	return "."
}

// Test tells whether the file is compiled for tests only.
func (f *File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// In tells whether the file lies in one of the given directories or below.
func (f *File) In(dirs ...string) bool {
	for _, d := range dirs {
		if f.Path == d || strings.HasPrefix(f.Path, d+"/") {
			return true
		}
	}
	return false
}

// Imports maps the name by which the file refers to a package to the import
// path of that package.
func (f *File) Imports() map[string]string {
	m := make(map[string]string, len(f.AST.Imports))
	for _, s := range f.AST.Imports {
		path := strings.Trim(s.Path.Value, "`\"")
		name := path[strings.LastIndexByte(path, '/')+1:]
		if name == "v2" || name == "v3" {
			name = strings.TrimSuffix(path, "/"+name)
			name = name[strings.LastIndexByte(name, '/')+1:]
		}
		if s.Name != nil {
			name = s.Name.Name
		}
		m[name] = path
	}
	return m
}

// ImportsPath tells whether the file imports path, under any name.
func (f *File) ImportsPath(path string) bool {
	for _, s := range f.AST.Imports {
		if strings.Trim(s.Path.Value, "`\"") == path {
			return true
		}
	}
	return false
}

// at makes a finding at the position of a node.
func (f *File) at(n ast.Node, format string, args ...any) Finding {
	return Finding{Path: f.Path, Line: f.Fset.Position(n.Pos()).Line, Text: fmt.Sprintf(format, args...)}
}

// selectors calls fn for every pkg.Name in the file where pkg names an import.
func (f *File) selectors(fn func(sel *ast.SelectorExpr, path, name string)) {
	imports := f.Imports()
	ast.Inspect(f.AST, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok {
			if path, ok := imports[id.Name]; ok {
				fn(sel, path, sel.Sel.Name)
			}
		}
		return true
	})
}
