package ssh2

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Whatever comes in whatever order, success comes exactly when a model as
// simple as the rules says so: all factors of a set, proven for one user
// without another one in between.
func TestCVE_2_28_OnlyProofLeadsToSuccess(t *testing.T) {
	good, other := edKey("good"), edKey("other")
	goodBlob := good.PublicKey().Marshal()
	forged := wire.AppendBytes(wire.AppendString(nil, "ssh-ed25519"), make([]byte, 64))
	type step struct {
		name   string
		proves string // the method, if it is really proven
		asks   bool   // opens a conversation
		msg    func(user string) []byte
	}
	menu := []step{
		{name: "none", msg: reqNone},
		{name: "right password", proves: MethodPassword, msg: func(u string) []byte { return reqPassword(u, "secret") }},
		{name: "wrong password", msg: func(u string) []byte { return reqPassword(u, "Secret") }},
		{name: "change", msg: func(u string) []byte { return reqChange(u, "secret", "x") }},
		{name: "query", msg: func(u string) []byte { return reqQuery(u, "ssh-ed25519", goodBlob) }},
		{name: "forged", msg: func(u string) []byte { return reqSig(u, "ssh-ed25519", goodBlob, forged) }},
		{name: "replayed", msg: func(u string) []byte {
			sig, _ := sign(good, rowOf(good), signedData([]byte("other session"), u, serviceConnection, "ssh-ed25519", goodBlob))
			return reqSig(u, "ssh-ed25519", goodBlob, sig)
		}},
		{name: "other key", msg: func(u string) []byte { return reqSigned(t, u, other) }},
		{name: "signed", proves: MethodPublicKey, msg: func(u string) []byte { return reqSigned(t, u, good) }},
		{name: "interactive", asks: true, msg: reqInteractive},
		{name: "right answer", proves: MethodInteractive, msg: func(string) []byte { return infoAnswer("42") }},
		{name: "wrong answer", msg: func(string) []byte { return infoAnswer("41") }},
		{name: "service", msg: func(string) []byte { return msg.Append(nil, &msg.ServiceRequest{Service: serviceUserauth}) }},
		{name: "other service", msg: func(u string) []byte {
			return authRequest(u, "other", MethodPassword, &msg.PasswordFields{Password: []byte("secret")})
		}},
		{name: "channel", msg: func(string) []byte { return msg.Append(nil, &msg.ChannelOpen{Type: "session"}) }},
	}
	sets := [][]string{{MethodPublicKey, MethodPassword}, {MethodPassword, MethodInteractive}}
	auth := ServerAuth{
		PublicKey: keysOf(good), Interactive: code("42"), MaxTries: 1000,
		Password:       func(_ context.Context, _ *AuthAttempt, pw string) Verdict { return Verdict{OK: pw == "secret"} },
		PasswordChange: func(context.Context, *AuthAttempt, string, string) Verdict { return Verdict{} },
		Require:        func(string) [][]string { return sets },
	}
	successes := 0
	for seed := range uint64(1000) {
		r := mrand.New(mrand.NewPCG(seed, 28))
		var in [][]byte
		var names []string
		var done []string // the model: proven factors of user
		user, service, asking, over, want := "", "", false, false, false
		fits := func(more string) bool {
			return slices.ContainsFunc(sets, func(s []string) bool {
				return slices.Contains(s, more) && !slices.Contains(done, more) && !slices.ContainsFunc(done, func(d string) bool { return !slices.Contains(s, d) })
			})
		}
		for range 2 + r.IntN(12) {
			s := menu[r.IntN(len(menu))]
			if r.IntN(8) != 0 && s.name == "channel" {
				continue // it ends everything, so not too often
			}
			u := []string{"alice", "alice", "alice", "bob"}[r.IntN(4)]
			in, names = append(in, s.msg(u)), append(names, u+": "+s.name)
			if over || want {
				continue
			}
			number := in[len(in)-1][0]
			switch {
			case number == msg.NumInfoResponse && asking:
				asking = false
				if s.proves != "" {
					done = append(done, s.proves)
				}
			case number == msg.NumServiceRequest && !asking:
			case number == msg.NumUserauthRequest:
				svc := serviceConnection
				if s.name == "other service" {
					svc = "other"
				}
				if u != user || svc != service {
					user, service, done = u, svc, nil
				}
				asking = s.asks && fits(MethodInteractive)
				if s.proves != "" && fits(s.proves) {
					done = append(done, s.proves)
				}
			default:
				over = true
			}
			want = len(done) == 2
		}
		l := authRun{auth: auth}
		out := l.run(t, in...)
		if (l.res != nil) != want {
			t.Fatalf("seed %d: success %v, want %v\n%s\n%q", seed, l.res != nil, want, strings.Join(names, "\n"), out)
		}
		if want {
			successes++
			if l.res.User != user || !slices.Equal(l.res.Methods, done) {
				t.Fatalf("seed %d: %+v, want %s with %v", seed, l.res, user, done)
			}
		}
	}
	if successes < 10 {
		t.Errorf("only %d of the sequences were successful: the test tests too little", successes)
	}
}

// cutMessages makes messages of fuzzed octets: each has two octets of length.
func cutMessages(data []byte) (in [][]byte) {
	for len(data) >= 2 && len(in) < 40 {
		n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
		in, data = append(in, data[2:2+n]), data[2+n:]
	}
	return in
}

func joinMessages(in ...[]byte) (data []byte) {
	for _, p := range in {
		data = append(binary.BigEndian.AppendUint16(data, uint16(len(p))), p...)
	}
	return data
}

// FuzzServerAuth holds that nothing a client can say without the secret lets
// it in, makes a handler believe that a key was verified, or panics.
func FuzzServerAuth(f *testing.F) {
	other := edKey("other")
	service := msg.Append(nil, &msg.ServiceRequest{Service: serviceUserauth})
	f.Add(joinMessages(service, reqNone("alice"), reqPassword("alice", "x"), reqChange("alice", "x", "y")))
	f.Add(joinMessages(service, reqInteractive("alice"), infoAnswer("x"), reqInteractive("alice"), reqNone("bob")))
	f.Add(joinMessages(service, reqNone("none,password"), reqPassword("none,password", "publickey"), reqNone("none,password"), reqSigned(f, "none,password", other)))
	for _, key := range []gossh.Signer{other, newSK(skUserPresent), rsaKey(), certify(f, other, edKey("ca"), nil), certify(f, rsaKey(), edKey("ca"), nil)} {
		row := rowOf(key)
		blob := key.PublicKey().Marshal()
		f.Add(joinMessages(service, reqQuery("alice", row.Name, blob), reqSigned(f, "alice", key), reqSig("alice", row.Name, blob, nil)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		secret := rand.Text()
		refuse := func(a *AuthAttempt) Verdict {
			if a.User == "" || strings.ContainsRune(a.User, 0) || a.Service != serviceConnection {
				t.Errorf("handler called for %q, %q", a.User, a.Service)
			}
			return Verdict{Reason: errAborted}
		}
		l := authRun{auth: ServerAuth{
			// What is partial is not enough, as often as it comes.
			None: func(_ context.Context, a *AuthAttempt) Verdict {
				v := refuse(a)
				v.OK, v.Partial = true, true
				v.Methods, v.Banner = strings.Split(a.User, ","), a.User
				return v
			},
			Password: func(_ context.Context, a *AuthAttempt, pw string) Verdict {
				v := refuse(a)
				v.OK = CheckPassword(secret, pw)
				v.Methods, v.Banner = strings.Split(pw, ","), pw
				return v
			},
			PasswordChange: func(_ context.Context, a *AuthAttempt, _, _ string) Verdict { return refuse(a) },
			PublicKey: func(_ context.Context, a *AuthAttempt, k gossh.PublicKey) Verdict {
				v := refuse(a)
				v.OK = !a.Verified // all keys may be tried, none is let in
				return v
			},
			UserCAs: &UserCAs{Authority: anyCA, Accept: func(_ context.Context, a *AuthAttempt, _ *gossh.Certificate) Verdict {
				v := refuse(a)
				v.OK = !a.Verified
				return v
			}},
			Signature: func(_ context.Context, a *AuthAttempt, _ gossh.PublicKey, err error) {
				if refuse(a); a.Verified != (err == nil) {
					t.Errorf("verified %v, error %v", a.Verified, err)
				}
			},
			Interactive: func(ctx context.Context, a *AuthAttempt, ask Asker) Verdict {
				v := refuse(a)
				got, err := ask(ctx, &Challenge{Prompts: []Prompt{{Text: "?"}}})
				v.OK = err == nil && CheckPassword(secret, got[0])
				return v
			},
			PublicKeyAlgorithms: AlgList(strings.Join(alg.Names(keyAlgs), ",")),
			MaxTries:            1000,
		}}
		l.raw(t, cutMessages(data)...)
		if l.res != nil || l.err == nil {
			t.Errorf("success: %+v", l.res)
		}
	})
}

// FuzzClientAuth holds that no server makes a client panic, sign for a key it
// did not offer, or take for success what was not asked for with a proof.
func FuzzClientAuth(f *testing.F) {
	key := edKey("k")
	accept := msg.Append(nil, &msg.ServiceAccept{Service: serviceUserauth})
	change := msg.Append(nil, &msg.PasswdChangereq{Prompt: "p"})
	f.Add(joinMessages(accept, failure("publickey", "password"), pkok(key, "ssh-ed25519"), failure("password"), success()))
	f.Add(joinMessages(accept, failure(MethodInteractive), question("a", "b"), question(), partial("password"), change, success()))
	f.Add(joinMessages(accept, msg.Append(nil, &msg.UserauthBanner{Text: "x"}), success()))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := clientRun{methods: []AuthMethod{
			PublicKeys(key), Interactive(func(_ context.Context, c *Challenge) ([]string, error) { return make([]string, len(c.Prompts)), nil }),
			PasswordFunc(func(context.Context, *PasswordPrompt) (string, error) { return "pw", nil }),
		}}
		out := r.raw(t, cutMessages(data)...)
		if r.err == nil && !slices.ContainsFunc(out, func(s string) bool {
			return strings.HasPrefix(s, "alice password") || strings.HasSuffix(s, "signed") || strings.HasPrefix(s, "answers [\"")
		}) {
			t.Errorf("success without proof: %q", out)
		}
		if n := len(out); n > maxAuthRounds+2 {
			t.Errorf("%d messages", n)
		}
	})
}
