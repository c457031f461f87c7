package sftpserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hosts plays the name service: names of addresses, and addresses of names.
type hosts struct {
	names map[string][]string
	addrs map[string][]string
	fails error         // all look-ups
	late  time.Duration // how long each takes
	asked int
}

func (h *hosts) wait(ctx context.Context) error {
	h.asked++
	select {
	case <-time.After(h.late):
		return h.fails
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hosts) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	if n, ok := h.names[addr]; ok {
		return n, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
}

func (h *hosts) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, a := range h.addrs[host] {
		all = append(all, netip.MustParseAddr(a))
	}
	if all == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, nil
}

// partial gives names and an error.
type partial struct{ hosts }

func (p *partial) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	names, _ := p.hosts.LookupAddr(ctx, addr)
	return names, &net.DNSError{Err: "malformed names", Name: addr}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// TestAllowedClients and blocked ones: addresses, networks, wildcards, names; block wins.
func TestAllowedClients(t *testing.T) {
	world := hosts{
		names: map[string][]string{
			"192.0.2.1":   {"WWW.Example.com."},
			"192.0.2.2":   {"www.example.com."}, // says so, but is not
			"192.0.2.3":   {"other.example.net.", "host.example.com."},
			"192.0.2.4":   {"ghost.example.com."}, // which nobody knows
			"2001:db8::1": {"six.example.com."},
			"192.0.2.9":   {"1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.", "host.example.com."},
		},
		addrs: map[string][]string{
			"www.example.com": {"192.0.2.1"}, "host.example.com": {"192.0.2.3", "192.0.2.9"},
			"six.example.com": {"2001:db8::1"}, "other.example.net": {"198.51.100.1"},
		},
	}
	for _, tt := range []struct {
		allowed, blocked, addr string
		want                   bool
		asks                   bool // has to look names up
	}{
		{"", "", "192.0.2.1", true, false},
		{"*", "", "192.0.2.1", true, false},
		{"*", "", "2001:db8::1", true, false},
		{"192.0.2.1", "", "192.0.2.1", true, false},
		{"192.0.2.1", "", "::ffff:192.0.2.1", true, false},
		{"::ffff:192.0.2.1", "", "192.0.2.1", true, false},
		{"192.0.2.1", "", "192.0.2.10", false, false},
		{"192.0.2.0/24", "", "192.0.2.200", true, false},
		{"192.0.2.7/24", "", "192.0.2.200", true, false},
		{"192.0.2.0/24", "", "192.0.3.1", false, false},
		{"::ffff:192.0.2.0/120", "", "192.0.2.200", true, false},
		{"::ffff:0:0/96", "", "192.0.2.200", true, false},
		{"::/0", "", "192.0.2.200", false, false},
		{"2001:db8::/32", "", "2001:db8:1::9", true, false},
		{"192.0.2.*", "", "192.0.2.77", true, false},
		{"192.0.2.*", "", "192.0.20.1", false, false},
		{"192.*.7", "", "192.0.2.7", true, false},
		{"2001:DB8:*", "", "2001:db8::1", true, false},
		{"10.0.0.1, 192.0.2.1 ", "", "192.0.2.1", true, false},
		{"*", "192.0.2.0/24", "192.0.2.1", false, false},
		{"192.0.2.1", "192.0.2.1", "192.0.2.1", false, false},
		{"", "*", "192.0.2.1", false, false},
		{"www.example.com", "", "192.0.2.1", true, true},
		{"www.example.com.", "", "192.0.2.1", true, true},
		{"www.example.com", "", "192.0.2.2", false, true},
		{"*.example.com", "", "192.0.2.3", true, true},
		{"*.example.net", "", "192.0.2.3", false, true},
		{"*.example.com", "", "192.0.2.4", false, true},
		{"*.example.com", "", "192.0.2.5", false, true},
		{"*.example.com", "", "192.0.2.9", false, true}, // the ninth name
		{"*.example.com", "", "2001:db8::1", true, true},
		{"192.0.2.1,*.example.org", "", "192.0.2.1", true, false},
		{"*", "*.example.com", "192.0.2.1", false, true},
		{"*", "*.example.com", "192.0.2.2", false, true}, // it says so itself
		{"*", "*.example.com", "192.0.2.5", true, true},
		{"192.0.2.0/24", "*.example.net", "192.0.2.3", false, true},
		{"*.example.com", "*.example.net", "192.0.2.3", false, true},
		{"*.example.com", "*.example.org", "192.0.2.1", true, true},
	} {
		c, err := newClients(&Options{AllowedClients: list(tt.allowed), BlockedClients: list(tt.blocked)})
		if err != nil {
			t.Errorf("allowed %q, blocked %q: %v", tt.allowed, tt.blocked, err)
			continue
		}
		world.asked = 0
		c.resolver = &world
		got, err := c.admit(t.Context(), net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 1)))
		var dns *net.DNSError
		if got != tt.want || err != nil && !errors.As(err, &dns) || tt.asks != (world.asked > 0) {
			t.Errorf("allowed %q, blocked %q: %s gets %v, %v after %d look-ups, want %v", tt.allowed, tt.blocked, tt.addr, got, err, world.asked, tt.want)
		}
	}
}

// TestAllowedClientsFailClosed: look-ups that fail or hang let nobody in who is known by name only, and keep nobody out.
func TestAllowedClientsFailClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
		broken := &hosts{fails: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}
		silent := &hosts{late: time.Hour}
		half := &hosts{names: map[string][]string{"192.0.2.1": {"www.example.com."}}, late: 4 * time.Second} // the second look-up is too late
		for _, tt := range []struct {
			allowed, blocked string
			resolver         resolver
			want             bool
		}{
			{"www.example.com", "", broken, false},
			{"www.example.com", "", silent, false},
			{"www.example.com", "", half, false},
			{"*", "www.example.com", broken, true},
			{"*", "www.example.com", silent, true},
		} {
			c, err := newClients(&Options{AllowedClients: list(tt.allowed), BlockedClients: list(tt.blocked)})
			if err != nil {
				t.Fatal(err)
			}
			c.resolver = tt.resolver
			began := time.Now()
			got, err := c.admit(t.Context(), addr)
			if got != tt.want || err == nil || time.Since(began) > lookupTime {
				t.Errorf("allowed %q, blocked %q: %v, %v after %v", tt.allowed, tt.blocked, got, err, time.Since(began))
			}
		}
		// Names that come with an error, as when one of them is malformed, block all the same.
		partly := &partial{hosts{names: map[string][]string{"192.0.2.1": {"www.example.com."}}}}
		for allowed, blocked := range map[string]string{"*": "*.example.com", "192.0.2.1": "www.example.com", "*.example.net": "*.example.com"} {
			c, err := newClients(&Options{AllowedClients: list(allowed), BlockedClients: list(blocked)})
			if err != nil {
				t.Fatal(err)
			}
			c.resolver = partly
			if got, err := c.admit(t.Context(), addr); got || err == nil {
				t.Errorf("allowed %q, blocked %q by a name that came with an error: %v, %v", allowed, blocked, got, err)
			}
		}
		// The block by an address needs no look-up, so that none that fails can undo it.
		c, err := newClients(&Options{BlockedClients: list("www.example.com,192.0.2.1")})
		if err != nil {
			t.Fatal(err)
		}
		c.resolver = broken
		broken.asked = 0
		if got, err := c.admit(t.Context(), addr); got || err != nil || broken.asked > 0 {
			t.Errorf("blocked by address: %v, %v after %d look-ups", got, err, broken.asked)
		}
		// Without an address there is nothing to look up, and nothing to allow it by.
		c, _ = newClients(&Options{AllowedClients: list("www.example.com,192.0.2.*")})
		c.resolver = silent
		if got, _ := c.admit(t.Context(), &net.UnixAddr{}); got {
			t.Error("a client without an address was let in")
		}
	})
}

// TestClientListsAreChecked: what was meant as an address and is none is an error, not a name that never matches.
func TestClientListsAreChecked(t *testing.T) {
	for _, bad := range []string{"", " ", "10.0.0.0/33", "10.0.0.300", "10.0.0", "host/24", "a b", "fe80::1%eth0", "2001:db8::g", "a,b", "10.0.0.1\n"} {
		for _, o := range []*Options{{AllowedClients: []string{bad}}, {BlockedClients: []string{"ok", bad}}} {
			_, err := newClients(o)
			if strings.TrimSpace(bad) == "10.0.0.1" {
				if err != nil {
					t.Errorf("%q: %v", bad, err)
				}
				continue
			}
			if ErrorCode(err) != 10022 || !strings.Contains(err.Error(), "Clients") {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}

func FuzzWildcard(f *testing.F) {
	f.Add("*.example.com", "www.example.com")
	f.Add("10.*.3*", "10.0.2.33")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 64 || len(s) > 64 {
			return
		}
		if got, want := wildcard(p, s), slowWildcard(p, s); got != want {
			t.Errorf("wildcard(%q, %q) = %v", p, s, got)
		}
	})
}

// slowWildcard fills the table of all prefixes of p and s.
func slowWildcard(p, s string) bool {
	row := make([]bool, len(s)+1) // of the prefix of p so far
	row[0] = true
	for i := range len(p) {
		next := make([]bool, len(s)+1)
		for j := range next {
			switch {
			case p[i] == '*':
				next[j] = row[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = row[j-1] && p[i] == s[j-1]
			}
		}
		row = next
	}
	return row[len(s)]
}
