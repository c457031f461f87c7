package ssh2

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the format of hashed names
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// KnownHosts is a [HostKeyPolicy] made of OpenSSH's known_hosts files (sshd(8),
// SSH_KNOWN_HOSTS FILE FORMAT): names with wildcards and negation, hashed
// names, [host]:port, @cert-authority and @revoked. A key revoked for one host
// is revoked for all, whether it is a host key or an authority. A certificate
// is judged only by its authority: the key inside it is not looked up.
//
// A client that uses it as ClientConfig.HostKeyPolicy asks each server for a
// key of a type that is known for it, so that a server with several keys does
// not seem to have changed its key.
type KnownHosts struct {
	// Unknown decides about servers for which no line has a key, and accepts by
	// returning nil; it may call Add to remember the key. It is not asked about
	// keys that have changed, nor about certificates. While it decides, other
	// connections to the same host wait, so that a key that it remembers counts
	// for them too. Nil refuses. Set it before use.
	Unknown func(context.Context, *HostKeyInfo) error

	file string // that Add writes to

	writing sync.Mutex // held by Add and Update from looking to having written

	mu       sync.RWMutex
	lines    []knownLine
	problems []error
	asking   map[string]chan struct{} // hosts that Unknown is being asked about
}

// A KnownHost is a line of a known_hosts file.
type KnownHost struct {
	File      string // as it was named to ReadKnownHosts
	Line      int    // from 1; 0 if it was added since
	Authority bool
	Key       gossh.PublicKey
}

type knownLine struct {
	KnownHost
	revoked bool
	blob    []byte // Key in its encoding; of revoked keys that is all there is
	names   []namePattern
}

// Problems of [KnownHostsError], for errors.Is.
var (
	// ErrHostUnknown means that no line has a key for the server or, if the
	// server sent a certificate, no line has the authority that issued it.
	ErrHostUnknown = errors.New("ssh2: known hosts: host is unknown")
	// ErrHostKeyChanged means that the server's key is none of those known for
	// it: the server was set up anew, or somebody intercepts the connection.
	ErrHostKeyChanged = errors.New("ssh2: known hosts: host key has changed")
	// ErrHostKeyRevoked means that the key, or the authority of its
	// certificate, must not be trusted any more.
	ErrHostKeyRevoked = errors.New("ssh2: known hosts: host key is revoked")
)

// A KnownHostsError says why the known_hosts files do not vouch for a server.
// It is wrapped in a HostKeyError.
type KnownHostsError struct {
	Problem error  // ErrHostUnknown, ErrHostKeyChanged or ErrHostKeyRevoked
	Host    string // as it would stand in the file: "host" or "[host]:port"
	Key     gossh.PublicKey
	// Known are the lines about the host that have other keys, or the line
	// that revokes the key.
	Known []KnownHost
}

// Error names the host, the fingerprint and the lines.
func (e *KnownHostsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %+q shows %s %s", e.Problem, clip(e.Host), bareKey(e.Key).Type(), gossh.FingerprintSHA256(bareKey(e.Key)))
	for i, k := range e.Known {
		if i == 8 {
			b.WriteString(", ...")
			break
		}
		fmt.Fprintf(&b, ", %s:%d", k.File, k.Line)
		if k.Key != nil {
			fmt.Fprintf(&b, " has %s %s", k.Key.Type(), gossh.FingerprintSHA256(k.Key))
		}
	}
	return b.String()
}

// Unwrap returns Problem.
func (e *KnownHostsError) Unwrap() error { return e.Problem }

// ReadKnownHosts reads known_hosts files; without names, those of the user and
// of the system as OpenSSH has them. A file that does not exist counts as
// empty. Lines that cannot be parsed are skipped and reported by
// [KnownHosts.Problems], except @revoked ones, which are an error. Add writes
// to the first file.
func ReadKnownHosts(files ...string) (*KnownHosts, error) {
	if len(files) == 0 {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("ssh2: known hosts: %w", err)
		}
		files = []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	k := &KnownHosts{file: files[0]}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("ssh2: known hosts: %w", err)
		}
		if err := k.read(name, data); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// ParseKnownHosts is [ReadKnownHosts] for the content of a file. Keys that are
// added are kept in memory only.
func ParseKnownHosts(data []byte) (*KnownHosts, error) {
	k := &KnownHosts{}
	return k, k.read("", data)
}

func (k *KnownHosts) read(file string, data []byte) error {
	n := 0
	for text := range bytes.Lines(data) {
		n++
		l, err := parseKnownLine(string(bytes.TrimRight(text, "\r\n")))
		switch {
		case err != nil && l.revoked:
			return fmt.Errorf("ssh2: known hosts: %s:%d: revoked key: %w", file, n, err)
		case err != nil:
			k.problems = append(k.problems, fmt.Errorf("ssh2: known hosts: %s:%d: %w", file, n, err))
		case l.names != nil:
			l.File, l.Line = file, n
			k.lines = append(k.lines, l)
		}
	}
	return nil
}

// Problems tells which lines were left out, and why.
func (k *KnownHosts) Problems() []error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.problems)
}

// parseKnownLine reads one line. Of an empty one or a comment, names are nil.
// Only blanks and tabs separate fields: what else looks like a space is part of
// them, as for OpenSSH.
func parseKnownLine(text string) (l knownLine, err error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return l, nil
	}
	switch {
	case fields[0] == "@cert-authority":
		l.Authority, fields = true, fields[1:]
	case fields[0] == "@revoked":
		l.revoked, fields = true, fields[1:]
	}
	if len(fields) < 3 {
		return l, errors.New("too few fields")
	}
	if strings.HasPrefix(fields[0], "@") {
		return l, fmt.Errorf("marker %+q is unknown, or one too many", clip(fields[0]))
	}
	if l.blob, err = base64.StdEncoding.DecodeString(fields[2]); err != nil || len(l.blob) == 0 {
		return l, errors.New("key is not base64")
	}
	if l.names, err = parseNames(fields[0]); err != nil {
		return l, err
	}
	if l.revoked {
		// Whatever it is, it shall not be taken: also if this library cannot read it.
		l.Key, _ = gossh.ParsePublicKey(l.blob)
		return l, nil
	}
	if l.Key, err = gossh.ParsePublicKey(l.blob); err != nil {
		return l, fmt.Errorf("key: %w", err)
	}
	if l.Key.Type() != fields[1] {
		return l, fmt.Errorf("key: is %+q and is said to be %+q", l.Key.Type(), clip(fields[1]))
	}
	if _, ok := l.Key.(*gossh.Certificate); ok {
		return l, errors.New("key: is a certificate")
	}
	return l, nil
}

// A namePattern is one of the names in front of a line.
type namePattern struct {
	text       string // with wildcards
	negate     bool
	salt, hash []byte // instead of text
}

func parseNames(field string) ([]namePattern, error) {
	if strings.HasPrefix(field, "|") {
		parts := strings.Split(field, "|")
		if len(parts) != 4 || parts[1] != "1" {
			return nil, errors.New("hashed name: unknown form")
		}
		salt, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil {
			return nil, errors.New("hashed name: salt is not base64")
		}
		hash, err := base64.StdEncoding.DecodeString(parts[3])
		if err != nil || len(hash) != sha1.Size {
			return nil, errors.New("hashed name: hash is not that of HMAC-SHA1")
		}
		return []namePattern{{salt: salt, hash: hash}}, nil
	}
	var out []namePattern
	for name := range strings.SplitSeq(field, ",") {
		text, negate := strings.CutPrefix(name, "!")
		if text == "" {
			return nil, errors.New("empty name")
		}
		// [host]:22 is how OpenSSH would not write it, and means host.
		if host, ok := strings.CutSuffix(text, "]:22"); ok && strings.HasPrefix(host, "[") {
			text = host[1:]
		}
		out = append(out, namePattern{text: strings.ToLower(text), negate: negate})
	}
	return out, nil
}

// matches tells whether the line is about the host of that name.
func (l *knownLine) matches(name string) bool {
	found := false
	for _, p := range l.names {
		switch {
		case p.hash != nil:
			found = hmac.Equal(hashName(p.salt, name), p.hash)
		case !wildcard(p.text, name):
		case p.negate:
			return false
		default:
			found = true
		}
	}
	return found
}

func hashName(salt []byte, name string) []byte {
	h := hmac.New(sha1.New, salt)
	h.Write([]byte(name))
	return h.Sum(nil)
}

// wildcard tells whether s matches a pattern with * for any and ? for one
// character. It looks back to the last star only, so that no pattern takes long.
func wildcard(pattern, s string) bool {
	p, i := 0, 0
	star, from := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0: // the star takes one more
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// splitAddr takes an address of Dial apart. The host is in lower case; port is
// empty where it is 22.
func splitAddr(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"), ""
	}
	if port == "22" {
		port = ""
	}
	return strings.ToLower(host), port
}

// knownName is how a host stands in the file.
func knownName(host, port string) string {
	if port == "" {
		return host
	}
	return "[" + host + "]:" + port
}

// about returns the lines about a host that are not revocations.
func (k *KnownHosts) about(name string) (lines []knownLine) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i := range k.lines {
		if l := &k.lines[i]; !l.revoked && l.matches(name) {
			lines = append(lines, *l)
		}
	}
	return lines
}

// Prefer returns the algorithms of the keys that are known for addr.
func (k *KnownHosts) Prefer(addr string, offered []string) []string {
	host, port := splitAddr(addr)
	lines := k.about(knownName(host, port))
	if len(lines) == 0 && port != "" {
		lines = k.about(host)
	}
	var types []string
	authority := false
	for _, l := range lines {
		if l.Authority {
			authority = true
		} else {
			types = append(types, l.Key.Type())
		}
	}
	return preferTypes(offered, types, authority)
}

// CheckHostKey accepts a key that is known for the server, or a certificate by an
// authority that is. Otherwise it returns a *KnownHostsError, or what is wrong
// with the certificate.
func (k *KnownHosts) CheckHostKey(ctx context.Context, h *HostKeyInfo) error {
	addr := h.Addr
	if addr == "" && h.Remote != nil {
		addr = h.Remote.String()
	}
	err := k.check(addr, h.Key)
	if _, cert := h.Key.(*gossh.Certificate); !errors.Is(err, ErrHostUnknown) || k.Unknown == nil || cert || isX509(h.Key.Type()) {
		return err
	}
	done, err := k.askAbout(ctx, knownName(splitAddr(addr)))
	if err != nil {
		return err
	}
	defer done()
	// Whoever was asked before us may know better by now.
	if err := k.check(addr, h.Key); !errors.Is(err, ErrHostUnknown) {
		return err
	}
	return k.Unknown(ctx, h)
}

// askAbout waits until nobody else asks about a host. The caller calls done
// when it has asked.
func (k *KnownHosts) askAbout(ctx context.Context, name string) (done func(), err error) {
	for {
		k.mu.Lock()
		before, busy := k.asking[name]
		if !busy {
			mine := make(chan struct{})
			if k.asking == nil {
				k.asking = map[string]chan struct{}{}
			}
			k.asking[name] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.asking, name)
				k.mu.Unlock()
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Callback is CheckHostKey in the form of x/crypto/ssh, for ClientConfig.HostKey
// and for other libraries. It does not ask Unknown.
func (k *KnownHosts) Callback() gossh.HostKeyCallback {
	return func(addr string, remote net.Addr, key gossh.PublicKey) error {
		if addr == "" && remote != nil {
			addr = remote.String()
		}
		return k.check(addr, key)
	}
}

// CheckHost checks that key is known for the host of that name, by the rules of
// CheckHostKey. It is for handlers of a HostBasedClaim.
func (k *KnownHosts) CheckHost(host string, key gossh.PublicKey) error {
	return k.check(net.JoinHostPort(host, "22"), key)
}

func (k *KnownHosts) check(addr string, key gossh.PublicKey) error {
	host, port := splitAddr(addr)
	if err := checkHostName(host); err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	name := knownName(host, port)
	cert, isCert := key.(*gossh.Certificate)
	if l := k.revocation(key); l != nil {
		return &KnownHostsError{ErrHostKeyRevoked, name, key, []KnownHost{l.KnownHost}}
	}
	want := key
	if isCert {
		want = cert.SignatureKey
	}
	e := &KnownHostsError{Problem: ErrHostUnknown, Host: name, Key: key}
	known := k.knows(name, want, isCert, e)
	if !known && port != "" && e.Problem == ErrHostUnknown { //nolint:errorlint // set by knows, never wrapped
		// Nothing is known of this port: a key of the host will do, as for
		// OpenSSH, but another key says nothing.
		known = k.knows(host, want, isCert, &KnownHostsError{})
	}
	switch {
	case !known:
		return e
	case isCert:
		if err := checkHostCert(cert, host, time.Now(), defaultMinRSABits); err != nil {
			return fmt.Errorf("ssh2: known hosts: %w", err)
		}
	}
	return nil
}

// knows looks for a key of a host, or for an authority of it. What it finds
// instead is noted in e.
func (k *KnownHosts) knows(name string, key gossh.PublicKey, authority bool, e *KnownHostsError) bool {
	blob := key.Marshal()
	for _, l := range k.about(name) {
		if l.Authority != authority {
			continue
		}
		if bytes.Equal(l.blob, blob) {
			return true
		}
		if !authority {
			e.Problem = ErrHostKeyChanged
		}
		e.Known = append(e.Known, l.KnownHost)
	}
	return false
}

// revocation returns the line that revokes a key, the key in a certificate or
// its authority; nil if there is none.
func (k *KnownHosts) revocation(key gossh.PublicKey) *knownLine {
	blobs := [][]byte{key.Marshal(), bareKey(key).Marshal()}
	if cert, ok := key.(*gossh.Certificate); ok {
		blobs = append(blobs, cert.SignatureKey.Marshal())
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i := range k.lines {
		l := &k.lines[i]
		if l.revoked && slices.ContainsFunc(blobs, func(b []byte) bool { return bytes.Equal(b, l.blob) }) {
			return l
		}
	}
	return nil
}
