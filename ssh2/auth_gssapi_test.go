package ssh2

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// fakeOID is 1.3.6.1.4.1.32473.1, of the arc for documentation.
var fakeOID = []byte{0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x01}

// fakeGSS is a mechanism that believes everybody. Its tokens are words: the
// initiator says "N name", the acceptor answers "N" until the last round, in
// which it answers only if the initiator asked for mutual authentication.
type fakeGSS struct {
	oid    []byte // fakeOID if nil
	name   string // of the initiator
	rounds int    // 1 if 0
	// What goes wrong.
	refuse      error  // Initiate and Accept
	fail        int    // the step that fails, from 1
	errToken    string // comes with the failure
	silent      bool   // no token, and not done either
	noIntegrity bool
	noMutual    bool
	wrongMIC    bool
	stuck       *atomic.Bool // if it is true, steps wait for the end of their context

	contexts int
	hosts    []string
}

func (f *fakeGSS) OID() []byte {
	if f.oid == nil {
		return fakeOID
	}
	return f.oid
}

func (f *fakeGSS) Accept(context.Context) (GSSContext, error) {
	f.contexts++
	return &fakeContext{f: f}, f.refuse
}

func (f *fakeGSS) Initiate(_ context.Context, host string, mutual bool) (GSSContext, error) {
	f.hosts = append(f.hosts, host)
	if !mutual {
		return nil, errors.New("OpenSSH's server wants mutual authentication")
	}
	return &fakeContext{f: f, initiator: true, st: GSSState{Initiator: f.name, Mutual: mutual}}, f.refuse
}

type fakeContext struct {
	f         *fakeGSS
	initiator bool
	steps     int
	sent      int
	st        GSSState
}

var errFake = errors.New("the fake mechanism failed")

func (c *fakeContext) Step(ctx context.Context, token []byte) (out []byte, done bool, err error) {
	if c.f.stuck != nil && c.f.stuck.Load() {
		<-ctx.Done()
		return nil, false, context.Cause(ctx)
	}
	c.steps++
	rounds := max(c.f.rounds, 1)
	if c.steps == c.f.fail {
		return []byte(c.f.errToken), false, errFake
	}
	c.st.Integrity = !c.f.noIntegrity
	if c.f.noMutual {
		c.st.Mutual = false
	}
	if c.f.silent {
		return nil, false, nil
	}
	if c.initiator {
		if c.steps > 1 && string(token) != fmt.Sprint(c.steps-2) {
			return nil, false, fmt.Errorf("answer %q", token)
		}
		if c.sent == rounds {
			return nil, true, nil
		}
		c.sent++
		return fmt.Appendf(nil, "%d %s %t", c.steps-1, c.f.name, c.st.Mutual), c.sent == rounds && !c.st.Mutual, nil
	}
	number, rest, _ := strings.Cut(string(token), " ")
	if number != fmt.Sprint(c.steps-1) {
		return nil, false, fmt.Errorf("token %q", token)
	}
	i := strings.LastIndexByte(rest, ' ')
	if i < 0 {
		return nil, false, fmt.Errorf("token %q", token)
	}
	c.st.Initiator = rest[:i]
	c.st.Mutual = rest[i+1:] == "true" && !c.f.noMutual
	if c.steps < rounds {
		return []byte(number), false, nil
	}
	if c.st.Mutual {
		out = []byte(number)
	}
	return out, true, nil
}

func (c *fakeContext) State() GSSState { return c.st }

func (c *fakeContext) MIC(m []byte) ([]byte, error) {
	mac := fakeMIC(m, c.st.Initiator)
	if c.f.wrongMIC {
		mac[0] ^= 1
	}
	return mac, nil
}

func (c *fakeContext) VerifyMIC(m, mic []byte) error {
	if !hmac.Equal(fakeMIC(m, c.st.Initiator), mic) {
		return errors.New("wrong MIC")
	}
	return nil
}

func fakeMIC(m []byte, name string) []byte {
	h := hmac.New(sha256.New, []byte("key of "+name))
	h.Write(m)
	return h.Sum(nil)
}

func signedBy(user, service, method string) []byte {
	return wire.Append(nil, &msg.GSSSignedData{SessionID: testSession, User: user, Service: service, Method: method})
}

// Messages of a client.

func reqGSS(user string, oids ...[]byte) []byte {
	return authRequest(user, serviceConnection, MethodGSSAPI, &msg.GSSFields{Mechanisms: oids})
}

func gssToken(s string) []byte { return msg.Append(nil, &msg.GSSToken{Token: []byte(s)}) }

func gssMIC(user, name string) []byte {
	return msg.Append(nil, &msg.GSSMIC{MIC: fakeMIC(signedBy(user, serviceConnection, MethodGSSAPI), name)})
}

func reqKeyex(user, name string) []byte {
	return authRequest(user, serviceConnection, MethodGSSKeyex,
		&msg.GSSKeyexFields{MIC: fakeMIC(signedBy(user, serviceConnection, MethodGSSKeyex), name)})
}

// sameName lets NAME@R in as NAME, and counts what it is asked.
func sameName(asked *int) func(context.Context, *AuthAttempt, GSSPeer) Verdict {
	return func(_ context.Context, a *AuthAttempt, p GSSPeer) Verdict {
		*asked++
		return Verdict{OK: p.Name == a.User+"@R" && bytes.Equal(p.Mechanism, fakeOID), Identity: p.Name}
	}
}

func TestAuthGSSAPI(t *testing.T) { // RFC 4462 section 3
	tok, mic := gssToken("0 alice@R false"), gssMIC("alice", "alice@R")
	req := reqGSS("alice", fakeOID)
	end := msg.Append(nil, &msg.GSSComplete{})
	const fail, yes = "failure gssapi-with-mic", "success"
	const mech = "mechanism"
	token := msg.Name(msg.NumGSSToken)
	for _, tt := range []struct {
		name  string
		f     fakeGSS
		in    [][]byte
		want  []string
		asked int
	}{
		{"one token", fakeGSS{}, [][]byte{req, tok, mic}, []string{mech, yes}, 1},
		{"mutual", fakeGSS{}, [][]byte{req, gssToken("0 alice@R true"), mic}, []string{mech, token, yes}, 1},
		{"three rounds", fakeGSS{rounds: 3}, [][]byte{req, tok, gssToken("1 alice@R false"), gssToken("2 alice@R false"), mic}, []string{mech, token, token, yes}, 1},
		{"second mechanism", fakeGSS{}, [][]byte{reqGSS("alice", spnego, []byte{6, 1, 1}, fakeOID), tok, mic}, []string{mech, yes}, 1},
		{"another principal", fakeGSS{}, [][]byte{req, gssToken("0 bob@R false"), gssMIC("alice", "bob@R")}, []string{mech, fail}, 1},

		{"CVE 4.6: no mechanism", fakeGSS{}, [][]byte{reqGSS("alice"), req, tok, mic}, []string{fail, mech, yes}, 1},
		{"other mechanism", fakeGSS{}, [][]byte{reqGSS("alice", []byte{6, 1, 1}), reqNone("alice")}, []string{fail, fail}, 0},
		{"CVE 4.6: count of mechanisms", fakeGSS{}, [][]byte{append(authRequest("alice", serviceConnection, MethodGSSAPI, nil), 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 6)}, []string{fail}, 0},
		{"CVE 4.6: trailing octet", fakeGSS{}, [][]byte{append(slices.Clone(req), 0)}, []string{fail}, 0},

		{"MIC before token", fakeGSS{}, [][]byte{req, mic}, []string{mech, fail}, 0},
		{"MIC between tokens", fakeGSS{rounds: 2}, [][]byte{req, tok, mic}, []string{mech, token, fail}, 0},
		{"COMPLETE before token", fakeGSS{}, [][]byte{req, end}, []string{mech, fail}, 0},
		{"COMPLETE instead of MIC", fakeGSS{}, [][]byte{req, tok, end}, []string{mech, fail}, 0},
		{"COMPLETE without integrity", fakeGSS{noIntegrity: true}, [][]byte{req, tok, end}, []string{mech, fail}, 0},
		{"MIC without integrity", fakeGSS{noIntegrity: true}, [][]byte{req, tok, mic}, []string{mech, fail}, 0},
		{"token after the end", fakeGSS{}, [][]byte{req, tok, tok, mic}, []string{mech, "violation"}, 0},
		{"token without request", fakeGSS{}, [][]byte{tok}, []string{"violation"}, 0},
		{"MIC without request", fakeGSS{}, [][]byte{mic}, []string{"violation"}, 0},
		{"MIC after success of another", fakeGSS{}, [][]byte{reqNone("alice"), mic}, []string{fail, "violation"}, 0},
		{"ERROR of a client", fakeGSS{}, [][]byte{req, msg.Append(nil, &msg.GSSError{})}, []string{mech, "violation"}, 0},
		{"RESPONSE of a client", fakeGSS{}, [][]byte{req, msg.Append(nil, &msg.GSSResponse{})}, []string{mech, "violation"}, 0},
		{"service request between", fakeGSS{}, [][]byte{req, msg.Append(nil, &msg.ServiceRequest{Service: serviceUserauth}), tok}, []string{mech, "violation"}, 0},

		{"wrong MIC", fakeGSS{}, [][]byte{req, tok, gssMIC("alice", "mallory@R")}, []string{mech, fail}, 0},
		{"MIC for another user", fakeGSS{}, [][]byte{req, tok, gssMIC("bob", "alice@R")}, []string{mech, fail}, 0},
		{"MIC for another method", fakeGSS{}, [][]byte{req, tok, msg.Append(nil, &msg.GSSMIC{MIC: fakeMIC(signedBy("alice", serviceConnection, MethodGSSKeyex), "alice@R")})}, []string{mech, fail}, 0},
		{"MIC for another service", fakeGSS{}, [][]byte{req, tok, msg.Append(nil, &msg.GSSMIC{MIC: fakeMIC(signedBy("alice", "ssh-userauth", MethodGSSAPI), "alice@R")})}, []string{mech, fail}, 0},
		{"empty MIC", fakeGSS{}, [][]byte{req, tok, msg.Append(nil, &msg.GSSMIC{})}, []string{mech, fail}, 0},
		{"MIC cut short", fakeGSS{}, [][]byte{req, tok, mic[:len(mic)-1]}, []string{mech, fail}, 0},

		{"empty token", fakeGSS{}, [][]byte{req, gssToken("")}, []string{mech, fail}, 0},
		{"long token", fakeGSS{}, [][]byte{req, gssToken(strings.Repeat("x", transport.MaxGSSToken+1))}, []string{mech, fail}, 0},
		{"token cut short", fakeGSS{}, [][]byte{req, tok[:len(tok)-1]}, []string{mech, fail}, 0},
		{"octet behind token", fakeGSS{}, [][]byte{req, append(slices.Clone(tok), 0)}, []string{mech, fail}, 0},
		{"mechanism fails", fakeGSS{fail: 1}, [][]byte{req, tok}, []string{mech, fail}, 0},
		{"mechanism fails and says why", fakeGSS{fail: 1, errToken: "why"}, [][]byte{req, tok}, []string{mech, "USERAUTH_GSSAPI_ERRTOK", fail}, 0},
		{"MIC on its way when it fails", fakeGSS{fail: 1}, [][]byte{req, tok, mic, reqNone("alice"), reqNone("alice")}, []string{mech, fail, fail, fail}, 0},
		{"two MICs when it fails", fakeGSS{fail: 1}, [][]byte{req, tok, mic, mic}, []string{mech, fail, "violation"}, 0},
		{"late MIC", fakeGSS{fail: 1}, [][]byte{req, tok, reqNone("alice"), mic}, []string{mech, fail, fail, "violation"}, 0},
		{"mechanism is not there", fakeGSS{refuse: errFake}, [][]byte{req}, []string{fail}, 0},
		{"mechanism is silent", fakeGSS{silent: true}, [][]byte{req, tok}, []string{mech, fail}, 0},
		{"no name", fakeGSS{}, [][]byte{req, gssToken("0  false"), gssMIC("alice", "")}, []string{mech, fail}, 0},
		{"name with a line end", fakeGSS{}, [][]byte{req, gssToken("0 alice@R\nroot false"), gssMIC("alice", "alice@R\nroot")}, []string{mech, fail}, 0},

		{"another request between", fakeGSS{}, [][]byte{req, req, tok, mic}, []string{mech, mech, yes}, 1},
		{"client gives up", fakeGSS{}, [][]byte{req, msg.Append(nil, &msg.GSSToken{Err: true, Token: []byte("why")}), req, tok, mic}, []string{mech, mech, yes}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			l := authRun{auth: ServerAuth{GSSAPI: &GSSServer{Mechanisms: []GSSAcceptor{&tt.f}, Allow: sameName(&asked)}}}
			expectAuth(t, l.run(t, tt.in...), tt.want...)
			if asked != tt.asked {
				t.Errorf("Allow was asked %d times, want %d", asked, tt.asked)
			}
			if l.res != nil && l.res.Identity != "alice@R" {
				t.Errorf("identity %v", l.res.Identity)
			}
			for _, m := range l.conn.out {
				if slices.Contains(tt.want, "violation") && m == "success" {
					t.Error("success after a violation")
				}
			}
		})
	}
}

// A mechanism that never comes to its end is cut off, and so is a client that
// keeps trying.
func TestCVE_2_14_GSSAPIIsCounted(t *testing.T) {
	asked := 0
	var in [][]byte
	for i := range 100 {
		in = append(in, gssToken(fmt.Sprintf("%d alice@R false", i)))
	}
	f := fakeGSS{rounds: 1000}
	l := authRun{auth: ServerAuth{GSSAPI: &GSSServer{Mechanisms: []GSSAcceptor{&f}, Allow: sameName(&asked)}}}
	out := l.run(t, append([][]byte{reqGSS("alice", fakeOID)}, in...)...)
	if n := len(out); n != transport.MaxGSSRounds+3 || out[n-2] != "failure gssapi-with-mic" || out[n-1] != "violation" {
		t.Errorf("%d answers, the last %q", n, out[n-2:])
	}
	for name, m := range map[string][][]byte{
		"abandoned": {reqGSS("alice", fakeOID)},
		"given up":  {reqGSS("alice", fakeOID), msg.Append(nil, &msg.GSSToken{Err: true, Token: []byte("x")})},
		"failed":    {reqGSS("alice", fakeOID), gssToken("x")},
		"not had":   {reqGSS("alice", spnego)},
	} {
		l := authRun{auth: ServerAuth{GSSAPI: &GSSServer{Mechanisms: []GSSAcceptor{&fakeGSS{}}, Allow: sameName(&asked)}}}
		out := l.run(t, slices.Repeat(m, 1000)...)
		if out[len(out)-1] != "disconnect 14" || len(out) > 14 {
			t.Errorf("%s: %d answers, the last %q", name, len(out), out[len(out)-1])
		}
	}
	if asked != 0 {
		t.Errorf("Allow was asked %d times", asked)
	}
}

// Who is not configured is not offered, and asking anyway is a failure like
// any other; a name that Allow does not map is refused.
func TestCVE_2_12_GSSAPINeedsItsHandler(t *testing.T) {
	asked := 0
	req := []([]byte){reqGSS("alice", fakeOID), reqKeyex("alice", "alice@R")}
	for name, g := range map[string]*GSSServer{
		"nil": nil, "zero": {}, "no mechanism": {Allow: sameName(&asked)}, "no Allow": {Mechanisms: []GSSAcceptor{&fakeGSS{}}, KeyExchange: true},
	} {
		l := authRun{auth: ServerAuth{Password: alicePassword, GSSAPI: g}}
		expectAuth(t, l.run(t, req...), "failure password", "failure password")
		if g != nil && len(g.Mechanisms) > 0 && g.Mechanisms[0].(*fakeGSS).contexts != 0 {
			t.Errorf("%s: a context was made", name)
		}
	}
	// Key exchange by GSS-API that identified nobody.
	l := authRun{auth: ServerAuth{GSSAPI: &GSSServer{Mechanisms: []GSSAcceptor{&fakeGSS{}}, Allow: sameName(&asked)}}}
	expectAuth(t, l.run(t, reqKeyex("alice", "")), "failure gssapi-with-mic")
	if asked != 0 {
		t.Errorf("Allow was asked %d times", asked)
	}
}

func TestCVE_2_5_SourceAddressForGSSAPI(t *testing.T) {
	v := Verdict{OK: true, Limits: Limits{SourceAddress: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	for remote, want := range map[string]string{"192.0.2.7:1": "failure gssapi-keyex,gssapi-with-mic", "10.1.1.1:1": "success"} {
		l := authRun{
			remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(remote)),
			keyex:  &fakeContext{f: &fakeGSS{}, st: GSSState{Initiator: "alice@R", Integrity: true}},
			auth: ServerAuth{GSSAPI: &GSSServer{
				Mechanisms: []GSSAcceptor{&fakeGSS{}},
				Allow:      func(context.Context, *AuthAttempt, GSSPeer) Verdict { return v },
			}},
		}
		expectAuth(t, l.run(t, reqGSS("alice", fakeOID), gssToken("0 alice@R false"), gssMIC("alice", "alice@R")), "mechanism", want)
		expectAuth(t, l.run(t, reqKeyex("alice", "alice@R")), want)
	}
}

// What one attempt established is nothing to the next: a new request makes a
// new context, and a MIC of the old one fails.
func TestCVE_2_27_GSSContextOfAnAttempt(t *testing.T) {
	asked := 0
	f := &fakeGSS{}
	l := authRun{auth: ServerAuth{GSSAPI: &GSSServer{Mechanisms: []GSSAcceptor{f}, Allow: sameName(&asked)}}}
	expectAuth(t, l.run(
		t, reqGSS("alice", fakeOID), gssToken("0 alice@R false"), // established, no MIC
		reqGSS("alice", fakeOID), gssMIC("alice", "alice@R"),
		reqGSS("alice", fakeOID), gssToken("0 bob@R false"), gssMIC("alice", "alice@R"),
	), "mechanism", "mechanism", "failure gssapi-with-mic", "mechanism", "failure gssapi-with-mic")
	if f.contexts != 3 || asked != 0 {
		t.Errorf("%d contexts, Allow asked %d times", f.contexts, asked)
	}
}

// Users that are not there get the same messages in the same order.
func TestCVE_7_3_GSSAPIUnknownUsers(t *testing.T) {
	asked := 0
	run := func(user string) []string {
		l := authRun{auth: ServerAuth{GSSAPI: &GSSServer{Mechanisms: []GSSAcceptor{&fakeGSS{rounds: 2}}, Allow: sameName(&asked)}}}
		return l.run(t, append(reqGSS(user, fakeOID), 0), reqGSS(user, fakeOID), gssToken("0 bob@R false"), gssToken("1 bob@R false"), gssMIC(user, "bob@R"))
	}
	expectAuth(t, run("alice"), run("nobody")...)
}

// A malformed request, token or MIC, and a good one of somebody who may not:
// the same message, after the same time, whether the user is there or not.
func TestCVE_7_1_GSSAPIRefusalsLookAlike(t *testing.T) { // and cves 7.2
	req := func(user string) []byte { return reqGSS(user, fakeOID) }
	for name, in := range map[string]func(user string) [][]byte{
		"request": func(u string) [][]byte { return [][]byte{append(req(u), 0)} },
		"token":   func(u string) [][]byte { return [][]byte{req(u), gssToken("")} },
		"MIC": func(u string) [][]byte {
			return [][]byte{req(u), gssToken("0 bob@R false"), msg.Append(nil, &msg.GSSMIC{})}
		},
		"wrong":    func(u string) [][]byte { return [][]byte{req(u), gssToken("0 bob@R false"), gssMIC(u, "x@R")} },
		"not told": func(u string) [][]byte { return [][]byte{req(u), gssToken("0 bob@R false"), gssMIC(u, "bob@R")} },
		"keyex":    func(u string) [][]byte { return [][]byte{reqKeyex(u, "bob@R")} },
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, user := range []string{"alice", "nobody"} {
				asked := 0
				l := authRun{
					keyex: &fakeContext{f: &fakeGSS{}, st: GSSState{Initiator: "bob@R", Integrity: true}},
					auth: ServerAuth{
						MinFailureDelay: time.Second,
						GSSAPI:          &GSSServer{Mechanisms: []GSSAcceptor{&fakeGSS{}}, Allow: sameName(&asked)},
					},
				}
				start := time.Now()
				out := l.run(t, in(user)...)
				if got := time.Since(start); out[len(out)-1] != "failure gssapi-keyex,gssapi-with-mic" || got != time.Second {
					t.Errorf("%s as %s: %q after %v", name, user, out, got)
				}
			}
		})
	}
}

func TestAuthGSSKeyex(t *testing.T) { // RFC 4462 section 4
	known := &fakeContext{f: &fakeGSS{}, st: GSSState{Initiator: "alice@R", Integrity: true, Mutual: true}}
	const fail = "failure gssapi-keyex"
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"good", reqKeyex("alice", "alice@R"), "success"},
		{"another principal", reqKeyex("bob", "alice@R"), fail},
		{"wrong MIC", reqKeyex("alice", "mallory@R"), fail},
		{"MIC of gssapi-with-mic", authRequest("alice", serviceConnection, MethodGSSKeyex, &msg.GSSKeyexFields{MIC: fakeMIC(signedBy("alice", serviceConnection, MethodGSSAPI), "alice@R")}), fail},
		{"empty MIC", authRequest("alice", serviceConnection, MethodGSSKeyex, &msg.GSSKeyexFields{}), fail},
		{"no fields", authRequest("alice", serviceConnection, MethodGSSKeyex, nil), fail},
		{"octet behind MIC", append(reqKeyex("alice", "alice@R"), 0), fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			l := authRun{keyex: known, auth: ServerAuth{GSSAPI: &GSSServer{Allow: sameName(&asked)}}}
			expectAuth(t, l.run(t, tt.in), tt.want)
		})
	}
}

func TestAuthGSSAPIClient(t *testing.T) { // RFC 4462 section 3
	response := msg.Append(nil, &msg.GSSResponse{Mechanism: fakeOID})
	success := msg.Append(nil, &msg.UserauthSuccess{})
	list := failure(MethodGSSAPI)
	const req, mic = "alice gssapi-with-mic", "USERAUTH_GSSAPI_MIC"
	tok := msg.Name(msg.NumGSSToken)
	for _, tt := range []struct {
		name string
		f    fakeGSS
		in   [][]byte
		want []string // what is sent behind "none"
		err  string   // in the error, empty for success
	}{
		{"mutual", fakeGSS{}, [][]byte{list, response, gssToken("0"), success}, []string{req, tok, mic}, ""},
		{"mutual in two rounds", fakeGSS{rounds: 2}, [][]byte{list, response, gssToken("0"), gssToken("1"), success}, []string{req, tok, tok, mic}, ""},
		{"wrong answer", fakeGSS{}, [][]byte{list, response, gssToken("1")}, []string{req, tok, "disconnect 14"}, "answer"},
		{"one token", fakeGSS{noMutual: true}, [][]byte{list, response, success}, []string{req, tok, mic}, ""},
		{"two rounds", fakeGSS{noMutual: true, rounds: 2}, [][]byte{list, response, gssToken("0"), success}, []string{req, tok, tok, mic}, ""},
		{"refused", fakeGSS{noMutual: true}, [][]byte{list, failure()}, []string{req, "disconnect 14"}, "not accepted"},
		{"MIC refused", fakeGSS{noMutual: true}, [][]byte{list, response, failure()}, []string{req, tok, mic, "disconnect 14"}, "not accepted"},
		{"error of the server", fakeGSS{noMutual: true, rounds: 2}, [][]byte{
			list, response, msg.Append(nil, &msg.GSSError{Major: 1, Text: "clock\x1b"}),
			msg.Append(nil, &msg.GSSToken{Err: true, Token: []byte("x")}), failure(),
		}, []string{req, tok, "disconnect 14"}, `clock\x1b`},
		{"fails here", fakeGSS{noMutual: true, fail: 2, rounds: 2, errToken: "why"}, [][]byte{list, response, gssToken("0")}, []string{req, tok, "USERAUTH_GSSAPI_ERRTOK", "disconnect 14"}, "the fake mechanism failed"},
		{"no ticket", fakeGSS{noMutual: true, refuse: errFake}, [][]byte{list, response}, []string{req, "disconnect 14"}, "the fake mechanism failed"},
		{"no integrity", fakeGSS{noMutual: true, noIntegrity: true}, [][]byte{list, response}, []string{req, tok, "disconnect 14"}, "no integrity"},
		{"silent mechanism", fakeGSS{noMutual: true, silent: true}, [][]byte{list, response}, []string{req, "disconnect 14"}, "nothing to go on with"},
		{"other mechanism", fakeGSS{noMutual: true}, [][]byte{list, msg.Append(nil, &msg.GSSResponse{Mechanism: spnego})}, []string{req, "violation"}, "not offered"},
		{"empty token", fakeGSS{noMutual: true, rounds: 2}, [][]byte{list, response, gssToken("")}, []string{req, tok, "violation"}, "token of 0"},
		{"long token", fakeGSS{noMutual: true, rounds: 2}, [][]byte{list, response, gssToken(strings.Repeat("x", transport.MaxGSSToken+1))}, []string{req, tok, "violation"}, "token of"},
		{"no end", fakeGSS{noMutual: true, rounds: 99}, slices.Concat([][]byte{list, response}, func() (in [][]byte) {
			for i := range 99 {
				in = append(in, gssToken(fmt.Sprint(i)))
			}
			return in
		}()), append(append([]string{req}, slices.Repeat([]string{tok}, transport.MaxGSSRounds)...), "disconnect 14"), "no end of tokens"},
		{"token after MIC", fakeGSS{noMutual: true}, [][]byte{list, response, gssToken("0")}, []string{req, tok, mic, "violation"}, "out of place"},
		{"MIC of a server", fakeGSS{noMutual: true, rounds: 2}, [][]byte{list, response, gssMIC("alice", "x")}, []string{req, tok, "violation"}, "out of place"},
		{"token at once", fakeGSS{noMutual: true}, [][]byte{list, gssToken("0")}, []string{req, "violation"}, "out of place"},
		{"CVE 2.16: success at once", fakeGSS{noMutual: true}, [][]byte{list, success}, []string{req, "disconnect 14"}, "no proof"},
		{"CVE 2.16: success before the MIC", fakeGSS{noMutual: true, rounds: 2}, [][]byte{list, response, success}, []string{req, tok, "disconnect 14"}, "no proof"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.f.name = "alice@R"
			r := clientRun{methods: []AuthMethod{GSSAPI(&GSSClient{Mechanisms: []GSSInitiator{&tt.f}})}}
			expectAuth(t, r.run(t, tt.in...), append([]string{"alice none"}, tt.want...)...)
			if (r.err == nil) != (tt.err == "") || r.err != nil && !strings.Contains(r.err.Error(), tt.err) {
				t.Errorf("error %v, want %q", r.err, tt.err)
			}
			if tt.f.hosts != nil && tt.f.hosts[0] != "server.example" {
				t.Errorf("host %q", tt.f.hosts)
			}
		})
	}
}

func TestAuthGSSKeyexClient(t *testing.T) { // RFC 4462 section 4
	known := &fakeContext{f: &fakeGSS{}, st: GSSState{Initiator: "alice@R", Integrity: true}}
	r := clientRun{methods: []AuthMethod{GSSKeyex()}, keyex: known}
	expectAuth(t, r.run(t, failure(MethodGSSKeyex), msg.Append(nil, &msg.UserauthSuccess{})), "alice none", "alice gssapi-keyex")
	if r.err != nil {
		t.Error(r.err)
	}
	r = clientRun{methods: []AuthMethod{GSSKeyex()}}
	expectAuth(t, r.run(t, failure(MethodGSSKeyex)), "alice none", "disconnect 14")
	if r.err == nil || !strings.Contains(r.err.Error(), "not exchanged by the GSS-API") {
		t.Error(r.err)
	}
}

func TestGSSMechanismsAreChecked(t *testing.T) {
	for name, oid := range map[string][]byte{"SPNEGO": spnego, "short": {6, 2, 1}, "no DER": {5, 1, 1}, "long": append([]byte{6, 127}, make([]byte, 127)...)} {
		f := &fakeGSS{oid: oid}
		s := testServer(nil)
		s.Auth.GSSAPI = &GSSServer{Mechanisms: []GSSAcceptor{f}}
		if _, ok := errors.AsType[*ConfigError](s.prepare()); !ok {
			t.Errorf("%s: server: %v", name, s.prepare())
		}
		cfg := testClient()
		cfg.GSSKeyExchange = &GSSClient{Mechanisms: []GSSInitiator{f}}
		if _, ok := errors.AsType[*ConfigError](cfg.checkAuth()); !ok {
			t.Errorf("%s: client: %v", name, cfg.checkAuth())
		}
	}
}

// gssPair is a server and a client that know each other by the fake mechanism.
func gssPair() (*Server, *ClientConfig) {
	f := &fakeGSS{name: "u@R"}
	s := testServer(nil)
	asked := 0
	s.Auth = ServerAuth{MinFailureDelay: -1, GSSAPI: &GSSServer{Mechanisms: []GSSAcceptor{f}, KeyExchange: true, Allow: sameName(&asked)}}
	cfg := testClient()
	cfg.Auth = []AuthMethod{GSSKeyex()}
	cfg.GSSKeyExchange = &GSSClient{Mechanisms: []GSSInitiator{f}}
	return s, cfg
}

// Every gss- method exchanges keys and lets the client log in by the exchange,
// with a host key and without one, and again when keys are exchanged anew.
func TestGSSKeyExchange(t *testing.T) { // RFC 4462 section 2, RFC 8732
	s, _ := gssPair()
	o, err := (&Config{Profile: Legacy}).resolve(s.Auth.GSSAPI.keyExchange()...)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range o.kex {
		if !strings.HasPrefix(name, "gss-") {
			continue
		}
		n++
		for _, nullKey := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/null=%t", name, nullKey), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, cfg := gssPair()
					s.KeyExchanges, cfg.KeyExchanges = AlgList(name), AlgList(name)
					if nullKey {
						s.HostKeys = nil
					}
					cfg.HostKey = func(string, net.Addr, gossh.PublicKey) error { return errors.New("GSS-API vouches for the host") }
					p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
					i := p.Info()
					if i.Kex != name || (i.HostKey == nil) != nullKey || (i.HostKeyAlgorithm == "null") != nullKey {
						t.Errorf("%s with %s, key %v", i.Kex, i.HostKeyAlgorithm, i.HostKey)
					}
					if err := p.Rekey(t.Context()); err != nil {
						t.Error(err)
					}
					_ = p.close(t)
				})
			})
		}
	}
	if n != 12 {
		t.Errorf("%d methods", n)
	}
}

// A client that was shown the host key exchanges keys by it afterwards, since
// tickets run out; a server without a key goes on by GSS-API.
func TestGSSRekeyByTheHostKey(t *testing.T) { // RFC 4462 section 2.1
	for _, nullKey := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, cfg := gssPair()
			if nullKey {
				s.HostKeys = nil
			}
			cfg.HostKey = func(string, net.Addr, gossh.PublicKey) error { return errors.New("not asked") }
			p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
			first := p.Info()
			if err := p.Rekey(t.Context()); err != nil {
				t.Error(err)
			}
			i := p.Info()
			if i.KeyExchanges != 2 || strings.HasPrefix(i.Kex, "gss-") != nullKey || !strings.HasPrefix(first.Kex, "gss-curve25519-sha256-") {
				t.Errorf("%d exchanges, by %s and %s", i.KeyExchanges, first.Kex, i.Kex)
			}
			_ = p.close(t)
		})
	}
}

// What goes wrong in the mechanism ends the key exchange.
func TestGSSKeyExchangeFails(t *testing.T) {
	for name, change := range map[string]func(server, client *fakeGSS){
		"MIC of the server":             func(s, _ *fakeGSS) { s.wrongMIC = true },
		"no integrity on the server":    func(s, _ *fakeGSS) { s.noIntegrity = true },
		"no integrity on the client":    func(_, c *fakeGSS) { c.noIntegrity = true },
		"no mutual on the server":       func(s, _ *fakeGSS) { s.noMutual = true },
		"no mutual on the client":       func(_, c *fakeGSS) { c.noMutual = true },
		"server has none":               func(s, _ *fakeGSS) { s.refuse = errFake },
		"client has none":               func(_, c *fakeGSS) { c.refuse = errFake },
		"server fails":                  func(s, _ *fakeGSS) { s.fail = 1 },
		"server fails with a token":     func(s, _ *fakeGSS) { s.fail, s.errToken = 1, "why" },
		"client fails at once":          func(_, c *fakeGSS) { c.fail = 1 },
		"client fails at the end":       func(_, c *fakeGSS) { c.fail = 2 },
		"client fails with a token":     func(s, c *fakeGSS) { c.fail, c.errToken, c.rounds, s.rounds = 2, "why", 2, 2 },
		"silent server":                 func(s, _ *fakeGSS) { s.silent = true },
		"silent client":                 func(_, c *fakeGSS) { c.silent = true },
		"server wants more rounds":      func(s, _ *fakeGSS) { s.rounds = 2 },
		"client wants more rounds":      func(_, c *fakeGSS) { c.rounds = 2 },
		"no end":                        func(s, c *fakeGSS) { s.rounds, c.rounds = 100, 100 },
		"token that is too long":        func(_, c *fakeGSS) { c.name = strings.Repeat("x", transport.MaxGSSToken) },
		"error token that is too long":  func(s, _ *fakeGSS) { s.fail, s.errToken = 1, strings.Repeat("x", transport.MaxGSSToken+1) },
		"different name of the session": func(_, c *fakeGSS) { c.name = "u@R true " },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, cfg := gssPair()
				sf, cf := &fakeGSS{}, &fakeGSS{name: "u@R"}
				change(sf, cf)
				s.Auth.GSSAPI.Mechanisms = []GSSAcceptor{sf}
				cfg.GSSKeyExchange.Mechanisms = []GSSInitiator{cf}
				a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
				end := make(chan error, 1)
				go func() { end <- s.ServeConn(context.Background(), b) }()
				_, err := NewClient(t.Context(), a, "host:22", cfg)
				serverErr := <-end
				if name == "different name of the session" {
					// The exchange itself does not care; login does.
					if _, ok := errors.AsType[*AuthError](err); !ok {
						t.Errorf("client: %v", err)
					}
					return
				}
				if err == nil || serverErr == nil {
					t.Errorf("client: %v; server: %v", err, serverErr)
				}
				if _, ok := errors.AsType[*AuthError](err); ok {
					t.Errorf("got to authentication: %v", err)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// Without a provider the names of the methods are unknown, and with one they
// are offered to nobody else.
func TestGSSKeyExchangeIsOffByDefault(t *testing.T) {
	o, err := (&Config{Profile: Legacy}).resolve()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range o.kex {
		if strings.HasPrefix(n, "gss-") {
			t.Errorf("%s is offered", n)
		}
	}
	if _, err := (&Config{KeyExchanges: "+gss-group14-sha256-toWM5Slw5Ew8Mqkay+al2g=="}).resolve(); err == nil {
		t.Error("a method without its mechanism is accepted")
	}
	// A server that does not exchange keys by GSS-API, a client that would.
	synctest.Test(t, func(t *testing.T) {
		s, cfg := gssPair()
		s.Auth.GSSAPI.KeyExchange = false
		cfg.Auth = []AuthMethod{GSSKeyex(), GSSAPI(cfg.GSSKeyExchange)}
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		if i := p.Info(); strings.HasPrefix(i.Kex, "gss-") || i.HostKey == nil {
			t.Errorf("%s, key %v", i.Kex, i.HostKey)
		}
		if err := p.close(t); err != nil {
			t.Log(err)
		}
	})
}

// TestW36_GSSStepEndsWithTheConnection: closing a connection does not wait for a
// mechanism that waits for a server of its own.
func TestW36_GSSStepEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cfg := gssPair()
		s.HostKeys = nil // or later exchanges go by the host key
		stuck := new(atomic.Bool)
		cfg.GSSKeyExchange.Mechanisms[0].(*fakeGSS).stuck = stuck
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		stuck.Store(true)
		start := time.Now()
		go func() { _ = p.Rekey(context.Background()) }()
		synctest.Wait() // both sides wait for the mechanism
		_ = p.close(t)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
