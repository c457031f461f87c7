package interop

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A result is what one cell of a table came to.
type result int

const (
	resultNone result = iota // not tried
	resultOK
	resultFail
	resultNA // the client has no way to do it
)

type entry struct {
	result result
	text   string
}

// A table is a matrix of results that prints itself as Markdown, with the reasons of every gap below it.
type table struct {
	title   string
	columns []string
	upright bool // prints columns as lines, where there are more of them than of rows

	mu       sync.Mutex
	rows     []string
	versions map[string]string
	gaps     map[string]string // rows that were not run at all, and why
	entries  map[[2]string]entry
	notes    []string
}

func newTable(title string, columns []string) *table {
	return &table{
		title: title, columns: columns,
		versions: make(map[string]string), gaps: make(map[string]string), entries: make(map[[2]string]entry),
	}
}

func (t *table) row(name string) {
	if !slices.Contains(t.rows, name) {
		t.rows = append(t.rows, name)
	}
}

func (t *table) version(row, version string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.row(row)
	t.versions[row] = version
}

func (t *table) missing(row string, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.row(row)
	t.gaps[row] = why.Error()
}

func (t *table) set(row, column string, r result, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.row(row)
	t.entries[[2]string{row, column}] = entry{r, text}
}

func (t *table) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// cells counts the results.
func (t *table) cells() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

// String prints the table; every cell that is not plain ok gets a line of its own below.
func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b, reasons strings.Builder
	var reasonOf []string // each reason once: its number is its place
	mark := func(text string) string {
		at := slices.Index(reasonOf, text)
		if at < 0 {
			at = len(reasonOf)
			reasonOf = append(reasonOf, text)
		}
		return fmt.Sprintf("[%d]", at+1)
	}
	count := make(map[result]int)
	show := func(row, col string) string {
		e := t.entries[[2]string{row, col}]
		count[e.result]++
		switch {
		case t.gaps[row] != "":
			return "missing"
		case e.result == resultOK && e.text == "":
			return "ok"
		case e.result == resultOK:
			return e.text
		case e.result == resultFail:
			return "**FAIL** " + mark(e.text)
		case e.result == resultNA:
			return "n/a " + mark(e.text)
		}
		return "-"
	}
	across, down := t.columns, t.rows
	if t.upright {
		across, down = down, across
	}
	fmt.Fprintf(&b, "\n### %s\n\n| | %s |\n|---|%s\n", t.title, strings.Join(across, " | "), strings.Repeat("---|", len(across)))
	for _, line := range down {
		fmt.Fprintf(&b, "| %s |", line)
		for _, cell := range across {
			if t.upright {
				fmt.Fprintf(&b, " %s |", show(cell, line))
			} else {
				fmt.Fprintf(&b, " %s |", show(line, cell))
			}
		}
		b.WriteString("\n")
	}
	for i, reason := range reasonOf {
		fmt.Fprintf(&reasons, "[%d] %s  \n", i+1, reason)
	}
	fmt.Fprintf(&b, "\n%s\n", reasons.String())
	for _, row := range t.rows {
		if why := t.gaps[row]; why != "" {
			fmt.Fprintf(&b, "- %s: MISSING (%s)\n", row, why)
		} else if v := t.versions[row]; v != "" {
			fmt.Fprintf(&b, "- %s: %s\n", row, v)
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d failed, %d n/a, %d clients missing.\n", count[resultOK], count[resultFail], count[resultNA], len(t.gaps))
	for _, note := range t.notes {
		fmt.Fprintf(&b, "%s\n", note)
	}
	return b.String()
}

func (t *table) result(row, column string) result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[[2]string{row, column}].result
}
