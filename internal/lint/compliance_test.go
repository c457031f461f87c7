package lint

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCompliance checks the lists and that docs/compliance.md is what they and
// the tests of the tree say.
func TestCompliance(t *testing.T) {
	lists := make([][]ComplianceRow, len(Catalogues))
	for i, c := range Catalogues {
		name := filepath.Join("docs/compliance", c.File+".tsv")
		var findings []Finding
		lists[i], findings = ParseCompliance(c, name, read(t, filepath.Join(root, name)))
		report(t, findings)
	}
	report(t, CheckCompliance(lists, TestFunctions(tree(t))))
	page, name := CompliancePage(lists), filepath.Join(root, "docs/compliance.md")
	if *update {
		if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old, err := os.ReadFile(name); err != nil || string(old) != page {
		t.Errorf("docs/compliance.md is stale (%v): go test ./internal/lint -run Compliance -update", err)
	}
}

// TestComplianceChecks feeds the checks what they must object to.
func TestComplianceChecks(t *testing.T) {
	for test, want := range map[string][]string{
		"TestCVE_8_2_Names": {"8.2"}, "TestCVE_8_2_12_5_Names": {"8.2", "12.5"}, "TestCVE_4_2_W36_Timeouts": {"4.2", "W36"}, "TestCVE_1_4_c_Deleted": {"1.4"},
		"TestW21_Order": {"W21"}, "TestWrongArguments": nil, "TestWriteError": nil, "FuzzCVE_6_13_Base64": {"6.13"}, "TestCVE": nil,
	} {
		if got := DemandsOf(test); !slices.Equal(got, want) {
			t.Errorf("%s answers %q, want %q", test, got, want)
		}
	}
	c := Catalogues[0]
	good := c.Header + "\nS\t1.1\tfirst\tS\tflaw\tTestOther\t\nS\t1.2\tfirst\tS\tflaw\t\tnot there\nS\t1.3\t\tS\tflaw\t\t\n"
	check := func(text string, tests ...string) int {
		rows, findings := ParseCompliance(c, "x", text)
		m := map[string]bool{}
		for _, n := range tests {
			m[n] = true
		}
		return len(findings) + len(CheckCompliance([][]ComplianceRow{rows}, m))
	}
	if n := check(good, "TestOther", "TestCVE_1_3_X"); n != 0 {
		t.Errorf("%d objections to a good list", n)
	}
	for what, n := range map[string]int{
		"a test that is not":           check(good),
		"a test of a row that is not":  check(good, "TestOther", "TestCVE_1_4_X"),
		"a first row without anything": check(c.Header + "\nS\t1.1\tfirst\tS\tflaw\t\t\n"),
		"a lost column":                check(c.Header + "\nS\t1.1\tfirst\tS\tflaw\t\n"),
		"a row twice":                  check(good+"S\t1.3\t\tS\tflaw\t\t\n", "TestOther"),
		"no header":                    check("S\t1.3\t\tS\tflaw\t\t\n"),
	} {
		if n == 0 {
			t.Errorf("no objection to %s", what)
		}
	}
}
