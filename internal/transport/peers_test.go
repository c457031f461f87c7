package transport

import (
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// Each row of the table, by idents that it is for and such that come near.
func TestW8_QuirksOfIdents(t *testing.T) {
	seen := Quirks(0)
	for ident, want := range map[string]Quirks{
		"SSH-2.0-Cisco-1.25":                     BadDHGEX | DHGEXLarge,
		"SSH-1.99-Cisco-1.25":                    BadDHGEX | DHGEXLarge,
		"SSH-2.0-Cisco-1.251":                    DHGEXLarge,
		"SSH-2.0-Cisco-2.0":                      0,
		"SSH-2.0-2.4.0 SSH Secure Shell":         OldExit,
		"SSH-2.0-3.2.9":                          OldExit,
		"SSH-2.0-3.2.9p1":                        0,
		"SSH-2.0-OpenSSH_5.3":                    DynamicPort,
		"SSH-2.0-OpenSSH_5.9p1 Debian-5ubuntu1":  DynamicPort,
		"SSH-2.0-OpenSSH_6.0":                    0,
		"SSH-2.0-OpenSSH_7.4":                    ImplySHA2,
		"SSH-2.0-OpenSSH_7.4p1 Debian-10+deb9u7": ImplySHA2,
		"SSH-2.0-OpenSSH_7.40":                   0,
		"SSH-2.0-OpenSSH_9.9":                    0,
		"SSH-2.0-dropbear_2022.83 OpenSSH_7.4":   0,
		"SSH-2.0-":                               0,
		"":                                       0,
	} {
		if got := quirksOf(msg.Server, ident); got != want {
			t.Errorf("%s: %q, want %q", ident, got.Names(), want.Names())
		}
		client := Quirks(0)
		if strings.HasPrefix(ident, "SSH-2.0-OpenSSH_") {
			client = GSSHostKey
		}
		if got := quirksOf(msg.Client, ident); got != client {
			t.Errorf("client %s: %q", ident, got.Names())
		}
		seen |= want | client
	}
	all := Quirks(0)
	for _, row := range quirks {
		if row.name == "" || row.reason == "" || !seen.Has(row.bit) || !slices.Contains(row.bit.Names(), row.name) {
			t.Errorf("row %+v is incomplete or not tested", row)
		}
		all |= row.bit
	}
	if len(all.Names()) != len(quirks) || len(Quirks(0).Names()) != 0 {
		t.Errorf("names %q", all.Names())
	}
}

// offeredTo plays a server with that ident and returns what the client offers.
func offeredTo(t *testing.T, ident string, change func(*Config)) (methods []string) {
	t.Helper()
	cc, _ := testConfigs()
	if change != nil {
		change(cc)
	}
	script(t, cc, func(p *peer) {
		p.ident = ident
		p.Idents()
		var m msg.KexInit
		p.check(msg.Decode(p.Want("offer", msg.NumKexInit), &m))
		methods = m.Kex
	})
	return methods
}

func TestQuirkBadDHGEX(t *testing.T) {
	gex := func(name string) bool { return strings.HasPrefix(name, "diffie-hellman-group-exchange-") }
	if got := offeredTo(t, "SSH-2.0-Cisco-1.25", nil); slices.ContainsFunc(got, gex) || !slices.Contains(got, "diffie-hellman-group14-sha1") {
		t.Errorf("offers %q", got)
	}
	if got := offeredTo(t, "SSH-2.0-Cisco-2.0", nil); !slices.ContainsFunc(got, gex) {
		t.Errorf("offers %q", got)
	}
	only := func(c *Config) { c.Kex = []string{"diffie-hellman-group-exchange-sha256"} }
	if got := offeredTo(t, "SSH-2.0-Cisco-1.25", only); !slices.ContainsFunc(got, gex) {
		t.Errorf("offers %q instead of what there is", got)
	}
}

func TestQuirkDHGEXLarge(t *testing.T) {
	for ident, want := range map[string]uint32{"SSH-2.0-Cisco-1.26": 4096, "SSH-2.0-Cisco-2.0": 8192} {
		cc, _ := testConfigs()
		script(t, cc, func(p *peer) {
			p.ident = ident
			p.init.Kex = []string{"diffie-hellman-group-exchange-sha1"}
			p.Idents()
			p.KexInit()
			p.Want("offer", msg.NumKexInit)
			var m msg.KexGEXRequest
			p.check(msg.Decode(p.Want("request", msg.NumKexGEXRequest), &m))
			if m.Max != want || m.Preferred > m.Max || m.Min > m.Preferred {
				p.t.Errorf("%s: asked for %+v", ident, m)
			}
			if got := p.c.Info().Quirks; got != p.c.Quirks() || got.Has(DHGEXLarge) != (want == 4096) {
				p.t.Errorf("%s: quirks %q", ident, got.Names())
			}
		})
	}
}

func TestParseIdent(t *testing.T) { // RFC 4253 §4.2
	for line, want := range map[string]Ident{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10": {"2.0", "OpenSSH_9.2p1", "Debian-2+deb12u10"},
		"SSH-2.0-PuTTY_Release_0.78":              {"2.0", "PuTTY_Release_0.78", ""},
		"SSH-1.99-Cisco-1.25":                     {"1.99", "Cisco-1.25", ""},
		"SSH-2.0-a  b c":                          {"2.0", "a", " b c"},
		"SSH-2.0-":                                {"2.0", "", ""},
		"SSH-2.0":                                 {"", "", "SSH-2.0"},
		"hello - world":                           {"", "", "hello - world"},
		"":                                        {},
	} {
		if got := ParseIdent(line); got != want {
			t.Errorf("%q: %+v", line, got)
		}
	}
}
