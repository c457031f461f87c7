package kex

import (
	"bytes"
	"crypto"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/fairlead-ssh/fairlead/internal/alg"
)

// run is one way to exchange keys: every row of the table, with a group of its
// own for group exchange.
type run struct {
	name string
	new  func(t testing.TB) Method
}

func runs(t testing.TB) []run {
	var all []run
	for _, row := range Rows() {
		newMethod := func(t testing.TB) Method {
			m, err := row.New()
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		if row.GEX { // both sides need the same group
			g, err := builtinGroups.Choose(2048, 2048, 8192)
			if err != nil {
				t.Fatal(err)
			}
			newMethod = func(testing.TB) Method { return g.Method() }
		}
		all = append(all, run{row.Name, newMethod})
	}
	return all
}

func TestRows(t *testing.T) {
	want := []string{ // in the order of preference
		"mlkem768x25519-sha256",
		"sntrup761x25519-sha512",
		"sntrup761x25519-sha512@openssh.com",
		"curve25519-sha256",
		"curve25519-sha256@libssh.org",
		"diffie-hellman-group-exchange-sha256",
		"diffie-hellman-group16-sha512",
		"diffie-hellman-group18-sha512",
		"diffie-hellman-group14-sha256",
	}
	if got := alg.Defaults(Rows()); !slices.Equal(got, want) {
		t.Errorf("default names:\n got %q\nwant %q", got, want)
	}
	names := alg.Names(Rows())
	for i, row := range Rows() {
		if row.Status.String() == "invalid" || row.Reference == "" || !row.Hash.Available() {
			t.Errorf("%s: incomplete row %+v", row.Name, row)
		}
		if row.GEX != (row.New == nil) {
			t.Errorf("%s: New must be nil for group exchange and only there", row.Name)
		}
		if slices.Contains(names[:i], row.Name) || alg.IsPseudo(row.Name) || len(row.Name) > alg.MaxNameLen {
			t.Errorf("%s: name is taken or not allowed", row.Name)
		}
		for _, a := range row.Aliases {
			if other, ok := Find(a); !ok || other.Hash != row.Hash || !slices.Contains(other.Aliases, row.Name) {
				t.Errorf("%s: alias %s has no row that says the same", row.Name, a)
			}
		}
		if got, ok := Find(row.Name); !ok || got.Name != row.Name {
			t.Errorf("Find(%s) = %v, %v", row.Name, got, ok)
		}
	}
	if _, ok := Find("diffie-hellman-group1-sha2"); ok {
		t.Error("Find found what is not there")
	}
	Rows()[0].Name = "changed"
	if rows[0].Name == "changed" {
		t.Error("Rows gave the table away")
	}
}

// What resists a quantum computer comes first, ML-KEM before sntrup761, and both
// before the curves.
func TestW43_PostQuantumFirst(t *testing.T) {
	want := []string{"mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com", "curve25519-sha256"}
	if got := alg.Defaults(Rows())[:len(want)]; !slices.Equal(got, want) {
		t.Errorf("defaults begin with %q", got)
	}
	for _, row := range Rows() {
		name := row.Name
		if hybrid := strings.HasPrefix(name, "mlkem") || strings.HasPrefix(name, "sntrup"); hybrid != row.PostQuantum {
			t.Errorf("%s: post-quantum is %v", name, row.PostQuantum)
		}
	}
}

// SHA-1 and group 1 are for those who name them, and stand behind all others.
func TestW7_WeakMethodsAreLegacy(t *testing.T) {
	weak := false
	for _, row := range Rows() {
		sha1 := row.Hash == crypto.SHA1
		if sha1 != strings.HasSuffix(row.Name, "-sha1") || sha1 != (row.Status == alg.Legacy) || weak && !sha1 {
			t.Errorf("%s: hash %v, status %v", row.Name, row.Hash, row.Status)
		}
		weak = weak || sha1
	}
	if !weak {
		t.Error("nothing is weak")
	}
}

// Client and server reach the same secret, with every row of the table.
func TestBothSidesAgree(t *testing.T) {
	for _, r := range runs(t) {
		t.Run(r.name, func(t *testing.T) {
			client, server := r.new(t), r.new(t)
			hello, err := client.Init()
			if err != nil {
				t.Fatal(err)
			}
			answer, serverSecret, err := server.Reply(hello)
			if err != nil {
				t.Fatal(err)
			}
			clientSecret, err := client.Finish(answer)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(clientSecret, serverSecret) || len(clientSecret) < 31 {
				t.Fatalf("secrets differ or are short: %x, %x", clientSecret, serverSecret)
			}
			row, _ := Find(r.name)
			if !row.PostQuantum {
				checkMpint(t, clientSecret)
			} else if len(clientSecret) != row.Hash.Size() {
				t.Errorf("hybrid secret of %d octets, want the hash's %d", len(clientSecret), row.Hash.Size())
			}

			// Another run gives other keys and another secret.
			other := r.new(t)
			hello2, _ := other.Init()
			answer2, secret2, err := r.new(t).Reply(hello)
			if err != nil || bytes.Equal(hello, hello2) || bytes.Equal(answer, answer2) || bytes.Equal(serverSecret, secret2) {
				t.Errorf("a second run repeats the first (err %v)", err)
			}
		})
	}
}

// checkMpint checks content against math/big's idea of minimal two's complement.
func checkMpint(t *testing.T, content []byte) {
	t.Helper()
	n := new(big.Int).SetBytes(content)
	want := n.Bytes()
	if n.BitLen()%8 == 0 && n.Sign() > 0 {
		want = append([]byte{0}, want...)
	}
	if !bytes.Equal(content, want) {
		t.Errorf("not a minimal mpint: %x, want %x", content, want)
	}
}

// All randomness comes from crypto/rand: with its source fixed everything
// repeats, and with another seed everything changes.
func TestCVE_3_7_RandomnessFromCryptoRand(t *testing.T) {
	for _, r := range runs(t) {
		var seen [3][][]byte
		for i, seed := range []uint64{1, 2, 1} {
			t.Run(r.name, func(t *testing.T) {
				cryptotest.SetGlobalRandom(t, seed)
				hello, err := r.new(t).Init()
				if err != nil {
					t.Fatal(err)
				}
				answer, secret, err := r.new(t).Reply(hello)
				if err != nil {
					t.Fatal(err)
				}
				seen[i] = [][]byte{hello, answer, secret}
			})
		}
		for j, what := range []string{"client's octets", "server's octets", "secret"} {
			if bytes.Equal(seen[0][j], seen[1][j]) {
				t.Errorf("%s: %s do not depend on the seed", r.name, what)
			}
			if !bytes.Equal(seen[0][j], seen[2][j]) {
				t.Errorf("%s: %s depend on something else than crypto/rand", r.name, what)
			}
		}
	}
}

func TestMethodsServeOnce(t *testing.T) {
	for _, r := range runs(t) {
		client, server := r.new(t), r.new(t)
		hello, _ := client.Init()
		answer, _, err := server.Reply(hello)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(what string, secret []byte, err error) {
			t.Helper()
			if !errors.Is(err, ErrUsed) || secret != nil {
				t.Errorf("%s: %s: %v", r.name, what, err)
			}
		}
		_, secret, err := server.Reply(hello)
		refused("second Reply", secret, err)
		secret, err = server.Finish(answer)
		refused("Finish of a server", secret, err)

		if _, err := client.Finish(answer); err != nil {
			t.Fatal(err)
		}
		secret, err = client.Finish(answer)
		refused("second Finish", secret, err)

		m := r.new(t)
		secret, err = m.Finish(answer)
		refused("Finish before Init", secret, err)
		secret, err = m.Init()
		refused("Init after a refusal", secret, err)

		m = r.new(t)
		_, _ = m.Init()
		_, secret, err = m.Reply(hello)
		refused("Reply of a client", secret, err)

		// A failed Finish does not give the peer a second guess.
		m = r.new(t)
		_, _ = m.Init()
		if _, err := m.Finish(nil); err == nil {
			t.Errorf("%s: Finish(nil) succeeded", r.name)
		}
		secret, err = m.Finish(answer)
		refused("Finish after a failed one", secret, err)
	}
}

// Arguments belong to a packet that is reused: nothing may point into it.
func TestResultsDoNotAliasArguments(t *testing.T) {
	for _, r := range runs(t) {
		client, server := r.new(t), r.new(t)
		hello, _ := client.Init()
		packet := bytes.Clone(hello)
		answer, secret, err := server.Reply(packet)
		if err != nil {
			t.Fatal(err)
		}
		kept := bytes.Clone(answer)
		clear(packet)
		if !bytes.Equal(answer, kept) {
			t.Errorf("%s: the answer aliases the argument", r.name)
		}
		packet = bytes.Clone(answer)
		got, err := client.Finish(packet)
		clear(packet)
		if err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: the secret changed with the argument (err %v)", r.name, err)
		}
	}
}

// refuse checks that neither role accepts the peer's octets, and that the error
// says whose fault it is.
func refuse(t *testing.T, newMethod func(t testing.TB) Method, what string, peer []byte) {
	t.Helper()
	var pe *PeerError
	mine, secret, err := newMethod(t).Reply(peer)
	if !errors.As(err, &pe) || mine != nil || secret != nil {
		t.Errorf("%s: Reply gave %d and %d octets, %v; want a PeerError", what, len(mine), len(secret), err)
	}
	m := newMethod(t)
	if _, err := m.Init(); err != nil {
		t.Fatal(err)
	}
	secret, err = m.Finish(peer)
	if !errors.As(err, &pe) || secret != nil {
		t.Errorf("%s: Finish gave %d octets, %v; want a PeerError", what, len(secret), err)
	}
}

// Inputs that are shorter than a key, of every length.
func TestCVE_3_3_ShortKeys(t *testing.T) {
	for _, r := range runs(t) {
		row, _ := Find(r.name)
		if row.GEX || r.name[:3] == "dif" {
			continue // integers of any length are legal there: TestCVE_3_1
		}
		client, server := r.new(t), r.new(t)
		hello, err := client.Init()
		if err != nil {
			t.Fatal(err)
		}
		answer, _, err := server.Reply(hello)
		if err != nil {
			t.Fatal(err)
		}
		for n := range hello {
			var pe *PeerError
			if mine, secret, err := r.new(t).Reply(hello[:n]); !errors.As(err, &pe) || mine != nil || secret != nil {
				t.Fatalf("%s: Reply accepted %d of %d octets: %v", r.name, n, len(hello), err)
			}
		}
		// Making a key for each length would cost most of the time: reset one.
		for n := range answer {
			rewind(client)
			var pe *PeerError
			if secret, err := client.Finish(answer[:n]); !errors.As(err, &pe) || secret != nil {
				t.Fatalf("%s: Finish accepted %d of %d octets: %v", r.name, n, len(answer), err)
			}
		}
		for _, more := range []int{1, 2, 32, 1000} {
			refuse(t, r.new, r.name+": too long for a server", append(bytes.Clone(hello), make([]byte, more)...))
			refuse(t, r.new, r.name+": too long for a client", append(bytes.Clone(answer), make([]byte, more)...))
		}
	}
}

// rewind lets a client that has done Init do Finish again.
func rewind(m Method) {
	switch m := m.(type) {
	case *agreement:
		m.turn = started
	case *hybrid:
		m.turn = started
	}
}

func TestPeerErrorText(t *testing.T) {
	m, _ := newFixed(2048)
	_, _, err := m.Reply([]byte{1})
	if err == nil || err.Error() != "kex: diffie-hellman: public value out of range" {
		t.Errorf("error text: %v", err)
	}
}

func fuzzSeeds(f *testing.F) {
	for i, r := range runs(f) {
		client := r.new(f)
		hello, err := client.Init()
		if err != nil {
			f.Fatal(err)
		}
		answer, _, err := r.new(f).Reply(hello)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), hello)
		f.Add(byte(i), answer)
	}
	f.Add(byte(0), []byte(nil))
	f.Add(byte(1), make([]byte, 32))
	f.Add(byte(9), []byte{0x80})
}

// FuzzReply gives a server arbitrary octets: a secret or an error, never both,
// and never a panic.
func FuzzReply(f *testing.F) {
	fuzzSeeds(f)
	all := runs(f)
	f.Fuzz(func(t *testing.T, i byte, peer []byte) {
		r := all[int(i)%len(all)]
		kept := bytes.Clone(peer)
		mine, secret, err := r.new(t).Reply(peer)
		if (err == nil) != (len(secret) > 0 && len(mine) > 0) {
			t.Fatalf("%s: %x, %x, %v", r.name, mine, secret, err)
		}
		if !bytes.Equal(kept, peer) {
			t.Fatalf("%s: changed its argument", r.name)
		}
	})
}

// FuzzFinish does the same to a client.
func FuzzFinish(f *testing.F) {
	fuzzSeeds(f)
	all := runs(f)
	f.Fuzz(func(t *testing.T, i byte, peer []byte) {
		r := all[int(i)%len(all)]
		m := r.new(t)
		if _, err := m.Init(); err != nil {
			t.Fatal(err)
		}
		secret, err := m.Finish(peer)
		if (err == nil) != (len(secret) > 0) {
			t.Fatalf("%s: %x, %v", r.name, secret, err)
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	for _, r := range runs(b) {
		b.Run(r.name, func(b *testing.B) {
			for b.Loop() {
				client, server := r.new(b), r.new(b)
				hello, _ := client.Init()
				answer, _, err := server.Reply(hello)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := client.Finish(answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
