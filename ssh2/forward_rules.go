package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// An addrRule is a host and ports that a policy permits.
type addrRule struct {
	any     bool         // "*"
	below   string       // "*.example.org": ".example.org"
	name    string       // in lower case, without a final dot
	network netip.Prefix // an address is a network of one

	anyPort     bool
	least, most int
}

// parseAddrRule reads "host:port".
func parseAddrRule(s string) (r addrRule, err error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return r, fmt.Errorf("rule %q is not host:port", s)
	}
	if port == "*" {
		r.anyPort, r.most = true, 65535
	} else {
		low, high, ranged := strings.Cut(port, "-")
		if !ranged {
			high = low
		}
		a, errA := strconv.ParseUint(low, 10, 16)
		b, errB := strconv.ParseUint(high, 10, 16)
		if errA != nil || errB != nil || a > b {
			return r, fmt.Errorf("rule %q: the port is neither a number nor two with a minus between nor *", s)
		}
		r.least, r.most = int(a), int(b)
	}
	switch {
	case host == "*":
		r.any = true
		return r, nil
	case host == "":
		return r, fmt.Errorf("rule %q has no host", s)
	case strings.Contains(host, "/"):
		r.network, err = netip.ParsePrefix(host)
		if err != nil {
			return r, fmt.Errorf("rule %q: %w", s, err)
		}
		r.network = r.network.Masked()
		return r, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return r, fmt.Errorf("rule %q: an address with a zone", s)
		}
		ip = ip.Unmap()
		r.network = netip.PrefixFrom(ip, ip.BitLen())
		return r, nil
	}
	r.name = plainName(host)
	if rest, ok := strings.CutPrefix(r.name, "*."); ok {
		r.below, r.name = "."+rest, ""
		host = rest
	}
	if strings.ContainsAny(host, "* ,") {
		return r, fmt.Errorf("rule %q: * stands for a host, or for what is below a name", s)
	}
	return r, nil
}

// plainName returns a host name as names are compared.
func plainName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func (r *addrRule) permitsPort(port int) bool { return r.least <= port && port <= r.most }

// special has the addresses that "*" does not mean: what reaches this machine
// itself, its link, several machines at once, or the services by which clouds
// tell a machine its secrets (cves 11.8). They can be named.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/127"), // unspecified and loopback
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("fd00:42::/32"),
	netip.MustParsePrefix("fd00:ec2::/32"),
	netip.MustParsePrefix("fd20:ce::/32"),
	netip.MustParsePrefix("ff00::/8"),
}

// embeds are the networks whose addresses have an IPv4 address within, from that
// octet on, which gateways make of them.
var embeds = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64 of one's own
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4
}

// isSpecial tells whether ip, unmapped and without a zone, is in a special network.
func isSpecial(ip netip.Addr) bool {
	for _, p := range special {
		if p.Contains(ip) {
			return true
		}
	}
	for _, e := range embeds {
		if e.network.Contains(ip) {
			b := ip.As16()
			return isSpecial(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return false
}

// OpenRules say where clients may connect to through a server. They are made by
// ParseOpenRules; the zero value permits nothing.
type OpenRules struct {
	rules  []addrRule
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// ParseOpenRules reads rules of the form "host:port". The port is a number, a
// range as in "8000-8999", or "*" for all. The host is one of
//
//   - a name, which the client must use, wherever it leads: "db.internal", "localhost";
//   - an address or a network, which names may lead to: "192.0.2.7", "10.0.0.0/8", "[2001:db8::/32]";
//   - "*.example.org", any name below that one;
//   - "*", any host.
//
// The last two do not include loopback and link-local addresses, nor others by
// which a machine reaches itself or its cloud's metadata service: these must be
// named. Names are resolved once, and only the addresses that are permitted are
// connected to. A rule that cannot be read is a *ConfigError.
func ParseOpenRules(rules ...string) (*OpenRules, error) {
	o := &OpenRules{}
	for _, s := range rules {
		r, err := parseAddrRule(s)
		if err != nil {
			return nil, &ConfigError{"forward: permit open", err}
		}
		o.rules = append(o.rules, r)
	}
	return o, nil
}

// permits tells whether host, as the client wrote it, may be connected to at ip.
func (o *OpenRules) permits(host string, ip netip.Addr, port int) bool {
	ip = ip.Unmap().WithZone("")
	host = plainName(host)
	for i := range o.rules {
		r := &o.rules[i]
		switch {
		case !r.permitsPort(port):
		case r.name != "" && r.name == host,
			r.network.IsValid() && r.network.Contains(ip),
			(r.any || r.below != "" && strings.HasSuffix(host, r.below)) && !isSpecial(ip):
			return true
		}
	}
	return false
}

// mayPermit tells whether looking up host is worth it.
func (o *OpenRules) mayPermit(host string, port int) bool {
	host = plainName(host)
	for i := range o.rules {
		r := &o.rules[i]
		if r.permitsPort(port) && (r.any || r.network.IsValid() || r.name == host || r.below != "" && strings.HasSuffix(host, r.below)) {
			return true
		}
	}
	return false
}

// Dial connects to an address that the rules permit. If they permit none, it
// fails with an *OpenError.
func (o *OpenRules) Dial(ctx context.Context, to HostPort) (net.Conn, error) {
	if to.Port <= 0 || to.Host == "" || !o.mayPermit(to.Host, to.Port) {
		return nil, errNotPermitted
	}
	ips, err := o.resolve(ctx, to.Host)
	if err != nil {
		return nil, err
	}
	permitted := ips[:0]
	for _, ip := range ips {
		if o.permits(to.Host, ip, to.Port) {
			permitted = append(permitted, ip)
		}
	}
	err = errNotPermitted
	for i, ip := range permitted {
		var nc net.Conn
		if nc, err = o.connect(ctx, netip.AddrPortFrom(ip, uint16(to.Port)), len(permitted)-i); err == nil {
			return nc, nil
		}
	}
	return nil, err
}

func (o *OpenRules) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	lookup := o.lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	return lookup(ctx, "ip", host)
}

// connect connects to one of so many addresses that are left to try, in its
// share of the time.
func (o *OpenRules) connect(ctx context.Context, to netip.AddrPort, left int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		timed, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
		ctx = timed
	}
	if o.dial != nil {
		return o.dial(ctx, "tcp", to.String())
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to.String())
}

// ListenRules say which addresses clients may have a server listen on. They are
// made by ParseListenRules; the zero value permits nothing.
type ListenRules struct {
	rules   []addrRule
	gateway bool
}

// ParseListenRules reads rules of the form "host:port". The host is
// "localhost", an address, or "*" for all; the port a number, a range, or "*"
// for all from 1024 up and for letting the server choose. Ports below 1024 must
// be named, and "0" permits only the server's choice.
//
// Without gateway, clients get a listener on "localhost" whatever address they
// ask for, as with sshd's GatewayPorts no. With gateway they get what they ask
// for if it is permitted: "" and "*" are all addresses, "0.0.0.0" and "::"
// those of one family, "localhost" the loopback addresses of both. A rule that
// cannot be read is a *ConfigError.
func ParseListenRules(gateway bool, rules ...string) (*ListenRules, error) {
	o := &ListenRules{gateway: gateway}
	for _, s := range rules {
		r, err := parseAddrRule(s)
		switch {
		case err != nil:
		case r.below != "" || r.name != "" && r.name != "localhost" || r.network.IsValid() && !r.network.IsSingleIP():
			err = fmt.Errorf("rule %q: the host is neither localhost nor an address nor *", s)
		case !gateway && r.network.IsValid():
			err = fmt.Errorf("rule %q names an address, which needs gateway ports", s)
		}
		if err != nil {
			return nil, &ConfigError{"forward: permit listen", err}
		}
		o.rules = append(o.rules, r)
	}
	return o, nil
}

func (o *ListenRules) permits(at HostPort) bool {
	ip, _ := netip.ParseAddr(at.Host)
	ip = ip.Unmap()
	for i := range o.rules {
		r := &o.rules[i]
		switch {
		case r.anyPort && 0 < at.Port && at.Port < 1024, !r.permitsPort(at.Port):
		case r.any, r.name != "" && r.name == at.Host, r.network.IsValid() && ip.IsValid() && r.network.Addr() == ip:
			return true
		case r.name == "localhost" && ip.IsValid() && ip.IsLoopback():
			return true
		}
	}
	return false
}

// Listen listens on an address that the rules permit, or fails with an
// *OpenError. The host is "", "*", "localhost" or an address, never a name to be
// resolved.
func (o *ListenRules) Listen(ctx context.Context, at HostPort) (net.Listener, error) {
	at = o.place(at)
	if !o.permits(at) {
		return nil, errNotPermitted
	}
	return bindTCP(ctx, at)
}

// place returns where a client that asks for at is to listen.
func (o *ListenRules) place(at HostPort) HostPort {
	at.Host = plainName(at.Host)
	switch {
	case !o.gateway && !isLoopback(at.Host):
		at.Host = "localhost"
	case at.Host == "":
		at.Host = "*"
	}
	return at
}

func isLoopback(host string) bool { return hostKind(host) == "loopback" }

var errBindName = errors.New("ssh2: forward: the host to listen on is no address")

// bindTCP listens on what tcpip-forward may name (RFC 4254 section 7.1).
func bindTCP(ctx context.Context, at HostPort) (net.Listener, error) {
	var lc net.ListenConfig
	port := strconv.Itoa(at.Port)
	switch at.Host {
	case "", "*":
		return lc.Listen(ctx, "tcp", ":"+port) // both families, where there are both
	case "localhost":
		return bindLoopback(ctx, at.Port)
	}
	ip, err := netip.ParseAddr(at.Host)
	if err != nil {
		return nil, errBindName
	}
	network := "tcp4"
	if ip.Is6() && !ip.Is4In6() {
		network = "tcp6" // and so :: does not mean IPv4 as well
	}
	return lc.Listen(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
}

// bindLoopback listens on 127.0.0.1 and ::1, or on what there is of the two.
func bindLoopback(ctx context.Context, port int) (net.Listener, error) {
	var lc net.ListenConfig
	var err error
	for range 16 { // the port chosen for one family may be taken in the other
		var v4, v6 net.Listener
		if v4, err = lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err != nil {
			if isTaken(err) {
				return nil, err
			}
			return lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
		}
		chosen := hostPort(v4.Addr()).Port
		if v6, err = lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(chosen))); err == nil {
			return newTwoListeners(v4, v6), nil
		}
		if !isTaken(err) { // no IPv6 here
			return v4, nil
		}
		_ = v4.Close()
		if port != 0 {
			break
		}
	}
	return nil, err
}
