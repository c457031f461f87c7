package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// knownHost judges the key of one host by known_hosts files, under the name that it has
// there.
type knownHost struct {
	addr  string // host:port, with HostKeyAlias in place of the host
	known *ssh2.KnownHosts
	pin   ssh2.HostKeyPolicy // of the fingerprint in a URL, or nil
}

// hostKeys reads what is known of a host.
func (c *connector) hostKeys(h *hostSettings, fingerprint string) (*knownHost, error) {
	k := &knownHost{addr: net.JoinHostPort(h.hostName, h.port)}
	if h.hostKeyAlias != "" {
		if err := checkHost(h.hostKeyAlias); err != nil {
			return nil, fmt.Errorf("HostKeyAlias: %w", err)
		}
		k.addr = net.JoinHostPort(h.hostKeyAlias, "22")
	}
	if fingerprint != "" {
		k.pin = ssh2.HostKeyFingerprint(fingerprint)
	}
	var err error
	if k.known, err = ssh2.ReadKnownHosts(knownFiles(h)...); err != nil {
		return nil, err
	}
	for _, problem := range k.known.Problems() {
		fmt.Fprintf(c.notes, "fairlead: left out: %s\n", plain(strings.TrimPrefix(problem.Error(), "ssh2: ")))
	}
	k.known.Unknown = func(ctx context.Context, key *ssh2.HostKeyInfo) error { return c.unknownHost(ctx, h, k, key) }
	return k, nil
}

func knownFiles(h *hostSettings) []string {
	var out []string
	for _, list := range [][]string{h.userKnownHosts, h.globalKnown} {
		for _, name := range list {
			if !strings.EqualFold(name, "none") {
				out = append(out, name)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, "/dev/null") // or else ReadKnownHosts would take the usual ones
	}
	return out
}

// Prefer asks for keys of the types that are known.
func (k *knownHost) Prefer(_ string, offered []string) []string {
	return k.known.Prefer(k.addr, offered)
}

// CheckHostKey accepts the key that the URL names, or one that is known.
func (k *knownHost) CheckHostKey(ctx context.Context, key *ssh2.HostKeyInfo) error {
	if k.pin != nil {
		return k.pin.CheckHostKey(ctx, key)
	}
	under := *key
	under.Addr = k.addr
	return k.known.CheckHostKey(ctx, &under)
}

// unknownHost decides about a host of which no key is known, as StrictHostKeyChecking says.
func (c *connector) unknownHost(ctx context.Context, h *hostSettings, k *knownHost, key *ssh2.HostKeyInfo) error {
	unknown := &ssh2.KnownHostsError{Problem: ssh2.ErrHostUnknown, Host: nameIn(k.addr), Key: key.Key}
	name := plain(nameIn(k.addr))
	kind := strings.ToUpper(strings.TrimPrefix(key.Key.Type(), "ssh-"))
	switch {
	case h.strict == "accept-new":
		fmt.Fprintf(c.notes, "fairlead: %s was not known; from now on its key is %s %s\n", name, kind, key.Fingerprint())
	case h.strict != "ask" || c.term == nil || h.batch:
		return unknown
	default:
		c.term.tell(fmt.Sprintf("Nothing is known of %s, at %s.\nIt shows the %s key %s.\n", name, remoteOf(key), kind, key.Fingerprint()))
		yes, err := c.confirm(ctx, key.Fingerprint())
		if err != nil {
			return err
		}
		if !yes {
			return errRefused
		}
	}
	if err := k.known.Add(k.addr, key.Key, h.hashKnownHosts); err != nil {
		// Trusted for now, and asked about again next time.
		fmt.Fprintf(c.notes, "fairlead: cannot remember the host key: %s\n", plain(strings.TrimPrefix(err.Error(), "ssh2: known hosts: ")))
	}
	return nil
}

var errRefused = errors.New("the host key was not accepted")

func remoteOf(key *ssh2.HostKeyInfo) string {
	if key.Remote == nil {
		return "an unknown address"
	}
	return plain(key.Remote.String())
}

// confirm asks whether to go on. The fingerprint itself is the best answer: whoever copies
// it has compared it.
func (c *connector) confirm(ctx context.Context, fingerprint string) (bool, error) {
	prompt := "Go on, and remember this key (yes, no, or the fingerprint that it should have)? "
	for range 5 {
		a, err := c.term.ask(ctx, prompt, true)
		if err != nil {
			return false, err
		}
		switch a = strings.TrimSpace(a); {
		case strings.EqualFold(a, "yes") || a == fingerprint:
			return true, nil
		case strings.EqualFold(a, "no"):
			return false, nil
		case strings.HasPrefix(a, "SHA256:"):
			c.term.tell("That is another fingerprint.\n")
			return false, nil
		}
		prompt = "Please type yes, no, or the fingerprint: "
	}
	return false, errNobody
}

// nameIn is how a host stands in known_hosts.
func nameIn(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "22" {
		return host
	}
	return "[" + host + "]:" + port
}

// hostKeyAdvice says what is wrong with the key of a host, and what can be done.
func hostKeyAdvice(e *ssh2.KnownHostsError, err error) error {
	shown := func(k gossh.PublicKey) string { return plain(k.Type()) + " " + gossh.FingerprintSHA256(k) }
	name := plain(e.Host)
	key := e.Key
	if cert, ok := key.(*gossh.Certificate); ok {
		key = cert.Key
	}
	switch {
	case errors.Is(e, ssh2.ErrHostUnknown):
		return fmt.Errorf("%s: the host key %s is not known, and nobody could be asked: connect once from a terminal, or compare the fingerprint and give -o StrictHostKeyChecking=accept-new", name, shown(key))
	case errors.Is(e, ssh2.ErrHostKeyChanged) && len(e.Known) > 0:
		old := e.Known[0]
		known := ""
		if old.Key != nil {
			known = shown(old.Key)
		}
		return fmt.Errorf("%s: THE HOST KEY HAS CHANGED: it is %s now, and %s:%d knows %s; somebody may be in between; if the server was set up anew, make sure, and remove the old key with: ssh-keygen -f %s -R %s",
			name, shown(key), plain(old.File), old.Line, known, plain(shellWord(old.File)), plain(shellWord(e.Host)))
	case errors.Is(e, ssh2.ErrHostKeyRevoked):
		return fmt.Errorf("%s: the host key %s is revoked: do not connect", name, shown(key))
	}
	return fmt.Errorf("%s: %s", name, plain(err.Error()))
}

var _ io.Closer = (*connector)(nil)
