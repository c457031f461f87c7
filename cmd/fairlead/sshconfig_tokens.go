package main

import (
	"crypto/sha1" //nolint:gosec // the token %C is defined by it
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// tokens are those of ssh_config(5), TOKENS, for a host whose name, user and port are known.
func (c *sshConfig) tokens(h *hostSettings) map[byte]string {
	local, err := os.Hostname()
	if err != nil {
		local = "localhost"
	}
	short, _, _ := strings.Cut(local, ".")
	key := h.alias
	if h.hostKeyAlias != "" {
		key = h.hostKeyAlias
	}
	sum := sha1.Sum([]byte(local + h.hostName + h.port + h.user + h.proxyJump)) //nolint:gosec // see above
	return map[byte]string{
		'h': h.hostName, 'n': h.alias, 'p': h.port, 'r': h.user, 'u': c.me.name, 'd': c.me.home, 'i': strconv.Itoa(os.Getuid()),
		'l': local, 'L': short, 'k': key, 'j': h.proxyJump, 'C': hex.EncodeToString(sum[:]),
	}
}

// expandTokens replaces %x.
func expandTokens(s string, tokens map[byte]string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", fmt.Errorf("%q: ends with %%", s)
		}
		if s[i] == '%' {
			b.WriteByte('%')
			continue
		}
		v, ok := tokens[s[i]]
		if !ok {
			return "", fmt.Errorf("%q: %%%c is not known here", s, s[i])
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// expandFile is for names of files: tokens, ${NAME} and a leading ~ .
func (c *sshConfig) expandFile(s string, tokens map[byte]string) (string, error) {
	s, err := expandTokens(s, tokens)
	if err != nil {
		return "", err
	}
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			return "", fmt.Errorf("%q: ${ without }", s)
		}
		v := c.env(s[i+2 : i+j])
		if v == "" || strings.Contains(v, "${") {
			return "", fmt.Errorf("%q: the environment has no such variable", s)
		}
		s = s[:i] + v + s[i+j+1:]
	}
	if s == "~" || strings.HasPrefix(s, "~/") {
		if c.me.home == "" {
			return "", fmt.Errorf("%q: no home directory is known", s)
		}
		s = filepath.Join(c.me.home, s[1:])
	}
	return s, nil
}

// expandCommand is for what a shell will read: what comes from names must be nothing but
// names there (CVE-2023-51385, CVE-2025-61984).
func expandCommand(s string, tokens map[byte]string) (string, error) {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		i++
		if v := tokens[s[i]]; strings.ContainsRune("hnrkj", rune(s[i])) && (strings.ContainsAny(v, unsafeInShell) && s[i] != 'j' || strings.HasPrefix(v, "-") || v != "" && notPlain(v)) {
			return "", fmt.Errorf("%q: %%%c is %q, which a shell would not take for a name", s, s[i], v)
		}
	}
	return expandTokens(s, tokens)
}

// splitWords takes a value apart at spaces, but not inside of quotes, which it takes off.
func splitWords(s string) ([]string, error) {
	var out []string
	var word strings.Builder
	begun, quoted := false, false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			begun, quoted = true, !quoted
		case !quoted && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r'):
			if begun {
				out = append(out, word.String())
			}
			word.Reset()
			begun = false
		default:
			begun = true
			word.WriteByte(s[i])
		}
	}
	if quoted {
		return nil, errors.New("has a quote that does not end")
	}
	if begun {
		out = append(out, word.String())
	}
	return out, nil
}

// shell is how a command of a configuration file is run: by the user's shell, as ssh does.
func shell(command string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		return exec.Command("cmd.exe", "/c", command)
	}
	sh := os.Getenv("SHELL")
	if sh == "" {
		sh = "/bin/sh"
	}
	return exec.Command(sh, "-c", command)
}

// runQuietly tells whether a command succeeds.
func runQuietly(command string) bool { return shell(command).Run() == nil }
