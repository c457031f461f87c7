package ssh2

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

func fingerprints(keys []gossh.PublicKey) (out []string) {
	for _, k := range keys {
		out = append(out, gossh.FingerprintSHA256(k))
	}
	return out
}

func fingerprintsOf(s ...gossh.Signer) (out []string) {
	for _, s := range s {
		out = append(out, gossh.FingerprintSHA256(bareKey(s.PublicKey())))
	}
	return out
}

// Both ends: the client learns of all keys, and of new ones while it runs.
func TestHostKeysBothEnds(t *testing.T) { // W32, OpenSSH PROTOCOL 2.5
	leakCheck(t)
	ed, ec, next := edKey("ed"), ecKey(elliptic.P256()), edKey("next")
	certified := hostCert(t, edKey("certified"), edKey("ca"), nil)
	s := testServer(nil)
	s.NoHostKeyUpdates = false
	s.HostKeys = []gossh.Signer{certified, ed, rsaKey(), ec, dsaKey()}
	updates := make(chan *HostKeyUpdate)
	cfg := testClient()
	cfg.HostKeyAlgorithms = "ecdsa-sha2-nistp256,ssh-ed25519,rsa-sha2-256,rsa-sha2-512"
	cfg.OnHostKeys = func(_ context.Context, u *HostKeyUpdate) { updates <- u }
	p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	u := <-updates
	// The key inside a certificate is one that the server holds. DSA is not on offer.
	if want := fingerprintsOf(certified, ed, rsaKey(), ec); !slices.Equal(fingerprints(u.Keys), want) || u.Addr != "host:22" {
		t.Errorf("%q of %s, want %q", fingerprints(u.Keys), u.Addr, want)
	}
	if err := s.SetHostKeys(next, rsaKey()); err != nil {
		t.Fatal(err)
	}
	if u = <-updates; !slices.Equal(fingerprints(u.Keys), fingerprintsOf(next, rsaKey())) {
		t.Errorf("after the change: %q", fingerprints(u.Keys))
	}
	// The connection keeps its key through a key exchange; the next one has another.
	if err := p.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := gossh.FingerprintSHA256(p.Info().HostKey); got != fingerprintsOf(ec)[0] {
		t.Errorf("running connection has %s", got)
	}
	_ = p.close(t)
	p = dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
	<-updates
	if got := gossh.FingerprintSHA256(p.Info().HostKey); got != fingerprintsOf(next)[0] {
		t.Errorf("new connection has %s", got)
	}
	_ = p.close(t)

	var ce *ConfigError
	for _, keys := range [][]gossh.Signer{nil, {nil}} {
		if err := s.SetHostKeys(keys...); !errors.As(err, &ce) {
			t.Errorf("%d keys: %v", len(keys), err)
		}
	}
	// Before it runs, too.
	fresh := testServer(nil)
	fresh.HostKeys = nil
	if err := fresh.SetHostKeys(ed); err != nil {
		t.Fatal(err)
	}
	p = dialPair(t, fresh, testClient(), netsim.Link{}, netsim.Link{})
	_ = p.close(t)
}

// Rotation from end to end: a file that knows one key follows the server.
func TestHostKeyRotation(t *testing.T) { // W32
	leakCheck(t)
	old, next := edKey("old"), rsaKey()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := AddKnownHost(file, "host:22", old.PublicKey(), true); err != nil {
		t.Fatal(err)
	}
	s := testServer(nil)
	s.NoHostKeyUpdates = false
	login := func(keys ...gossh.Signer) {
		t.Helper()
		if err := s.SetHostKeys(keys...); err != nil {
			t.Fatal(err)
		}
		known, err := ReadKnownHosts(file)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		cfg := testClient()
		cfg.HostKey, cfg.HostKeyPolicy = nil, known
		cfg.OnHostKeys = func(_ context.Context, u *HostKeyUpdate) {
			_, _, err := known.Update(u.Addr, u.Keys)
			done <- err
		}
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = p.close(t)
	}
	login(old)       // nothing new
	login(old, next) // the new one becomes known
	login(next)      // and is trusted; the old one goes
	known, err := ReadKnownHosts(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := known.check("host:22", old.PublicKey()); !errors.Is(err, ErrHostKeyChanged) {
		t.Errorf("old key: %v", err)
	}
	if data, _ := os.ReadFile(file); bytes.Count(data, []byte("\n")) != 1 || !bytes.HasPrefix(data, []byte("|1|")) {
		t.Errorf("%s", data)
	}
}

func announcement(keys ...gossh.Signer) []byte {
	var b []byte
	for _, k := range keys {
		b = wire.AppendBytes(b, k.PublicKey().Marshal())
	}
	return b
}

// A client believes no announcement, and no proof but for this session and for
// this purpose.
func TestHostKeysUnproven(t *testing.T) { // W32
	leakCheck(t)
	a, b := edKey("a"), edKey("b")
	good := func(sessionID []byte, k gossh.Signer) []byte {
		return must(sign(k, rowOf(k), proofData(sessionID, k.PublicKey().Marshal())))
	}
	type reply = func(session []byte) []byte
	for name, tt := range map[string]struct {
		keys   []gossh.Signer
		answer reply // nil: refuse
		ok     bool
	}{
		"right": {[]gossh.Signer{a, b}, func(s []byte) []byte {
			return wire.AppendBytes(wire.AppendBytes(nil, good(s, a)), good(s, b))
		}, true},
		"RSA with SHA-1": {[]gossh.Signer{rsaKey()}, func(s []byte) []byte {
			sig := must(rsaKey().Sign(nil, proofData(s, rsaKey().PublicKey().Marshal())))
			return wire.AppendBytes(nil, gossh.Marshal(sig))
		}, false},
		"refused": {[]gossh.Signer{a}, nil, false},
		"nothing": {[]gossh.Signer{a}, func([]byte) []byte { return nil }, false},
		"one of two": {[]gossh.Signer{a, b}, func(s []byte) []byte {
			return wire.AppendBytes(nil, good(s, a))
		}, false},
		"one too many": {[]gossh.Signer{a}, func(s []byte) []byte {
			return wire.AppendBytes(wire.AppendBytes(nil, good(s, a)), good(s, b))
		}, false},
		"exchanged": {[]gossh.Signer{a, b}, func(s []byte) []byte {
			return wire.AppendBytes(wire.AppendBytes(nil, good(s, b)), good(s, a))
		}, false},
		"one is wrong": {[]gossh.Signer{a, b}, func(s []byte) []byte {
			return wire.AppendBytes(wire.AppendBytes(nil, good(s, a)), good([]byte("other session"), b))
		}, false},
		"as in a key exchange": {[]gossh.Signer{a}, func(s []byte) []byte {
			return wire.AppendBytes(nil, must(sign(a, rowOf(a), s)))
		}, false},
		"of a login": {[]gossh.Signer{a}, func(s []byte) []byte {
			return wire.AppendBytes(nil, must(sign(a, rowOf(a), signedData(s, "u", serviceConnection, "ssh-ed25519", a.PublicKey().Marshal()))))
		}, false},
		"garbage":     {[]gossh.Signer{a}, func([]byte) []byte { return []byte{0, 0, 0, 9, 1} }, false},
		"key in use":  {[]gossh.Signer{testHostKey}, nil, true}, // proven by the key exchange: not asked
		"a key twice": {[]gossh.Signer{a, a}, nil, false},
		"certificate": {[]gossh.Signer{hostCert(t, a, b, nil)}, nil, false},
		"no key":      {nil, nil, false},
		"weak RSA":    {[]gossh.Signer{newRSA(1024)}, nil, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var told []*HostKeyUpdate
			cfg := testClient()
			cfg.OnHostKeys = func(_ context.Context, u *HostKeyUpdate) { told = append(told, u) }
			p, _ := scriptServer(t, cfg)
			p.send(&msg.GlobalRequest{Name: hostKeysName, Data: announcement(tt.keys...)})
			if tt.answer != nil || name == "refused" {
				p.want("request for proof", &msg.GlobalRequest{Name: hostKeysProveName, WantReply: true, Data: announcement(tt.keys...)})
				if tt.answer == nil {
					p.send(&msg.RequestFailure{})
				} else {
					p.send(&msg.RequestSuccess{Data: tt.answer(p.c.SessionID())})
				}
			}
			p.alive()
			synctest.Wait()
			if (len(told) == 1) != tt.ok || len(told) > 1 || tt.ok && !slices.Equal(fingerprints(told[0].Keys), fingerprintsOf(tt.keys...)) {
				t.Errorf("%s: told %d times", name, len(told))
			}
			_ = p.close()
		})
	}
}

// What a server announces costs a bounded amount, and nothing is asked for
// where nobody wants to know.
func TestHostKeysFloods(t *testing.T) {
	leakCheck(t)
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		cfg := testClient()
		cfg.OnHostKeys = func(context.Context, *HostKeyUpdate) { told.Add(1); <-time.After(time.Second) }
		p, _ := scriptServer(t, cfg)
		for range 10 { // while the handler is busy
			p.send(&msg.GlobalRequest{Name: hostKeysName, Data: announcement(testHostKey)})
			p.alive()
			synctest.Wait()
		}
		if told.Load() != 1 {
			t.Errorf("told %d times at once", told.Load())
		}
		for range 100 {
			<-time.After(2 * time.Second)
			p.send(&msg.GlobalRequest{Name: hostKeysName, Data: announcement(testHostKey)})
			p.alive()
		}
		if told.Load() > maxHostKeyRounds {
			t.Errorf("told %d times in all", told.Load())
		}
		_ = p.close()

		p, _ = scriptServer(t, testClient())
		p.send(&msg.GlobalRequest{Name: hostKeysName, WantReply: true, Data: announcement(edKey("x"))})
		p.want("refusal", &msg.RequestFailure{})
		_ = p.close()
	})
	many := announcement(slices.Repeat([]gossh.Signer{edKey("x")}, maxHostKeys+1)...)
	if _, err := splitStrings(many, maxHostKeys); err == nil {
		t.Error("too many keys were read")
	}
	for n := range len(many[:100]) {
		if got, err := splitStrings(many[:n], maxHostKeys); err == nil && n != len(got)*55 {
			t.Errorf("cut to %d: %d keys", n, len(got))
		}
	}
}

// A server proves what it announced, and only that, and not without end.
func TestHostKeysProve(t *testing.T) { // W32
	leakCheck(t)
	a, b := edKey("a"), rsaKey()
	serve := func(change func(*Server)) *script {
		s := testServer(nil)
		s.HostKeys, s.NoHostKeyUpdates = []gossh.Signer{a, b, a}, false
		if change != nil {
			change(s)
		}
		return scriptClient(t, s)
	}
	prove := func(data []byte) *msg.GlobalRequest {
		return &msg.GlobalRequest{Name: hostKeysProveName, WantReply: true, Data: data}
	}
	p := serve(nil)
	p.want("announcement", &msg.GlobalRequest{Name: hostKeysName, Data: announcement(a, b)})
	p.send(prove(announcement(b, a)))
	var ok msg.RequestSuccess
	p.get(&ok)
	sigs, err := splitStrings(ok.Data, 2)
	if err != nil || len(sigs) != 2 {
		t.Fatal(sigs, err)
	}
	for i, k := range []gossh.Signer{b, a} {
		if _, err := rowOf(k).verify(k.PublicKey(), proofData(p.c.SessionID(), k.PublicKey().Marshal()), sigs[i]); err != nil {
			t.Errorf("proof %d: %v", i, err)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "a foreign key": announcement(edKey("x")), "one foreign": announcement(a, edKey("x")), "twice": announcement(a, a),
		"three": announcement(a, b, a), "cut": announcement(a)[:20], "no key": wire.AppendString(nil, "sign me"),
	} {
		p.send(prove(data))
		if got := p.next(); got[0] != msg.NumRequestFailure {
			t.Errorf("%s: %s", name, describe(got))
		}
	}
	answers := 0
	for range 3 * maxHostKeyRounds {
		p.send(prove(announcement(a)))
		if p.next()[0] == msg.NumRequestSuccess {
			answers++
		}
	}
	if answers == 0 || answers > maxHostKeyRounds {
		t.Errorf("%d answers", answers)
	}
	_ = p.close()

	p = serve(func(s *Server) { s.NoHostKeyUpdates = true })
	p.send(prove(announcement(a)))
	p.want("refusal", &msg.RequestFailure{})
	_ = p.close()
	// A signer that fails costs the answer, not the connection.
	ec := ecKey(elliptic.P256())
	p = serve(func(s *Server) {
		s.HostKeys = []gossh.Signer{a, faultySigner{ec, func(*gossh.Signature) (*gossh.Signature, error) { return nil, errTest }}}
	})
	p.want("announcement", &msg.GlobalRequest{Name: hostKeysName, Data: announcement(a, ec)})
	p.send(prove(announcement(ec)))
	p.want("refusal", &msg.RequestFailure{})
	p.alive()
	_ = p.close()
	// On a server the client's word about host keys is nothing.
	p = serve(nil)
	p.next()
	p.send(&msg.GlobalRequest{Name: hostKeysName, WantReply: true, Data: announcement(a)})
	p.want("refusal", &msg.RequestFailure{})
	_ = p.close()
}

func FuzzHostKeys(f *testing.F) {
	a := edKey("a")
	f.Add(announcement(a, rsaKey()))
	f.Add(announcement(hostCert(f, a, rsaKey(), nil)))
	f.Add([]byte{0, 0, 0, 1})
	w := &hostKeyWatch{offered: must(resolveKeyAlgs("", Modern)), minRSA: defaultMinRSABits}
	f.Fuzz(func(t *testing.T, data []byte) {
		blobs, err := splitStrings(data, maxHostKeys)
		if err != nil {
			return
		}
		if len(blobs) > maxHostKeys {
			t.Errorf("%d keys", len(blobs))
		}
		for _, b := range blobs {
			if k := w.usable(b); k != nil && !bytes.Equal(k.Marshal(), b) {
				t.Errorf("%x became %x", b, k.Marshal())
			}
		}
	})
}

// A server with a key in an X.509 certificate tells of its other keys, and not
// of a bare key that it would not show.
func TestHostKeysWithoutX509(t *testing.T) { // W32
	leakCheck(t)
	ed, ca := edKey("ed"), newX509CA(t)
	for _, name := range []string{"x509v3-rsa2048-sha256", "x509v3-ssh-ed25519"} {
		synctest.Test(t, func(t *testing.T) {
			key := crypto.Signer(rsaPrivate())
			if name == "x509v3-ssh-ed25519" {
				key = newSK(0).key
			}
			s := testServer(nil)
			s.NoHostKeyUpdates = false
			s.HostKeys, s.HostKeyAlgorithms = []gossh.Signer{ed, ca.signer(t, name, key, nil)}, AlgList("+"+name)
			var told []*HostKeyUpdate
			cfg := testClient()
			cfg.HostKeyAlgorithms = AlgList("+" + name)
			cfg.OnHostKeys = func(_ context.Context, u *HostKeyUpdate) { told = append(told, u) }
			p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
			time.Sleep(time.Second)
			synctest.Wait()
			if len(told) != 1 || !slices.Equal(fingerprints(told[0].Keys), fingerprintsOf(ed)) {
				t.Errorf("%s: told %d times", name, len(told))
			}
			_ = p.close(t)
		})
	}
	// Nor does a client take one for a bare key.
	w := &hostKeyWatch{offered: []string{"x509v3-ssh-ed25519", "ssh-ed25519"}}
	if w.usable(ca.signer(t, "x509v3-ssh-ed25519", newSK(0).key, nil).PublicKey().Marshal()) != nil || w.usable(ed.PublicKey().Marshal()) == nil {
		t.Error("bare and certified keys are mixed up")
	}
}

// boast shows a key that it does not hold.
type boast struct {
	gossh.Signer
	shown gossh.PublicKey
}

func (b boast) PublicKey() gossh.PublicKey { return b.shown }

// A host key that was only shown, as in a gss- key exchange, is not proven by it.
func TestHostKeysShownByGSSAreNotProven(t *testing.T) { // W32, RFC 4462 section 2.1
	leakCheck(t)
	synctest.Test(t, func(t *testing.T) {
		s, cfg := gssPair()
		s.NoHostKeyUpdates = false
		s.HostKeys = []gossh.Signer{boast{edKey("own"), edKey("another's").PublicKey()}}
		told := 0
		cfg.OnHostKeys = func(context.Context, *HostKeyUpdate) { told++ }
		p := dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		time.Sleep(time.Second)
		synctest.Wait()
		if i := p.Info(); i.HostKey == nil || told != 0 {
			t.Errorf("told %d times of a key that was not proven", told)
		}
		_ = p.close(t)

		s, cfg = gssPair() // who does hold it is asked, and believed
		s.NoHostKeyUpdates = false
		cfg.OnHostKeys = func(context.Context, *HostKeyUpdate) { told++ }
		p = dialPair(t, s, cfg, netsim.Link{}, netsim.Link{})
		time.Sleep(time.Second)
		synctest.Wait()
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		_ = p.close(t)
	})
}
