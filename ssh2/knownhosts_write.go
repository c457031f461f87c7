package ssh2

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the format of hashed names
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// KnownHostLine returns the line of a known_hosts file, without line end, that
// makes key known for the server at addr, "host:port"; hashed hides the name of
// the host.
func KnownHostLine(addr string, key gossh.PublicKey, hashed bool) (string, error) {
	host, port := splitAddr(addr)
	if err := checkHostName(host); err != nil {
		return "", fmt.Errorf("ssh2: known hosts: %w", err)
	}
	// What would be a pattern, a marker, a comment or two names.
	_, badPort := strconv.ParseUint(port, 10, 16)
	if strings.ContainsAny(host, "*?,!|@#[]") || port != "" && badPort != nil {
		return "", fmt.Errorf("ssh2: known hosts: %+q cannot stand in a file", clip(host))
	}
	if _, ok := key.(*gossh.Certificate); ok || isX509(key.Type()) {
		return "", errors.New("ssh2: known hosts: a certificate is known by its authority")
	}
	name := knownName(host, port)
	if hashed {
		salt := make([]byte, sha1.Size)
		_, _ = rand.Read(salt) // never fails
		b64 := base64.StdEncoding.EncodeToString
		name = "|1|" + b64(salt) + "|" + b64(hashName(salt, name))
	}
	return name + " " + key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal()), nil
}

// AddKnownHost adds a line to a known_hosts file, which it creates, with its
// directory, if it does not exist. It does not check whether the file has the
// host already.
func AddKnownHost(file, addr string, key gossh.PublicKey, hashed bool) error {
	line, err := KnownHostLine(addr, key, hashed)
	if err != nil {
		return err
	}
	return appendLine(file, line)
}

func appendLine(file, line string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("ssh2: known hosts: %w", e)
		}
	}()
	// A last line without end would swallow ours.
	if i, err := f.Stat(); err == nil && i.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, i.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	return nil
}

// Add makes the key known for the server at addr, at once and, if k was read
// from files, in the first of them. A key that is known already is not added
// again; a revoked one is an error.
func (k *KnownHosts) Add(addr string, key gossh.PublicKey, hashed bool) error {
	if err := k.check(addr, key); errors.Is(err, ErrHostKeyRevoked) {
		return err
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	if k.knows(knownName(splitAddr(addr)), key, false, &KnownHostsError{}) {
		return nil
	}
	line, err := KnownHostLine(addr, key, hashed)
	if err != nil {
		return err
	}
	if k.file != "" {
		if err := appendLine(k.file, line); err != nil {
			return err
		}
	}
	return k.remember(line)
}

// remember adds a line of our own making.
func (k *KnownHosts) remember(line string) error {
	l, err := parseKnownLine(line)
	if err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	l.File = k.file
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lines = append(k.lines, l)
	return nil
}

// Update replaces the known keys of a server by those that it has proven to
// hold: see HostKeyUpdate. New keys are added, hashed if the host's lines are.
// Keys that the server no longer has are removed from lines of the first file
// that are about this host alone. Lines with wildcards or several names, other
// files, authorities and revocations stay as they are. It changes nothing, and
// returns an error, if none of the server's keys was known before: an untrusted
// server cannot make itself trusted.
func (k *KnownHosts) Update(addr string, keys []gossh.PublicKey) (added, removed []gossh.PublicKey, err error) {
	if len(keys) == 0 {
		return nil, nil, errors.New("ssh2: known hosts: a server without keys")
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	host, port := splitAddr(addr)
	name := knownName(host, port)
	var trusted bool
	for _, key := range keys {
		switch err := k.check(addr, key); {
		case err == nil:
			trusted = true
		case errors.Is(err, ErrHostKeyRevoked): // and the rest of what they say is not worth more
			return nil, nil, err
		default:
			added = append(added, key)
		}
	}
	if !trusted {
		return nil, nil, &KnownHostsError{Problem: ErrHostUnknown, Host: name, Key: keys[0]}
	}
	has := func(blob []byte) bool {
		return slices.ContainsFunc(keys, func(key gossh.PublicKey) bool { return bytes.Equal(key.Marshal(), blob) })
	}
	hashed := false
	stale := func(l *knownLine) bool {
		return l.File == k.file && !l.revoked && !l.Authority && l.isOnly(name) && !has(l.blob)
	}
	for _, l := range k.about(name) {
		hashed = hashed || l.names[0].hash != nil
		if stale(&l) {
			removed = append(removed, l.Key)
		}
	}
	if len(added) == 0 && len(removed) == 0 {
		return nil, nil, nil
	}
	var lines []string
	for _, key := range added {
		line, err := KnownHostLine(addr, key, hashed)
		if err != nil {
			return nil, nil, err
		}
		lines = append(lines, line)
	}
	if k.file != "" {
		if err := k.rewrite(lines, stale); err != nil {
			return nil, nil, err
		}
	}
	k.mu.Lock()
	k.lines = slices.DeleteFunc(k.lines, func(l knownLine) bool { return stale(&l) })
	k.mu.Unlock()
	for _, line := range lines {
		if err := k.remember(line); err != nil {
			return nil, nil, err
		}
	}
	return added, removed, nil
}

// isOnly tells whether a line is about this host and no other.
func (l *knownLine) isOnly(name string) bool {
	return len(l.names) == 1 && !strings.ContainsAny(l.names[0].text, "*?") && l.matches(name)
}

// rewrite replaces the first file by one without the stale lines and with more
// at its end. It is either the old or the new one at any time. What others have
// written to it since it was read is kept.
func (k *KnownHosts) rewrite(more []string, stale func(*knownLine) bool) error {
	// Through a symbolic link: replacing it would leave its target behind.
	file, err := filepath.EvalSymlinks(k.file)
	if errors.Is(err, fs.ErrNotExist) { // known are keys of other files only
		if len(more) == 0 {
			return nil
		}
		return appendLine(k.file, strings.Join(more, "\n"))
	}
	if err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	mode := fs.FileMode(0o600)
	if i, err := os.Stat(file); err == nil {
		mode = i.Mode().Perm()
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	var out bytes.Buffer
	for text := range bytes.Lines(data) {
		l, err := parseKnownLine(string(bytes.TrimRight(text, "\r\n")))
		l.File = k.file
		if err == nil && l.names != nil && stale(&l) {
			continue
		}
		out.Write(text)
	}
	if out.Len() > 0 && out.Bytes()[out.Len()-1] != '\n' {
		out.WriteByte('\n')
	}
	for _, line := range more {
		out.WriteString(line + "\n")
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".known_hosts-*")
	if err != nil {
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	_, err = f.Write(out.Bytes())
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("ssh2: known hosts: %w", err)
	}
	return nil
}
