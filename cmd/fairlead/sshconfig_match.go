package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// resolveMatches replaces the Match lines of a file by ones that always or never hold for
// a host. What a line is about, such as the user, is what the lines before it say, in
// files read before too.
func (c *sshConfig) resolveMatches(f configFile, alias string, given []givenOption, before []parsedFile) (string, error) {
	var b strings.Builder
	for n, line := range strings.Split(f.text, "\n") {
		key, rest := keyword(line)
		switch key {
		case "host":
			// The library takes patterns apart at spaces only.
			line = "Host " + strings.ReplaceAll(rest, "\t", " ")
		case "match":
			so, err := ssh_config.DecodeBytes([]byte(b.String()))
			if err != nil {
				return "", fmt.Errorf("%s: %s; -F names another file, -F none does without", f.name, plain(err.Error()))
			}
			holds, err := c.match(rest, alias, given, append(slices.Clip(before), parsedFile{f.name, so}))
			if err != nil {
				return "", fmt.Errorf("%s:%d: Match: %w", f.name, n+1, err)
			}
			if line = "Host !*"; holds {
				line = "Host *"
			}
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// keyword takes a line apart: the keyword in lower case, and what is behind it.
func keyword(line string) (key, rest string) {
	line = strings.TrimSpace(line)
	i := strings.IndexAny(line, " \t=")
	if i < 0 || line[0] == '#' {
		return "", ""
	}
	rest = strings.TrimLeft(line[i:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	return strings.ToLower(line[:i]), rest
}

// match tells whether all criteria of a Match line hold.
func (c *sshConfig) match(line, alias string, given []givenOption, before []parsedFile) (bool, error) {
	words, err := splitWords(line)
	if err != nil {
		return false, err
	}
	value := func(name, otherwise string) string {
		if v, _ := valuesOf(findOption(name), alias, given, before); len(v) > 0 {
			return v[0]
		}
		return otherwise
	}
	h := &hostSettings{alias: alias, user: value("User", c.me.name), port: value("Port", "22")}
	if h.hostName, err = expandTokens(value("HostName", alias), map[byte]string{'h': alias}); err != nil {
		return false, err
	}
	holds := true
	for i := 0; i < len(words) && !strings.HasPrefix(words[i], "#"); i++ {
		name, argument, joined := strings.Cut(words[i], "=")
		name, negate := strings.CutPrefix(strings.ToLower(name), "!")
		if !joined && !bareCriterion(name) {
			if i++; i == len(words) {
				return false, fmt.Errorf("%s needs an argument", name)
			}
			argument = words[i]
		}
		if name == "exec" && !holds {
			continue // as in ssh, what comes before decides whether it is run at all
		}
		is, err := c.criterion(name, argument, h)
		if err != nil {
			return false, err
		}
		holds = holds && is != negate
	}
	return holds, nil
}

// bareCriterion tells whether a criterion of Match has no argument.
func bareCriterion(name string) bool {
	return name == "all" || name == "canonical" || name == "final"
}

// criterion tells whether a criterion of Match holds, without its negation.
func (c *sshConfig) criterion(name, argument string, h *hostSettings) (bool, error) {
	switch name {
	case "all":
		return true, nil
	case "canonical", "final":
		return false, nil // they are for a second reading of the files, which there is not here
	case "host":
		return matchList(argument, h.hostName), nil
	case "originalhost":
		return matchList(argument, h.alias), nil
	case "user":
		return matchList(argument, h.user), nil
	case "localuser":
		return matchList(argument, c.me.name), nil
	case "exec":
		command, err := expandCommand(argument, c.tokens(h))
		if err != nil {
			return false, err
		}
		return c.run(command), nil
	}
	return false, fmt.Errorf("criterion %q is not known here; -F names another file, -F none does without", plain(name))
}

// matchList tells whether s matches a list of patterns with commas between them, and none
// that is negated (ssh_config(5), PATTERNS).
func matchList(list, s string) bool {
	found := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern, negate := strings.CutPrefix(pattern, "!")
		if !matchPattern(strings.ToLower(pattern), strings.ToLower(s)) {
			continue
		}
		if negate {
			return false
		}
		found = true
	}
	return found
}

// matchPattern knows * and ?. In path.Match brackets mean something more, and * no slash.
func matchPattern(pattern, s string) bool {
	r := strings.NewReplacer(`\`, `\\`, `[`, `\[`)
	ok, err := path.Match(r.Replace(strings.ReplaceAll(pattern, "/", "\x00")), strings.ReplaceAll(s, "/", "\x00"))
	return err == nil && ok
}
