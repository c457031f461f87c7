package ssh2

import (
	"bufio"
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

func TestGreeting(t *testing.T) { // RFC 4253 §4.2
	leakCheck(t)
	s := testServer(nil)
	s.Greeting = "Welcome\r\nto the\tmachine\n\nÄ"
	cfg := testClient()
	var got []string
	cfg.Greeting = func(text string) { got = append(got, text) }
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	const want = "Welcome\nto the\tmachine\n\nÄ\n"
	if len(got) != 1 || got[0] != want || p.Info().Greeting != want {
		t.Errorf("greeting %q, info %q", got, p.Info().Greeting)
	}
	_ = p.close(t)

	// On the wire: whole lines, the ident behind them.
	a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
	end := make(chan error, 1)
	go func() { end <- s.ServeConn(context.Background(), b) }()
	r := bufio.NewReader(a)
	for _, want := range []string{"Welcome\r\n", "to the\tmachine\r\n", "\r\n", "Ä\r\n", "SSH-2.0-" + Version + "\r\n"} {
		if line, err := r.ReadString('\n'); line != want {
			t.Errorf("line %q, %v; want %q", line, err, want)
		}
	}
	_ = a.Close()
	<-end

	// None means none.
	got = nil
	s = testServer(nil)
	p = dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	if got != nil || p.Info().Greeting != "" {
		t.Errorf("greeting %q", got)
	}
	_ = p.close(t)
}

func TestGreetingRefused(t *testing.T) {
	for name, text := range map[string]string{
		"looks like an ident": "SSH-2.0-x",
		"in a later line":     "hello\nSSH-2.0-x",
		"escape":              "\x1b[2J",
		"carriage return":     "a\rb",
		"NUL":                 "\x00",
		"DEL":                 "\x7f",
		"long":                strings.Repeat("x", 4097),
	} {
		s := testServer(nil)
		s.Greeting = text
		var ce *ConfigError
		if err := s.Serve(must(net.Listen("tcp", "127.0.0.1:0"))); !errors.As(err, &ce) || ce.Setting != "greeting" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVersionPattern(t *testing.T) {
	leakCheck(t)
	s := testServer(nil)
	s.VersionPattern = regexp.MustCompile(`^SSH-2\.0-(Good|Better)_`)
	for version, ok := range map[string]bool{"Good_1": true, "Better_2.0": true, "Bad_1": false, "NotGood_1": false} {
		cfg := testClient()
		cfg.Version = version
		if ok {
			p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
			_ = p.close(t)
			continue
		}
		cerr, serr := refusedBoth(t, s, cfg)
		var d *DisconnectError
		if !errors.As(cerr, &d) || !d.Remote || DisconnectReason(d.Reason) != DisconnectVersionNotSupported {
			t.Errorf("%s: client %v", version, cerr)
		}
		var e *IdentError
		if !errors.As(serr, &e) || e.Ident != "SSH-2.0-"+version {
			t.Errorf("%s: server %v", version, serr)
		}
	}
}

func TestW7_AlgorithmsFor(t *testing.T) {
	leakCheck(t)
	var asked []ConnMeta
	s := testServer(nil)
	s.KeyExchanges = "curve25519-sha256"
	s.AlgorithmsFor = func(m ConnMeta) (*AlgorithmLists, error) {
		asked = append(asked, m)
		switch {
		case strings.Contains(m.ClientIdent, "Old"):
			return &AlgorithmLists{Profile: Legacy, Ciphers: "^aes256-ctr"}, nil
		case strings.Contains(m.ClientIdent, "Odd"):
			return &AlgorithmLists{KeyExchanges: "rot13"}, nil
		case strings.Contains(m.ClientIdent, "Panic"):
			panic("a mistake in the hook")
		case strings.Contains(m.ClientIdent, "Evil"):
			return nil, errTest
		}
		return nil, nil
	}
	old := func(version string) *ClientConfig {
		cfg := testClient()
		cfg.Version, cfg.KeyExchanges = version, "diffie-hellman-group14-sha1,curve25519-sha256"
		return cfg
	}
	for version, want := range map[string]string{"Old_1": "diffie-hellman-group14-sha1", "New_1": "curve25519-sha256"} {
		p := dialPair(t, s, old(version), netsim.Link{}, netsim.Link{})
		if got := p.Info().Kex; got != want {
			t.Errorf("%s: %s", version, got)
		}
		if err := p.Rekey(t.Context()); err != nil || p.Info().Kex != want {
			t.Errorf("%s: %v, then %s", version, err, p.Info().Kex)
		}
		m := asked[len(asked)-1]
		if m.ClientIdent != "SSH-2.0-"+version || m.ServerIdent != "SSH-2.0-"+Version || m.RemoteAddr.String() != p.b.RemoteAddr().String() || m.LocalAddr == nil {
			t.Errorf("asked with %+v", m)
		}
		_ = p.close(t)
	}
	for version, want := range map[string]error{"Evil_1": errTest, "Odd_1": new(ConfigError)} {
		_, err := refusedBoth(t, s, old(version))
		var e *IdentError
		var ce *ConfigError
		if !errors.As(err, &e) || errors.Is(want, errTest) && !errors.Is(err, errTest) || !errors.Is(want, errTest) && !errors.As(err, &ce) {
			t.Errorf("%s: %v", version, err)
		}
	}
	var pe *PanicError
	if _, err := refusedBoth(t, s, old("Panic_1")); !errors.As(err, &pe) {
		t.Errorf("panic: %v", err)
	}
}
