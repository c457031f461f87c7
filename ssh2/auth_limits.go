package ssh2

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits restrict a user who was let in. The zero value restricts nothing.
// They come with a [Verdict], or from the options of a certificate.
type Limits struct {
	// SourceAddress lists the networks that the client may come from. Nil means
	// any; a list that is there but empty means none. Clients whose address is
	// not an IP address match no network.
	SourceAddress []netip.Prefix
	// ForceCommand, if not empty, is run instead of what the client asks for.
	ForceCommand string
	// ValidBefore, if not zero, is when the permission to log in ends.
	ValidBefore time.Time

	NoPTY             bool // no terminals
	NoPortForwarding  bool // no forwarding of TCP ports and Unix sockets, either way
	NoAgentForwarding bool // no access to the client's agent
	NoX11Forwarding   bool // no X11
}

// forwarding names the channels that a client opens, and the global requests by
// which it asks for others, to forward ports and Unix sockets (RFC 4254 section
// 7, OpenSSH PROTOCOL 2.4).
var forwarding = []string{
	"direct-tcpip", "direct-streamlocal@openssh.com",
	"tcpip-forward", "streamlocal-forward@openssh.com",
}

// forwardsPorts tells whether a channel type or request is what
// Limits.NoPortForwarding forbids.
func forwardsPorts(name string) bool { return slices.Contains(forwarding, name) }

// merge returns what both l and o allow.
func (l Limits) merge(o Limits) (Limits, error) {
	switch {
	case o.SourceAddress == nil:
	case l.SourceAddress == nil:
		l.SourceAddress = o.SourceAddress
	default:
		l.SourceAddress = intersect(l.SourceAddress, o.SourceAddress)
	}
	switch {
	case o.ForceCommand == "" || o.ForceCommand == l.ForceCommand:
	case l.ForceCommand == "":
		l.ForceCommand = o.ForceCommand
	default:
		// Neither is stricter than the other, and both cannot be had.
		return Limits{}, errors.New("two different forced commands")
	}
	if !o.ValidBefore.IsZero() && (l.ValidBefore.IsZero() || o.ValidBefore.Before(l.ValidBefore)) {
		l.ValidBefore = o.ValidBefore
	}
	l.NoPTY = l.NoPTY || o.NoPTY
	l.NoPortForwarding = l.NoPortForwarding || o.NoPortForwarding
	l.NoAgentForwarding = l.NoAgentForwarding || o.NoAgentForwarding
	l.NoX11Forwarding = l.NoX11Forwarding || o.NoX11Forwarding
	return l, nil
}

// intersect returns the networks that are in both lists, never nil.
func intersect(a, b []netip.Prefix) []netip.Prefix {
	out := []netip.Prefix{}
	for _, p := range a {
		for _, q := range b {
			if !p.Overlaps(q) {
				continue
			}
			// Of two networks that overlap one contains the other.
			narrow := p
			if q.Bits() > p.Bits() {
				narrow = q
			}
			if !slices.Contains(out, narrow) {
				out = append(out, narrow)
			}
		}
	}
	return out
}

// admits tells, by its error, why a client may not log in now from addr.
func (l *Limits) admits(addr net.Addr, now time.Time) error {
	if !l.ValidBefore.IsZero() && !now.Before(l.ValidBefore) {
		return errors.New("no longer valid")
	}
	if l.SourceAddress == nil {
		return nil
	}
	ip, ok := addrIP(addr)
	if !ok {
		return errors.New("source address restricted and the client has no IP address")
	}
	for _, p := range l.SourceAddress {
		if p.Contains(ip) {
			return nil
		}
	}
	return fmt.Errorf("source address %v not allowed", ip)
}

// addrIP returns the IP address of addr; an IPv4 address as such, also when it
// is written as an IPv6 one, and without a zone, which no network has.
func addrIP(addr net.Addr) (netip.Addr, bool) {
	var ip netip.Addr
	switch a := addr.(type) {
	case nil:
		return ip, false
	case *net.TCPAddr:
		if a == nil {
			return ip, false
		}
		ip, _ = netip.AddrFromSlice(a.IP)
	case *net.UnixAddr:
		return ip, false
	default: // wrappers, as of PROXY protocol, print like what they wrap
		s := addr.String()
		if ap, err := netip.ParseAddrPort(s); err == nil {
			ip = ap.Addr()
		} else {
			ip, _ = netip.ParseAddr(s)
		}
	}
	return ip.Unmap().WithZone(""), ip.IsValid()
}

// parseSources reads the list of a source-address option: networks, or single
// addresses, between commas. Never nil: no network means nobody.
func parseSources(s string) ([]netip.Prefix, error) {
	out := []netip.Prefix{}
	if s == "" {
		return out, nil
	}
	for elem := range strings.SplitSeq(s, ",") {
		p, err := netip.ParsePrefix(elem)
		if err != nil {
			ip, ipErr := netip.ParseAddr(elem)
			if ipErr != nil || ip.Zone() != "" {
				return nil, fmt.Errorf("source-address: %s is no network", quoteAuth(elem))
			}
			ip = ip.Unmap()
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		const mapped = 96 // bits in front of an IPv4 address in IPv6 notation, as which no client is compared
		if p.Addr().Is4In6() && p.Bits() >= mapped {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
		}
		out = append(out, p)
	}
	return out, nil
}
