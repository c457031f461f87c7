package ssh2

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestW46_Compression logs in with every combination of lists: the client's order
// decides among what both name, "none" is the default, and what is sent back
// and forth, over key exchanges as well, comes out as it went in.
func TestW46_Compression(t *testing.T) {
	for _, tt := range []struct {
		client, server AlgList
		want           string
	}{
		{"", "", "none"},
		{"", "zlib,none", "none"},
		{"+zlib", "+zlib", "none"},
		{"^zlib", "", "none"},
		{"^zlib", "+zlib@openssh.com,zlib", "zlib"},
		{"^zlib@openssh.com", "+zlib,zlib@openssh.com", "zlib@openssh.com"},
		{"zlib@openssh.com,zlib", "zlib,zlib@openssh.com", "zlib@openssh.com"},
		{"zlib", "zlib", "zlib"},
	} {
		for _, link := range []netsim.Link{{}, {MaxRead: 1}} {
			leakCheck(t)
			s := testServer(func(_ context.Context, s *ServerSession) {
				_, _ = io.Copy(s, s)
				s.Exit(0)
			})
			s.Compression = tt.server
			s.Rekey.Bytes = 64 << 10
			cfg := testClient()
			cfg.Compression = tt.client
			p := dialPair(t, s, cfg, link, link)
			if i := p.Info(); i.In.Compression != tt.want || i.Out.Compression != tt.want {
				t.Errorf("%q with %q: %+v, %+v; want %s", tt.client, tt.server, i.In, i.Out, tt.want)
			}
			r := rand.New(rand.NewPCG(1, 2))
			in := make([]byte, 512<<10)
			for i := range in { // half of it compresses
				if in[i] = 'x'; i/1000%2 == 0 {
					in[i] = byte(r.Uint32())
				}
			}
			session, err := p.Session(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			session.Stdin = bytes.NewReader(in)
			out, err := session.Output(t.Context(), "cat")
			if err != nil || !bytes.Equal(out, in) {
				t.Errorf("%q with %q: %d octets, %v", tt.client, tt.server, len(out), err)
			}
			i := p.Info()
			if i.KeyExchanges < 3 {
				t.Errorf("%q with %q: %d key exchanges", tt.client, tt.server, i.KeyExchanges)
			}
			if saved := i.BytesOut < 400<<10; saved != (tt.want != "none") {
				t.Errorf("%s: %d octets on the wire for %d", tt.want, i.BytesOut, len(in))
			}
			_ = p.close(t)
		}
	}
}
