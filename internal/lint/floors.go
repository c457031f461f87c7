package lint

import (
	"fmt"
	"slices"
	"strings"
)

// Floor is one storey of the house: packages that may import every package of
// a lower floor and none of their own or a higher one.
type Floor struct {
	Name     string
	Packages []string // relative to the module path
}

// Floors lists the storeys from the ground up. A package of the module that is
// not listed here or in [OffFloors] is an error: deciding where a package
// stands is part of adding it.
var Floors = []Floor{
	{"0", []string{"internal/invariant"}},
	{"1", []string{"internal/alg", "internal/codepage", "internal/inflate", "internal/pbe", "internal/pwhash", "internal/wire", "packet", "settings", "internal/netsim"}},
	{"2", []string{"keys", "internal/msg", "internal/fxp", "internal/throttle"}},
	{"3", []string{"internal/kex", "internal/seal", "agent", "certstore"}},
	{"4", []string{"internal/transport"}},
	{"5", []string{"ssh2", "sftp"}},
	// The file systems, and the tests they share, know an interface of sftp, so they stand on it.
	{"5a", []string{"sftp/osfs", "sftp/memfs", "sftp/internal/fstest"}},
	{"6", []string{"gssapi", "sftpserver", "ssh2/ssh2http", "ssh2/ssh2test"}},
	{"7", []string{"cmd/fairlead"}},
}

// OffFloors lists packages that nothing of the module imports and that import
// nothing of it: tooling.
var OffFloors = []string{"internal/lint"}

// protocolTop is the first floor that may use modules beyond the allowed ones.
const protocolTop = "6"

// allowedModules are the only modules the protocol floors and all tests of the
// main module may use. The reasons are in docs/adr/0009.
var allowedModules = []string{"golang.org/x/crypto", "golang.org/x/sys", "golang.org/x/text"}

// floorModules are what one package of the protocol floors may use besides,
// alone: nothing of these floors may import it. The reason is in the decision
// record of the package.
var floorModules = map[string][]string{
	"certstore":         {"github.com/miekg/pkcs11"}, // docs/adr/0030
	"internal/throttle": {"golang.org/x/time"},       // docs/adr/0037
}

// testModules are what the tests of a package above the protocol floors may use
// besides, because the code under test does: tickets for gssapi are made with
// the library that it reads them with.
var testModules = map[string][]string{"gssapi": {"github.com/jcmturner/gokrb5/v8", "github.com/jcmturner/gofork"}}

// floorOf is the index of the floor of pkg in Floors, -1 when it has none.
func floorOf(pkg string) int {
	return slices.IndexFunc(Floors, func(f Floor) bool { return slices.Contains(f.Packages, pkg) })
}

// pathUnder tells whether the import path is module or lies below it.
func pathUnder(path, module string) bool {
	return path == module || strings.HasPrefix(path, module+"/")
}

// standard tells whether an import path belongs to the standard library: its
// first element has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// CheckFloors compares the imports of every file of the main module with the
// table. Test files in an external test package (package x_test) may import
// upwards, they are how a floor is tried with what stands on it; the list of
// allowed modules binds them too.
func CheckFloors(files []*File) []Finding {
	var out []Finding
	missing := map[string]bool{}
	for _, f := range files {
		if f.In("interop", "tools") {
			continue
		}
		pkg := f.Dir()
		mine := floorOf(pkg)
		off := slices.Contains(OffFloors, pkg)
		if mine < 0 && !off {
			if !missing[pkg] {
				missing[pkg] = true
				out = append(out, Finding{Path: f.Path, Text: fmt.Sprintf("package %s has no floor: add it to Floors in internal/lint/floors.go", pkg)})
			}
			continue
		}
		external := f.Test() && strings.HasSuffix(f.AST.Name.Name, "_test")
		top := slices.IndexFunc(Floors, func(f Floor) bool { return f.Name == protocolTop })
		for _, spec := range f.AST.Imports {
			path := strings.Trim(spec.Path.Value, "`\"")
			switch {
			case standard(path):
			case pathUnder(path, Module):
				rel := strings.TrimPrefix(strings.TrimPrefix(path, Module), "/")
				if slices.Contains(OffFloors, rel) {
					if rel != pkg {
						out = append(out, f.at(spec, "%s is tooling and must not be imported", rel))
					}
					continue
				}
				if external {
					continue
				}
				theirs := floorOf(rel)
				switch {
				case theirs < 0:
					out = append(out, f.at(spec, "%s has no floor", rel))
				case off:
					out = append(out, f.at(spec, "tooling imports nothing of the module, not even %s", rel))
				case theirs >= mine:
					out = append(out, f.at(spec, "imports must point down: %s (floor %s) imports %s (floor %s)", pkg, Floors[mine].Name, rel, Floors[theirs].Name))
				}
			case slices.ContainsFunc(allowedModules, func(m string) bool { return pathUnder(path, m) }):
			case slices.ContainsFunc(floorModules[pkg], func(m string) bool { return pathUnder(path, m) }):
			case slices.ContainsFunc(testModules[pkg], func(m string) bool { return pathUnder(path, m) }):
			case f.Test() || off || mine < top:
				out = append(out, f.at(spec, "%s is outside the allowed modules (standard library, %s)", path, strings.Join(allowedModules, ", ")))
			}
		}
	}
	return out
}
