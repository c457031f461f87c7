package alg

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// offer returns an offer that agrees with itself, for tests to change.
func offer() *Offer {
	d := func() DirectionOffer {
		return DirectionOffer{Cipher: []string{"gcm", "ctr"}, MAC: []string{"mac1", "mac2"}, Compression: []string{"none"}}
	}
	return &Offer{KEX: []string{"k1", "k2"}, HostKey: []string{"h1", "h2"}, C2S: d(), S2C: d()}
}

func isGCM(c string) bool { return c == "gcm" }

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		client, server, want string
	}{
		{"a,b,c", "c,b", "b"}, // the client's order decides
		{"c,b", "a,b,c", "c"},
		{"a", "b", ""},
		{"", "a", ""},
		{"a", "", ""},
		{"", "", ""},
		{"aes128-ctr", "aes128", ""}, // names, not prefixes
	} {
		got, ok := Negotiate(strings.Split(tt.client, ","), strings.Split(tt.server, ","))
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("Negotiate(%s; %s) = %q, %v; want %q", tt.client, tt.server, got, ok, tt.want)
		}
	}
	if got, ok := Negotiate(nil, nil); ok {
		t.Errorf("nil lists: %q", got)
	}
}

func TestAgree(t *testing.T) { // RFC 4253 §7.1
	c, s := offer(), offer()
	c.KEX = []string{"k2", "k1"}
	s.HostKey = []string{"h2"}
	c.C2S = DirectionOffer{Cipher: []string{"ctr"}, MAC: []string{"mac2"}, Compression: []string{"zlib", "none"}}
	s.S2C.Compression = []string{"zlib", "none"}
	got, err := Agree(c, s, Rules{AEAD: isGCM})
	want := Chosen{
		KEX: "k2", HostKey: "h2",
		C2S: Direction{"ctr", "mac2", "none"},
		S2C: Direction{"gcm", "", "none"},
	}
	if err != nil || *got != want {
		t.Errorf("Agree = %+v, %v; want %+v", got, err, want)
	}
}

func TestAgreeFailures(t *testing.T) {
	other := []string{"other"}
	for _, tt := range []struct {
		what   string
		change func(o *Offer)
	}{
		{"key exchange", func(o *Offer) { o.KEX = other }},
		{"key exchange", func(o *Offer) { o.KEX = nil }},
		{"host key", func(o *Offer) { o.HostKey = other }},
		{"host key", func(o *Offer) { o.HostKey = nil }},
		{"cipher client to server", func(o *Offer) { o.C2S.Cipher = other }},
		{"cipher server to client", func(o *Offer) { o.S2C.Cipher = other }},
		{"MAC client to server", func(o *Offer) { o.C2S.MAC = other }},
		{"MAC server to client", func(o *Offer) { o.S2C.MAC = other }},
		{"compression client to server", func(o *Offer) { o.C2S.Compression = other }},
		{"compression server to client", func(o *Offer) { o.S2C.Compression = other }},
	} {
		for _, side := range []string{"client", "server"} {
			c, s := offer(), offer()
			if side == "client" {
				tt.change(c)
			} else {
				tt.change(s)
			}
			got, err := Agree(c, s, Rules{}) // no AEAD: MACs are needed
			var ne *NegotiationError
			if !errors.As(err, &ne) || got != nil || ne.What != tt.what {
				t.Errorf("%s, %s changed: %+v, %v", tt.what, side, got, err)
			}
		}
	}
}

// Both offers are in the error's text, and a hostile list stays printable and short.
func TestW45_NegotiationErrorNamesBothOffers(t *testing.T) {
	c, s := offer(), offer()
	c.C2S.Cipher, s.C2S.Cipher = []string{"old-a", "old-b"}, []string{"new-c"}
	_, err := Agree(c, s, Rules{})
	want := "alg: no common algorithm for cipher client to server: client offers old-a,old-b; server offers new-c"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}

	c.C2S.Cipher = []string{"\x1b[2J\n", strings.Repeat("x", 30_000)}
	_, err = Agree(c, s, Rules{})
	if text := err.Error(); len(text) > 2000 || strings.ContainsAny(text, "\x1b\n") {
		t.Errorf("%d octets of error text: %.200q", len(text), text)
	}
}

func TestAgreeHostKeyFits(t *testing.T) {
	c, s := offer(), offer()
	fits := func(kex, hostKey string) bool { return kex == "k2" && hostKey == "h2" }
	got, err := Agree(c, s, Rules{HostKeyFits: fits})
	if err != nil || got.KEX != "k2" || got.HostKey != "h2" {
		t.Errorf("Agree = %+v, %v; want k2 with h2", got, err)
	}
	_, err = Agree(c, s, Rules{HostKeyFits: func(string, string) bool { return false }})
	var ne *NegotiationError
	if !errors.As(err, &ne) || ne.What != "host key" {
		t.Errorf("nothing fits: %v", err)
	}
}

func TestCVE_1_8_PseudoNamesAreNeverChosen(t *testing.T) {
	pseudo := []string{"ext-info-c", "ext-info-s", "kex-strict-c-v00@openssh.com", "kex-strict-s-v00@openssh.com", "kex-strict-c-v01@example.com"}
	for _, n := range pseudo {
		if !IsPseudo(n) {
			t.Errorf("IsPseudo(%q) = false", n)
		}
		if got, ok := Negotiate([]string{n}, []string{n}); ok {
			t.Errorf("Negotiate chose %q", got)
		}
	}
	c, s := offer(), offer()
	c.KEX = append(slices.Clone(pseudo), "unknown")
	s.KEX = append(slices.Clone(pseudo), "k1")
	got, err := Agree(c, s, Rules{})
	var ne *NegotiationError
	if !errors.As(err, &ne) || ne.What != "key exchange" {
		t.Errorf("Agree = %+v, %v; want no common key exchange", got, err)
	}
	c.KEX = append(c.KEX, "k1")
	if got, err := Agree(c, s, Rules{}); err != nil || got.KEX != "k1" {
		t.Errorf("Agree = %+v, %v; want k1 from behind the pseudo names", got, err)
	}
}

func TestCVE_10_7_AEADNeedsNoCommonMAC(t *testing.T) {
	c, s := offer(), offer()
	c.C2S.MAC, c.S2C.MAC = []string{"x"}, nil
	got, err := Agree(c, s, Rules{AEAD: isGCM})
	if err != nil || got.C2S != (Direction{"gcm", "", "none"}) || got.S2C != (Direction{"gcm", "", "none"}) {
		t.Errorf("Agree = %+v, %v", got, err)
	}
	// Each direction by itself: CTR in one of them still needs its MAC.
	c.S2C.Cipher = []string{"ctr"}
	var ne *NegotiationError
	if _, err = Agree(c, s, Rules{AEAD: isGCM}); !errors.As(err, &ne) || ne.What != "MAC server to client" {
		t.Errorf("CTR without a MAC: %v", err)
	}
	// Without the rule nothing is AEAD.
	if _, err = Agree(c, s, Rules{}); !errors.As(err, &ne) || ne.What != "MAC client to server" {
		t.Errorf("zero Rules: %v", err)
	}
}

func TestCVE_1_15_NameLists(t *testing.T) {
	// Lists with holes negotiate like the ones without.
	if got, ok := Negotiate([]string{"", "a"}, []string{"", "a"}); !ok || got != "a" {
		t.Errorf("empty names: %q, %v", got, ok)
	}
	c := offer()
	c.KEX = nil
	if _, err := Agree(c, offer(), Rules{}); err == nil {
		t.Error("empty key exchange list: agreed")
	}
}

func TestGuessedRight(t *testing.T) { // RFC 4253 §7
	for _, tt := range []struct {
		cKEX, cHost, sKEX, sHost string
		want                     bool
	}{
		{"k1,k2", "h1", "k1,k3", "h1,h2", true},
		{"k1,k2", "h1", "k2,k1", "h1", false},
		{"k1", "h1,h2", "k1", "h2,h1", false},
		{"ext-info-c,k1", "h1", "k1,kex-strict-s-v00@openssh.com", "h1", true},
		{"", "h1", "", "h1", false},
		{"k1", "", "k1", "", false},
		{"ext-info-c", "h1", "ext-info-c", "h1", false},
		{strings.Repeat("x", 65) + ",k1", "h1", "k1", "h1", false}, // the peer guesses by what we do not know
	} {
		c := &Offer{KEX: strings.Split(tt.cKEX, ","), HostKey: strings.Split(tt.cHost, ",")}
		s := &Offer{KEX: strings.Split(tt.sKEX, ","), HostKey: strings.Split(tt.sHost, ",")}
		if got := GuessedRight(c, s); got != tt.want {
			t.Errorf("GuessedRight(%s %s; %s %s) = %v", tt.cKEX, tt.cHost, tt.sKEX, tt.sHost, got)
		}
		if got := GuessedRight(s, c); got != tt.want {
			t.Errorf("GuessedRight is not symmetric for %+v", tt)
		}
	}
	if GuessedRight(&Offer{}, &Offer{}) {
		t.Error("zero offers: guessed right")
	}
}

// A packet's worth of repeated names must not cost more than a look at each:
// with the work multiplied it would take many seconds.
func TestAgreeIsCheapForHostileLists(t *testing.T) {
	c, s := offer(), offer()
	c.KEX = slices.Repeat([]string{"k1", "k2"}, 5_000)
	c.HostKey = append(slices.Repeat([]string{"z", "h1"}, 5_000), "h2")
	calls := 0
	_, err := Agree(c, s, Rules{HostKeyFits: func(string, string) bool { calls++; return false }})
	if err == nil || calls != 4 {
		t.Errorf("%d calls of HostKeyFits, want one for each of 2 x 2 common names; err %v", calls, err)
	}
}

// FuzzAgree lets two lists of anything negotiate: what is chosen is a name that
// both have and no flag.
func FuzzAgree(f *testing.F) {
	for _, s := range []string{"", "a", "b,a", "a,,b", ",", "a,", "\x00", "ext-info-c,a", strings.Repeat("x", 65)} {
		f.Add(s, "a,b")
	}
	f.Fuzz(func(t *testing.T, list, other string) {
		names, others := strings.Split(list, ","), strings.Split(other, ",")
		c := &Offer{KEX: names, HostKey: names, C2S: DirectionOffer{names, nil, names}, S2C: DirectionOffer{names, nil, names}}
		s := &Offer{KEX: others, HostKey: others, C2S: DirectionOffer{others, nil, others}, S2C: DirectionOffer{others, nil, others}}
		chosen, err := Agree(c, s, Rules{AEAD: func(string) bool { return true }})
		if err == nil && (chosen.KEX == "" || !slices.Contains(names, chosen.KEX) || !slices.Contains(others, chosen.KEX) || IsPseudo(chosen.KEX)) {
			t.Fatalf("chose %q from %q and %q", chosen.KEX, names, others)
		}
		if GuessedRight(c, s) != GuessedRight(s, c) {
			t.Fatalf("the sides disagree on a guess by %q and %q", names, others)
		}
	})
}
