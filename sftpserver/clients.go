package sftpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// lookupTime is how long the look-ups for one connection may take together.
	lookupTime = 5 * time.Second
	// maxNames is how many names of one address are looked at. Whoever has the address can give it any number.
	maxNames = 8
)

// A clientList is Options.AllowedClients or BlockedClients.
type clientList struct {
	all      bool
	networks []netip.Prefix
	texts    []string // patterns of addresses
	names    []string // patterns of host names
}

// parseClients reads a list. What looks like an address or a network has to be one.
func parseClients(setting string, entries []string) (l clientList, err error) {
	for _, entry := range entries {
		e := strings.TrimSpace(entry)
		switch {
		case e == "*":
			l.all = true
		case strings.Contains(e, "/"):
			p, err := netip.ParsePrefix(e)
			if err != nil {
				return clientList{}, clientError(setting, entry)
			}
			l.networks = append(l.networks, unmapPrefix(p.Masked()))
		case strings.ContainsAny(e, "*") && addressLike(e):
			l.texts = append(l.texts, strings.ToLower(e))
		case addressLike(e):
			a, err := netip.ParseAddr(e)
			if err != nil || a.Zone() != "" {
				return clientList{}, clientError(setting, entry)
			}
			a = a.Unmap()
			l.networks = append(l.networks, netip.PrefixFrom(a, a.BitLen()))
		case e == "" || strings.ContainsFunc(e, func(r rune) bool { return r <= ' ' || r == 0x7F || r == ',' }):
			return clientList{}, clientError(setting, entry)
		default:
			l.names = append(l.names, plainName(e))
		}
	}
	return l, nil
}

func clientError(setting, entry string) error {
	return &Error{Code: codeInvalid, Op: "start", Err: fmt.Errorf("%s: %q is no address, network or host name", setting, entry)}
}

// addressLike tells what can only be meant as an address: no host name has a colon, or nothing
// but digits and dots.
func addressLike(s string) bool {
	if strings.Contains(s, ":") {
		return true
	}
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != '*' })
}

// unmapPrefix makes a network of IPv4 addresses in IPv6 notation one of IPv4.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	const mapped = 96 // bits in front of the IPv4 address
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p
}

// plainName is a host name as it is compared.
func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// hasAddress tells whether the list has the address, names apart.
func (l *clientList) hasAddress(a netip.Addr) bool {
	return l.all || a.IsValid() && (slices.ContainsFunc(l.networks, func(p netip.Prefix) bool { return p.Contains(a) }) ||
		slices.ContainsFunc(l.texts, func(p string) bool { return wildcard(p, a.String()) }))
}

// hasName tells whether the list has one of the names.
func (l *clientList) hasName(names []string) bool {
	return slices.ContainsFunc(l.names, func(p string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return wildcard(p, n) })
	})
}

// wildcard tells whether s is p, where "*" stands for any text.
func wildcard(p, s string) bool {
	head, rest, star := strings.Cut(p, "*")
	if !strings.HasPrefix(s, head) {
		return false
	}
	if !star {
		return p == s
	}
	s = s[len(head):]
	for { // the first place is as good as any later one for all but the last piece
		piece, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, piece)
		}
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(piece):], next
	}
}

// A resolver looks names up; *net.Resolver is one.
type resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// clients decides who may connect, before the ConnectionRequest event does.
type clients struct {
	allowed, blocked clientList
	resolver         resolver
}

func newClients(o *Options) (c clients, err error) {
	if c.allowed, err = parseClients("AllowedClients", o.AllowedClients); err != nil {
		return clients{}, err
	}
	if len(o.AllowedClients) == 0 {
		c.allowed.all = true
	}
	c.blocked, err = parseClients("BlockedClients", o.BlockedClients)
	c.resolver = net.DefaultResolver
	return c, err
}

// admit tells whether the lists let the client in, and what went wrong with the
// look-up if there had to be one. Blocked wins. Names are looked up if nothing else decides.
func (c *clients) admit(ctx context.Context, addr net.Addr) (bool, error) {
	var a netip.Addr
	if t, ok := addr.(*net.TCPAddr); ok {
		a = t.AddrPort().Addr().Unmap().WithZone("")
	}
	if c.blocked.hasAddress(a) {
		return false, nil
	}
	allowed := c.allowed.hasAddress(a)
	if !a.IsValid() || len(c.blocked.names) == 0 && (allowed || len(c.allowed.names) == 0) {
		return allowed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	claimed, err := c.claimedNames(ctx, a)
	if c.blocked.hasName(claimed) { // who calls himself that will not do so to get in
		return false, err
	}
	if allowed {
		return true, err
	}
	var bad error
	for _, name := range claimed {
		if !c.allowed.hasName([]string{name}) {
			continue
		}
		addrs, lookup := c.resolver.LookupNetIP(ctx, "ip", name)
		if lookup != nil {
			bad = lookup
			continue
		}
		if slices.ContainsFunc(addrs, func(b netip.Addr) bool { return b.Unmap().WithZone("") == a }) {
			return true, nil
		}
	}
	return false, errors.Join(err, bad)
}

// claimedNames are the names that whoever has the address gave it. To have none is no error.
func (c *clients) claimedNames(ctx context.Context, a netip.Addr) ([]string, error) {
	names, err := c.resolver.LookupAddr(ctx, a.String())
	names = slices.Clone(names[:min(len(names), maxNames)])
	for i, n := range names {
		names[i] = plainName(n)
	}
	if d, ok := errors.AsType[*net.DNSError](err); ok && d.IsNotFound {
		err = nil
	}
	return names, err
}
