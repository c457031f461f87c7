package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// An authorizedKey is one line of an authorized_keys file.
type authorizedKey struct {
	blob []byte
	from []netip.Prefix // nil: from anywhere
}

// newUser reads what lets the user of the flags in, or makes up a password.
func newUser(o *options) (*userConfig, error) {
	u := &userConfig{name: o.user}
	if o.passwordFile != "" {
		data, err := readSmall(o.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("password file: %w", err)
		}
		// Editors on Windows begin a file with a byte order mark.
		line, _, _ := strings.Cut(strings.TrimPrefix(string(data), byteOrderMark), "\n")
		if u.password = strings.TrimSuffix(line, "\r"); u.password == "" {
			return nil, fmt.Errorf("password file: %s: first line is empty", o.passwordFile)
		}
		if len(u.password) > ssh2.MaxSecret || strings.ContainsRune(u.password, 0) {
			return nil, fmt.Errorf("password file: %s: not a password: over %d octets, or binary", o.passwordFile, ssh2.MaxSecret)
		}
	}
	if o.authorizedKeys != "" {
		data, err := readSmall(o.authorizedKeys)
		if err != nil {
			return nil, fmt.Errorf("authorized keys: %w", err)
		}
		if u.keys, err = parseAuthorizedKeys(data); err != nil {
			return nil, fmt.Errorf("authorized keys: %s: %w", o.authorizedKeys, err)
		}
	}
	if o.passwordFile == "" && o.authorizedKeys == "" {
		u.password, u.madeUp = rand.Text(), true
	}
	return u, nil
}

// byteOrderMark is that of UTF-8, which is no part of the text behind it.
const byteOrderMark = "\uFEFF"

// parseAuthorizedKeys reads the format of OpenSSH. A line that cannot be
// understood is an error: leaving it out would keep somebody out, and leaving
// an option out could let somebody in.
func parseAuthorizedKeys(data []byte) ([]authorizedKey, error) {
	var keys []authorizedKey
	for i, line := range bytes.Split(bytes.TrimPrefix(data, []byte(byteOrderMark)), []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, opts, _, err := gossh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if _, ok := key.(*gossh.Certificate); ok {
			return nil, fmt.Errorf("line %d: is a certificate, not a key", i+1)
		}
		if err := checkKey(key); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		k := authorizedKey{blob: key.Marshal()}
		for _, opt := range opts {
			if err := k.restrict(opt); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it")
	}
	return keys, nil
}

// alreadySo are options that restrict what this server never grants.
var alreadySo = []string{
	"restrict", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-pty", "no-user-rc",
}

// restrict applies one option of a line.
func (k *authorizedKey) restrict(opt string) error {
	name, value, _ := strings.Cut(opt, "=")
	name = strings.ToLower(name)
	if slices.Contains(alreadySo, name) {
		return nil
	}
	if name != "from" {
		return fmt.Errorf("option %q is not supported", name)
	}
	k.from = []netip.Prefix{} // not nil: an empty list is nowhere
	for pattern := range strings.SplitSeq(strings.Trim(value, `"`), ",") {
		p, err := parseSource(pattern)
		if err != nil {
			return fmt.Errorf("option from: %w", err)
		}
		k.from = append(k.from, p)
	}
	return nil
}
