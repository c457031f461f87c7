package lint

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// Inventory is one list of capabilities that this module answers row by row.
type Inventory struct {
	File  string // name of the data file in docs/parity, without .tsv
	Title string
	Rows  int    // rows the list has; none may be lost or added
	Names string // first 8 bytes of the SHA-256 of all section and row names, in order
}

// Inventories names the two lists.
var Inventories = []Inventory{
	{"ssh2", "The node module ssh2", 573, "a325d05745cfe90d"},
	{"sftpserver", "The SFTPServer component", 795, "b75e035b229df157"},
}

// Statuses are the states of a row, in the order in which the page counts them.
var Statuses = []string{
	"done",           // there, and the tests named show it
	"partial",        // some of it is there; the note says what is not
	"todo",           // not there
	"platform-only",  // means something on another operating system only; the note says which
	"not-applicable", // means nothing in Go; the note says why
}

// ParityRow is one capability.
type ParityRow struct {
	Section, Name string
	Status        string
	Tests         []string
	Notes         string // the Go surface, or what is missing
	Line          int    // in the data file, from 1
}

const parityHeader = "# section\tname\tstatus\ttests\tnotes"

// ParseParity reads a data file: a header line, then one line per row of five
// tab-separated columns.
func ParseParity(name, text string) ([]ParityRow, []Finding) {
	var rows []ParityRow
	var out []Finding
	seen := map[string]int{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != parityHeader {
		out = append(out, Finding{name, 1, "the first line must be the header: " + parityHeader})
	}
	for i, line := range lines[1:] {
		n := i + 2
		col := strings.Split(line, "\t")
		if len(col) != 5 {
			out = append(out, Finding{name, n, fmt.Sprintf("%d columns, want 5", len(col))})
			continue
		}
		r := ParityRow{Section: col[0], Name: col[1], Status: col[2], Notes: col[4], Line: n}
		r.Tests = strings.FieldsFunc(col[3], func(c rune) bool { return c == ',' || c == ' ' })
		if r.Section == "" || r.Name == "" {
			out = append(out, Finding{name, n, "section and name must not be empty"})
		}
		if !slices.Contains(Statuses, r.Status) {
			out = append(out, Finding{name, n, fmt.Sprintf("status %q, want one of %s", r.Status, strings.Join(Statuses, ", "))})
		}
		if first := seen[r.Name]; first != 0 {
			out = append(out, Finding{name, n, fmt.Sprintf("%q stands on line %d already", r.Name, first)})
		}
		seen[r.Name] = n
		rows = append(rows, r)
	}
	return rows, out
}

// CheckParity checks the rows of one inventory against its list of names and
// against the test functions that exist, given as a set of names.
func CheckParity(inv Inventory, rows []ParityRow, tests map[string]bool) []Finding {
	file := "docs/parity/" + inv.File + ".tsv"
	var out []Finding
	if len(rows) != inv.Rows {
		out = append(out, Finding{file, 0, fmt.Sprintf("%d rows, want %d", len(rows), inv.Rows)})
	}
	if h := ParityNames(rows); h != inv.Names {
		out = append(out, Finding{file, 0, fmt.Sprintf("the section and row names are not those of the inventory (digest %s, want %s): names are fixed, change only status, tests and notes", h, inv.Names)})
	}
	for _, r := range rows {
		bad := func(format string, args ...any) {
			out = append(out, Finding{file, r.Line, fmt.Sprintf(format, args...)})
		}
		for _, t := range r.Tests {
			if name, _, _ := strings.Cut(t, "/"); !tests[name] {
				bad("%s: no test function %s in the tree", r.Name, name)
			}
		}
		switch r.Status {
		case "done":
			if len(r.Tests) == 0 {
				bad("%s is done, but no test is named that shows it", r.Name)
			}
		case "partial", "platform-only", "not-applicable":
			if r.Notes == "" {
				bad("%s is %s: the note must say why", r.Name, r.Status)
			}
		}
	}
	return out
}

// ParityNames is a short digest of all section and row names in order.
func ParityNames(rows []ParityRow) string {
	h := sha256.New()
	for _, r := range rows {
		h.Write([]byte(r.Section + "\t" + r.Name + "\n"))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// TestFunctions collects the names of all test, fuzz, example and benchmark
// functions of the tree, interop/ included.
func TestFunctions(files []*File) map[string]bool {
	kinds := regexp.MustCompile(`^(Test|Fuzz|Example|Benchmark)`)
	m := map[string]bool{}
	for _, f := range files {
		if !f.Test() {
			continue
		}
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && kinds.MatchString(fn.Name.Name) && fn.Name.Name != "TestMain" {
				m[fn.Name.Name] = true
			}
		}
	}
	return m
}

// FormatParity writes rows as a data file; the inverse of [ParseParity].
func FormatParity(rows []ParityRow) string {
	var b strings.Builder
	b.WriteString(parityHeader + "\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%s\n", r.Section, r.Name, r.Status, strings.Join(r.Tests, ","), r.Notes)
	}
	return b.String()
}

// ParityPage renders docs/parity.md. rows is indexed like [Inventories].
func ParityPage(rows [][]ParityRow) string {
	var b strings.Builder
	b.WriteString("# Parity\n\n")
	b.WriteString("<!-- Generated from docs/parity/*.tsv by `go test ./internal/lint -run Parity -update`. Do not edit. -->\n\n")
	b.WriteString("What two existing products let a user or a peer observe, row by row, and where Fairlead stands. `done` means that the tests named show it;\n")
	b.WriteString("`partial` says in its note what is missing; `platform-only` and `not-applicable` say why. How to change a row: [parity/README.md](parity/README.md).\n\n")
	b.WriteString("| inventory | rows |")
	for _, s := range Statuses {
		b.WriteString(" " + s + " |")
	}
	b.WriteString("\n|---|---:|" + strings.Repeat("---:|", len(Statuses)) + "\n")
	for i, inv := range Inventories {
		fmt.Fprintf(&b, "| %s | %d |%s\n", inv.Title, len(rows[i]), countCells(rows[i]))
	}
	for i, inv := range Inventories {
		fmt.Fprintf(&b, "\n## %s\n", inv.Title)
		for rest := rows[i]; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(r ParityRow) bool { return r.Section != rest[0].Section })
			if n < 0 {
				n = len(rest)
			}
			part := rest[:n]
			rest = rest[n:]
			done := 0
			for _, r := range part {
				if r.Status == "done" {
					done++
				}
			}
			fmt.Fprintf(&b, "\n### %s (%d of %d done)\n\n| row | status | tests | notes |\n|---|---|---|---|\n", part[0].Section, done, n)
			for _, r := range part {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(r.Name), r.Status, strings.Join(r.Tests, ", "), cell(r.Notes))
			}
		}
	}
	return b.String()
}

func countCells(rows []ParityRow) string {
	count := map[string]int{}
	for _, r := range rows {
		count[r.Status]++
	}
	var b strings.Builder
	for _, s := range Statuses {
		fmt.Fprintf(&b, " %d |", count[s])
	}
	return b.String()
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(s)
}

// Patch is one line of a patch file: the rows whose "section: name" matches
// get the status, tests and notes given; "=" leaves a column as it is.
type Patch struct {
	Inventory           string
	Match               *regexp.Regexp
	Status, Tests, Note string
}

// ParsePatch reads lines of up to five tab-separated columns: inventory ("*"
// for both), pattern, status, tests, notes. A pattern between slashes is a
// regular expression over "section: name", any other must equal the name.
// Missing columns mean "=". Empty lines and lines starting with # are skipped.
func ParsePatch(text string) ([]Patch, error) {
	var out []Patch
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		col := strings.Split(line, "\t")
		if len(col) < 3 || len(col) > 5 {
			return nil, fmt.Errorf("lint: patch: line %d: %d columns, want 3 to 5", i+1, len(col))
		}
		for len(col) < 5 {
			col = append(col, "=")
		}
		pattern := "^.*?: " + regexp.QuoteMeta(col[1]) + "$"
		if n := len(col[1]); n > 1 && col[1][0] == '/' && col[1][n-1] == '/' {
			pattern = col[1][1 : n-1]
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("lint: patch: line %d: %w", i+1, err)
		}
		out = append(out, Patch{col[0], re, col[2], col[3], col[4]})
	}
	return out, nil
}

// Apply changes the rows that match in place and returns how many did.
func (p Patch) Apply(inventory string, rows []ParityRow) int {
	if p.Inventory != inventory && p.Inventory != "*" {
		return 0
	}
	n := 0
	for i := range rows {
		r := &rows[i]
		if !p.Match.MatchString(r.Section + ": " + r.Name) {
			continue
		}
		n++
		if p.Status != "=" {
			r.Status = p.Status
		}
		if p.Tests != "=" {
			r.Tests = strings.FieldsFunc(p.Tests, func(c rune) bool { return c == ',' || c == ' ' })
		}
		if p.Note != "=" {
			r.Notes = p.Note
		}
	}
	return n
}
