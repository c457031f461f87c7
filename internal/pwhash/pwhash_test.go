package pwhash

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Lines of others: what the reference implementation of argon2 makes of "password" and the
// salt "somesalt", as golang.org/x/crypto has it among its vectors, and one of bcrypt's.
const (
	argonLine  = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7"
	bcryptOnes = "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga" // "allmine"
)

func check(t *testing.T, h Hash, password string) bool {
	t.Helper()
	ok, err := h.Check(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestLinesOfOthers(t *testing.T) {
	for line, password := range map[string]string{argonLine: "password", bcryptOnes: "allmine"} {
		h, err := Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if !check(t, h, password) || check(t, h, password+"x") || check(t, h, "") {
			t.Errorf("%s: wrong verdict", line)
		}
		if h.String() != line {
			t.Errorf("%s came back as %s", line, h)
		}
		again := h.StandIn()
		if check(t, again, password) {
			t.Errorf("%s: its stand-in takes the password", line)
		}
		if _, err := Parse(again.String()); err != nil {
			t.Errorf("stand-in of %s: %v", line, err)
		}
	}
}

func TestNew(t *testing.T) {
	h, err := New(t.Context(), "größe 🔑")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(h.String(), "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Errorf("%s", h)
	}
	same, err := Parse(h.String())
	if err != nil || !check(t, same, "größe 🔑") || check(t, same, "grösse") {
		t.Errorf("%v", err)
	}
	other, err := New(t.Context(), "größe 🔑")
	if err != nil || other.String() == h.String() {
		t.Errorf("two hashes of a password are the same: %v", err)
	}
}

// TestZeroHash: what was not set lets nobody in.
func TestZeroHash(t *testing.T) {
	if check(t, Hash{}, "") || check(t, Hash{}, "x") || !(Hash{}).IsZero() || !(Hash{}).StandIn().IsZero() || Hash.String(Hash{}) != "" {
		t.Error("the zero value matches something")
	}
}

// TestHashLinesAreBounded: a line cannot take the memory or the time of the machine, and
// whatever is wrong with it is found when it is read.
func TestHashLinesAreBounded(t *testing.T) {
	const digest = "$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7"
	for line, say := range map[string]string{
		"":                                     "not a hash",
		"secret":                               "not a hash",
		"$1$abc$def":                           "not supported",
		"$5$rounds=5000$abc$def":               "not supported",
		"$argon2i$v=19$m=64,t=1,p=1" + digest:  "use argon2id",
		"$argon2id$m=64,t=1,p=1" + digest:      "want",
		"$argon2id$v=16$m=64,t=1,p=1" + digest: "version",
		"$argon2id$v=19$m=4294967295,t=1,p=1" + digest:                    "m=4294967295",
		"$argon2id$v=19$m=4294967360,t=1,p=1" + digest:                    "number",
		"$argon2id$v=19$m=262145,t=1,p=1" + digest:                        "262144",
		"$argon2id$v=19$m=262144,t=5,p=1" + digest:                        "too much work",
		"$argon2id$v=19$m=64,t=4294967295,p=1" + digest:                   "t=4294967295",
		"$argon2id$v=19$m=64,t=0,p=1" + digest:                            "t=0",
		"$argon2id$v=19$m=64,t=1,p=0" + digest:                            "p=0",
		"$argon2id$v=19$m=64,t=1,p=257" + digest:                          "p=257",
		"$argon2id$v=19$m=64,t=1,p=9" + digest:                            "8 for each",
		"$argon2id$v=19$m=064,t=1,p=1" + digest:                           "number",
		"$argon2id$v=19$m=-64,t=1,p=1" + digest:                           "number",
		"$argon2id$v=19$t=1,m=64,p=1" + digest:                            "is not m=",
		"$argon2id$v=19$m=64,t=1" + digest:                                "parameters",
		"$argon2id$v=19$m=64,t=1,p=1,data=x" + digest:                     "parameters",
		"$argon2id$v=19$m=64,t=1,p=1$c29t$ZVrRXqxlLcWffcdNYYOaMg":         "salt",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrR":                    "digest",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$":                        "digest",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ=$ZVrRXqxlLcWffcdNYYOaMg": "base64",
		"$argon2id$v=19$m=64,t=1,p=1" + digest + "$":                      "want",
		"$argon2id$v=19$m=64,t=1,p=1" + digest + strings.Repeat("A", 600): "longer",
		"$2b$31$" + strings.Repeat("a", 53):                               "cost 31",
		"$2b$16$" + strings.Repeat("a", 53):                               "cost 16",
		"$2b$04$" + strings.Repeat("a", 53):                               "cost 4",
		"$2b$12$" + strings.Repeat("a", 52):                               "want",
		"$2b$12$" + strings.Repeat("a", 54):                               "want",
		"$2b$12$" + strings.Repeat("a", 52) + "!":                         "want",
		"$2x$12$" + strings.Repeat("a", 53):                               "not supported",
	} {
		h, err := Parse(line)
		if err == nil || !strings.Contains(err.Error(), say) || !h.IsZero() {
			t.Errorf("%q: %v, want %q", line, err, say)
		}
		if err != nil && strings.Contains(err.Error(), "ZVrRXqx") {
			t.Errorf("the error has the digest: %v", err)
		}
	}
}

// TestHashingIsBounded: no more are hashed at a time than there are turns, and who waits
// leaves when its context ends.
func TestHashingIsBounded(t *testing.T) {
	h, err := Parse(argonLine)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		old := turns
		turns = make(chan struct{}, 1)
		defer func() { turns = old }()
		leave, err := enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if ok, err := h.Check(ctx, "password"); ok || err == nil {
			t.Errorf("%v, %v while another has the turn", ok, err)
		}
		if time.Since(start) != time.Minute {
			t.Errorf("waited %v", time.Since(start))
		}
		done := make(chan bool)
		go func() {
			ok, _ := h.Check(t.Context(), "password")
			done <- ok
		}()
		synctest.Wait()
		leave()
		if !<-done {
			t.Error("the one that waited was not served")
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{argonLine, bcryptOnes, "$argon2id$v=19$m=4294967295,t=1,p=1$$", "$2b$$$", "$$$$", "$argon2id$v=19$m=262144,t=64,p=16$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h, err := Parse(line)
		if err != nil {
			if !h.IsZero() {
				t.Errorf("%q: an error, and a hash", line)
			}
			return
		}
		if h.IsZero() || h.String() != line {
			t.Errorf("%q came back as %q", line, h)
		}
		if a := h.argon; a != nil && (a.memory > MaxMemory || a.memory*a.passes > maxWork || a.threads == 0 || a.passes == 0) {
			t.Errorf("%q asks for too much", line)
		}
		if _, err := Parse(h.StandIn().String()); err != nil {
			t.Errorf("stand-in of %q: %v", line, err)
		}
	})
}
