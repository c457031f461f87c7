package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

var alicePassword = passwords(map[string]string{"alice": "secret", "bob": "hunter2"})

func TestAuthNone(t *testing.T) { // RFC 4252 section 5.2
	l := authRun{auth: ServerAuth{None: func(_ context.Context, a *AuthAttempt) Verdict {
		return Verdict{OK: a.User == "guest", Identity: 7}
	}}}
	expectAuth(t, l.run(t, reqNone("alice"), reqNone("guest")), "failure ", "success")
	if l.res.Identity != 7 || l.res.User != "guest" {
		t.Errorf("result %+v", l.res)
	}
}

func TestAuthPassword(t *testing.T) { // RFC 4252 section 8
	l := authRun{auth: ServerAuth{Password: alicePassword, PublicKey: keysOf()}}
	expectAuth(t, l.run(t, reqNone("alice"), reqPassword("alice", "wrong"), reqPassword("alice", "secret")),
		"failure publickey,password", "failure publickey,password", "success")
	if !reflect.DeepEqual(*l.res, authResult{User: "alice", Methods: []string{"password"}, Identity: "password of alice"}) {
		t.Errorf("result %+v", l.res)
	}
}

func TestAuthPasswordChange(t *testing.T) { // RFC 4252 section 8
	pw := "old"
	l := authRun{auth: ServerAuth{
		Password: func(_ context.Context, _ *AuthAttempt, p string) Verdict {
			v := Verdict{OK: CheckPassword(pw, p)}
			if v.OK && pw == "old" {
				v.Change = &ChangeRequest{Prompt: "expired"}
			}
			return v
		},
		PasswordChange: func(_ context.Context, _ *AuthAttempt, old, new string) Verdict {
			if !CheckPassword(pw, old) {
				return Verdict{}
			}
			if new == "short" {
				return Verdict{OK: true, Change: &ChangeRequest{Prompt: "too short"}}
			}
			pw = new
			return Verdict{OK: true}
		},
	}}
	expectAuth(t, l.run(t,
		reqPassword("alice", "old"),
		reqChange("alice", "wrong", "longer"),
		reqChange("alice", "old", ""),
		reqChange("alice", "old", "a\x00b"),
		reqChange("alice", "old", "short"),
		reqChange("alice", "old", "longer"),
	), "change expired", "failure password", "failure password", "failure password", "change too short", "success")

	pw = "old"
	l.auth.PasswordChange = nil
	expectAuth(t, l.run(t, reqPassword("alice", "old"), reqChange("alice", "old", "new")), "failure password", "failure password")
}

func TestAuthInteractive(t *testing.T) { // RFC 4256
	l := authRun{auth: ServerAuth{Interactive: code("123456")}}
	expectAuth(t, l.run(t, reqInteractive("alice"), infoAnswer("0"), reqInteractive("alice"), infoAnswer("123456")),
		"ask Code: ", "failure keyboard-interactive", "ask Code: ", "success")
}

func TestAuthBannerOnceBeforeTheFirstAnswer(t *testing.T) { // RFC 4252 section 5.4
	l := authRun{auth: ServerAuth{Password: alicePassword, Banner: func(context.Context, ConnMeta) string { return "hello\r\n" }}}
	expectAuth(t, l.run(t, reqNone("alice"), reqPassword("alice", "secret")), "banner hello\r\n", "failure password", "success")
}

func TestAuthZeroValueLetsNobodyIn(t *testing.T) {
	l := authRun{}
	expectAuth(t, l.run(t, reqNone("alice"), reqPassword("alice", "x"), reqInteractive("alice"), reqSigned(t, "alice", edKey("a"))),
		"failure ", "failure ", "failure ", "failure ")
}

func TestAuthServices(t *testing.T) { // RFC 4253 section 10, RFC 4252 section 5
	l := authRun{auth: ServerAuth{Password: alicePassword}}
	expectAuth(t, l.raw(t, msg.Append(nil, &msg.ServiceRequest{Service: "ssh-connection"})), "disconnect 7")
	expectAuth(t, l.run(t, authRequest("alice", "ssh-shell", "password", &msg.PasswordFields{Password: []byte("secret")})), "failure password")
}

func TestCVE_1_2_ClientOnlyMessages(t *testing.T) {
	for _, m := range []msg.Message{
		&msg.UserauthSuccess{}, &msg.UserauthFailure{}, &msg.UserauthPKOK{}, &msg.UserauthBanner{}, &msg.ServiceAccept{},
		&msg.InfoResponse{}, &msg.GlobalRequest{}, &msg.ChannelOpen{},
	} {
		l := authRun{auth: ServerAuth{Password: alicePassword}}
		expectAuth(t, l.run(t, reqNone("alice"), msg.Append(nil, m), reqPassword("alice", "secret")), "failure password", "violation")
	}
}

func TestCVE_1_5_RequestBeforeService(t *testing.T) {
	l := authRun{auth: ServerAuth{Password: alicePassword}}
	expectAuth(t, l.raw(t, reqPassword("alice", "secret")), "violation")
}

func TestCVE_2_1_IdentityOfTheSignedKey(t *testing.T) {
	victim, own := edKey("victim"), edKey("own")
	l := authRun{auth: ServerAuth{PublicKey: keysOf(victim, own), Password: alicePassword}}
	query := reqQuery("alice", "ssh-ed25519", victim.PublicKey().Marshal())
	expectAuth(t, l.run(t, query, reqSigned(t, "alice", own)), "pkok", "success")
	if want := "key " + gossh.FingerprintSHA256(own.PublicKey()); l.res.Identity != want {
		t.Errorf("identity %v, want %v", l.res.Identity, want)
	}
	expectAuth(t, l.run(t, query, reqPassword("alice", "secret")), "pkok", "success")
	if l.res.Identity != "password of alice" {
		t.Errorf("identity %v", l.res.Identity)
	}
	expectAuth(t, l.run(t, query, query, reqNone("alice")), "pkok", "pkok", "failure publickey,password")
}

func TestCVE_2_2_SignatureByAnotherKey(t *testing.T) {
	probed, other := edKey("probed"), edKey("other")
	final := 0
	inner := keysOf(probed)
	l := authRun{auth: ServerAuth{PublicKey: func(ctx context.Context, a *AuthAttempt, k gossh.PublicKey) Verdict {
		if a.Verified {
			final++
		}
		return inner(ctx, a, k)
	}}}
	blob := probed.PublicKey().Marshal()
	forged, err := sign(other, rowOf(other), signedData(testSession, "alice", serviceConnection, "ssh-ed25519", blob))
	if err != nil {
		t.Fatal(err)
	}
	expectAuth(t, l.run(t,
		reqQuery("alice", "ssh-ed25519", blob),
		reqSigned(t, "alice", other),                 // a key that was not accepted
		reqSig("alice", "ssh-ed25519", blob, forged), // the accepted key, the other's signature
	), "pkok", "failure publickey", "failure publickey")
	if final != 0 {
		t.Errorf("final handler called %d times", final)
	}
	expectAuth(t, l.run(t, reqSigned(t, "alice", probed)), "success")
	if final != 1 {
		t.Errorf("final handler called %d times", final)
	}
}

// Every part of the request is covered by the signature.
func TestCVE_2_2_SignatureOfAnotherRequest(t *testing.T) {
	key := edKey("k")
	blob := key.PublicKey().Marshal()
	for name, data := range map[string][]byte{
		"session":   signedData([]byte("another session"), "alice", serviceConnection, "ssh-ed25519", blob),
		"user":      signedData(testSession, "bob", serviceConnection, "ssh-ed25519", blob),
		"service":   signedData(testSession, "alice", "ssh-other", "ssh-ed25519", blob),
		"algorithm": signedData(testSession, "alice", serviceConnection, "rsa-sha2-512", blob),
		"key":       signedData(testSession, "alice", serviceConnection, "ssh-ed25519", edKey("x").PublicKey().Marshal()),
	} {
		sig, err := sign(key, rowOf(key), data)
		if err != nil {
			t.Fatal(err)
		}
		l := authRun{auth: ServerAuth{PublicKey: keysOf(key)}}
		if out := l.run(t, reqSig("alice", "ssh-ed25519", blob, sig)); out[0] != "failure publickey" {
			t.Errorf("%s: %q", name, out)
		}
	}
}

// requireBoth asks everybody for a password and a code.
func requireBoth(string) [][]string { return [][]string{{"password", "keyboard-interactive"}} }

func TestCVE_2_3_UserOrServiceChange(t *testing.T) {
	l := authRun{auth: ServerAuth{Password: alicePassword, Interactive: code("1"), Require: requireBoth}}
	expectAuth(t, l.run(t, reqPassword("alice", "secret"), reqInteractive("bob"), infoAnswer("1"), reqPassword("bob", "hunter2")),
		"partial keyboard-interactive", "ask Code: ", "partial password", "success")
	if l.res.User != "bob" || !slices.Equal(l.res.Methods, []string{"keyboard-interactive", "password"}) {
		t.Errorf("result %+v", l.res)
	}
	expectAuth(t, l.run(t, reqPassword("alice", "secret"), reqNone("bob"), reqInteractive("alice"), infoAnswer("1")),
		"partial keyboard-interactive", "failure password,keyboard-interactive", "ask Code: ", "partial password")
	expectAuth(t, l.run(t, reqPassword("alice", "secret"), authRequest("alice", "other", "none", nil), reqInteractive("alice"), infoAnswer("1")),
		"partial keyboard-interactive", "failure password,keyboard-interactive", "ask Code: ", "partial password")
}

func TestCVE_2_4_LimitsOfEveryFactor(t *testing.T) {
	net1, net2 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.0/28")
	until := time.Now().Add(time.Hour)
	l := authRun{auth: ServerAuth{
		Password: func(context.Context, *AuthAttempt, string) Verdict {
			return Verdict{OK: true, Identity: 1, Limits: Limits{ForceCommand: "backup", SourceAddress: []netip.Prefix{net1}, NoPTY: true}}
		},
		Interactive: func(context.Context, *AuthAttempt, Asker) Verdict {
			return Verdict{OK: true, Identity: 2, Limits: Limits{SourceAddress: []netip.Prefix{net2}, ValidBefore: until, NoX11Forwarding: true}}
		},
		Require: requireBoth,
	}}
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqInteractive("alice")), "partial keyboard-interactive", "success")
	want := Limits{ForceCommand: "backup", SourceAddress: []netip.Prefix{net2}, ValidBefore: until, NoPTY: true, NoX11Forwarding: true}
	if l.res.Identity != 2 || !reflect.DeepEqual(l.res.Limits, want) {
		t.Errorf("result %+v", l.res)
	}
	// Limits that cannot hold together keep out, whichever comes last.
	l.auth.Interactive = func(context.Context, *AuthAttempt, Asker) Verdict {
		return Verdict{OK: true, Limits: Limits{ForceCommand: "shell"}}
	}
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqInteractive("alice")), "partial keyboard-interactive", "failure keyboard-interactive")
	l.auth.Interactive = func(context.Context, *AuthAttempt, Asker) Verdict {
		return Verdict{OK: true, Limits: Limits{SourceAddress: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}
	}
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqInteractive("alice")), "partial keyboard-interactive", "failure keyboard-interactive")
}

func TestCVE_2_5_SourceAddressForEveryMethod(t *testing.T) {
	key, ca := edKey("k"), edKey("ca")
	cert := func(sources string) gossh.Signer {
		return certify(t, key, ca, func(c *gossh.Certificate) { c.CriticalOptions["source-address"] = sources })
	}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	here := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	for _, tt := range []struct {
		name    string
		sources []netip.Prefix
		cert    string
		remote  net.Addr
		ok      bool
	}{
		{"elsewhere", elsewhere, "10.0.0.0/8,2001:db8::/32", tcp("192.0.2.7:1"), false},
		{"empty", []netip.Prefix{}, "", tcp("192.0.2.7:1"), false},
		{"not IP", here, "192.0.2.0/24", &net.UnixAddr{Name: "/sock", Net: "unix"}, false},
		{"pipe", here, "192.0.2.0/24", pipeAddr{}, false},
		{"here", here, "10.0.0.0/8,192.0.2.0/24", tcp("192.0.2.7:1"), true},
		{"single address", here, "192.0.2.7", tcp("192.0.2.7:1"), true},
		{"mapped", here, "192.0.2.0/24", &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.7")}, true},
		{"zone", elsewhere, "2001:db8::/32", tcp("[2001:db8::1%eth0]:1"), true},
	} {
		v := Verdict{OK: true, Limits: Limits{SourceAddress: tt.sources}}
		for name, in := range map[string][]byte{
			"none": reqNone("alice"), "password": reqPassword("alice", "x"), "interactive": reqInteractive("alice"),
			"key": reqSigned(t, "alice", key), "certificate": reqSigned(t, "alice", cert(tt.cert)),
		} {
			l := authRun{remote: tt.remote, auth: ServerAuth{
				None:        func(context.Context, *AuthAttempt) Verdict { return v },
				Password:    func(context.Context, *AuthAttempt, string) Verdict { return v },
				Interactive: func(context.Context, *AuthAttempt, Asker) Verdict { return v },
				PublicKey:   func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return v },
				UserCAs:     &UserCAs{Authority: func(gossh.PublicKey) bool { return true }},
			}}
			if out := l.run(t, in); (out[0] == "success") != tt.ok {
				t.Errorf("%s, %s: %q", tt.name, name, out)
			}
		}
	}
}

// pipeAddr is what in-memory connections have.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func TestCVE_2_5_ValidBeforeForEveryMethod(t *testing.T) {
	for _, in := range [][]byte{reqNone("alice"), reqPassword("alice", "x"), reqInteractive("alice"), reqSigned(t, "alice", edKey("k"))} {
		v := Verdict{OK: true, Limits: Limits{ValidBefore: time.Now().Add(-time.Second)}}
		l := authRun{auth: ServerAuth{
			None:        func(context.Context, *AuthAttempt) Verdict { return v },
			Password:    func(context.Context, *AuthAttempt, string) Verdict { return v },
			Interactive: func(context.Context, *AuthAttempt, Asker) Verdict { return v },
			PublicKey:   func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return v },
		}}
		if out := l.run(t, in); !strings.HasPrefix(out[0], "failure") {
			t.Errorf("%q", out)
		}
	}
}

func TestCVE_2_6_SecondFactorCannotBeAvoided(t *testing.T) {
	key := edKey("k")
	heard := map[string]int{}
	l := authRun{auth: ServerAuth{
		None:      func(context.Context, *AuthAttempt) Verdict { heard["none"]++; return Verdict{OK: true} },
		PublicKey: func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { heard["key"]++; return Verdict{OK: true} },
		Password:  alicePassword, Interactive: code("123456"), Require: requireBoth, MaxTries: 100,
	}}
	expectAuth(t, l.run(t,
		reqPassword("alice", "secret"),
		reqInteractive("alice"), infoAnswer("1"),
		reqInteractive("alice"), infoAnswer("2"),
		reqPassword("alice", "secret"), // done already, leads nowhere
		reqSigned(t, "alice", key),
		reqQuery("alice", "ssh-ed25519", key.PublicKey().Marshal()),
		reqNone("alice"),
		reqInteractive("alice"), infoAnswer(), // as many answers as it takes none
	),
		"partial keyboard-interactive",
		"ask Code: ", "failure keyboard-interactive",
		"ask Code: ", "failure keyboard-interactive",
		"failure keyboard-interactive",
		"failure keyboard-interactive", "failure keyboard-interactive", "failure keyboard-interactive",
		"ask Code: ", "failure keyboard-interactive")
	if len(heard) != 0 {
		t.Errorf("handlers outside of the sets were asked: %v", heard)
	}
}

func TestW30_RequiredSets(t *testing.T) {
	k1, k2 := edKey("1"), edKey("2")
	auth := ServerAuth{
		PublicKey: keysOf(k1, k2), Password: alicePassword, Interactive: code("1"),
		Require: func(user string) [][]string {
			switch user {
			case "alice":
				return [][]string{{"publickey", "password"}, {"publickey", "keyboard-interactive"}}
			case "twokeys":
				return [][]string{{"publickey", "publickey"}}
			case "broken":
				return [][]string{{}, {"hostbased"}, {"password", "gssapi-with-mic"}}
			}
			return nil
		},
	}
	for _, tt := range []struct {
		name string
		in   [][]byte
		want []string
	}{
		{
			"first set",
			[][]byte{reqNone("alice"), reqPassword("alice", "secret"), reqSigned(t, "alice", k1)},
			[]string{"failure publickey,password,keyboard-interactive", "partial publickey", "success"},
		},
		{
			"second set",
			[][]byte{reqSigned(t, "alice", k1), reqInteractive("alice"), infoAnswer("1")},
			[]string{"partial password,keyboard-interactive", "ask Code: ", "success"},
		},
		{
			"sets do not mix",
			[][]byte{reqPassword("alice", "secret"), reqInteractive("alice")},
			[]string{"partial publickey", "failure publickey"},
		},
		{
			"one key twice",
			[][]byte{reqSigned(t, "twokeys", k1), reqSigned(t, "twokeys", k1), reqSigned(t, "twokeys", k2)},
			[]string{"partial publickey", "failure publickey", "success"},
		},
		{"sets that cannot be completed", [][]byte{reqNone("broken"), reqPassword("broken", "x")}, []string{"failure ", "failure "}},
		{"no set", [][]byte{reqPassword("bob", "hunter2")}, []string{"failure "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := authRun{auth: auth}
			expectAuth(t, l.run(t, tt.in...), tt.want...)
		})
	}
}

func TestCVE_2_7_AnswersBoundToTheirRequest(t *testing.T) {
	// A new request in the middle of a conversation ends it without an answer,
	// and whatever its handler then says is lost with it.
	var asked []error
	l := authRun{auth: ServerAuth{
		Password: alicePassword,
		Interactive: func(ctx context.Context, _ *AuthAttempt, ask Asker) Verdict {
			for range 3 {
				_, err := ask(ctx, &Challenge{Prompts: []Prompt{{Text: "?"}}})
				asked = append(asked, err)
			}
			return Verdict{OK: true}
		},
	}}
	expectAuth(t, l.run(t, reqInteractive("alice"), infoAnswer("x"), reqPassword("alice", "wrong"), reqNone("alice")),
		"ask ?", "ask ?", "failure password,keyboard-interactive", "failure password,keyboard-interactive")
	if len(asked) != 3 || asked[0] != nil || !errors.Is(asked[1], errAborted) || !errors.Is(asked[2], errAborted) {
		t.Errorf("questions: %v", asked)
	}

	// The same with a request that would succeed: it, and only it, counts.
	expectAuth(t, l.run(t, reqInteractive("alice"), reqPassword("bob", "hunter2")), "ask ?", "success")
	if l.res.User != "bob" || l.res.Identity != "password of bob" {
		t.Errorf("result %+v", l.res)
	}
}

func TestCVE_2_7_LateVerdict(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("time is over")
	for name, in := range map[string][]byte{
		"none": reqNone("alice"), "password": reqPassword("alice", "x"), "interactive": reqInteractive("alice"), "key": reqSigned(t, "alice", edKey("k")),
	} {
		late := func() Verdict { cancel(over); return Verdict{OK: true} }
		l := authRun{ctx: ctx, auth: ServerAuth{
			None:        func(context.Context, *AuthAttempt) Verdict { return late() },
			Password:    func(context.Context, *AuthAttempt, string) Verdict { return late() },
			Interactive: func(context.Context, *AuthAttempt, Asker) Verdict { return late() },
			PublicKey:   func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return late() },
		}}
		expectAuth(t, l.run(t, in))
		if !errors.Is(l.err, over) {
			t.Errorf("%s: %v", name, l.err)
		}
		ctx, cancel = context.WithCancelCause(t.Context())
	}
	cancel(nil)
}

// The connection that ends under the handler gives no success either.
func TestCVE_2_7_ConnectionGone(t *testing.T) {
	l := authRun{}
	gone := errors.New("gone")
	l.auth.Password = func(context.Context, *AuthAttempt, string) Verdict {
		l.conn.end(gone, "")
		return Verdict{OK: true}
	}
	expectAuth(t, l.run(t, reqPassword("alice", "x")))
	if !errors.Is(l.err, gone) {
		t.Errorf("error %v", l.err)
	}
}

func TestCVE_2_7_AskerOutsideItsAttempt(t *testing.T) {
	var kept Asker
	l := authRun{auth: ServerAuth{
		Interactive: func(_ context.Context, _ *AuthAttempt, ask Asker) Verdict { kept = ask; return Verdict{} },
		Password: func(ctx context.Context, _ *AuthAttempt, _ string) Verdict {
			_, err := kept(ctx, &Challenge{Prompts: []Prompt{{Text: "?"}}})
			return Verdict{OK: err == nil}
		},
	}}
	expectAuth(t, l.run(t, reqInteractive("alice"), reqPassword("alice", "x"), infoAnswer("x")),
		"failure password,keyboard-interactive", "failure password,keyboard-interactive", "violation")
}

func TestCVE_2_7_HandlerLeavesWhileAsking(t *testing.T) {
	reading := make(chan struct{})
	var wg sync.WaitGroup
	l := authRun{}
	l.before = func(n int) {
		if n == 2 { // the answer
			close(reading)
			<-l.conn.gone
		}
	}
	l.auth.Interactive = func(ctx context.Context, _ *AuthAttempt, ask Asker) Verdict {
		wg.Go(func() {
			if _, err := ask(ctx, &Challenge{Prompts: []Prompt{{Text: "?"}}}); err == nil {
				t.Error("a question without an attempt was answered")
			}
		})
		<-reading
		return Verdict{OK: true}
	}
	expectAuth(t, l.run(t, reqInteractive("alice")), "ask ?", "disconnect 11")
	if l.err == nil {
		t.Error("no error")
	}
	wg.Wait()
}

func TestCVE_2_8_PathsAsKeys(t *testing.T) {
	l := authRun{auth: ServerAuth{MaxTries: 100, PublicKey: func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict {
		t.Error("handler called")
		return Verdict{OK: true}
	}}}
	blobs := []string{"/etc/passwd", `\\host\share`, "", "\x00", strings.Repeat("A", 250<<10)}
	for _, b := range blobs {
		expectAuth(t, l.run(t, reqQuery("alice", "ssh-ed25519", []byte(b)), reqSig("alice", "ssh-ed25519", []byte(b), []byte(b))),
			"failure publickey", "failure publickey")
	}
}

func TestCVE_2_9_EmptyAndNUL(t *testing.T) {
	var log bytes.Buffer
	yes := Verdict{OK: true}
	l := authRun{
		log: slog.New(slog.NewJSONHandler(&log, nil)),
		auth: ServerAuth{
			MaxTries: 100,
			None:     func(context.Context, *AuthAttempt) Verdict { t.Error("none called"); return yes },
			Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
				t.Errorf("password called for %q with %q", a.User, pw)
				return yes
			},
			PublicKey:   func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { t.Error("key called"); return yes },
			Interactive: func(context.Context, *AuthAttempt, Asker) Verdict { t.Error("interactive called"); return yes },
		},
	}
	var in [][]byte
	for _, user := range []string{"", "a\x00", "\xff\xfe", "a\nb", "a\x1bb", strings.Repeat("u", MaxUserName+1)} {
		in = append(in, reqNone(user), reqPassword(user, "x"), reqInteractive(user), reqSigned(t, user, edKey("k")))
	}
	in = append(in, reqPassword("alice", ""), reqPassword("", ""), reqPassword("alice", "a\x00b"))
	for _, a := range l.run(t, in...) {
		if a != "failure publickey,password,keyboard-interactive" {
			t.Errorf("answer %q", a)
		}
	}
	for _, why := range []string{"empty user name", "control character in user name", "user name is not UTF-8", "user name too long", "empty password", "NUL in password"} {
		if !strings.Contains(log.String(), why) {
			t.Errorf("the log does not say %q", why)
		}
	}
	if CheckPassword("", "") || CheckPassword("", "x") || CheckPassword("x", "") || !CheckPassword("x", "x") {
		t.Error("CheckPassword")
	}
}

func TestCVE_2_11_FailedAskIsFailure(t *testing.T) {
	// The handler ignores every error and says yes.
	for name, in := range map[string][]byte{
		"count": infoAnswer("a", "b"), "none": infoAnswer(), "long": infoAnswer(strings.Repeat("x", MaxSecret+1)), "NUL": infoAnswer("\x00"), "malformed": {61, 0, 0, 0, 1, 0},
	} {
		l := authRun{auth: ServerAuth{Interactive: func(ctx context.Context, _ *AuthAttempt, ask Asker) Verdict {
			_, _ = ask(ctx, &Challenge{Prompts: []Prompt{{Text: "?"}}})
			return Verdict{OK: true}
		}}}
		if out := l.run(t, reqInteractive("alice"), in); !slices.Equal(out, []string{"ask ?", "failure keyboard-interactive"}) {
			t.Errorf("%s: %q", name, out)
		}
	}
	// Our own mistakes lose the attempt, too.
	for _, c := range []*Challenge{{Prompts: make([]Prompt, 33)}, {Prompts: []Prompt{{}}}} {
		l := authRun{auth: ServerAuth{Interactive: func(ctx context.Context, _ *AuthAttempt, ask Asker) Verdict {
			_, _ = ask(ctx, c)
			return Verdict{OK: true}
		}}}
		expectAuth(t, l.run(t, reqInteractive("alice")), "failure keyboard-interactive")
	}
}

func TestCVE_2_12_UnknownMethods(t *testing.T) {
	l := authRun{auth: ServerAuth{Password: alicePassword}}
	in := [][]byte{reqNone("alice")}
	for _, m := range []string{"hostbased", "gssapi-with-mic", "publickey", "keyboard-interactive", "", strings.Repeat("m", 30000)} {
		in = append(in, authRequest("alice", serviceConnection, m, nil))
	}
	f := "failure password"
	expectAuth(t, l.run(t, in...), f, f, f, f, f, f, "disconnect 14")
}

func TestCVE_2_13_NoneNeedsItsHandler(t *testing.T) {
	l := authRun{auth: ServerAuth{Password: func(context.Context, *AuthAttempt, string) Verdict { return Verdict{OK: true} }}}
	expectAuth(t, l.run(t, reqNone("alice"), reqNone("alice")), "failure password", "failure password")
}

func TestCVE_2_14_AttemptsAreCounted(t *testing.T) {
	good, bad := edKey("good"), edKey("bad")
	loop := func(m ...[]byte) (in [][]byte) {
		for range 1000 {
			in = append(in, m...)
		}
		return in
	}
	for _, tt := range []struct {
		name string
		in   [][]byte
		most int // answers before the end
	}{
		{"none", loop(reqNone("alice")), 7}, // the first is free
		{"password", loop(reqPassword("alice", "x")), 6},
		{"unknown", loop(authRequest("alice", serviceConnection, "x", nil)), 6},
		{"key refused", loop(reqQuery("alice", "ssh-ed25519", bad.PublicKey().Marshal())), 6},
		{"changing users", loop(reqPassword("alice", "x"), reqPassword("bob", "x")), 6},
		{"interactive", loop(reqInteractive("alice"), infoAnswer("x")), 12},
		{"interactive abandoned", loop(reqInteractive("alice")), 7},
		{"key query", loop(reqQuery("alice", "ssh-ed25519", good.PublicKey().Marshal())), 128},
		{"partial", loop(reqPassword("carol", "carol"), reqNone("dave")), 128},
		{"change", loop(reqPassword("expired", "x")), 128},
		{"service", loop(msg.Append(nil, &msg.ServiceRequest{Service: "ssh-userauth"})), 128},
		{"alternating good and bad", loop(reqQuery("alice", "ssh-ed25519", good.PublicKey().Marshal()), reqPassword("alice", "x")), 12},
	} {
		l := authRun{auth: ServerAuth{
			PublicKey: keysOf(good), Interactive: code("1"),
			Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
				if a.User == "expired" {
					return Verdict{Change: &ChangeRequest{Prompt: "now"}}
				}
				return Verdict{OK: a.User == pw}
			},
			PasswordChange: func(context.Context, *AuthAttempt, string, string) Verdict { return Verdict{} },
			Require: func(user string) [][]string {
				if user == "carol" {
					return [][]string{{"password", "publickey"}}
				}
				return [][]string{{"password"}, {"publickey"}, {"keyboard-interactive"}}
			},
		}}
		out := l.run(t, tt.in...)
		if out[len(out)-1] != "disconnect 14" || len(out) > tt.most {
			t.Errorf("%s: %d answers, the last %q", tt.name, len(out), out[len(out)-1])
		}
		if _, ok := errors.AsType[*AuthError](l.err); !ok {
			t.Errorf("%s: error %v", tt.name, l.err)
		}
	}
}

func TestCVE_2_15_LongPasswords(t *testing.T) {
	calls := 0
	l := authRun{auth: ServerAuth{
		Password:       func(context.Context, *AuthAttempt, string) Verdict { calls++; return Verdict{} },
		PasswordChange: func(context.Context, *AuthAttempt, string, string) Verdict { calls++; return Verdict{} },
	}}
	f := "failure password"
	long := strings.Repeat("x", MaxSecret+1)
	expectAuth(t, l.run(t, reqPassword("alice", long), reqPassword("alice", strings.Repeat("x", 255<<10)), reqChange("alice", long, "x"), reqChange("alice", "x", long)), f, f, f, f)
	if calls != 0 {
		t.Errorf("handler called %d times", calls)
	}
	expectAuth(t, l.run(t, reqPassword("alice", long[1:])), f)
	if calls != 1 {
		t.Errorf("handler called %d times", calls)
	}
}

// 200 logins at once, of different users, some failing before they succeed:
// each gets its own identity and limits, and no other's.
func TestCVE_2_27_ParallelLogins(t *testing.T) {
	auth := ServerAuth{
		Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
			return Verdict{OK: pw == "pw of "+a.User, Identity: a.User, Limits: Limits{ForceCommand: a.User}}
		},
		MinFailureDelay: -1,
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			user := fmt.Sprint("user", i)
			l := authRun{auth: auth}
			out := l.run(t, reqPassword(user, "pw of user0"), reqPassword("victim", "x"), reqPassword(user, "pw of "+user))
			if i == 0 {
				if out[0] != "success" {
					t.Errorf("%q", out)
				}
				return
			}
			if l.res == nil || l.res.User != user || l.res.Identity != user || l.res.Limits.ForceCommand != user {
				t.Errorf("%s: %+v", user, l.res)
			}
		})
	}
	wg.Wait()
}

func TestCVE_4_5_AnswerCounts(t *testing.T) {
	for _, p := range [][]byte{{61, 0xFF, 0xFF, 0xFF, 0xFF}, {61, 0, 0, 0, 0}, infoAnswer("a", "b"), infoAnswer("a"), {61, 0, 0, 0, 33}, {61}} {
		l := authRun{auth: ServerAuth{Interactive: code("a")}}
		want := "failure keyboard-interactive"
		if bytes.Equal(p, infoAnswer("a")) {
			want = "success"
		}
		expectAuth(t, l.run(t, reqInteractive("alice"), p), "ask Code: ", want)
	}
}

func TestCVE_6_10_TrailingOctets(t *testing.T) {
	key := edKey("k")
	for name, p := range map[string][]byte{
		"none": reqNone("alice"), "password": reqPassword("alice", "secret"), "change": reqChange("alice", "secret", "x"),
		"interactive": reqInteractive("alice"), "query": reqQuery("alice", "ssh-ed25519", key.PublicKey().Marshal()), "signed": reqSigned(t, "alice", key),
	} {
		yes := Verdict{OK: true}
		l := authRun{auth: ServerAuth{
			None: func(context.Context, *AuthAttempt) Verdict { return yes }, Password: alicePassword, PublicKey: keysOf(key),
			PasswordChange: func(context.Context, *AuthAttempt, string, string) Verdict { return yes },
			Interactive:    func(context.Context, *AuthAttempt, Asker) Verdict { return yes },
		}}
		if out := l.run(t, append(p, 0)); !strings.HasPrefix(out[0], "failure") {
			t.Errorf("%s with a trailing octet: %q", name, out)
		}
		for n := range p {
			out := l.run(t, p[:n])
			if n == 0 || !strings.HasPrefix(out[0], "failure") {
				if out[0] != "violation" {
					t.Errorf("%s cut to %d: %q", name, n, out)
				}
			}
		}
	}
}

// What is malformed is answered alike for those who exist and those who do not.
func TestCVE_7_1_MalformedRequests(t *testing.T) {
	key := edKey("k")
	bad := [][]byte{{}, {0}, {1}, {0, 0, 0, 0, 0xFF}, bytes.Repeat([]byte{0xFF}, 40)}
	for _, method := range []string{"none", "password", "publickey", "hostbased", "keyboard-interactive", "gssapi-with-mic"} {
		for _, fields := range bad {
			if method == "none" && len(fields) == 0 {
				continue
			}
			var outs [2][]string
			for i, user := range []string{"alice", "nobody"} {
				l := authRun{auth: ServerAuth{Password: alicePassword, PublicKey: keysOf(key), Interactive: code("1")}}
				outs[i] = l.run(t, msg.Append(nil, &msg.UserauthRequest{User: user, Service: serviceConnection, Method: method, Fields: fields}), reqNone(user))
			}
			if !slices.Equal(outs[0], outs[1]) || !strings.HasPrefix(outs[0][0], "failure") {
				t.Errorf("%s %x: %q and %q", method, fields, outs[0], outs[1])
			}
		}
	}
}

// Every refusal takes the same time, by every method, whatever its handler did.
func TestCVE_7_2_FailuresTakeTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := edKey("k")
		slow := func(a *AuthAttempt) Verdict {
			if a.User == "alice" {
				time.Sleep(70 * time.Millisecond) // as hashing does
			}
			return Verdict{}
		}
		auth := ServerAuth{
			None:           func(_ context.Context, a *AuthAttempt) Verdict { return slow(a) },
			Password:       func(_ context.Context, a *AuthAttempt, _ string) Verdict { return slow(a) },
			PasswordChange: func(_ context.Context, a *AuthAttempt, _, _ string) Verdict { return slow(a) },
			PublicKey:      func(_ context.Context, a *AuthAttempt, _ gossh.PublicKey) Verdict { return slow(a) },
			Interactive: func(ctx context.Context, a *AuthAttempt, ask Asker) Verdict {
				_, _ = ask(ctx, &Challenge{Prompts: []Prompt{{Text: "?"}}})
				return slow(a)
			},
			MinFailureDelay: 100 * time.Millisecond,
		}
		for _, user := range []string{"alice", "nobody", "", "a\x00"} {
			for name, in := range map[string][][]byte{
				"none": {reqNone(user)}, "password": {reqPassword(user, "x")}, "empty": {reqPassword(user, "")}, "long": {reqPassword(user, strings.Repeat("x", 9999))},
				"change": {reqChange(user, "x", "y")}, "query": {reqQuery(user, "ssh-ed25519", key.PublicKey().Marshal())},
				"signed": {reqSigned(t, user, key)}, "garbage": {reqQuery(user, "ssh-ed25519", nil)}, "unknown": {authRequest(user, serviceConnection, "x", nil)},
				"interactive": {reqInteractive(user), infoAnswer("x")}, "interactive, wrong count": {reqInteractive(user), infoAnswer()},
				"service": {authRequest(user, "other", "password", nil)},
			} {
				l := authRun{auth: auth}
				start := time.Now()
				l.run(t, in...)
				if d := time.Since(start); d != 100*time.Millisecond {
					t.Errorf("%s for %q took %v", name, user, d)
				}
			}
		}
		// A handler slower than the minimum shows as little as possible.
		l := authRun{auth: ServerAuth{MinFailureDelay: 100 * time.Millisecond, Password: func(_ context.Context, a *AuthAttempt, _ string) Verdict {
			time.Sleep(time.Duration(len(a.User)) * 10 * time.Millisecond)
			return Verdict{}
		}}}
		for _, n := range []int{11, 20, 21, 39} {
			start := time.Now()
			l.run(t, reqPassword(strings.Repeat("u", n), "x"))
			want := 200 * time.Millisecond
			if n > 20 {
				want = 400 * time.Millisecond
			}
			if d := time.Since(start); d != want {
				t.Errorf("%d0 ms of work: %v, want %v", n, d, want)
			}
		}
	})
}

// How long a user thinks says nothing about the answer, and costs nothing.
func TestCVE_7_2_TimeOfTheUserDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := authRun{auth: ServerAuth{Interactive: code("1"), MinFailureDelay: 100 * time.Millisecond}, before: func(n int) {
			if n == 2 {
				time.Sleep(33 * time.Second)
			}
		}}
		start := time.Now()
		expectAuth(t, l.run(t, reqInteractive("alice"), infoAnswer("x")), "ask Code: ", "failure keyboard-interactive")
		if d := time.Since(start); d != 33*time.Second+100*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

// The first look at what is possible costs no time, and the end of the
// connection ends the wait.
func TestCVE_7_2_DelayHurtsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := authRun{auth: ServerAuth{Password: alicePassword, MinFailureDelay: time.Hour}}
		start := time.Now()
		l.run(t, reqNone("alice"), reqPassword("alice", "secret"))
		if d := time.Since(start); d != 0 {
			t.Errorf("a login without failure took %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l = authRun{ctx: ctx, auth: l.auth}
		l.run(t, reqPassword("alice", "x"))
		if d := time.Since(start); d != time.Second || !errors.Is(l.err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", d, l.err)
		}
	})
}

// An unanswered question holds nothing up: the handler's context ends the
// connection.
func TestCVE_4_2_UnansweredQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := authRun{}
		l.before = func(n int) {
			if n == 2 {
				<-l.conn.gone
			}
		}
		l.auth.Interactive = func(ctx context.Context, _ *AuthAttempt, ask Asker) Verdict {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, err := ask(ctx, &Challenge{Prompts: []Prompt{{Text: "?"}}})
			return Verdict{OK: err != nil}
		}
		start := time.Now()
		expectAuth(t, l.run(t, reqInteractive("alice")), "ask ?", "disconnect 14")
		if d := time.Since(start); d != time.Minute {
			t.Errorf("after %v", d)
		}
	})
}

func TestCVE_7_8_OneAnswerForAllCauses(t *testing.T) {
	key, ca := edKey("k"), edKey("ca")
	v := Verdict{Reason: errors.New("account locked")}
	l := authRun{auth: ServerAuth{
		MaxTries:    1000,
		Password:    func(context.Context, *AuthAttempt, string) Verdict { return v },
		PublicKey:   func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return v },
		Interactive: func(context.Context, *AuthAttempt, Asker) Verdict { return v },
		UserCAs:     &UserCAs{Authority: func(gossh.PublicKey) bool { return true }},
	}}
	expired := certify(t, key, ca, func(c *gossh.Certificate) { c.ValidBefore = 1 })
	for _, out := range l.run(t,
		reqPassword("alice", "x"), reqPassword("alice", ""), reqPassword("alice", strings.Repeat("x", 2000)), reqInteractive("alice"),
		reqSigned(t, "alice", key), reqSigned(t, "alice", expired), reqQuery("alice", "ssh-rsa", nil), reqQuery("alice", "ssh-ed25519", nil),
		authRequest("", "x", "y", nil), reqNone("alice"), authRequest("alice", serviceConnection, "hostbased", nil), reqPassword("\x00", "\x00"),
	) {
		if out != "failure publickey,password,keyboard-interactive" {
			t.Errorf("answer %q", out)
		}
	}
}

func TestCVE_9_1_LogsAreQuoted(t *testing.T) {
	evil := "x\x1b[2J\r\n\u202eevil\u2066\x00%s%n"
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var log bytes.Buffer
		l := authRun{
			log: slog.New(handler(&log)),
			auth: ServerAuth{MaxTries: 4, Password: func(_ context.Context, a *AuthAttempt, _ string) Verdict {
				return Verdict{Reason: errors.New("no such user " + a.User)}
			}},
		}
		l.run(t, authRequest(evil, evil, evil, nil), reqPassword("\u202eevil", "pw"), reqQuery(evil, evil, []byte(evil)), reqPassword("last", "pw"))
		for _, r := range log.String() {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Errorf("log has %q:\n%s", r, &log)
				break
			}
		}
		if n := strings.Count(log.String(), "\n"); n != 4 {
			t.Errorf("%d lines for 4 attempts:\n%s", n, &log)
		}
	}
	text := (&AuthError{User: evil, Tried: []string{evil}, Remaining: []string{evil}}).Error()
	if strings.ContainsAny(text, "\x1b\r\n\x00\u202e\u2066") {
		t.Errorf("error text %q", text)
	}
}

func TestCVE_9_6_NoSecretsInLogsOrBuffers(t *testing.T) {
	var log bytes.Buffer
	l := authRun{
		log:  slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 8})),
		auth: ServerAuth{Password: alicePassword, Interactive: code("S3cret-code"), Require: requireBoth},
	}
	l.auth.PasswordChange = func(context.Context, *AuthAttempt, string, string) Verdict { return Verdict{} }
	var left [][]byte
	l.before = func(int) { left = append(left, bytes.Clone(l.conn.buf)) }
	l.run(t, reqPassword("alice", "S3cret-wrong"), reqChange("alice", "S3cret-old", "S3cret-new"), reqPassword("alice", "secret"),
		reqInteractive("alice"), infoAnswer("S3cret-typo"), reqInteractive("alice"), infoAnswer("S3cret-code"))
	if l.res == nil {
		t.Fatal("no success")
	}
	if strings.Contains(log.String(), "S3cret") || strings.Contains(log.String(), "=secret") {
		t.Errorf("secret in log:\n%s", &log)
	}
	left = append(left, l.conn.buf)
	for _, b := range left {
		if bytes.Contains(b, []byte("S3cret")) {
			t.Errorf("secret left in a packet's buffer: %q", b)
		}
	}
}

func TestServerMethodsTable(t *testing.T) {
	for _, m := range serverMethods {
		if m.configured(&ServerAuth{}) {
			t.Errorf("%s is configured in the zero value", m.name)
		}
	}
	all := ServerAuth{
		None:        func(context.Context, *AuthAttempt) Verdict { return Verdict{} },
		Password:    func(context.Context, *AuthAttempt, string) Verdict { return Verdict{} },
		PublicKey:   func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return Verdict{} },
		Interactive: func(context.Context, *AuthAttempt, Asker) Verdict { return Verdict{} },
		HostBased:   func(context.Context, *AuthAttempt, *HostBasedClaim) Verdict { return Verdict{} },
		GSSAPI: &GSSServer{
			Mechanisms: []GSSAcceptor{&fakeGSS{}},
			Allow:      func(context.Context, *AuthAttempt, GSSPeer) Verdict { return Verdict{} },
		},
	}
	l := authRun{auth: all}
	expectAuth(t, l.run(t, reqNone("alice")), "failure publickey,password,keyboard-interactive,hostbased,gssapi-with-mic")
	for _, m := range serverMethods {
		if !m.configured(&all) {
			t.Errorf("%s is not configured", m.name)
		}
	}
}

// MinProbeDelay is for the first "none" alone.
func TestMinProbeDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := authRun{auth: ServerAuth{
			Password: alicePassword, MinFailureDelay: 100 * time.Millisecond, MinProbeDelay: 4 * time.Millisecond,
			None: func(_ context.Context, a *AuthAttempt) Verdict {
				if a.User == "slow" {
					time.Sleep(5 * time.Millisecond)
				}
				return Verdict{}
			},
		}}
		for _, c := range []struct {
			user string
			want time.Duration
		}{{"alice", 4 * time.Millisecond}, {"slow", 8 * time.Millisecond}} {
			start := time.Now()
			expectAuth(t, l.run(t, reqNone(c.user)), "failure password")
			if d := time.Since(start); d != c.want {
				t.Errorf("%s: %v, want %v", c.user, d, c.want)
			}
		}
		start := time.Now()
		expectAuth(t, l.run(t, reqPassword("alice", "wrong")), "failure password")
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("a wrong password: %v", d)
		}
	})
}

// The first "none" is free, but what Require takes to look a user up does not
// show in its answer either.
func TestCVE_7_2_ProbeWithRequire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for user, work := range map[string]time.Duration{"alice": 30 * time.Millisecond, "nobody": 0} {
			l := authRun{auth: ServerAuth{
				Password: alicePassword, MinFailureDelay: 100 * time.Millisecond,
				Require: func(string) [][]string { time.Sleep(work); return [][]string{{"password"}} },
			}}
			start := time.Now()
			expectAuth(t, l.run(t, reqNone(user)), "failure password")
			if d := time.Since(start); d != 100*time.Millisecond {
				t.Errorf("%s: %v", user, d)
			}
		}
	})
}
