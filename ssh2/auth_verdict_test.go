package ssh2

import (
	"context"
	"errors"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// stepwise has handlers that say by themselves what is enough: a password and
// then a code.
func stepwise() ServerAuth {
	return ServerAuth{
		PublicKey: anyKey,
		Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
			if pw != "secret" {
				return Verdict{}
			}
			return Verdict{OK: true, Partial: true, Identity: "half", Methods: []string{"keyboard-interactive"}}
		},
		Interactive: func(ctx context.Context, a *AuthAttempt, ask Asker) Verdict {
			v := code("1")(ctx, a, ask)
			v.OK = v.OK && slices.Contains(a.Done, "password")
			return v
		},
	}
}

func TestVerdictPartial(t *testing.T) { // RFC 4252 section 5.1
	l := authRun{auth: stepwise()}
	expectAuth(t, l.run(t,
		reqPassword("alice", "secret"),
		reqSigned(t, "alice", edKey("a")), // not among the methods that lead on
		reqPassword("alice", "secret"),
		reqInteractive("alice"), infoAnswer("0"),
		reqInteractive("alice"), infoAnswer("1"),
	), "partial keyboard-interactive", "failure keyboard-interactive", "failure keyboard-interactive",
		"ask Code: ", "failure keyboard-interactive", "ask Code: ", "success")
	if l.res.Identity != "code" || !slices.Equal(l.res.Methods, []string{"password", "keyboard-interactive"}) {
		t.Errorf("result %+v", l.res)
	}
	// Without OK, and without Methods: whatever is configured may be next.
	l = authRun{auth: ServerAuth{PublicKey: anyKey, Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
		return Verdict{Partial: len(a.Done) < 2, OK: len(a.Done) == 2}
	}}}
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqPassword("alice", "x"), reqPassword("alice", "x")),
		"partial publickey,password", "partial publickey,password", "success")
}

// What was done, and what may be next, is of one user and service.
func TestCVE_2_3_PartialOfAnotherUser(t *testing.T) {
	for name, between := range map[string][]byte{
		"user":    reqInteractive("bob"),
		"service": authRequest("alice", "other", "none", nil),
	} {
		l := authRun{auth: stepwise()}
		in := [][]byte{reqPassword("alice", "secret"), between}
		want := []string{"partial keyboard-interactive", "failure publickey,password,keyboard-interactive"}
		if name == "user" {
			in, want = append(in, infoAnswer("1")), []string{want[0], "ask Code: ", want[1]}
		}
		in, want = append(in, reqInteractive("alice"), infoAnswer("1")), append(want, "ask Code: ", "failure publickey,password,keyboard-interactive")
		expectAuth(t, l.run(t, in...), want...)
	}
}

// Partial and Require hold together, whichever asks for more.
func TestCVE_2_6_PartialWithRequire(t *testing.T) {
	l := authRun{auth: stepwise()}
	l.auth.Require = func(string) [][]string { return [][]string{{"password", "publickey"}} }
	// The handler wants a code next and Require a key: neither leads on.
	expectAuth(t, l.run(t, reqPassword("alice", "secret"), reqInteractive("alice"), reqSigned(t, "alice", edKey("a"))),
		"partial ", "failure ", "failure ")

	// The handler only wants more, and Require knows what.
	l.auth.Password = func(context.Context, *AuthAttempt, string) Verdict { return Verdict{Partial: true} }
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqInteractive("alice"), reqSigned(t, "alice", edKey("a"))),
		"partial publickey", "failure publickey", "success")

	// OK alone is not enough for Require.
	l.auth.Password = func(context.Context, *AuthAttempt, string) Verdict { return Verdict{OK: true} }
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqPassword("alice", "x")), "partial publickey", "failure publickey")

	// Require is fulfilled, and a handler wants more than that.
	l.auth.Require = func(string) [][]string { return [][]string{{"password"}, {"hostbased"}} }
	l.auth.Password = func(context.Context, *AuthAttempt, string) Verdict {
		return Verdict{Partial: true, Methods: []string{"keyboard-interactive", "hostbased", "gssapi-with-mic", "none"}}
	}
	expectAuth(t, l.run(t, reqSigned(t, "alice", edKey("a")), reqPassword("alice", "x"), reqNone("alice"), reqInteractive("alice"), infoAnswer("1")),
		"failure password", "partial keyboard-interactive", "failure keyboard-interactive", "ask Code: ", "success")
}

func TestVerdictMethods(t *testing.T) {
	asked := 0
	l := authRun{auth: ServerAuth{
		None: func(_ context.Context, a *AuthAttempt) Verdict {
			if a.User == "alice" {
				return Verdict{Methods: []string{"hostbased", "password"}}
			}
			return Verdict{}
		},
		Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
			v := Verdict{OK: pw == "p"}
			if pw == "key" {
				v.Methods = []string{"publickey"}
			}
			return v
		},
		PublicKey:   func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { asked++; return Verdict{} },
		Interactive: code("1"),
	}}
	all := "failure publickey,password,keyboard-interactive"
	key := reqSigned(t, "alice", edKey("a"))
	expectAuth(t, l.run(t, reqNone("bob"), reqNone("alice"), reqInteractive("alice"), key, reqPassword("alice", "key"), reqPassword("alice", "p")),
		all, "failure password", "failure password", "failure password", "failure publickey", "failure publickey")
	if asked != 0 {
		t.Error("a method that does not lead on was asked")
	}
	// They hold until the next, and for this user.
	expectAuth(t, l.run(t, reqNone("alice"), reqPassword("alice", "x"), reqPassword("bob", "x"), reqPassword("alice", "key"), key),
		"failure password", "failure password", all, "failure publickey", "failure publickey")
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// A key that is only offered, or that comes with a wrong signature, does not
// take its holder to the next step.
func TestCVE_2_1_MethodsOfAnOffer(t *testing.T) {
	own, victim := edKey("own"), edKey("victim")
	l := authRun{auth: ServerAuth{
		None: func(context.Context, *AuthAttempt) Verdict { return Verdict{Methods: []string{"publickey"}} },
		PublicKey: func(_ context.Context, _ *AuthAttempt, k gossh.PublicKey) Verdict {
			if string(k.Marshal()) == string(victim.PublicKey().Marshal()) {
				return Verdict{Partial: true, Methods: []string{"password"}, Banner: "next: password\r\n"}
			}
			return Verdict{Banner: "unknown\r\n"}
		},
		Password: func(context.Context, *AuthAttempt, string) Verdict { return Verdict{OK: true} },
	}}
	blob := victim.PublicKey().Marshal()
	forged, err := sign(own, rowOf(own), signedData(testSession, "alice", serviceConnection, "ssh-ed25519", blob))
	if err != nil {
		t.Fatal(err)
	}
	expectAuth(t, l.run(t, reqNone("alice"),
		reqQuery("alice", "ssh-ed25519", blob), reqPassword("alice", "x"),
		reqSig("alice", "ssh-ed25519", blob, forged), reqPassword("alice", "x"),
		reqQuery("alice", "ssh-ed25519", own.PublicKey().Marshal())),
		"failure publickey", "banner next: password\r\n", "pkok", "failure publickey",
		"failure publickey", "failure publickey", "banner unknown\r\n", "failure publickey")
	expectAuth(t, l.run(t, reqQuery("alice", "ssh-ed25519", blob), reqSigned(t, "alice", victim), reqSigned(t, "alice", victim), reqPassword("alice", "x")),
		"banner next: password\r\n", "pkok", "banner next: password\r\n", "partial password", "failure password", "success")
}

// One key is not two factors, partial or not.
func TestVerdictPartialSameKey(t *testing.T) {
	a, b := edKey("a"), edKey("b")
	l := authRun{auth: ServerAuth{PublicKey: func(_ context.Context, at *AuthAttempt, _ gossh.PublicKey) Verdict {
		return Verdict{OK: len(at.Done) > 0, Partial: len(at.Done) == 0}
	}}}
	expectAuth(t, l.run(t, reqSigned(t, "alice", a), reqSigned(t, "alice", a), reqSigned(t, "alice", b)),
		"partial publickey", "failure publickey", "success")
}

// The limits of a partial factor count like any other's.
func TestCVE_2_4_LimitsOfPartialFactors(t *testing.T) {
	l := authRun{auth: ServerAuth{
		Password: func(context.Context, *AuthAttempt, string) Verdict {
			return Verdict{Partial: true, Limits: Limits{ForceCommand: "x", NoPTY: true}}
		},
		Interactive: code("1"),
	}}
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqInteractive("alice"), infoAnswer("1")), "partial password,keyboard-interactive", "ask Code: ", "success")
	if l.res.Limits.ForceCommand != "x" || !l.res.Limits.NoPTY {
		t.Errorf("limits %+v", l.res.Limits)
	}
	l.auth.Password = func(context.Context, *AuthAttempt, string) Verdict {
		return Verdict{Partial: true, Methods: []string{"password"}, Limits: Limits{SourceAddress: must(parseSources("198.51.100.0/24"))}}
	}
	expectAuth(t, l.run(t, reqPassword("alice", "x")), "failure password,keyboard-interactive")
}

// A partial success costs no try, and there is an end to them all the same.
func TestCVE_2_14_PartialsAreBounded(t *testing.T) {
	l := authRun{auth: ServerAuth{MaxTries: 1, Password: func(context.Context, *AuthAttempt, string) Verdict { return Verdict{Partial: true} }}}
	var in [][]byte
	for range 1000 {
		in = append(in, reqPassword("alice", "x"))
	}
	out := l.run(t, in...)
	if n := len(out); n != 128 || out[n-2] != "partial password" || out[n-1] != "disconnect 14" {
		t.Errorf("%d answers, the last %q", n, out[max(0, n-2):])
	}
}

// An opening "none" and offers of keys that are welcome are no failures; a
// second "none" and other keys are.
func TestProbesAreNoFailures(t *testing.T) {
	good, bad := edKey("good"), edKey("bad")
	offer := reqQuery("alice", "ssh-ed25519", good.PublicKey().Marshal())
	l := authRun{auth: ServerAuth{MaxTries: 1, None: func(context.Context, *AuthAttempt) Verdict { return Verdict{} }, PublicKey: keysOf(good)}}
	expectAuth(t, l.run(t, reqNone("alice"), offer, offer, offer, reqSigned(t, "alice", good)), "failure publickey", "pkok", "pkok", "pkok", "success")
	expectAuth(t, l.run(t, reqNone("alice"), offer, reqNone("alice")), "failure publickey", "pkok", "disconnect 14")
	expectAuth(t, l.run(t, reqNone("alice"), reqQuery("alice", "ssh-ed25519", bad.PublicKey().Marshal())), "failure publickey", "disconnect 14")
	expectAuth(t, l.run(t, offer, reqNone("alice")), "pkok", "disconnect 14") // not the opening one
}

func TestVerdictBanner(t *testing.T) { // RFC 4252 section 5.4
	l := authRun{auth: ServerAuth{
		Banner: func(context.Context, ConnMeta) string { return "first\r\n" },
		Password: func(_ context.Context, _ *AuthAttempt, pw string) Verdict {
			switch pw {
			case "old":
				return Verdict{Banner: "expired\r\n", Change: &ChangeRequest{Prompt: "new"}}
			case "half":
				return Verdict{Banner: "half\r\n", Partial: true}
			case "p":
				return Verdict{Banner: "welcome\r\n", OK: true}
			}
			return Verdict{Banner: "no\r\n"}
		},
		PasswordChange: func(context.Context, *AuthAttempt, string, string) Verdict { return Verdict{} },
	}}
	expectAuth(t, l.run(t, reqPassword("alice", "x"), reqPassword("alice", "old"), reqPassword("alice", "half"), reqPassword("alice", "p")),
		"banner first\r\n", "banner no\r\n", "failure password", "banner expired\r\n", "change new",
		"banner half\r\n", "partial password", "banner welcome\r\n", "success")

	l = authRun{auth: ServerAuth{None: func(context.Context, *AuthAttempt) Verdict {
		return Verdict{Banner: strings.Repeat("x", maxBannerText-1) + "Ä" + strings.Repeat("x", 1<<20)}
	}}}
	if out := l.run(t, reqNone("alice")); len(out) != 2 || out[0] != "banner "+strings.Repeat("x", maxBannerText-1) {
		t.Errorf("%d answers, %d octets", len(out), len(out[0]))
	}
}

// A banner does not tell how long a handler took.
func TestCVE_7_2_BannerAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := authRun{auth: ServerAuth{
			MinFailureDelay: time.Second,
			Password:        func(context.Context, *AuthAttempt, string) Verdict { return Verdict{Banner: "no\r\n"} },
		}}
		var c timedConn
		s, err := newAuthServer(&l.auth, &c, ConnMeta{}, (&Config{}).logger(), 0, Modern)
		if err != nil {
			t.Fatal(err)
		}
		c.scriptConn = scriptConn{gone: make(chan struct{}), in: [][]byte{msg.Append(nil, &msg.ServiceRequest{Service: "ssh-userauth"}), reqPassword("alice", "x")}}
		_, _ = s.run(t.Context())
		for _, at := range c.at[1:] {
			if d := at.Sub(start); d != time.Second {
				t.Errorf("said %q after %v", c.out[1:], d)
			}
		}
		if len(c.at) != 3 {
			t.Errorf("said %q", c.out)
		}
	})
}

// timedConn notes when something was said.
type timedConn struct {
	scriptConn
	at []time.Time
}

func (c *timedConn) PostMessage(m msg.Message) error {
	c.at = append(c.at, time.Now())
	return c.scriptConn.PostMessage(m)
}

func TestSignatureObserver(t *testing.T) {
	type seen struct {
		method             string
		verified, asked    bool
		fingerprint, wrong string
	}
	var got []seen
	final := false
	own, other := edKey("own"), edKey("other")
	fp := func(k gossh.PublicKey) string { return gossh.FingerprintSHA256(k) }
	l := authRun{auth: ServerAuth{
		PublicKey: func(_ context.Context, a *AuthAttempt, _ gossh.PublicKey) Verdict {
			final = a.Verified
			return Verdict{OK: a.User == "alice"}
		},
		HostBased: func(context.Context, *AuthAttempt, *HostBasedClaim) Verdict { final = true; return Verdict{} },
		Signature: func(_ context.Context, a *AuthAttempt, k gossh.PublicKey, err error) {
			s := seen{a.Method, a.Verified, final, fp(k), ""}
			if err != nil {
				s.wrong = err.Error()
			}
			a.Verified = true // a copy: of no avail
			got = append(got, s)
		},
	}}
	blob := own.PublicKey().Marshal()
	forged, err := sign(other, rowOf(other), signedData(testSession, "alice", serviceConnection, "ssh-ed25519", blob))
	if err != nil {
		t.Fatal(err)
	}
	f := "failure publickey,hostbased"
	expectAuth(t, l.run(t,
		reqQuery("alice", "ssh-ed25519", blob),
		reqSig("alice", "ssh-ed25519", blob, forged),
		reqSig("alice", "ssh-ed25519", blob, nil),
		reqSigned(t, "bob", own), // the key is not welcome, so nobody looks at the signature
		reqSigned(t, "alice", own),
	), "pkok", f, f, f, "success")
	want := []seen{
		{"publickey", false, false, fp(own.PublicKey()), "signature: wrong"},
		{"publickey", false, false, fp(own.PublicKey()), "signature: malformed"},
		{"publickey", true, false, fp(own.PublicKey()), ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %+v\nwant %+v", got, want)
	}

	got = nil
	final = false
	expectAuth(t, l.run(t, reqHostBased(t, "alice", own, nil)), f)
	if !slices.Equal(got, []seen{{"hostbased", true, false, fp(own.PublicKey()), ""}}) || !final {
		t.Errorf("told %+v", got)
	}
}

// An observer that outlasts the time for login lets nobody in.
func TestCVE_2_7_LateObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := authRun{ctx: ctx, auth: ServerAuth{PublicKey: anyKey, Signature: func(context.Context, *AuthAttempt, gossh.PublicKey, error) { time.Sleep(time.Minute) }}}
		expectAuth(t, l.run(t, reqSigned(t, "alice", edKey("a"))))
		if !errors.Is(l.err, context.DeadlineExceeded) {
			t.Error(l.err)
		}
	})
}

// What leads on at first may be less than what is configured, for each user
// anew; "none" is asked all the same and never listed.
func TestServerAuthMethods(t *testing.T) {
	none := 0
	l := authRun{auth: ServerAuth{
		Methods: []string{"password", "hostbased"},
		None:    func(context.Context, *AuthAttempt) Verdict { none++; return Verdict{} },
		Password: func(_ context.Context, a *AuthAttempt, _ string) Verdict {
			return Verdict{Methods: []string{"publickey"}}
		},
		PublicKey: anyKey,
	}}
	key := reqSigned(t, "alice", edKey("a"))
	expectAuth(t, l.run(t, key, reqNone("alice"), reqPassword("bob", "x"), key, reqPassword("alice", "x"), reqNone("alice")),
		"failure password", "failure password", "failure publickey", "failure password", "failure publickey", "disconnect 14")
	if none != 1 {
		t.Errorf("none was asked %d times", none)
	}
	expectAuth(t, l.run(t, reqPassword("alice", "x"), key), "failure publickey", "success")
	l.auth.Methods = []string{}
	expectAuth(t, l.run(t, reqNone("alice"), reqPassword("alice", "x"), key), "failure ", "failure ", "failure ")
	l.auth.Require = func(string) [][]string { return [][]string{{"password", "publickey"}} }
	l.auth.Methods = []string{"publickey"}
	expectAuth(t, l.run(t, reqNone("alice"), key, reqPassword("alice", "x")), "failure publickey", "partial ", "failure ")
}

// Random verdicts, partial or not, with methods or not, with and without lists to fulfil: the answers are those of
// a model that counts.
func TestCVE_2_28_PartialAndMethods(t *testing.T) {
	good := edKey("good")
	configured := []string{MethodNone, MethodPublicKey, MethodPassword}
	lists := [][]string{nil, nil, nil, {MethodPassword}, {MethodPublicKey}, {MethodPublicKey, MethodPassword}, {MethodNone}, {"hostbased"}}
	type saying struct {
		ok, partial bool
		methods     []string
	}
	var next saying // what the handlers say to the request in hand
	verdict := func(*AuthAttempt) Verdict { return Verdict{OK: next.ok, Partial: next.partial, Methods: next.methods} }
	kinds := map[string]int{}
	for seed := range uint64(2000) {
		r := mrand.New(mrand.NewPCG(seed, 31))
		var sets [][]string
		auth := ServerAuth{
			MaxTries:  1000,
			None:      func(_ context.Context, a *AuthAttempt) Verdict { return verdict(a) },
			Password:  func(_ context.Context, a *AuthAttempt, _ string) Verdict { return verdict(a) },
			PublicKey: func(_ context.Context, a *AuthAttempt, _ gossh.PublicKey) Verdict { return verdict(a) },
		}
		sets = [][]string{{MethodNone}, {MethodPublicKey}, {MethodPassword}}
		if r.IntN(2) == 0 {
			sets = [][][]string{{{MethodPassword, MethodPublicKey}}, {{MethodPassword, MethodPassword}, {MethodPublicKey}}}[r.IntN(2)]
			auth.Require = func(string) [][]string { return sets }
		}
		// The model.
		count := func(list []string, m string) (n int) {
			for _, x := range list {
				if x == m {
					n++
				}
			}
			return n
		}
		within := func(a, b []string) bool { // all of a is in b, as often
			return !slices.ContainsFunc(a, func(m string) bool { return count(a, m) > count(b, m) })
		}
		var done, restricted []string
		user, partial := "", false
		leads := func(m string) bool {
			return (restricted == nil || slices.Contains(restricted, m)) && slices.ContainsFunc(sets, func(s []string) bool {
				return (partial || within(done, s)) && (within(s, done) || count(s, m) > count(done, m))
			})
		}
		fulfilled := func() bool {
			return slices.ContainsFunc(sets, func(s []string) bool { return within(s, done) && (partial || within(done, s)) })
		}
		listed := func() string {
			var l []string
			for _, m := range configured[1:] {
				if leads(m) {
					l = append(l, m)
				}
			}
			return strings.Join(l, ",")
		}

		var in [][]byte
		var says []saying
		var want []string
		keyUsed := false
		for range 2 + r.IntN(8) {
			u := []string{"alice", "alice", "alice", "alice", "bob"}[r.IntN(5)]
			if u != user {
				user, done, restricted, partial, keyUsed = u, nil, nil, false, false
			}
			s := saying{ok: r.IntN(3) == 0, partial: r.IntN(3) == 0, methods: lists[r.IntN(len(lists))]}
			kind := []string{"none", "password", "query", "signed", "forged"}[r.IntN(5)]
			method := kind
			switch kind {
			case "none":
				in = append(in, reqNone(u))
			case "password":
				in = append(in, reqPassword(u, "x"))
			default:
				method = MethodPublicKey
				blob := good.PublicKey().Marshal()
				in = append(in, map[string][]byte{
					"query": reqQuery(u, "ssh-ed25519", blob), "signed": reqSigned(t, u, good), "forged": reqSig(u, "ssh-ed25519", blob, make([]byte, 83)),
				}[kind])
			}
			says = append(says, s)
			accepted := s.ok || s.partial
			switch {
			case !leads(method), method == MethodPublicKey && keyUsed:
				want = append(want, "failure "+listed())
			case !accepted:
				if s.methods != nil {
					restricted = s.methods
				}
				want = append(want, "failure "+listed())
			case kind == "query":
				want = append(want, "pkok")
			case kind == "forged":
				want = append(want, "failure "+listed())
			default:
				done, partial = append(done, method), partial || s.partial
				if s.methods != nil {
					restricted = s.methods
				}
				keyUsed = keyUsed || kind == "signed"
				if s.partial || !fulfilled() {
					want = append(want, "partial "+listed())
				} else {
					want = append(want, "success")
				}
			}
			answer, _, _ := strings.Cut(want[len(want)-1], " ")
			kinds[answer]++
			if answer == "success" {
				break
			}
		}
		l := authRun{auth: auth, before: func(n int) {
			if n > 0 && n <= len(says) {
				next = says[n-1]
			}
		}}
		if out := l.run(t, in...); !slices.Equal(out, want) {
			t.Fatalf("seed %d: require %v\nsaid %+v\nanswers %q\nwant    %q", seed, auth.Require != nil, says, out, want)
		}
	}
	for _, k := range []string{"failure", "partial", "success", "pkok"} {
		if kinds[k] < 200 {
			t.Errorf("%d answers are %s: the test tests too little", kinds[k], k)
		}
	}
}
