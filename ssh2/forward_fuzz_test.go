package ssh2

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// FuzzForwardData parses what peers say of forwarded connections: what passes is
// what was said, and within bounds.
func FuzzForwardData(f *testing.F) {
	for _, m := range []wire.Layouter{
		&msg.TCPForward{Addr: "localhost", Port: 80}, &msg.TCPChannel{Addr: "h", Port: 1, Origin: "o", OriginPort: 2},
		&msg.DirectUnix{Path: "/p"}, &msg.ForwardedUnix{Path: "/p"}, &msg.Text{Value: "/p"}, &msg.BoundPort{Port: 1},
	} {
		f.Add(wire.Append(nil, m))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		inRange := func(h HostPort) {
			if h.Port < 0 || h.Port > math.MaxUint16 {
				t.Errorf("port %d", h.Port)
			}
			_, _ = h.addr(), hostLikeness(h.Host, "localhost")
		}
		for _, typ := range []string{directTCP, forwardedTCP, directUnix, forwardedUnix, "session"} {
			n := &NewChannel{ch: &Channel{typ: typ}, extra: data}
			if to, from, err := n.TCP(); err == nil {
				inRange(to)
				inRange(from)
				m := &msg.TCPChannel{Addr: to.Host, Port: uint32(to.Port), Origin: from.Host, OriginPort: uint32(from.Port)}
				if !slices.Equal(wire.Append(nil, m), data) {
					t.Errorf("%x is read as %+v", data, m)
				}
			}
			if path, err := n.SocketPath(); err == nil && (path == "" || len(path) > maxSocketPath || strings.Contains(path, "\x00")) {
				t.Errorf("path %q", path)
			}
		}
		for _, name := range []string{listenTCP, cancelTCP, listenUnix, cancelUnix, "x"} {
			r := &Request{Name: name, Data: data}
			if at, err := r.TCPBind(); err == nil {
				inRange(at)
			}
			if path, err := r.SocketPath(); err == nil && (path == "" || len(path) > maxSocketPath || strings.Contains(path, "\x00")) {
				t.Errorf("path %q", path)
			}
		}
	})
}

// FuzzForwardRules reads rules, and asks them for what clients may ask for: an
// address that "*" alone permits is never an inner one.
func FuzzForwardRules(f *testing.F) {
	for _, row := range openRows {
		f.Add(row.rules, row.to, row.ips)
	}
	for _, ip := range inner {
		f.Add("*:*", net.JoinHostPort(ip, "1"), ip)
	}
	f.Fuzz(func(t *testing.T, rules, to, ips string) {
		at, err := ParseHostPort(to)
		if err != nil {
			return
		}
		if back, err := ParseHostPort(at.String()); err != nil || back != at {
			t.Errorf("%q comes back as %q, %v", to, back, err)
		}
		if l, err := ParseListenRules(true, strings.Fields(rules)...); err == nil {
			_ = l.permits(l.place(at))
		}
		o, err := ParseOpenRules(strings.Fields(rules)...)
		if err != nil {
			return
		}
		o.lookup = func(context.Context, string, string) (all []netip.Addr, err error) {
			for s := range strings.FieldsSeq(ips) {
				if ip, err := netip.ParseAddr(s); err == nil {
					all = append(all, ip)
				}
			}
			return all, nil
		}
		onlyAny := !slices.ContainsFunc(o.rules, func(r addrRule) bool { return !r.any })
		o.dial = func(_ context.Context, _, addr string) (net.Conn, error) {
			if ip := netip.MustParseAddrPort(addr).Addr(); onlyAny && (ip.Unmap().IsLoopback() || ip.Unmap().IsLinkLocalUnicast() || ip.Unmap().IsUnspecified()) {
				t.Errorf("%q permits %v", rules, ip)
			}
			return nil, errTest
		}
		if _, err := o.Dial(t.Context(), at); !errors.Is(err, errTest) && !errors.Is(err, errNotPermitted) {
			t.Error(err)
		}
	})
}
