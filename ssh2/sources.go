package ssh2

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// EarlyDrop keeps a server reachable while it is flooded with connections that
// never log in. Once Begin connections are not authenticated, a new one is
// refused with a probability of Percent, which rises linearly to certainty at
// MaxStartups. Unlike with MaxStartups alone, a client that tries again gets in
// sooner or later.
type EarlyDrop struct {
	Begin   int // 0 means half of Server.MaxStartups, negative never
	Percent int // 1 to 100; 0 means 30
}

// SourceLimits bound what clients from one source may do. A source is an IPv4
// or IPv6 network, of the sizes in IPv4Bits and IPv6Bits. Clients without an IP
// address are not limited. If all clients come through a proxy, list it in
// Exempt, or make net.Conn.RemoteAddr return the client's own address.
//
// Each connection that does not get as far as a login adds a penalty, a
// duration, to its source. Penalties add up and expire with time. Once their
// sum reaches Threshold, new connections of the source are refused until they
// have expired.
type SourceLimits struct {
	// Startups bounds the connections of a source that are not authenticated
	// yet; 0 means half of Server.MaxStartups, negative no bound.
	Startups int

	// What a connection costs its source. 0 means the default, negative nothing.
	Failed time.Duration // login was tried and failed; 5 s
	Silent time.Duration // left without having tried; 1 s. Who does not even send an ident was a probe and costs nothing
	Late   time.Duration // Timeouts were reached; 10 s
	Broken time.Duration // the protocol was violated; 10 s

	Threshold time.Duration // 0 means 15 s
	Longest   time.Duration // that a source has to wait; 0 means 10 min
	// Entries bounds the sources that are remembered, of each IP version. The
	// one that was longest without a new penalty is forgotten first. 0 means 65536.
	Entries int

	IPv4Bits, IPv6Bits int // of the networks; 0 means 32 and 64

	// Exempt lists networks that are not bound by any of this. Nil means the
	// host itself, 127.0.0.0/8 and ::1; make it empty for none.
	Exempt []netip.Prefix
}

const (
	defaultDropPercent      = 30
	defaultPenaltyFailed    = 5 * time.Second
	defaultPenaltySilent    = time.Second
	defaultPenaltyLate      = 10 * time.Second
	defaultPenaltyBroken    = 10 * time.Second
	defaultPenaltyThreshold = 15 * time.Second
	defaultPenaltyLongest   = 10 * time.Minute
	defaultPenaltyEntries   = 1 << 16
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func (l SourceLimits) withDefaults(maxStartups int) SourceLimits {
	orDefault(&l.Startups, max(maxStartups/2, 1))
	orDefault(&l.Failed, defaultPenaltyFailed)
	orDefault(&l.Silent, defaultPenaltySilent)
	orDefault(&l.Late, defaultPenaltyLate)
	orDefault(&l.Broken, defaultPenaltyBroken)
	orDefault(&l.Threshold, defaultPenaltyThreshold)
	orDefault(&l.Longest, defaultPenaltyLongest)
	orDefault(&l.Entries, defaultPenaltyEntries)
	orDefault(&l.IPv4Bits, 32)
	orDefault(&l.IPv6Bits, 64)
	if l.Exempt == nil {
		l.Exempt = loopback
	}
	return l
}

// check says what cannot be meant.
func (l *SourceLimits) check() error {
	if l.IPv4Bits < 0 || l.IPv4Bits > 32 || l.IPv6Bits < 0 || l.IPv6Bits > 128 {
		return &ConfigError{"sources", errors.New("no such length of a network")}
	}
	if l.Entries < 0 {
		return &ConfigError{"sources", errors.New("negative number of entries")}
	}
	return nil
}

// Why a connection is refused before anything is read from it.
var (
	errConns     = errors.New("ssh2: server: too many connections")
	errStartups  = errors.New("ssh2: server: too many connections that are not authenticated")
	errEarlyDrop = errors.New("ssh2: server: many connections that are not authenticated, this one dropped by chance")
	errSource    = errors.New("ssh2: server: too many connections of this source that are not authenticated")
	errPenalty   = errors.New("ssh2: server: source has failed too often of late")
)

// sources is what a server remembers of where clients come from. The server's
// mutex guards it, all but the limits, which do not change.
type sources struct {
	limits   SourceLimits
	startups map[netip.Prefix]int // those with any
	v4, v6   penalties
}

func newSources(l SourceLimits) *sources {
	return &sources{limits: l, startups: map[netip.Prefix]int{}, v4: newPenalties(), v6: newPenalties()}
}

// of returns the source that an address belongs to; the zero Prefix if it is
// bound by nothing.
func (s *sources) of(addr net.Addr) netip.Prefix {
	ip, ok := addrIP(addr)
	if !ok || slices.ContainsFunc(s.limits.Exempt, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return netip.Prefix{}
	}
	bits := s.limits.IPv6Bits
	if ip.Is4() {
		bits = s.limits.IPv4Bits
	}
	p, _ := ip.Prefix(bits) // the lengths were checked
	return p
}

// enter counts a start-up of a source, or says why it has to wait.
func (s *sources) enter(p netip.Prefix, now time.Time) error {
	switch {
	case !p.IsValid():
		return nil
	case s.table(p).refuses(p, now):
		return errPenalty
	case s.limits.Startups > 0 && s.startups[p] >= s.limits.Startups:
		return errSource
	}
	s.startups[p]++
	return nil
}

// started takes back what enter counted.
func (s *sources) started(p netip.Prefix) {
	if s.startups[p]--; s.startups[p] <= 0 {
		delete(s.startups, p)
	}
}

func (s *sources) table(p netip.Prefix) *penalties {
	if p.Addr().Is4() {
		return &s.v4
	}
	return &s.v6
}

// penalize adds what a connection cost its source.
func (s *sources) penalize(p netip.Prefix, cost time.Duration, now time.Time) {
	if p.IsValid() && cost > 0 {
		s.table(p).add(p, cost, now, &s.limits)
	}
}

// penalties is a bounded table of sources, those penalized last in front.
type penalties struct {
	order   *list.List // of *penalty
	entries map[netip.Prefix]*list.Element
}

type penalty struct {
	source netip.Prefix
	until  time.Time // when it has passed
	active bool      // connections are refused until then
}

func newPenalties() penalties {
	return penalties{list.New(), map[netip.Prefix]*list.Element{}}
}

func (t *penalties) add(p netip.Prefix, cost time.Duration, now time.Time, l *SourceLimits) {
	e := t.entries[p]
	if e == nil {
		for len(t.entries) >= l.Entries {
			oldest := t.order.Back()
			if oldest == nil {
				return // no entries at all
			}
			t.remove(oldest)
		}
		e = t.order.PushFront(&penalty{source: p, until: now})
		t.entries[p] = e
	}
	t.order.MoveToFront(e)
	pen := e.Value.(*penalty)
	if pen.until.Before(now) {
		pen.until, pen.active = now, false
	}
	pen.until = pen.until.Add(cost)
	if last := now.Add(l.Longest); pen.until.After(last) {
		pen.until = last
	}
	pen.active = pen.active || pen.until.Sub(now) >= l.Threshold
}

// refuses tells whether a source has to wait. What has passed is forgotten.
func (t *penalties) refuses(p netip.Prefix, now time.Time) bool {
	e := t.entries[p]
	if e == nil {
		return false
	}
	pen := e.Value.(*penalty)
	if !now.Before(pen.until) {
		t.remove(e)
		return false
	}
	return pen.active
}

func (t *penalties) remove(e *list.Element) {
	t.order.Remove(e)
	delete(t.entries, e.Value.(*penalty).source)
}

// cost is the penalty for a connection that ended before its user was logged in.
func (l *SourceLimits) cost(ctx context.Context, sv *served, err error) time.Duration {
	_, late := errors.AsType[*TimeoutError](err)
	_, broken := errors.AsType[*ProtocolError](err)
	d, disconnected := errors.AsType[*DisconnectError](err)
	switch {
	case ctx.Err() != nil || sv.refusedByUs || disconnected && !d.Remote:
		return 0 // we ended it, and for no fault of the client's
	case sv.tried:
		return l.Failed
	case late:
		return l.Late
	case broken:
		return l.Broken
	case sv.t.Info().RemoteIdent == "":
		return 0
	}
	return l.Silent
}

// dropEarly decides by chance whether a connection is refused when there are
// this many start-ups already.
func (d EarlyDrop) dropEarly(startups, maxStartups int) bool {
	orDefault(&d.Begin, max(maxStartups/2, 1))
	orDefault(&d.Percent, defaultDropPercent)
	if d.Begin < 0 || startups < d.Begin || maxStartups <= d.Begin {
		return false
	}
	d.Percent = min(max(d.Percent, 1), 100)
	chance := d.Percent + (100-d.Percent)*(startups-d.Begin)/(maxStartups-d.Begin)
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])%100 < uint64(chance)
}
