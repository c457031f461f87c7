package transport

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// gssOID is of the arc for documentation.
var gssOID = []byte{0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01}

// scriptGSS is a mechanism that does what a test says: each step answers with
// the next of outs, and the context is established after all of them.
type scriptGSS struct {
	outs  []string
	fails bool // the last step, with that token
	state GSSState
	steps int
}

var errScriptGSS = errors.New("the mechanism failed")

func (g *scriptGSS) Step(_ context.Context, _ []byte) ([]byte, bool, error) {
	out := g.outs[g.steps]
	g.steps++
	last := g.steps == len(g.outs)
	if last && g.fails {
		return []byte(out), false, errScriptGSS
	}
	return []byte(out), last, nil
}

func (g *scriptGSS) State() GSSState            { return g.state }
func (g *scriptGSS) MIC([]byte) ([]byte, error) { return []byte("good"), nil }
func (g *scriptGSS) VerifyMIC(_, m []byte) error {
	if string(m) != "good" {
		return errors.New("wrong MIC")
	}
	return nil
}

var gssGood = GSSState{Initiator: "alice", Mutual: true, Integrity: true}

// gssConfigs are configurations with one gss- method of the given family.
func gssConfigs(family string, g *scriptGSS) (client, server *Config) {
	cc, sc := testConfigs()
	for _, c := range []*Config{cc, sc} {
		c.GSS = []GSSMechanism{{OID: gssOID, Start: func(context.Context) (GSSContext, error) {
			fresh := *g
			return &fresh, nil
		}}}
		c.Kex = []string{family + kex.GSSSuffix(gssOID)}
	}
	return cc, sc
}

// gssStart plays the beginning of a key exchange by that method.
func gssStart(p *peer, hostKey string) {
	p.init.Kex = p.c.cfg.Kex
	if hostKey != "" {
		p.init.HostKeys = []string{hostKey}
	}
	p.Idents()
	p.KexInit()
	p.Want("key exchange", msg.NumKexInit)
}

// curvePublic is a public value for curve25519.
var curvePublic = bytes.Repeat([]byte{9}, 32)

// A client takes from a server what the state of the context allows, and each
// thing once (RFC 4462 section 2.1).
func TestGSSClientOrder(t *testing.T) {
	complete := func(token string) *msg.KexGSSComplete {
		return &msg.KexGSSComplete{Public: curvePublic, MIC: []byte("good"), HasToken: token != "", Token: []byte(token)}
	}
	more := &msg.KexGSSContinue{Token: []byte("t")}
	key := &msg.KexGSSHostKey{HostKey: testKeys()[0].PublicKey().Marshal()}
	other := &msg.KexGSSHostKey{HostKey: testKeys()[1].PublicKey().Marshal()}
	long := make([]byte, MaxGSSToken+1)
	oneStep, twoSteps := scriptGSS{outs: []string{"a"}, state: gssGood}, scriptGSS{outs: []string{"a", ""}, state: gssGood}
	tokens := func(n int) (m []msg.Message) {
		for range n {
			m = append(m, more)
		}
		return m
	}
	endless := scriptGSS{outs: make([]string, 100), state: gssGood}
	for i := range endless.outs {
		endless.outs[i] = "x"
	}
	for name, tt := range map[string]struct {
		g       scriptGSS
		hostKey string // the peer's own if empty
		send    []msg.Message
		reason  uint32
	}{
		"host key twice":                {g: oneStep, send: []msg.Message{key, key}, reason: ReasonProtocolError},
		"host key after a token":        {g: scriptGSS{outs: []string{"a", "b", ""}}, send: []msg.Message{more, key}, reason: ReasonProtocolError},
		"host key where there is none":  {g: oneStep, hostKey: nullHostKey, send: []msg.Message{key}, reason: ReasonProtocolError},
		"empty host key":                {g: oneStep, send: []msg.Message{&msg.KexGSSHostKey{}}, reason: ReasonProtocolError},
		"long host key":                 {g: oneStep, send: []msg.Message{&msg.KexGSSHostKey{HostKey: make([]byte, maxHostKey+1)}}, reason: ReasonProtocolError},
		"host key of another algorithm": {g: oneStep, send: []msg.Message{other, complete("")}, reason: ReasonHostKeyNotVerifiable},
		"host key that is none":         {g: oneStep, send: []msg.Message{&msg.KexGSSHostKey{HostKey: []byte("x")}, complete("")}, reason: ReasonHostKeyNotVerifiable},
		"token after the end":           {g: oneStep, send: []msg.Message{more}, reason: ReasonProtocolError},
		"empty token":                   {g: twoSteps, send: []msg.Message{&msg.KexGSSContinue{}}, reason: ReasonProtocolError},
		"long token":                    {g: twoSteps, send: []msg.Message{&msg.KexGSSContinue{Token: long}}, reason: ReasonProtocolError},
		"token that wants no answer":    {g: twoSteps, send: []msg.Message{more}, reason: ReasonKexFailed},
		"no end of tokens":              {g: endless, send: tokens(MaxGSSRounds + 2), reason: ReasonProtocolError},
		"mechanism fails":               {g: scriptGSS{outs: []string{"a", "why"}, fails: true}, send: []msg.Message{more}, reason: ReasonKexFailed},
		"mechanism fails at the end":    {g: scriptGSS{outs: []string{"a", "why"}, fails: true}, send: []msg.Message{complete("t")}, reason: ReasonKexFailed},
		"end without a token":           {g: twoSteps, send: []msg.Message{complete("")}, reason: ReasonProtocolError},
		"end with a token too many":     {g: oneStep, send: []msg.Message{complete("t")}, reason: ReasonProtocolError},
		"end with a long token":         {g: twoSteps, send: []msg.Message{complete(string(long))}, reason: ReasonProtocolError},
		"end before the last step":      {g: scriptGSS{outs: []string{"a", "b", ""}, state: gssGood}, send: []msg.Message{complete("t")}, reason: ReasonProtocolError},
		"end that wants an answer":      {g: scriptGSS{outs: []string{"a", "b"}, state: gssGood}, send: []msg.Message{complete("t")}, reason: ReasonProtocolError},
		"server has not proven itself":  {g: scriptGSS{outs: []string{"a"}, state: GSSState{Integrity: true}}, send: []msg.Message{complete("")}, reason: ReasonKexFailed},
		"no integrity":                  {g: scriptGSS{outs: []string{"a"}, state: GSSState{Mutual: true}}, send: []msg.Message{complete("")}, reason: ReasonKexFailed},
		"wrong MIC":                     {g: oneStep, send: []msg.Message{&msg.KexGSSComplete{Public: curvePublic, MIC: []byte("bad")}}, reason: ReasonHostKeyNotVerifiable},
		"no MIC":                        {g: oneStep, send: []msg.Message{&msg.KexGSSComplete{Public: curvePublic}}, reason: ReasonHostKeyNotVerifiable},
		"public value of small order":   {g: oneStep, send: []msg.Message{&msg.KexGSSComplete{Public: make([]byte, 32), MIC: []byte("good")}}, reason: ReasonKexFailed},
		"error":                         {g: oneStep, send: []msg.Message{&msg.GSSError{Kex: true, Text: "no"}}, reason: ReasonKexFailed},
		"new keys":                      {g: oneStep, send: []msg.Message{&msg.NewKeys{}}, reason: ReasonProtocolError},
		"group":                         {g: oneStep, send: []msg.Message{&msg.KexGEXGroup{GSS: true}}, reason: ReasonProtocolError},
		"reply of another method":       {g: oneStep, send: []msg.Message{&msg.KexReply{HostKey: []byte("x")}}, reason: ReasonProtocolError},
		"KEXINIT":                       {g: oneStep, send: []msg.Message{&msg.KexInit{}}, reason: ReasonProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			cc, _ := gssConfigs("gss-curve25519-sha256-", &tt.g)
			script(t, cc, func(p *peer) {
				gssStart(p, tt.hostKey)
				p.Want("first token", msg.NumKexGSSInit)
				for _, m := range tt.send {
					p.Send(m)
				}
				p.WantDisconnect(name, tt.reason)
			})
		})
	}
}

// A server takes one e, tokens while the context wants them, and nothing else;
// and after its error nothing at all.
func TestCVE_1_13_GSSServerOrder(t *testing.T) {
	initial := &msg.KexGSSInit{Token: []byte("t"), Public: curvePublic}
	more := &msg.KexGSSContinue{Token: []byte("t")}
	oneStep, twoSteps := scriptGSS{outs: []string{""}, state: gssGood}, scriptGSS{outs: []string{"a", ""}, state: gssGood}
	endless := scriptGSS{outs: make([]string, 100), state: gssGood}
	for i := range endless.outs {
		endless.outs[i] = "x"
	}
	flood := []msg.Message{initial}
	for range 2 * MaxGSSRounds {
		flood = append(flood, more)
	}
	const curve, gex = "gss-curve25519-sha256-", "gss-gex-sha1-"
	for name, tt := range map[string]struct {
		family string
		g      scriptGSS
		send   []msg.Message
		reason uint32
	}{
		"token first":            {curve, oneStep, []msg.Message{more}, ReasonProtocolError},
		"second e":               {curve, twoSteps, []msg.Message{initial, initial}, ReasonProtocolError},
		"e of another method":    {curve, oneStep, []msg.Message{&msg.KexInitial{Public: curvePublic}}, ReasonProtocolError},
		"empty token":            {curve, oneStep, []msg.Message{&msg.KexGSSInit{Public: curvePublic}}, ReasonProtocolError},
		"long token":             {curve, oneStep, []msg.Message{&msg.KexGSSInit{Token: make([]byte, MaxGSSToken+1), Public: curvePublic}}, ReasonProtocolError},
		"empty second token":     {curve, twoSteps, []msg.Message{initial, &msg.KexGSSContinue{}}, ReasonProtocolError},
		"no e":                   {curve, oneStep, []msg.Message{&msg.KexGSSInit{Token: []byte("t")}}, ReasonKexFailed},
		"e of small order":       {curve, oneStep, []msg.Message{&msg.KexGSSInit{Token: []byte("t"), Public: make([]byte, 32)}}, ReasonKexFailed},
		"no mutual":              {curve, scriptGSS{outs: []string{""}, state: GSSState{Integrity: true}}, []msg.Message{initial}, ReasonKexFailed},
		"no integrity":           {curve, scriptGSS{outs: []string{""}, state: GSSState{Mutual: true}}, []msg.Message{initial}, ReasonKexFailed},
		"failure":                {curve, scriptGSS{outs: []string{""}, fails: true}, []msg.Message{initial}, ReasonKexFailed},
		"failure with a token":   {curve, scriptGSS{outs: []string{"why"}, fails: true}, []msg.Message{initial, more}, ReasonKexFailed},
		"nothing to go on with":  {curve, scriptGSS{outs: []string{"", ""}}, []msg.Message{initial}, ReasonKexFailed},
		"no end":                 {curve, endless, flood, ReasonKexFailed},
		"new keys":               {curve, twoSteps, []msg.Message{initial, &msg.NewKeys{}}, ReasonProtocolError},
		"group request":          {curve, oneStep, []msg.Message{&msg.KexGEXRequest{GSS: true}}, ReasonProtocolError},
		"no group request":       {gex, oneStep, []msg.Message{initial}, ReasonProtocolError},
		"other group request":    {gex, oneStep, []msg.Message{&msg.KexGEXRequest{Min: 2048, Preferred: 2048, Max: 8192}}, ReasonProtocolError},
		"impossible group":       {gex, oneStep, []msg.Message{&msg.KexGEXRequest{Min: 8192, Preferred: 1024, Max: 1024, GSS: true}}, ReasonKexFailed},
		"e outside of the group": {"gss-group14-sha256-", oneStep, []msg.Message{&msg.KexGSSInit{Token: []byte("t"), Public: []byte{1}}}, ReasonKexFailed},
		"request for a service":  {curve, twoSteps, []msg.Message{initial, &msg.ServiceRequest{Service: "ssh-userauth"}}, ReasonProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			_, sc := gssConfigs(tt.family, &tt.g)
			script(t, sc, func(p *peer) {
				gssStart(p, "")
				for _, m := range tt.send {
					p.Send(m)
				}
				p.WantDisconnect(name, tt.reason)
			})
		})
	}
}

// Whoever has no mechanism does not know its methods, and no host key is no
// choice for other methods.
func TestGSSNegotiation(t *testing.T) {
	cc, sc := gssConfigs("gss-curve25519-sha256-", &scriptGSS{outs: []string{""}, state: gssGood})
	plain, _ := testConfigs()
	plain.Kex = cc.Kex
	if err := New(nil, plain).checkConfig(); err == nil {
		t.Error("a method without its mechanism is accepted")
	}
	for name, tt := range map[string]struct {
		kex, hostKey string
	}{
		"null host key and a signature": {"curve25519-sha256", nullHostKey},
		"another mechanism":             {"gss-curve25519-sha256-toWM5Slw5Ew8Mqkay+al2g==", nullHostKey},
		"another family":                {"gss-curve448-sha512-" + kex.GSSSuffix(gssOID), nullHostKey},
		"no mechanism":                  {"gss-curve25519-sha256-", nullHostKey},
	} {
		t.Run(name, func(t *testing.T) {
			sc.Kex = append([]string{"curve25519-sha256"}, cc.Kex...)
			script(t, sc, func(p *peer) {
				p.init.Kex, p.init.HostKeys = []string{tt.kex}, []string{tt.hostKey}
				p.Idents()
				p.KexInit()
				p.Want("key exchange", msg.NumKexInit)
				p.WantDisconnect(name, ReasonKexFailed)
			})
		})
	}
	if got := kex.GSSSuffix([]byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}); got != "toWM5Slw5Ew8Mqkay+al2g==" {
		t.Errorf("Kerberos 5 is %s", got) // RFC 4462 section 2.3
	}
}
