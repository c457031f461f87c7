package transport

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// What a server says before its ident reaches the configuration, up to a bound.
func TestGreetingOfServer(t *testing.T) {
	for name, tt := range map[string]struct{ said, want string }{
		"none":      {"", ""},
		"one line":  {"Welcome to the machine\r\n", "Welcome to the machine\n"},
		"two lines": {"Welcome\r\n\nto the machine\n", "Welcome\n\nto the machine\n"},
		"as it is":  {"\x1b[2J\r\n", "\x1b[2J\n"},
		"much":      {strings.Repeat("x", 7000) + "\r\n" + strings.Repeat("y", 7000) + "\r\nz\r\n", strings.Repeat("x", 7000) + "\n" + strings.Repeat("y", maxGreeting-7001)},
	} {
		t.Run(name, func(t *testing.T) {
			cc, _ := testConfigs()
			var got []string
			cc.Greeted = func(text string) { got = append(got, text) }
			script(t, cc, func(p *peer) {
				p.Write([]byte(tt.said))
				p.Open()
				if tt.want == "" && len(got) != 0 || tt.want != "" && !slices.Equal(got, []string{tt.want}) || p.c.Info().Greeting != tt.want {
					p.t.Errorf("got %.100q, info %.100q", got, p.c.Info().Greeting)
				}
			})
		})
	}
}

// A server's own greeting comes first of all, in the same write as the ident.
func TestGreetingOfOurs(t *testing.T) {
	_, sc := testConfigs()
	sc.Greeting = "one\r\ntwo\r\n"
	script(t, sc, func(p *peer) {
		for _, want := range []string{"one\r\n", "two\r\n"} {
			if line, err := p.r.ReadString('\n'); err != nil || line != want {
				p.t.Errorf("line %q, %v", line, err)
			}
		}
		p.Open()
	})
}

func TestIdentNotAdmitted(t *testing.T) {
	why := errors.New("too old")
	_, sc := testConfigs()
	sc.Admit = func(ident string) error {
		if strings.Contains(ident, "old") {
			return why
		}
		return nil
	}
	script(t, sc, func(p *peer) { p.Open() })
	for _, late := range []bool{false, true} { // with KEXINIT out already, and not
		if late {
			sc.Choose = func(string) (*Algorithms, error) { t.Error("asked for algorithms"); return nil, nil }
		}
		script(t, sc, func(p *peer) {
			p.ident = "SSH-2.0-old_1.0 \u00e4"
			p.Idents()
			p.WantDisconnect("not admitted", ReasonVersionNotSupported)
			var e *IdentError
			if err := p.lastError(); !errors.As(err, &e) || e.Ident != p.ident || !errors.Is(err, why) || strings.Contains(err.Error(), "\u00e4") {
				p.t.Errorf("ended with %v", err)
			}
		})
	}
}

// A server that does not choose by ident has its KEXINIT out before it has heard
// anything (ADR 0012).
func TestKexInitGoesWithIdent(t *testing.T) {
	_, sc := testConfigs()
	script(t, sc, func(p *peer) {
		line, err := p.r.ReadString('\n')
		p.check(err)
		p.theirIdent = strings.TrimSuffix(line, "\r\n")
		p.theirInit = p.Want("KEXINIT unasked", msg.NumKexInit)
		p.Write([]byte(p.ident + "\r\n"))
		p.Kex()
		<-p.ready
	})
}

// A server that chooses by ident says nothing but its own until it knows the client's.
func TestW7_AlgorithmsByIdent(t *testing.T) {
	_, sc := testConfigs()
	sc.Kex = []string{"curve25519-sha256"}
	sc.Choose = func(ident string) (*Algorithms, error) {
		switch {
		case strings.Contains(ident, "old"):
			return &Algorithms{[]string{"diffie-hellman-group1-sha1"}, []string{"ssh-ed25519"}, []string{"aes128-ctr"}, []string{"hmac-sha1"}, nil}, nil
		case strings.Contains(ident, "odd"):
			return &Algorithms{Kex: []string{"rot13"}}, nil
		case strings.Contains(ident, "evil"):
			return nil, errors.New("not you")
		}
		return nil, nil
	}
	for ident, want := range map[string]string{"SSH-2.0-old": "diffie-hellman-group1-sha1", "SSH-2.0-new": "curve25519-sha256"} {
		script(t, sc, func(p *peer) {
			p.ident = ident
			if p.init.Kex = []string{want}; want == "diffie-hellman-group1-sha1" {
				p.init.CiphersIn, p.init.CiphersOut = []string{"aes128-ctr"}, []string{"aes128-ctr"}
				p.init.MACsIn, p.init.MACsOut = []string{"hmac-sha1"}, []string{"hmac-sha1"}
			}
			line, err := p.r.ReadString('\n')
			p.check(err)
			p.theirIdent = strings.TrimSuffix(line, "\r\n")
			synctest.Wait()
			if n := p.r.Buffered(); n != 0 {
				p.t.Errorf("%d octets before the client's ident", n)
			}
			p.Write([]byte(p.ident + "\r\n"))
			p.Kex()
			<-p.ready
			p.login()
			if got := p.c.Info().Kex; got != want {
				p.t.Errorf("%s: %s", ident, got)
			}
			p.Kex() // the same lists later on
		})
	}
	for _, ident := range []string{"SSH-2.0-odd", "SSH-2.0-evil"} {
		script(t, sc, func(p *peer) {
			p.ident = ident
			p.Idents()
			p.WantDisconnect("no algorithms", ReasonHostNotAllowed)
			var e *IdentError
			if err := p.lastError(); !errors.As(err, &e) || e.Ident != ident {
				p.t.Errorf("ended with %v", err)
			}
		})
	}
}

// FuzzGreeting gives both roles arbitrary octets instead of an ident.
func FuzzGreeting(f *testing.F) {
	for _, s := range []string{"SSH-2.0-x\r\n", "hello\r\nSSH-1.99-x y\n", "SSH-2.0-\r", "\x00", strings.Repeat("x\n", 2000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		cc, sc := testConfigs()
		cc.Greeted = func(text string) {
			if len(text) > maxGreeting || strings.HasPrefix(text, "SSH-") {
				t.Errorf("greeting %.100q", text)
			}
		}
		sc.Admit = func(ident string) error {
			if got := ParseIdent(ident); got.Protocol != "2.0" || !bytes.Contains(input, []byte(ident)) {
				t.Errorf("%q: %+v", ident, got)
			}
			return nil
		}
		feed(t, cc, input)
		feed(t, sc, input)
	})
}
