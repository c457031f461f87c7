package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Catalogue is one list of demands that tests answer by carrying a row's id in
// their name: TestCVE_8_2_12_5_Names answers 8.2 and 12.5, TestW21_Order W21.
type Catalogue struct {
	File, Title string
	Header      string // first line of the data file; the columns after the row's id differ
}

// Catalogues names the two lists.
var Catalogues = []Catalogue{
	{"cves", "Classes of attacks", "# section\trow\twave\tside\tflaw\ttests\tnotes"},
	{"wants", "What users ask for", "# section\trow\twant\ttests\tnotes"},
}

// ComplianceRow is one demand.
type ComplianceRow struct {
	Section, ID string
	First       bool   // has to be answered before all others
	Text        string // what goes wrong elsewhere, or what is wanted
	Named       []string
	Tests       []string // further tests that answer it without its id in their name
	Notes       string   // what is missing
	Line        int
}

// ParseCompliance reads a data file of c.
func ParseCompliance(c Catalogue, name, text string) ([]ComplianceRow, []Finding) {
	var rows []ComplianceRow
	var out []Finding
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != c.Header {
		out = append(out, Finding{name, 1, "the first line must be the header: " + c.Header})
	}
	columns := strings.Split(strings.TrimPrefix(c.Header, "# "), "\t")
	at := func(cells []string, column string) string {
		if i := slices.Index(columns, column); i >= 0 {
			return cells[i]
		}
		return ""
	}
	seen := map[string]bool{}
	for i, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) != len(columns) {
			out = append(out, Finding{name, i + 2, fmt.Sprintf("%d columns, want %d", len(cells), len(columns))})
			continue
		}
		r := ComplianceRow{
			Section: cells[0], ID: cells[1], First: at(cells, "wave") == "first", Text: at(cells, "flaw") + at(cells, "want"),
			Tests: strings.FieldsFunc(at(cells, "tests"), func(c rune) bool { return c == ',' || c == ' ' }), Notes: at(cells, "notes"), Line: i + 2,
		}
		if seen[r.ID] {
			out = append(out, Finding{name, i + 2, "a second row " + r.ID})
		}
		seen[r.ID] = true
		rows = append(rows, r)
	}
	return rows, out
}

var (
	cvePart  = regexp.MustCompile(`^(\d+)_(\d+)_`)
	wantPart = regexp.MustCompile(`^(W\d+)_`)
)

// DemandsOf returns the ids of the rows that the name of a test function
// claims to answer.
func DemandsOf(test string) (ids []string) {
	rest := test
	for _, kind := range []string{"Test", "Fuzz", "Example", "Benchmark"} {
		if name, ok := strings.CutPrefix(test, kind); ok {
			rest = name
			break
		}
	}
	if s, ok := strings.CutPrefix(rest, "CVE_"); ok {
		rest = s
		for m := cvePart.FindStringSubmatch(rest); m != nil; m = cvePart.FindStringSubmatch(rest) {
			ids = append(ids, m[1]+"."+m[2])
			rest = rest[len(m[0]):]
		}
	}
	for m := wantPart.FindStringSubmatch(rest); m != nil; m = wantPart.FindStringSubmatch(rest) {
		ids = append(ids, m[1])
		rest = rest[len(m[0]):]
	}
	return ids
}

// CheckCompliance fills in Named and finds tests for rows that do not exist,
// rows that name tests that do not exist, and rows of the first wave that have
// neither a test nor a note that says why.
func CheckCompliance(lists [][]ComplianceRow, tests map[string]bool) []Finding {
	var out []Finding
	rows := map[string]*ComplianceRow{}
	for _, list := range lists {
		for i := range list {
			rows[list[i].ID] = &list[i]
			list[i].Named = nil
		}
	}
	for test := range tests {
		for _, id := range DemandsOf(test) {
			if r := rows[id]; r != nil {
				r.Named = append(r.Named, test)
			} else {
				out = append(out, Finding{Path: "docs/compliance", Text: fmt.Sprintf("%s answers row %s, which is in no list", test, id)})
			}
		}
	}
	for i, list := range lists {
		name := "docs/compliance/" + Catalogues[i].File + ".tsv"
		for j := range list {
			r := &list[j]
			slices.Sort(r.Named)
			for _, test := range r.Tests {
				if fn, _, _ := strings.Cut(test, "/"); !tests[fn] {
					out = append(out, Finding{name, r.Line, test + " is not a test"})
				}
			}
			if r.First && len(r.Named)+len(r.Tests) == 0 && r.Notes == "" {
				out = append(out, Finding{name, r.Line, "row " + r.ID + " of the first wave has neither a test nor a note"})
			}
		}
	}
	return out
}

// CompliancePage renders docs/compliance.md from rows that CheckCompliance saw.
func CompliancePage(lists [][]ComplianceRow) string {
	var b strings.Builder
	b.WriteString("# Compliance\n\n")
	b.WriteString("<!-- Generated from docs/compliance/*.tsv and the names of tests by `go test ./internal/lint -run Compliance -update`. Do not edit. -->\n\n")
	b.WriteString("Which test answers what. A test says so by its name: `TestCVE_8_2_…` answers row 8.2 of the classes of attacks, `TestW21_…` answers want W21; the data files\n")
	b.WriteString("name further tests, and notes say what is missing. Rows marked • are the first wave: they decide whether a server may face the internet at all.\n")
	b.WriteString("A row without a test is not answered.\n\n")
	b.WriteString("| list | rows | with tests | first wave | with tests |\n|---|---:|---:|---:|---:|\n")
	for i, list := range lists {
		tested, first, firstTested := 0, 0, 0
		for _, r := range list {
			has := len(r.Named)+len(r.Tests) > 0
			if has {
				tested++
			}
			if r.First {
				first++
				if has {
					firstTested++
				}
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", Catalogues[i].Title, len(list), tested, first, firstTested)
	}
	for i, list := range lists {
		fmt.Fprintf(&b, "\n## %s\n", Catalogues[i].Title)
		section := ""
		for _, r := range list {
			if r.Section != section {
				section = r.Section
				fmt.Fprintf(&b, "\n### %s\n\n| row | what | tests | notes |\n|---|---|---|---|\n", section)
			}
			mark := ""
			if r.First {
				mark = " •"
			}
			fmt.Fprintf(&b, "| %s%s | %s | %s | %s |\n", r.ID, mark, cell(r.Text), strings.Join(append(slices.Clone(r.Named), r.Tests...), ", "), cell(r.Notes))
		}
	}
	return b.String()
}
