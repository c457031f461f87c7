package ssh2

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// Both ends see the same connection, each from its side.
func TestConnInfo(t *testing.T) {
	leakCheck(t)
	login := make(chan *Conn, 1)
	s := testServer(nil)
	s.Version = "OpenSSH_5.3"
	s.OnLogin = func(_ context.Context, c *Conn) error { login <- c; return nil }
	cfg := testClient()
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	if _, err := p.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	ci, si := p.Info(), (<-login).Info()
	if ci.LocalIdent != "SSH-2.0-"+Version || si.RemoteIdent != ci.LocalIdent || ci.RemoteIdent != "SSH-2.0-OpenSSH_5.3" || si.LocalIdent != ci.RemoteIdent {
		t.Errorf("idents: client %q %q, server %q %q", ci.LocalIdent, ci.RemoteIdent, si.LocalIdent, si.RemoteIdent)
	}
	if ci.Protocol != "2.0" || ci.Software != "OpenSSH_5.3" || ci.Comments != "" {
		t.Errorf("taken apart: %q %q %q", ci.Protocol, ci.Software, ci.Comments)
	}
	if !slices.Equal(ci.Quirks, []string{"DYN_RPORT_BUG"}) || len(si.Quirks) != 0 {
		t.Errorf("quirks: client %q, server %q", ci.Quirks, si.Quirks)
	}
	if len(ci.SessionID) == 0 || !bytes.Equal(ci.SessionID, si.SessionID) || ci.KeyExchanges != 1 || !ci.Strict || !si.Strict {
		t.Errorf("client %+v, server %+v", ci, si)
	}
	if ci.Kex == "" || ci.Kex != si.Kex || ci.HostKeyAlgorithm != "ssh-ed25519" || !bytes.Equal(ci.HostKey.Marshal(), testHostKey.PublicKey().Marshal()) || si.HostKey == nil {
		t.Errorf("%s, %s, host keys %v %v", ci.Kex, ci.HostKeyAlgorithm, ci.HostKey, si.HostKey)
	}
	if ci.In.Cipher == "" || ci.In != si.Out || ci.Out != si.In || ci.In.Compression != "none" {
		t.Errorf("directions %+v %+v, %+v %+v", ci.In, ci.Out, si.In, si.Out)
	}
	if ci.User != "u" || si.User != "u" || si.Identity != "identity of u" || len(ci.Extensions["server-sig-algs"]) == 0 {
		t.Errorf("users %q %q, identity %v, extensions %q", ci.User, si.User, si.Identity, ci.Extensions)
	}
	if ci.BytesIn == 0 || ci.BytesOut == 0 || ci.PacketsIn == 0 || ci.PacketsOut == 0 || ci.RTT <= 0 || ci.LocalAddr == nil || ci.RemoteAddr == nil {
		t.Errorf("counters %+v", ci)
	}
	_ = p.close(t)
}

func TestParseIdent(t *testing.T) { // RFC 4253 §4.2
	if got := ParseIdent("SSH-1.99-Software_1 some comments"); got != (Ident{"1.99", "Software_1", "some comments"}) {
		t.Errorf("%+v", got)
	}
	if got := ParseIdent("hello"); got != (Ident{Comments: "hello"}) {
		t.Errorf("%+v", got)
	}
}
