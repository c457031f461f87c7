package lint

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// Rule is one thing that may not be written, with the samples that prove that
// the rule sees it.
type Rule struct {
	Name  string
	Why   string
	Check func(*File) []Finding
	Bad   []Sample // every one must give at least one finding
	Good  []Sample // none may give a finding
}

// Sample is a small source file at a made-up path.
type Sample struct {
	Path string
	Src  string
}

const gossh = "golang.org/x/crypto/ssh"

// connectionAPI is the part of x/crypto/ssh that this module replaces. Its key
// material (keys, signers, certificates, host key callbacks) is used as it is.
var connectionAPI = []string{
	"NewClientConn", "NewServerConn", "NewClient", "Dial", "ClientConfig", "ServerConfig", "Config", "Client", "ServerConn", "Conn",
	"ConnMetadata", "Channel", "NewChannel", "Request", "Session", "DiscardRequests", "AuthMethod", "Password", "PasswordCallback",
	"PublicKeys", "PublicKeysCallback", "KeyboardInteractive", "Permissions", "GSSAPIWithMICAuthMethod", "RetryableAuthMethod",
}

var printers = regexp.MustCompile(`^(Print|Printf|Println)$`)

// Rules is the table of source rules, each applied to every Go file.
var Rules = []Rule{
	{
		Name: "no panic",
		Why:  "a peer must never end the process; programmer errors go through internal/invariant",
		Check: func(f *File) []Finding {
			if f.Test() || f.In("internal/invariant", "interop") {
				return nil
			}
			return f.calls([]string{"panic"}, "panic outside internal/invariant: return an error, or use invariant for what only a bug of ours can cause")
		},
		Bad: []Sample{{"ssh2/x.go", "package ssh2\nfunc f() { panic(1) }"}, {"cmd/fairlead/x.go", "package main\nfunc f() { defer func() { panic(recover()) }() }"}},
		Good: []Sample{
			{"internal/invariant/x.go", "package invariant\nfunc f() { panic(1) }"},
			{"ssh2/x_test.go", "package ssh2\nfunc f() { panic(1) }"},
			{"ssh2/x.go", "package ssh2\n// panic(1)\nvar s = \"panic(\""},
		},
	},
	{
		Name: "no bare sleep in tests",
		Why:  "a sleep is a guess; under testing/synctest it is exact and takes no time",
		Check: func(f *File) []Finding {
			if !f.Test() || f.In("interop") || f.ImportsPath("testing/synctest") {
				return nil
			}
			return f.uses("time", func(n string) bool { return n == "Sleep" }, "time.Sleep in a test: use testing/synctest or wait for the event")
		},
		Bad: []Sample{
			{"ssh2/x_test.go", "package ssh2\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
			{"ssh2/x_test.go", "package ssh2\nimport t \"time\"\nfunc f() { t.Sleep(1) }"},
		},
		Good: []Sample{
			{"ssh2/x_test.go", "package ssh2\nimport (\"time\"; \"testing/synctest\")\nvar _ = synctest.Test\nfunc f() { time.Sleep(1) }"},
			{"ssh2/x.go", "package ssh2\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
		},
	},
	{
		Name: "no skipped test",
		Why:  "what is skipped is soon counted as passed; only the lack of a capability of the machine may skip, named by a SkipUnless helper",
		Check: func(f *File) []Finding {
			if !f.Test() || f.In("interop") {
				return nil
			}
			var out []Finding
			lines := strings.Split(string(f.Src), "\n")
			tests := f.paramsOf("testing")
			ast.Inspect(f.AST, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || (sel.Sel.Name != "Skip" && sel.Sel.Name != "Skipf" && sel.Sel.Name != "SkipNow") {
					return true
				}
				if id, ok := sel.X.(*ast.Ident); !ok || !tests[id.Name] {
					return true
				}
				line := f.Fset.Position(call.Pos()).Line
				if !strings.Contains(lines[line-1], "// skip: ") {
					out = append(out, f.at(call, "a skip needs its reason on the same line, as in: // skip: Windows has no such file mode"))
				}
				return true
			})
			return out
		},
		Bad: []Sample{{"ssh2/x_test.go", "package ssh2\nimport \"testing\"\nfunc TestX(t *testing.T) { t.Skip(\"later\") }"}},
		Good: []Sample{
			{"ssh2/x_test.go", "package ssh2\nimport \"testing\"\nfunc TestX(t *testing.T) {\n\tt.Skip(\"no symlinks\") // skip: the file system has none\n}"},
			{"ssh2/x.go", "package ssh2\nfunc f(t interface{ Skip() }) { t.Skip() }"},
			{"ssh2/x_test.go", "package ssh2\nimport \"testing\"\nfunc TestX(t *testing.T) { b := buf{}; b.Skip(5) }"},
		},
	},
	{
		Name: "no weak random numbers",
		Why:  "everything random in a security protocol comes from crypto/rand; tests and simulated links may use math/rand/v2 with a fixed seed",
		Check: func(f *File) []Finding {
			var out []Finding
			for _, s := range f.AST.Imports {
				switch strings.Trim(s.Path.Value, "`\"") {
				case "math/rand":
					out = append(out, f.at(s, "math/rand: use crypto/rand, or math/rand/v2 in tests"))
				case "math/rand/v2":
					if !f.Test() && !f.In("internal/netsim", "ssh2/ssh2test", "sftp/internal/fstest", "interop") {
						out = append(out, f.at(s, "math/rand/v2 outside tests: use crypto/rand"))
					}
				}
			}
			return out
		},
		Bad: []Sample{
			{"ssh2/x_test.go", "package ssh2\nimport \"math/rand\"\nvar _ = rand.Int"},
			{"ssh2/x.go", "package ssh2\nimport \"math/rand/v2\"\nvar _ = rand.Int"},
		},
		Good: []Sample{
			{"ssh2/x_test.go", "package ssh2\nimport \"math/rand/v2\"\nvar _ = rand.Int"},
			{"ssh2/x.go", "package ssh2\nimport \"crypto/rand\"\nvar _ = rand.Read"},
		},
	},
	{
		Name: "no unsafe",
		Why:  "memory safety is the reason to write this in Go",
		Check: func(f *File) []Finding {
			switch f.Path {
			case "agent/pageant_windows.go", "agent/window_windows_test.go", "certstore/system_windows.go", "certstore/system_windows_test.go": // Windows passes memory by its address
				return nil
			}
			var out []Finding
			for _, s := range f.AST.Imports {
				if p := strings.Trim(s.Path.Value, "`\""); p == "unsafe" || p == "C" {
					out = append(out, f.at(s, "import of %s", p))
				}
			}
			return out
		},
		Bad:  []Sample{{"packet/x.go", "package packet\nimport \"unsafe\"\nvar _ unsafe.Pointer"}, {"packet/x.go", "package packet\nimport _ \"unsafe\""}},
		Good: []Sample{{"packet/x.go", "package packet\nvar unsafe = 1"}, {"agent/pageant_windows.go", "package agent\nimport \"unsafe\"\nvar _ unsafe.Pointer"}},
	},
	{
		Name: "no printing and no exit outside cmd",
		Why:  "a library speaks through errors, values and the slog.Logger it was given",
		Check: func(f *File) []Finding {
			if f.Test() || f.In("cmd", "interop") {
				return nil
			}
			out := f.uses("fmt", printers.MatchString, "fmt.Print* writes to the user's standard output: return a value or use the configured slog.Logger")
			out = append(out, f.uses("log", func(string) bool { return true }, "package log: use the configured slog.Logger")...)
			out = append(out, f.uses("os", func(n string) bool { return n == "Exit" }, "os.Exit outside cmd: return an error")...)
			return append(out, f.calls([]string{"print", "println"}, "built-in print: use the configured slog.Logger")...)
		},
		Bad: []Sample{
			{"ssh2/x.go", "package ssh2\nimport \"fmt\"\nfunc f() { fmt.Println(1) }"},
			{"ssh2/x.go", "package ssh2\nimport \"log\"\nfunc f() { log.Print(1) }"},
			{"ssh2/x.go", "package ssh2\nimport \"os\"\nfunc f() { os.Exit(1) }"},
			{"ssh2/x.go", "package ssh2\nfunc f() { println(1) }"},
		},
		Good: []Sample{
			{"cmd/fairlead/x.go", "package main\nimport (\"fmt\"; \"os\")\nfunc f() { fmt.Println(1); os.Exit(1) }"},
			{"ssh2/x.go", "package ssh2\nimport (\"fmt\"; \"io\")\nfunc f(w io.Writer) { fmt.Fprintln(w, fmt.Sprint(1)) }"},
		},
	},
	{
		Name: "x/crypto/ssh for key material only",
		Why:  "its connection code is what this module replaces; it is a peer in interop/ and nowhere else (docs/adr/0009)",
		Check: func(f *File) []Finding {
			if f.In("interop") {
				return nil
			}
			msg := "x/crypto/ssh's connection code: only interop/ may use it"
			out := f.uses(gossh, func(n string) bool { return slices.Contains(connectionAPI, n) }, msg)
			return append(out, f.uses(gossh+"/agent", func(n string) bool {
				return n == "ForwardToAgent" || n == "ForwardToRemote" || n == "RequestAgentForwarding"
			}, msg)...)
		},
		Bad: []Sample{
			{"ssh2/x.go", "package ssh2\nimport gossh \"golang.org/x/crypto/ssh\"\nvar _ = gossh.NewServerConn"},
			{"ssh2/x_test.go", "package ssh2\nimport \"golang.org/x/crypto/ssh\"\nvar _ *ssh.Client"},
			{"ssh2/x.go", "package ssh2\nimport \"golang.org/x/crypto/ssh/agent\"\nvar _ = agent.ForwardToAgent"},
		},
		Good: []Sample{
			{"ssh2/x.go", "package ssh2\nimport gossh \"golang.org/x/crypto/ssh\"\nvar _ gossh.Signer\nvar _ gossh.HostKeyCallback"},
			{"interop/x.go", "package interop\nimport \"golang.org/x/crypto/ssh\"\nvar _ = ssh.Dial"},
		},
	},
	{
		Name:  "every exported name is documented",
		Why:   "the reference is the source: what it does, units, limits, errors, concurrency, RFC section",
		Check: checkDocs,
		Bad: []Sample{
			{"ssh2/x.go", "package ssh2\nfunc F() {}"},
			{"ssh2/x.go", "package ssh2\ntype T struct{}"},
			{"ssh2/x.go", "package ssh2\n// T is one.\ntype T struct{}\nfunc (*T) M() {}"},
			{"ssh2/x.go", "package ssh2\nconst (\n\t// b is private.\n\tb = 2\n\n\tA = 1\n)"},
			{"ssh2/x.go", "package ssh2\nvar V int"},
			{"ssh2/x.go", "package ssh2\n// T is one.\ntype T interface {\n\tM()\n}"},
			{"ssh2/x.go", "package ssh2\n// T is one.\ntype T struct {\n\tA int // documented\n\n\tB int\n}"},
		},
		Good: []Sample{
			{"ssh2/x.go", "package ssh2\n// F does it.\nfunc F() {}\n// Codes of RFC 4253.\nconst (\n\tA = 1\n\tB = 2\n)\nvar (\n\tV int // volume\n)"},
			{"ssh2/x.go", "package ssh2\n// T is one.\ntype T struct {\n\t// A and B are both described here.\n\tA int\n\tB int\n\tc int\n}\nfunc (T) Error() string { return \"\" }\ntype u struct{ A int }\nfunc (u) M() {}"},
			{"internal/msg/x.go", "package msg\n// T is RFC 4254 section 5.1.\ntype T struct{ Type string }"},
			{"ssh2/x_test.go", "package ssh2\nfunc F() {}"},
			{"cmd/fairlead/x.go", "package main\nfunc F() {}"},
		},
	},
}

// paramsOf returns the names that parameters of the package's types have
// anywhere in the file, such as t for a *testing.T.
func (f *File) paramsOf(pkg string) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		fn, ok := n.(*ast.FuncType)
		if !ok {
			return true
		}
		for _, p := range fn.Params.List {
			typ := p.Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			sel, ok := typ.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkg {
				for _, name := range p.Names {
					names[name.Name] = true
				}
			}
		}
		return true
	})
	return names
}

// calls finds calls of the built-in functions named.
func (f *File) calls(names []string, text string) []Finding {
	var out []Finding
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok && slices.Contains(names, id.Name) {
				out = append(out, f.at(call, "%s", text))
			}
		}
		return true
	})
	return out
}

// uses finds references to the names of the package at path that match.
func (f *File) uses(path string, match func(string) bool, text string) []Finding {
	var out []Finding
	f.selectors(func(sel *ast.SelectorExpr, p, name string) {
		if p == path && match(name) {
			out = append(out, f.at(sel, "%s", text))
		}
	})
	return out
}
