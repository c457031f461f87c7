package transport

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// What is shown of a packet ends where its first secret begins, and nothing is
// shown of what nobody can read.
func TestCVE_9_1_PacketEventPublic(t *testing.T) {
	const secret = "hunter2"
	userauth := func(method string, fields []byte) []byte {
		return msg.Append(nil, &msg.UserauthRequest{User: "alice", Service: "ssh-connection", Method: method, Fields: fields})
	}
	password := wire.Append(nil, &msg.PasswordFields{Change: true, Password: []byte(secret), New: []byte(secret + "!")})
	request := func(name string, data []byte) []byte {
		return msg.Append(nil, &msg.ChannelRequest{Recipient: 7, Name: name, Data: data})
	}
	const all = -1
	for name, tt := range map[string]struct {
		payload []byte
		want    int // octets
	}{
		"password":             {userauth("password", password), len(userauth("password", nil))},
		"method of nobody":     {userauth("secret@example.com", []byte(secret)), len(userauth("secret@example.com", nil))},
		"keyboard-interactive": {userauth("keyboard-interactive", wire.Append(nil, &msg.InteractiveFields{})), all},
		"publickey":            {userauth("publickey", wire.Append(nil, &msg.PublicKeyFields{Algorithm: "ssh-ed25519", Key: []byte("key")})), all},
		"request cut short":    {userauth("password", password)[:12], 1},
		"answers":              {msg.Append(nil, &msg.InfoResponse{Answers: [][]byte{[]byte(secret)}}), 1},
		"key exchange":         {msg.Append(nil, &msg.KexInitial{Public: []byte("public")}), 1},
		"x11 cookie":           {request("x11-req", wire.Append(nil, &msg.X11Req{Protocol: "MIT", Cookie: secret})), len(request("x11-req", nil))},
		"environment":          {request("env", wire.Append(nil, &msg.Env{Name: "TOKEN", Value: secret})), len(request("env", nil))},
		"subsystem":            {request("subsystem", wire.Append(nil, &msg.Text{Value: "sftp"})), all},
		"channel cut short":    {request("x11-req", []byte(secret))[:6], 1},
		"data":                 {msg.Append(nil, &msg.ChannelData{Recipient: 1, Data: []byte("data")}), all},
		"unknown":              {[]byte("\xFA" + secret), 1},
	} {
		e := &PacketEvent{Number: tt.payload[0], Length: len(tt.payload), payload: tt.payload}
		if tt.want == all {
			tt.want = len(tt.payload)
		}
		if got := e.Public(); !bytes.Equal(got, tt.payload[:tt.want]) {
			t.Errorf("%s: %d octets are shown, want %d", name, len(got), tt.want)
		}
		if !bytes.Equal(e.Payload(), tt.payload) {
			t.Errorf("%s: Payload is %x", name, e.Payload())
		}
		if line := e.String(); strings.Contains(line, secret) || strings.Contains(line, hex.EncodeToString([]byte(secret))) {
			t.Errorf("%s: the secret is printed: %s", name, line)
		}
	}
}

// Both sides are told of the other's ident.
func TestOnIdent(t *testing.T) {
	cc, sc := testConfigs()
	var client, server string
	cc.OnIdent = func(ident string) { server = ident }
	sc.OnIdent = func(ident string) { client = ident }
	leaks(t)
	c, s := pair(t, cc, sc)
	_ = c.Close()
	_, _ = drain(c, nil), drain(s, nil)
	if client != cc.Version || server != sc.Version {
		t.Errorf("told of %q and %q", client, server)
	}
}

// Whatever a peer sends, what is shown of it is the front of it, and what is
// printed is one line.
func FuzzPacketEvent(f *testing.F) {
	for _, r := range msg.Rows() {
		f.Add(msg.Append(nil, r.New()))
	}
	f.Add(msg.Append(nil, &msg.UserauthRequest{Method: "password", Fields: []byte("secret")}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) == 0 {
			return
		}
		e := &PacketEvent{Number: p[0], Length: len(p), payload: p}
		if shown := e.Public(); len(shown) == 0 || !bytes.HasPrefix(p, shown) {
			t.Errorf("%x is shown of %x", shown, p)
		}
		if s := e.String(); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("printed as %q", s)
		}
	})
}
