package lint

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// adrLines is the longest an architecture decision record may be.
const adrLines = 40

var (
	adrName     = regexp.MustCompile(`^(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md$`)
	adrSections = []string{"## Context", "## Decision", "## Evidence", "## Revisit when"}
)

// CheckADRs checks the decision records, given as file name to content: names,
// numbers from 0001 without a gap, titles, sections, length.
func CheckADRs(records map[string]string) []Finding {
	var out []Finding
	numbers := map[string]string{}
	bad := func(name, format string, args ...any) {
		out = append(out, Finding{Path: path.Join("docs/adr", name), Text: fmt.Sprintf(format, args...)})
	}
	for name, text := range records {
		m := adrName.FindStringSubmatch(name)
		if m == nil {
			bad(name, "name must be NNNN-lower-case-words.md")
			continue
		}
		if other := numbers[m[1]]; other != "" {
			bad(name, "number %s is taken by %s", m[1], other)
		}
		numbers[m[1]] = name
		if n := strings.Count(text, "\n"); n > adrLines {
			bad(name, "%d lines, at most %d", n, adrLines)
		}
		if !strings.HasPrefix(text, "# "+m[1]+" ") {
			bad(name, "title must start with %q", "# "+m[1]+" ")
		}
		for _, s := range adrSections {
			if !strings.Contains(text, "\n"+s+"\n") {
				bad(name, "section %q is missing", s)
			}
		}
	}
	for i := 1; i <= len(numbers); i++ {
		if n := fmt.Sprintf("%04d", i); numbers[n] == "" {
			bad(n, "number %s is missing: records are numbered without gaps", n)
		}
	}
	return out
}

// local matches what only makes sense on the machine where a file was written
// and addresses that a build must leave to the user's own configuration. The
// pattern is put together from pieces so that it does not match itself.
var local = regexp.MustCompile(strings.Join([]string{
	`(^|[^\w.~/-])/wo` + `rk/`, `/tmp/f` + `l/`, `/ro` + `ot/(go|\.)`, `/home/[a-z]+/(go|src)/`,
	`proxy\.gol` + `ang\.org`, `sum\.gol` + `ang\.org`, `registry\.np` + `mjs\.org`, `files\.python` + `hosted\.org`, `https?://py` + `pi\.org`, `deb\.deb` + `ian\.org`,
}, "|"))

// CheckLocal finds paths of a developer's machine and registry addresses in
// the text of a file of the repository.
func CheckLocal(name, text string) []Finding {
	if !local.MatchString(text) {
		return nil
	}
	var out []Finding
	for i, line := range strings.Split(text, "\n") {
		if m := local.FindString(line); m != "" {
			out = append(out, Finding{Path: name, Line: i + 1, Text: fmt.Sprintf("%q belongs to one machine or one network", strings.TrimSpace(m))})
		}
	}
	return out
}
