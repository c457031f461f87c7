package ssh2

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/transport"
)

// AlgorithmLists are the preference lists that Server.AlgorithmsFor chooses,
// with the meaning that they have in Config; what is empty comes from Profile,
// not from the server's lists. The algorithms of users' keys cannot be chosen
// here: they are those of ServerAuth.
type AlgorithmLists struct {
	// Profile says what the lists begin with when they are empty or edits.
	Profile Profile
	// The algorithms to offer, most preferred first.
	KeyExchanges, HostKeyAlgorithms, Ciphers, MACs, Compression AlgList
}

// maxGreeting bounds Server.Greeting.
const maxGreeting = 4096

// greetingLines returns a greeting as it goes out, in lines that end in CR LF.
func greetingLines(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	bad := func(why string) (string, error) { return "", &ConfigError{"greeting", errors.New(why)} }
	if len(text) > maxGreeting {
		return bad(fmt.Sprintf("longer than %d octets", maxGreeting))
	}
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.HasPrefix(line, "SSH-") {
			return bad("a line begins with SSH-")
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }) {
			return bad("has a control character")
		}
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	return b.String(), nil
}

var errVersionPattern = errors.New("does not match the version pattern")

// configFor returns the transport's configuration for one connection: tcfg, with
// AlgorithmsFor if that is set.
func (s *Server) configFor(nc net.Conn, tcfg *transport.Config, auth *ServerAuth) *transport.Config {
	if s.AlgorithmsFor == nil {
		return tcfg
	}
	cfg := *tcfg
	cfg.Choose = func(ident string) (*transport.Algorithms, error) {
		a, err := s.AlgorithmsFor(ConnMeta{
			RemoteAddr: nc.RemoteAddr(), LocalAddr: nc.LocalAddr(),
			ClientIdent: ident, ServerIdent: cfg.Version,
		})
		if a == nil || err != nil {
			return nil, err
		}
		lists := Config{
			Profile: a.Profile, KeyExchanges: a.KeyExchanges, HostKeyAlgorithms: a.HostKeyAlgorithms,
			Ciphers: a.Ciphers, MACs: a.MACs, Compression: a.Compression,
		}
		o, err := lists.resolve(auth.GSSAPI.keyExchange()...)
		if err != nil {
			return nil, err
		}
		return &transport.Algorithms{Kex: o.kex, HostKeys: o.hostKeys, Ciphers: o.ciphers, MACs: o.macs, Compress: o.compress}, nil
	}
	return &cfg
}
