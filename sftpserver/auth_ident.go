package sftpserver

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultClientVersionPatterns stand for an empty Options.ClientVersionPatterns. ssh2 itself speaks with clients of
// protocol 2.0 only.
var DefaultClientVersionPatterns = []string{"*SSH-1.99-*", "*SSH-2.0-*", "*SSH-2.99-*"}

// versionPattern makes one pattern of those of which a client's ident must match one, whole.
func versionPattern(patterns []string) (*regexp.Regexp, error) {
	if len(patterns) == 0 {
		patterns = DefaultClientVersionPatterns
	}
	var alternatives []string
	for _, p := range patterns {
		if p == "" {
			return nil, fmt.Errorf("sftpserver: client version patterns: one is empty")
		}
		alternatives = append(alternatives, strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*"))
	}
	return regexp.Compile("^(?s:" + strings.Join(alternatives, "|") + ")$")
}
