package lint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestParity checks the data files and that docs/parity.md is what they say.
func TestParity(t *testing.T) {
	tests := TestFunctions(tree(t))
	all := make([][]ParityRow, len(Inventories))
	for i, inv := range Inventories {
		rows, findings := ParseParity("docs/parity/"+inv.File+".tsv", read(t, dataFile(inv)))
		report(t, findings)
		all[i] = rows
	}
	if *apply != "" {
		if t.Failed() {
			t.Fatal("the data files must be sound before a patch is applied")
		}
		patches, err := ParsePatch(read(t, *apply))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range patches {
			n := 0
			for i, inv := range Inventories {
				n += p.Apply(inv.File, all[i])
			}
			if n == 0 {
				t.Errorf("no row matches %s %s", p.Inventory, p.Match)
			}
			t.Logf("%4d rows: %s %s → %s", n, p.Inventory, p.Match, p.Status)
		}
		for i, inv := range Inventories {
			if err := os.WriteFile(dataFile(inv), []byte(FormatParity(all[i])), 0o644); err != nil {
				t.Fatal(err)
			}
			var findings []Finding
			all[i], findings = ParseParity("docs/parity/"+inv.File+".tsv", FormatParity(all[i]))
			report(t, findings)
		}
	}
	for i, inv := range Inventories {
		report(t, CheckParity(inv, all[i], tests))
	}
	page, name := ParityPage(all), filepath.Join(root, "docs/parity.md")
	if *update || *apply != "" {
		if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(name); err != nil || string(old) != page {
		t.Errorf("docs/parity.md is stale (%v): go test ./internal/lint -run Parity -update", err)
	}
}

func dataFile(inv Inventory) string {
	return filepath.Join(root, "docs/parity", inv.File+".tsv")
}

// TestParityChecks feeds the checks what they must object to.
func TestParityChecks(t *testing.T) {
	good := parityHeader + "\nS\ta\tdone\tTestA,TestB/x\tssh2.A\nS\tb\ttodo\t\t\nT\tc\tpartial\t\thalf of it\n"
	rows, findings := ParseParity("x", good)
	report(t, findings)
	inv := Inventory{File: "x", Rows: 3, Names: ParityNames(rows)}
	tests := map[string]bool{"TestA": true, "TestB": true}
	report(t, CheckParity(inv, rows, tests))
	if got := FormatParity(rows); got != good {
		t.Errorf("written back as\n%swant\n%s", got, good)
	}

	for what, edit := range map[string][2]string{
		"a lost row":              {"S\tb\ttodo\t\t\n", ""},
		"an added row":            {"S\tb\ttodo\t\t\n", "S\tb\ttodo\t\t\nS\tb2\ttodo\t\t\n"},
		"a renamed row":           {"S\tb\t", "S\tbb\t"},
		"a renamed section":       {"T\tc", "U\tc"},
		"a name twice":            {"S\tb\t", "S\ta\t"},
		"an unknown status":       {"todo", "soon"},
		"done without a test":     {"TestA,TestB/x", ""},
		"a test that is not":      {"TestA", "TestC"},
		"a missing test on todo":  {"todo\t", "todo\tTestC"},
		"partial without a note":  {"half of it", ""},
		"a lost column":           {"b\ttodo\t\t", "b\ttodo\t"},
		"no header":               {"# section", "section"},
		"platform without a note": {"partial\t\thalf of it", "platform-only\t\t"},
	} {
		text := strings.Replace(good, edit[0], edit[1], 1)
		if text == good {
			t.Errorf("%s: the edit changes nothing", what)
		}
		rows, findings := ParseParity("x", text)
		if len(findings)+len(CheckParity(inv, rows, tests)) == 0 {
			t.Errorf("no objection to %s", what)
		}
	}
}

// TestParityPatch changes rows in bulk.
func TestParityPatch(t *testing.T) {
	rows, _ := ParseParity("x", parityHeader+"\nS\ta(b)\ttodo\t\told\nS\tb\ttodo\t\t\nT\tc\ttodo\t\t\n")
	patches, err := ParsePatch("# comment\n\nssh2\ta(b)\tdone\tTestA, TestB\n*\t/^T: /\tpartial\t=\tnote\nother\tb\tdone\n")
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	for _, p := range patches {
		counts = append(counts, p.Apply("ssh2", rows))
	}
	if !slices.Equal(counts, []int{1, 1, 0}) {
		t.Errorf("rows changed: %v", counts)
	}
	want := parityHeader + "\nS\ta(b)\tdone\tTestA,TestB\told\nS\tb\ttodo\t\t\nT\tc\tpartial\t\tnote\n"
	if got := FormatParity(rows); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, bad := range []string{"ssh2\ta", "ssh2\t/(/\tdone", "a\tb\tc\td\te\tf"} {
		if _, err := ParsePatch(bad); err == nil {
			t.Errorf("patch %q is accepted", bad)
		}
	}
}
