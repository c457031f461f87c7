package alg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Offer holds the name-lists of one side's KEXINIT in order of preference
// (RFC 4253 §7.1). The language lists are left out: nobody gives them a meaning.
type Offer struct {
	KEX     []string
	HostKey []string
	C2S     DirectionOffer // client to server
	S2C     DirectionOffer // server to client
}

// DirectionOffer holds the name-lists of one direction.
type DirectionOffer struct {
	Cipher, MAC, Compression []string
}

// Chosen is what both sides agreed on.
type Chosen struct {
	KEX     string
	HostKey string
	C2S     Direction // client to server
	S2C     Direction // server to client
}

// Direction is what was agreed on for one direction. MAC is empty when Cipher
// authenticates by itself.
type Direction struct {
	Cipher, MAC, Compression string
}

// Rules tell what the names mean as far as negotiation must know. The zero
// Rules are safe: every cipher needs a MAC.
type Rules struct {
	// AEAD reports whether a cipher needs no MAC (RFC 5647 §5.1 as OpenSSH
	// reads it). The MAC lists of such a direction are not looked at, and may
	// be disjoint. Nil means that no cipher is of this kind.
	AEAD func(cipher string) bool
	// HostKeyFits reports whether a key exchange method can use a host key
	// algorithm (RFC 4253 §7.1: signature-capable, encryption-capable). Nil
	// means that every method can use every algorithm.
	HostKeyFits func(kex, hostKey string) bool
}

// NegotiationError reports that the two sides have no algorithm in common.
type NegotiationError struct {
	What   string   // which kind, such as "key exchange" or "cipher client to server"
	Client []string // what the client offers
	Server []string // what the server offers
}

func (e *NegotiationError) Error() string {
	return fmt.Sprintf("alg: no common algorithm for %s: client offers %s; server offers %s",
		e.What, printable(e.Client), printable(e.Server))
}

// printable joins names for an error text. A peer's list may be as long as its
// packet, and a name in it as long as the list (see wire.Coder.Names).
func printable(names []string) string {
	const limit = 1024
	s := strings.Join(names, ",")
	cut := ""
	if len(s) > limit {
		s, cut = s[:limit], "..."
	}
	q := strconv.QuoteToASCII(s)
	return q[1:len(q)-1] + cut
}

// IsPseudo reports whether name is a flag that travels in the key exchange
// list without being an algorithm: the extension indicators of RFC 8308 §2.1
// and the strict key exchange markers of OpenSSH. They are never chosen and
// never the first name of a list, wherever they stand in it.
func IsPseudo(name string) bool {
	return name == "ext-info-c" || name == "ext-info-s" || strings.HasPrefix(name, "kex-strict-")
}

// Negotiate returns the first of the client's names that the server has too
// (RFC 4253 §7.1). Empty and pseudo names (see [IsPseudo]) are passed over.
func Negotiate(client, server []string) (string, bool) {
	for _, n := range client {
		if n != "" && !IsPseudo(n) && slices.Contains(server, n) {
			return n, true
		}
	}
	return "", false
}

// common returns the names both have, in the client's order and once each. It
// is never longer than the shorter of the two, thus than our own list: what a
// peer repeats a thousand times costs one look each and no more.
func common(client, server []string) []string {
	var names []string
	for _, n := range client {
		if n != "" && !IsPseudo(n) && slices.Contains(server, n) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// Agree negotiates all of a key exchange from both sides' offers. Both sides
// reach the same result from the same offers. If there is no result, the error
// is a [*NegotiationError] for the first kind that failed, in KEXINIT's order.
func Agree(client, server *Offer, r Rules) (*Chosen, error) {
	var c Chosen
	methods := common(client.KEX, server.KEX)
	if len(methods) == 0 {
		return nil, &NegotiationError{"key exchange", client.KEX, server.KEX}
	}
	hostKeys := common(client.HostKey, server.HostKey)
	for _, kex := range methods {
		i := slices.IndexFunc(hostKeys, func(hostKey string) bool {
			return r.HostKeyFits == nil || r.HostKeyFits(kex, hostKey)
		})
		if i >= 0 {
			c.KEX, c.HostKey = kex, hostKeys[i]
			break
		}
	}
	if c.KEX == "" {
		return nil, &NegotiationError{"host key", client.HostKey, server.HostKey}
	}

	// The order of the steps is that of KEXINIT's lists, so that both sides
	// report the same failure.
	for _, s := range []struct {
		what           string
		client, server []string
		chosen         *string
		macOf          *string // the cipher that decides whether a MAC is needed
	}{
		{"cipher client to server", client.C2S.Cipher, server.C2S.Cipher, &c.C2S.Cipher, nil},
		{"cipher server to client", client.S2C.Cipher, server.S2C.Cipher, &c.S2C.Cipher, nil},
		{"MAC client to server", client.C2S.MAC, server.C2S.MAC, &c.C2S.MAC, &c.C2S.Cipher},
		{"MAC server to client", client.S2C.MAC, server.S2C.MAC, &c.S2C.MAC, &c.S2C.Cipher},
		{"compression client to server", client.C2S.Compression, server.C2S.Compression, &c.C2S.Compression, nil},
		{"compression server to client", client.S2C.Compression, server.S2C.Compression, &c.S2C.Compression, nil},
	} {
		if s.macOf != nil && r.AEAD != nil && r.AEAD(*s.macOf) {
			continue
		}
		name, ok := Negotiate(s.client, s.server)
		if !ok {
			return nil, &NegotiationError{s.what, s.client, s.server}
		}
		*s.chosen = name
	}
	return &c, nil
}

// GuessedRight reports whether a key exchange packet that was sent right after
// KEXINIT, with first_kex_packet_follows set, is the one the negotiation asks
// for (RFC 4253 §7): both sides must prefer the same method and the same host
// key algorithm. If not, the receiver ignores that one packet.
//
// Pseudo names are not counted as a preference, since they may stand anywhere
// in the list (RFC 8308 §2.1). Two empty lists prefer nothing: false.
func GuessedRight(client, server *Offer) bool {
	return samePreference(client.KEX, server.KEX) && samePreference(client.HostKey, server.HostKey)
}

func samePreference(client, server []string) bool {
	c, s := preferred(client), preferred(server)
	return c != "" && c == s
}

func preferred(list []string) string {
	for _, n := range list {
		if n != "" && !IsPseudo(n) {
			return n
		}
	}
	return ""
}
