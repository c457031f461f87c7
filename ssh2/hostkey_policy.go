package ssh2

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// A HostKeyPolicy says which servers a client trusts. [KnownHosts] is the usual
// one; others are [FixedHostKey], [HostKeyFingerprint], [HostKeyFunc] and
// [InsecureIgnoreHostKey]. Its methods may be called by several goroutines.
type HostKeyPolicy interface {
	// Prefer returns those of the host key algorithms on offer that the server
	// at addr, "host:port", should be asked for first: of a server with several
	// keys, the client then sees one that is known. The others are offered
	// after them. Nil leaves the order as it is.
	Prefer(addr string, offered []string) []string
	// CheckHostKey accepts the key by returning nil. It is asked once for each
	// connection, when the server has proven to hold the key. It may ask a person.
	CheckHostKey(ctx context.Context, k *HostKeyInfo) error
}

// HostKeyInfo is a server's key that a client has to judge.
type HostKeyInfo struct {
	Addr      string   // "host:port" as given to Dial or NewClient
	Remote    net.Addr // where the connection really goes
	Algorithm string   // as negotiated
	// Key is the server's. With a certificate algorithm it is a
	// *gossh.Certificate; all that has been checked is that it is a host
	// certificate and that the server holds its key.
	Key gossh.PublicKey
}

// Fingerprint returns the fingerprint of the key, or of the key inside a
// certificate: "SHA256:" and base64, as OpenSSH prints it.
func (k *HostKeyInfo) Fingerprint() string { return gossh.FingerprintSHA256(bareKey(k.Key)) }

// Digest returns the hexadecimal hash of the key as it was sent; empty if the
// hash function is not linked into the program.
func (k *HostKeyInfo) Digest(h crypto.Hash) string {
	if !h.Available() {
		return ""
	}
	d := h.New()
	d.Write(k.Key.Marshal())
	return hex.EncodeToString(d.Sum(nil))
}

// HostKeyFunc makes a policy of one function. It has no preference among
// algorithms.
func HostKeyFunc(check func(context.Context, *HostKeyInfo) error) HostKeyPolicy {
	return hostKeyFunc(check)
}

type hostKeyFunc func(context.Context, *HostKeyInfo) error

func (hostKeyFunc) Prefer(string, []string) []string { return nil }

func (f hostKeyFunc) CheckHostKey(ctx context.Context, k *HostKeyInfo) error {
	if f == nil {
		return errNoHostKey
	}
	return f(ctx, k)
}

// InsecureIgnoreHostKey trusts any server. An attacker on the network can then
// read and change everything that is sent, passwords included.
func InsecureIgnoreHostKey() HostKeyPolicy {
	return HostKeyFunc(func(context.Context, *HostKeyInfo) error { return nil })
}

// FixedHostKey trusts these keys, whatever the server's address, and no
// certificates. Without keys it trusts nobody.
func FixedHostKey(keys ...gossh.PublicKey) HostKeyPolicy { return fixedHostKey(keys) }

type fixedHostKey []gossh.PublicKey

func (f fixedHostKey) Prefer(_ string, offered []string) []string {
	types := make([]string, 0, len(f))
	for _, k := range f {
		types = append(types, k.Type())
	}
	return preferTypes(offered, types, false)
}

func (f fixedHostKey) CheckHostKey(_ context.Context, k *HostKeyInfo) error {
	blob := k.Key.Marshal()
	if slices.ContainsFunc(f, func(want gossh.PublicKey) bool { return bytes.Equal(want.Marshal(), blob) }) {
		return nil
	}
	return fmt.Errorf("%s is not one of the %d keys that are trusted", k.Fingerprint(), len(f))
}

// HostKeyFingerprint trusts keys by their fingerprints, "SHA256:" and base64 as
// OpenSSH prints them. A malformed one matches nothing: a *ConfigError says so
// when the key is judged.
func HostKeyFingerprint(fingerprints ...string) HostKeyPolicy {
	return HostKeyFunc(func(_ context.Context, k *HostKeyInfo) error {
		if _, ok := k.Key.(*gossh.Certificate); ok {
			return errors.New("a certificate, which has no fingerprint")
		}
		for _, f := range fingerprints {
			text, ok := strings.CutPrefix(f, "SHA256:")
			sum, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
			if !ok || err != nil || len(sum) != crypto.SHA256.Size() {
				return &ConfigError{"host key fingerprint", fmt.Errorf("%+q is not SHA256: and base64", clip(f))}
			}
			if gossh.FingerprintSHA256(k.Key) == "SHA256:"+base64.RawStdEncoding.EncodeToString(sum) {
				return nil
			}
		}
		return fmt.Errorf("%s is not one of the %d fingerprints that are trusted", k.Fingerprint(), len(fingerprints))
	})
}

// preferTypes returns the algorithms for keys of these types, in the order of
// the offer; those for certificates first if an authority is known. If none is,
// the names for certificates come last of all: they could only fail.
func preferTypes(offered, types []string, authority bool) []string {
	var certs, known, other []string
	for _, name := range offered {
		row := findKeyAlg(name)
		switch {
		case row == nil:
			other = append(other, name)
		case row.isCert():
			certs = append(certs, name)
		case slices.Contains(types, row.blob):
			known = append(known, name)
		default:
			other = append(other, name)
		}
	}
	if authority {
		return append(certs, known...)
	}
	return slices.Concat(known, other, certs)
}

// reorder puts the preferred names first, as far as they are on offer.
func reorder(offered, preferred []string) []string {
	out := make([]string, 0, len(offered))
	for _, list := range [][]string{preferred, offered} {
		for _, name := range list {
			if slices.Contains(offered, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// knowsNobody tells that there is nothing to judge a server by.
func (cfg *ClientConfig) knowsNobody() bool { return cfg.HostKey == nil && cfg.HostKeyPolicy == nil }

// checkHostKey asks whatever is configured, all of which must agree.
func (cfg *ClientConfig) checkHostKey(ctx context.Context, k *HostKeyInfo) error {
	if cfg.knowsNobody() {
		return errNoHostKey
	}
	if cfg.HostKeyPolicy != nil {
		if err := cfg.HostKeyPolicy.CheckHostKey(ctx, k); err != nil {
			return err
		}
	}
	if cfg.HostKey != nil {
		return cfg.HostKey(k.Addr, k.Remote, k.Key)
	}
	return nil
}
