package kex

import (
	"bufio"
	"bytes"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"strconv"
	"strings"
	"sync"
)

// Moduli is a set of groups from which a server chooses in a group exchange.
// It does not change once made and may be used concurrently. A nil *Moduli is
// the set this package carries: safe primes made for this project, and the
// groups 14 to 18 of RFC 3526 for the sizes that these do not cover. An operator
// who wants primes that nobody else uses brings a file, see [ParseModuli].
type Moduli struct {
	bySize map[int][]*Group // bits of the modulus; no entry is empty
}

// ErrNoModuli reports a moduli file without a usable group.
var ErrNoModuli = errors.New("kex: moduli: no usable group")

const (
	maxModuliLine = 4096   // a modulus of 8192 bits takes 2048 digits
	maxModuli     = 10_000 // far more than any system's file
)

// ParseModuli reads a file in the format of OpenSSH's moduli(5): lines of time,
// type, tests, tries, size, generator (hexadecimal) and modulus (hexadecimal).
// Empty lines and lines that begin with # are comments.
//
// A malformed line is an error. A well-formed one is left out, without an
// error, if it is not a safe prime that was tested (type 2, tests without
// the bit for composite), or if its size is not within [MinGroupBits] to
// [MaxGroupBits]: stock files contain smaller groups. Primality is not tested
// again, as that takes minutes for a large file; [NewGroup]'s checks are made.
// If nothing remains the error is [ErrNoModuli].
func ParseModuli(r io.Reader) (*Moduli, error) {
	m := &Moduli{bySize: make(map[int][]*Group)}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxModuliLine), maxModuliLine)
	groups := 0
	line := 0
	for s.Scan() {
		line++
		text := strings.TrimSpace(s.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		g, err := parseModulus(text)
		if err != nil {
			return nil, fmt.Errorf("kex: moduli: line %d: %w", line, err)
		}
		if g == nil {
			continue
		}
		if groups++; groups > maxModuli {
			return nil, fmt.Errorf("kex: moduli: line %d: more than %d groups", line, maxModuli)
		}
		bits := g.P.BitLen()
		m.bySize[bits] = append(m.bySize[bits], g)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("kex: moduli: line %d: %w", line+1, err)
	}
	if groups == 0 {
		return nil, ErrNoModuli
	}
	return m, nil
}

// parseModulus reads one line. The group is nil if the line is well-formed but
// not for us.
func parseModulus(line string) (*Group, error) {
	f := strings.Fields(line)
	if len(f) != 7 {
		return nil, fmt.Errorf("%d fields instead of 7", len(f))
	}
	var n [5]uint64
	for i := range n {
		v, err := strconv.ParseUint(f[i], 10, 63)
		if err != nil {
			return nil, fmt.Errorf("field %d is not a number", i+1)
		}
		n[i] = v
	}
	kind, tests, size := n[1], n[2], n[4]
	gen, err := strconv.ParseUint(f[5], 16, 32)
	if err != nil {
		return nil, errors.New("generator is not a small hexadecimal number")
	}
	// SetString would take signs, underscores and prefixes.
	if strings.Trim(f[6], "0123456789abcdefABCDEF") != "" {
		return nil, errors.New("modulus is not a hexadecimal number")
	}

	const safePrime, composite = 2, 1
	bits := size + 1 // the file counts from the second bit
	if kind != safePrime || tests == 0 || tests&composite != 0 || bits < MinGroupBits || bits > MaxGroupBits {
		return nil, nil
	}
	p, ok := new(big.Int).SetString(f[6], 16)
	if !ok || uint64(p.BitLen()) != bits {
		return nil, errors.New("modulus is not of the size stated")
	}
	return NewGroup(p, new(big.Int).SetUint64(gen))
}

// Choose picks a group for a client's request of min, n and max bits (RFC 4419
// §3): of the smallest size that is at least n, or else of the largest below
// it, always within min and max. Among groups of the same size it picks at
// random, so that no single prime is worth attacking.
//
// What a request can ask for is clipped to [MinGroupBits] and [MaxGroupBits]
// first, and n to min and max. A request that leaves no size is answered with
// a [*PeerError]. The time does not depend on the request.
func (m *Moduli) Choose(minBits, n, maxBits uint32) (*Group, error) {
	if m == nil {
		var err error
		if m, err = builtin(); err != nil {
			return nil, err
		}
	}
	if minBits > maxBits {
		return nil, &PeerError{gexName, "minimum above maximum"}
	}
	lo, hi := max(minBits, MinGroupBits), min(maxBits, MaxGroupBits)
	if lo > hi {
		return nil, &PeerError{gexName, "group size out of range"}
	}
	n = min(max(n, lo), hi)

	best := 0 // bits
	for bits := range m.bySize {
		size := uint32(bits) // within the limits above, or it would not be in the set
		switch {
		case size < lo || size > hi:
		case best == 0,
			size >= n && (uint32(best) < n || bits < best),
			size < n && uint32(best) < n && bits > best:
			best = bits
		}
	}
	if best == 0 {
		return nil, &PeerError{gexName, "no group within the sizes asked for"}
	}
	groups := m.bySize[best]
	i, err := rand.Int(rand.Reader, big.NewInt(int64(len(groups))))
	if err != nil {
		return nil, fmt.Errorf("kex: %s: %w", gexName, err)
	}
	return groups[i.Int64()], nil
}

var (
	//go:embed own.moduli
	ownModuli []byte
	//go:embed rfc3526.moduli
	rfc3526Moduli []byte
)

// rfc3526 holds the groups 14 to 18, one of each size.
var rfc3526 = sync.OnceValues(func() (*Moduli, error) {
	return ParseModuli(bytes.NewReader(rfc3526Moduli))
})

var builtin = sync.OnceValues(func() (*Moduli, error) {
	fixed, err := rfc3526()
	if err != nil {
		return nil, err
	}
	own, err := ParseModuli(bytes.NewReader(ownModuli))
	if err != nil {
		return nil, err
	}
	all := maps.Clone(fixed.bySize)
	maps.Copy(all, own.bySize)
	return &Moduli{bySize: all}, nil
})

// oakleyBits is the size of group 1 of RFC 4253 §8.1, which is the second of
// Oakley's (RFC 2409 §6.2). It is below [MinGroupBits] and so in no set of
// moduli: only whoever names diffie-hellman-group1-sha1 gets it.
const oakleyBits = 1024

var oakley = sync.OnceValue(func() *Group {
	p, _ := new(big.Int).SetString(
		"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"+
			"020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"+
			"4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"+
			"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF", 16)
	return &Group{P: p, G: big.NewInt(2)}
})

// newFixed returns a run in the RFC 3526 group of the given size, or in group 1.
func newFixed(bits int) (Method, error) {
	if bits == oakleyBits {
		return oakley().Method(), nil
	}
	m, err := rfc3526()
	if err != nil {
		return nil, err
	}
	groups := m.bySize[bits]
	if len(groups) == 0 {
		return nil, &GroupError{"no such fixed group"}
	}
	return groups[0].Method(), nil
}
