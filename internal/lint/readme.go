package lint

import "strings"

// CheckExamples finds blocks of Go code in a page of Markdown that do not stand
// word for word in one of the given test files, where they are compiled.
func CheckExamples(name, page string, tests []*File) []Finding {
	var out []Finding
	line := 0
	for i, part := range strings.Split(page, "```") {
		code, isGo := strings.CutPrefix(part, "go\n")
		if i%2 == 1 && isGo {
			found := false
			for _, f := range tests {
				found = found || f.Test() && strings.Contains(string(f.Src), code)
			}
			if !found {
				out = append(out, Finding{name, line + 1, "this example is in no test file as it stands here"})
			}
		}
		line += strings.Count(part, "\n")
	}
	return out
}
