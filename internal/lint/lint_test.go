package lint

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "write the generated pages instead of comparing them")
	apply  = flag.String("apply", "", "absolute path of a parity patch file; implies -update")
)

const root = "../.."

// tree parses the repository once for all tests.
func tree(t *testing.T) []*File {
	t.Helper()
	files, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d Go files found below %s", len(files), root)
	}
	return files
}

func report(t *testing.T, findings []Finding) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// TestRules applies each source rule to its samples and then to the tree.
func TestRules(t *testing.T) {
	files := tree(t)
	for _, r := range Rules {
		t.Run(strings.ReplaceAll(r.Name, " ", "_"), func(t *testing.T) {
			if len(r.Bad) == 0 || len(r.Good) == 0 || r.Why == "" {
				t.Fatal("a rule needs a reason, a bad and a good sample")
			}
			for _, s := range r.Bad {
				if len(r.Check(sample(t, s))) == 0 {
					t.Errorf("the rule does not see this bad sample at %s:\n%s", s.Path, s.Src)
				}
			}
			for _, s := range r.Good {
				for _, f := range r.Check(sample(t, s)) {
					t.Errorf("the rule objects to this good sample: %s\n%s", f, s.Src)
				}
			}
			for _, f := range files {
				report(t, r.Check(f))
			}
		})
	}
}

func sample(t *testing.T, s Sample) *File {
	t.Helper()
	f, err := ParseFile(s.Path, []byte(s.Src))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFloors checks the direction of imports, first on samples.
func TestFloors(t *testing.T) {
	imports := func(path, pkg string, imports ...string) Sample {
		src := "package " + pkg + "\n"
		for _, i := range imports {
			src += "import _ \"" + strings.Replace(i, "./", Module+"/", 1) + "\"\n"
		}
		return Sample{path, src}
	}
	for _, s := range []Sample{
		imports("internal/msg/x.go", "msg", "./internal/transport"),
		imports("internal/msg/x_test.go", "msg", "./internal/transport"),
		imports("ssh2/x.go", "ssh2", "./sftp"),
		imports("sftp/x.go", "sftp", "./ssh2"),
		imports("sftp/x.go", "sftp", "./sftp/osfs"),
		imports("internal/wire/x.go", "wire", "./packet"),
		imports("nowhere/x.go", "nowhere"),
		imports("ssh2/x.go", "ssh2", "./nowhere"),
		imports("ssh2/x_test.go", "ssh2_test", "./internal/lint"),
		imports("internal/lint/x.go", "lint", "./internal/wire"),
		imports("ssh2/x.go", "ssh2", "github.com/pkg/sftp"),
		imports("cmd/fairlead/x_test.go", "main", "github.com/pkg/sftp"),
	} {
		if len(CheckFloors([]*File{sample(t, s)})) == 0 {
			t.Errorf("the floors do not object to %s:\n%s", s.Path, s.Src)
		}
	}
	for _, s := range []Sample{
		imports("internal/msg/x.go", "msg", "./internal/wire", "./internal/invariant", "io"),
		imports("internal/msg/x_test.go", "msg_test", "./internal/transport"),
		imports("ssh2/x.go", "ssh2", "golang.org/x/crypto/ssh", "./packet"),
		imports("sftp/osfs/x.go", "osfs", "./sftp", "golang.org/x/sys/unix"),
		imports("interop/x_test.go", "interop", "github.com/pkg/sftp", "./sftp", "./ssh2"),
	} {
		report(t, CheckFloors([]*File{sample(t, s)}))
	}
	seen := map[string]bool{}
	for _, f := range Floors {
		for _, p := range f.Packages {
			if seen[p] {
				t.Errorf("%s stands on two floors", p)
			}
			seen[p] = true
		}
	}
	report(t, CheckFloors(tree(t)))
}

// TestDependencies asks the go command which modules the protocol floors
// really pull in, transitively: what CheckFloors sees are direct imports.
func TestDependencies(t *testing.T) {
	top := slices.IndexFunc(Floors, func(f Floor) bool { return f.Name == protocolTop })
	args := []string{"list", "-e", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}
	for _, f := range Floors[:top] {
		for _, p := range f.Packages {
			if found, err := filepath.Glob(filepath.Join(root, p, "*.go")); err == nil && len(found) > 0 && floorModules[p] == nil {
				args = append(args, Module+"/"+p)
			}
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Fields(string(out))
	if len(paths) == 0 {
		t.Fatal("go list named no package at all")
	}
	if got := foreign([]string{Module + "/packet", "golang.org/x/sys/cpu", "golang.org/x/net", "golang.org/x/system"}); len(got) != 2 {
		t.Errorf("of four sample paths, two are foreign, found %q", got)
	}
	for p := range floorModules {
		if slices.Contains(paths, Module+"/"+p) {
			t.Errorf("a package of the protocol floors imports %s, which may use more than they", p)
		}
	}
	for _, path := range foreign(paths) {
		t.Errorf("the protocol floors depend on %s, which is outside the allowed modules", path)
	}
}

// foreign keeps the paths that belong neither to us nor to an allowed module.
func foreign(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
		return pathUnder(p, Module) || slices.ContainsFunc(allowedModules, func(m string) bool { return pathUnder(p, m) })
	})
}

// TestPackageComments wants one package comment per package.
func TestPackageComments(t *testing.T) {
	good := Sample{"ssh2/doc.go", "// Package ssh2 speaks SSH.\npackage ssh2"}
	for _, bad := range [][]Sample{
		{{"ssh2/x.go", "package ssh2"}},
		{{"ssh2/x.go", "// Helps.\npackage ssh2"}},
		{good, {"ssh2/x.go", "// Package ssh2 speaks too.\npackage ssh2"}},
		{{"ssh2/x_test.go", "// Package ssh2 in a test file.\npackage ssh2"}, {"ssh2/x.go", "package ssh2"}},
	} {
		var files []*File
		for _, s := range bad {
			files = append(files, sample(t, s))
		}
		if len(CheckPackageComments(files)) == 0 {
			t.Errorf("no objection to %v", bad)
		}
	}
	report(t, CheckPackageComments([]*File{
		sample(t, good), sample(t, Sample{"ssh2/x.go", "package ssh2"}),
		sample(t, Sample{"cmd/fairlead/main.go", "// Fairlead serves files.\npackage main"}),
	}))
	report(t, CheckPackageComments(tree(t)))
}

// TestFileSizes never fails for a long file: it reports, with -v.
func TestFileSizes(t *testing.T) {
	long := sample(t, Sample{"ssh2/x.go", "package ssh2\n" + strings.Repeat("// line\n", LongFile)})
	if got := LongFiles([]*File{sample(t, Sample{"ssh2/y.go", "package ssh2\n"}), long}); len(got) != 1 || got[0].Path != "ssh2/x.go" {
		t.Errorf("the report does not name the long file: %v", got)
	}
	for _, f := range LongFiles(tree(t)) {
		t.Logf("long file: %s, %d %s", f.Path, f.Line, f.Text)
	}
}

// TestADRs checks the form of the decision records.
func TestADRs(t *testing.T) {
	body := "\n## Context\n\n## Decision\n\n## Evidence\n\n## Revisit when\n"
	for what, bad := range map[string]map[string]string{
		"a gap":           {"0001-a.md": "# 0001 A\n" + body, "0003-c.md": "# 0003 C\n" + body},
		"a taken number":  {"0001-a.md": "# 0001 A\n" + body, "0001-b.md": "# 0001 B\n" + body},
		"a wrong title":   {"0001-a.md": "# 0002 A\n" + body},
		"a wrong name":    {"1-a.md": "# 1 A\n" + body},
		"too many lines":  {"0001-a.md": "# 0001 A\n" + body + strings.Repeat("more\n", adrLines)},
		"no evidence":     {"0001-a.md": "# 0001 A\n" + strings.Replace(body, "## Evidence", "", 1)},
		"start not at 1":  {"0002-a.md": "# 0002 A\n" + body},
		"an empty record": {"0001-a.md": ""},
	} {
		if len(CheckADRs(bad)) == 0 {
			t.Errorf("no objection to %s", what)
		}
	}
	report(t, CheckADRs(map[string]string{"0001-a.md": "# 0001 A\n" + body, "0002-b-c.md": "# 0002 B c\n" + body}))

	records := map[string]string{}
	names, err := filepath.Glob(filepath.Join(root, "docs/adr/*.md"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no decision records: %v", err)
	}
	for _, n := range names {
		records[filepath.Base(n)] = read(t, n)
	}
	report(t, CheckADRs(records))
}

// TestLocal wants no path or address of the author's machine in the tree.
func TestLocal(t *testing.T) {
	for _, bad := range []string{"see /wo" + "rk/x", "x=\"/wo" + "rk/main\"", "/ro" + "ot/go/pkg", "GOPROXY=https://proxy.gol" + "ang.org", "http://py" + "pi.org/simple"} {
		if len(CheckLocal("x", "one\n"+bad+"\n")) != 1 {
			t.Errorf("no objection to %q", bad)
		}
	}
	for _, good := range []string{"work/x", "~/work/x", "/home/work/x", "/root is a directory", "frame" + "work/x", "./work/x", "golang.org/x/crypto"} {
		report(t, CheckLocal("x", good))
	}
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil { // not a git checkout, as in a module download: the Go files are what there is
		for _, f := range tree(t) {
			report(t, CheckLocal(f.Path, string(f.Src)))
		}
		return
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if b, err := os.ReadFile(filepath.Join(root, name)); err == nil && !slices.Contains(b[:min(len(b), 1024)], 0) {
			report(t, CheckLocal(name, string(b)))
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
