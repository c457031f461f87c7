package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"runtime"
	"strconv"
	"strings"
	"unicode"
)

// A target is a file or tree, here or on a server.
type target struct {
	host string // "": here
	user string // "": not said
	port string // "": not said
	path string // on a server: relative to where sessions start unless absolute
	// fingerprint is that of the host key, from an sftp URL.
	fingerprint string
}

func (t *target) remote() bool { return t.host != "" }

// String is the target as it may be shown.
func (t *target) String() string {
	if !t.remote() {
		return plain(t.path)
	}
	return plain(t.host + ":" + t.path)
}

// at is the same place with another path.
func (t *target) at(p string) *target {
	c := *t
	c.path = p
	return &c
}

// sameLogin tells whether two targets can share a connection.
func (t *target) sameLogin(o *target) bool {
	return t.host == o.host && t.user == o.user && t.port == o.port && t.fingerprint == o.fingerprint
}

// parseTarget reads [user@]host:path, sftp://[user@]host[:port]/path, or the name of a
// file here. A colon behind a slash is part of a name, so ./a:b is a file here.
func parseTarget(s string) (*target, error) {
	if s == "" {
		return nil, errors.New("a name is empty")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return nil, fmt.Errorf("%q: holds a NUL byte", s)
	}
	if len(s) >= len(sftpScheme) && strings.EqualFold(s[:len(sftpScheme)], sftpScheme) {
		t, err := parseSFTPURL(s[len(sftpScheme):])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		return t, nil
	}
	i := colonOf(s)
	if i < 0 {
		return &target{path: s}, nil
	}
	t := &target{host: s[:i], path: homeless(s[i+1:])}
	if j := strings.LastIndexByte(t.host, '@'); j >= 0 {
		t.user, t.host = t.host[:j], t.host[j+1:]
		if t.user == "" {
			return nil, fmt.Errorf("%q: no user before @", s)
		}
	}
	if n := len(t.host); n > 2 && t.host[0] == '[' && t.host[n-1] == ']' {
		t.host = t.host[1 : n-1]
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	return t, nil
}

// colonOf is where the host of [user@]host:path ends, -1 if s names a file here.
func colonOf(s string) int {
	if runtime.GOOS == "windows" && len(s) >= 2 && s[1] == ':' && unicode.IsLetter(rune(s[0])) {
		return -1 // a drive
	}
	start := strings.LastIndexByte(s[:strings.IndexAny(s+"/", `/`)], '@') + 1
	if strings.HasPrefix(s[start:], "[") { // an IPv6 address
		if i := strings.Index(s, "]:"); i > 0 && !strings.Contains(s[:i], "/") {
			return i + 1
		}
	}
	for i := range len(s) {
		switch s[i] {
		case ':':
			if i == 0 {
				return -1
			}
			return i
		case '/':
			return -1
		case '\\':
			if runtime.GOOS == "windows" {
				return -1
			}
		}
	}
	return -1
}

// homeless takes "~/" off a path: sessions start in the home directory.
func homeless(p string) string {
	if p == "~" {
		return "."
	}
	p = strings.TrimPrefix(p, "~/")
	if p == "" {
		return "."
	}
	return p
}

const sftpScheme = "sftp://"

// parseSFTPURL reads what comes behind sftp:// (draft-ietf-secsh-scp-sftp-ssh-uri-04
// section 4): [user[;fingerprint=...]@]host[:port]/path[;type=...]. As the draft
// recommends, the path is absolute, and /~/ leads to the home directory.
func parseSFTPURL(s string) (*target, error) {
	authority, p := s, ""
	if i := strings.IndexByte(s, '/'); i >= 0 {
		authority, p = s[:i], s[i:]
	}
	t := &target{}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		info := authority[:i]
		authority = authority[i+1:]
		info, params, _ := strings.Cut(info, ";")
		if _, _, secret := strings.Cut(info, ":"); secret {
			return nil, errors.New("a password in a URL ends up in histories and process lists; leave it out and it is asked for")
		}
		var err error
		if t.user, err = url.PathUnescape(info); err != nil {
			return nil, errors.New("the user is not encoded as in URLs")
		}
		for param := range strings.SplitSeq(params, ",") {
			// What is not known is to be ignored.
			if name, value, _ := strings.Cut(param, "="); strings.EqualFold(name, "fingerprint") {
				if t.fingerprint, err = uriFingerprint(value); err != nil {
					return nil, err
				}
			}
		}
	}
	host, port := authority, ""
	if strings.HasPrefix(authority, "[") {
		i := strings.IndexByte(authority, ']')
		if i < 0 {
			return nil, errors.New("[ without ]")
		}
		host, port = authority[1:i], authority[i+1:]
		if port != "" && port[0] != ':' {
			return nil, errors.New("something between ] and the path")
		}
		port = strings.TrimPrefix(port, ":")
	} else if i := strings.LastIndexByte(authority, ':'); i >= 0 {
		host, port = authority[:i], authority[i+1:]
	}
	var err error
	if t.host, err = url.PathUnescape(host); err != nil {
		return nil, errors.New("the host is not encoded as in URLs")
	}
	if port != "" {
		if t.port, err = checkPort(port); err != nil {
			return nil, err
		}
	}
	// s-params stand behind the path; a semicolon of the path itself is escaped.
	p, _, _ = strings.Cut(p, ";")
	if t.path, err = url.PathUnescape(p); err != nil {
		return nil, errors.New("the path is not encoded as in URLs: write %25 for a percent sign")
	}
	if strings.IndexByte(t.path, 0) >= 0 {
		return nil, errors.New("holds a NUL byte")
	}
	slash := strings.HasSuffix(t.path, "/")
	t.path = path.Clean("/" + t.path)
	switch {
	case t.path == "/~":
		t.path = "."
	case strings.HasPrefix(t.path, "/~/"):
		t.path = t.path[3:]
	case slash && t.path != "/":
		t.path += "/"
	}
	return t, t.check()
}

// uriFingerprint reads the fingerprint of section 5.1: a hash and its value, which here
// must be SHA-256: the draft's own examples of MD5 are no proof any more.
func uriFingerprint(s string) (string, error) {
	v, err := url.PathUnescape(s)
	if err != nil {
		return "", errors.New("the fingerprint is not encoded as in URLs")
	}
	if rest, ok := strings.CutPrefix(v, "SHA256-"); ok {
		v = "SHA256:" + rest
	}
	if !strings.HasPrefix(v, "SHA256:") {
		return "", fmt.Errorf("fingerprint %q: is not SHA256 and base64", v)
	}
	return v, nil
}

func checkPort(s string) (string, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535", s)
	}
	return strconv.FormatUint(n, 10), nil
}

// unsafeInShell are what OpenSSH refuses in names that commands may be made with.
const unsafeInShell = "'`\"$\\;&<>|(){}"

// check refuses what is no name of a host or user, or would be something else in a
// ProxyCommand (CVE-2023-51385 is OpenSSH's).
func (t *target) check() error {
	if t.host == "" {
		return errors.New("no host")
	}
	return errors.Join(checkHost(t.host), checkUser(t.user))
}

func checkHost(s string) error {
	if s == "" || s[0] == '-' || strings.ContainsAny(s, unsafeInShell+"/@,") || notPlain(s) {
		return fmt.Errorf("host %q is no name of a host", s)
	}
	return nil
}

func checkUser(s string) error {
	if s != "" && s[0] == '-' || strings.ContainsAny(s, "'`\";&<>|(){}") || notPlain(s) {
		return fmt.Errorf("user %q has characters that no name of a user has", s)
	}
	return nil
}

func notPlain(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }) || plain(s) != s
}
