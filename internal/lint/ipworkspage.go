package lint

import (
	"fmt"
	"slices"
	"strings"
)

// ipworksSections are the sections of the inventory sftpserver that are names of
// an interface: what somebody who comes from there looks for.
var ipworksSections = []string{
	"Properties (2024 edition)", "Array-style properties of the 2020 editions", "Methods", "Event model",
	"Events and their parameters", "Types: Certificate", "Types: SFTPConnection", "Types: SSHPrompt",
	"Configuration settings: SFTP server", "Configuration settings: SSH server", "Configuration settings: TCP server",
	"Configuration settings: base", "Configuration settings found only in the 2020 editions",
	"Values of numeric settings", "Authentication methods", "Certificate store types",
	"Error codes: SFTP server", "Error codes: SSH server", "Error codes: TCP server",
}

// IPWorksPage is docs/coming-from-ipworks.md: each name of that component with the one it has here, which is the
// note of the row in the inventory. head is what stands above the tables.
func IPWorksPage(head string, rows []ParityRow) (string, []Finding) {
	var b strings.Builder
	var out []Finding
	b.WriteString(strings.TrimRight(head, "\n") + "\n")
	for _, section := range ipworksSections {
		n := 0
		for _, r := range rows {
			if r.Section != section {
				continue
			}
			if n++; n == 1 {
				fmt.Fprintf(&b, "\n## %s\n\n| there | here | |\n|---|---|---|\n", section)
			}
			if r.Notes == "" && r.Status != "todo" {
				out = append(out, Finding{"docs/parity/sftpserver.tsv", r.Line, r.Name + ": no note says what it is called here"})
			}
			status := r.Status
			if status == "done" {
				status = ""
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, strings.ReplaceAll(r.Notes, "|", `\|`), status)
		}
		if n == 0 {
			out = append(out, Finding{Path: "docs/parity/sftpserver.tsv", Text: "no rows in section " + section})
		}
	}
	for _, r := range rows { // a new section of names must not be forgotten
		if (strings.HasPrefix(r.Section, "Types") || strings.HasPrefix(r.Section, "Configuration")) && !slices.Contains(ipworksSections, r.Section) {
			out = append(out, Finding{Path: "internal/lint/ipworkspage.go", Text: "section " + r.Section + " is on no page"})
		}
	}
	return b.String(), out
}
