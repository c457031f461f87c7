// Package pwhash reads, makes and checks lines that stand for a password in a
// file: argon2id (RFC 9106) in the PHC string format, and bcrypt.
//
//	$argon2id$v=19$m=65536,t=3,p=4$<salt>$<digest>
//	$2b$12$<salt and digest>
//
// A line comes from a file that somebody wrote, and checking a password against
// it takes what the line says in memory and time: more than is sensible is an error
// when the line is read, and nothing is hashed then. At most a few passwords are
// hashed at a time in a process; the others wait.
package pwhash

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of what a line may ask for.
const (
	// MaxMemory is the most memory of one check, in KiB.
	MaxMemory = 256 << 10
	// maxWork bounds memory times passes: some seconds of one processor.
	maxWork    = 1 << 20 // KiB
	maxPasses  = 64
	maxThreads = 16
	minSalt    = 8
	maxSalt    = 64
	minDigest  = 16
	maxDigest  = 64
	maxCost    = 15 // of bcrypt: 2^15 rounds, some seconds
	minCost    = 10
	maxLine    = 512
)

// What New takes: the second recommendation of RFC 9106 section 4, for machines
// on which memory is not abundant.
const (
	newMemory  = 64 << 10
	newPasses  = 3
	newThreads = 4
	newSalt    = 16
	newDigest  = 32
)

// A Hash is a line that was read. It does not change, and any number of goroutines
// may use it. The zero value matches no password, and takes no time to say so.
type Hash struct {
	argon  *argon2id
	bcrypt []byte
}

// argon2id is RFC 9106 section 3.1, as far as a line has it.
type argon2id struct {
	memory, passes uint32
	threads        uint8
	salt, digest   []byte
}

var phc = base64.RawStdEncoding.Strict()

// Parse reads a line. Its errors say which part is wrong, and nothing of the
// digest.
func Parse(line string) (Hash, error) {
	if len(line) > maxLine {
		return Hash{}, fmt.Errorf("pwhash: longer than %d octets", maxLine)
	}
	fields := strings.Split(line, "$")
	if len(fields) < 4 || fields[0] != "" {
		return Hash{}, errors.New("pwhash: not a hash: it would begin with $argon2id$ or $2b$")
	}
	switch fields[1] {
	case "argon2id":
		return parseArgon(fields[2:])
	case "2a", "2b", "2y":
		return parseBcrypt(line)
	case "argon2i", "argon2d":
		return Hash{}, fmt.Errorf("pwhash: %s is not supported: use argon2id", fields[1])
	}
	return Hash{}, fmt.Errorf("pwhash: %.20q is not supported: use argon2id or bcrypt", fields[1])
}

func parseArgon(fields []string) (Hash, error) {
	if len(fields) != 4 {
		return Hash{}, errors.New("pwhash: argon2id: want $argon2id$v=19$m=,t=,p=$salt$digest")
	}
	if fields[0] != "v="+strconv.Itoa(argon2.Version) {
		return Hash{}, fmt.Errorf("pwhash: argon2id: version %.20q is not v=%d", fields[0], argon2.Version)
	}
	var a argon2id
	params := strings.Split(fields[1], ",")
	if len(params) != 3 {
		return Hash{}, fmt.Errorf("pwhash: argon2id: parameters %.40q are not m=,t=,p=", fields[1])
	}
	var threads uint32
	for i, p := range []struct {
		name     string
		to       *uint32
		low, top uint32
	}{{"m", &a.memory, 8, MaxMemory}, {"t", &a.passes, 1, maxPasses}, {"p", &threads, 1, maxThreads}} {
		text, ok := strings.CutPrefix(params[i], p.name+"=")
		n, err := strconv.ParseUint(text, 10, 32)
		if !ok || err != nil || strconv.FormatUint(n, 10) != text {
			return Hash{}, fmt.Errorf("pwhash: argon2id: %.20q is not %s= and a number", params[i], p.name)
		}
		if n < uint64(p.low) || n > uint64(p.top) {
			return Hash{}, fmt.Errorf("pwhash: argon2id: %s=%d is not from %d to %d", p.name, n, p.low, p.top)
		}
		*p.to = uint32(n)
	}
	a.threads = uint8(threads)
	if a.memory < 8*threads {
		return Hash{}, fmt.Errorf("pwhash: argon2id: m=%d is less than 8 for each of p=%d", a.memory, threads)
	}
	if a.memory*a.passes > maxWork { // at most 2^18 * 64: no overflow
		return Hash{}, fmt.Errorf("pwhash: argon2id: m=%d in t=%d passes is too much work for a login", a.memory, a.passes)
	}
	for _, part := range []struct {
		name     string
		text     string
		to       *[]byte
		low, top int
	}{{"salt", fields[2], &a.salt, minSalt, maxSalt}, {"digest", fields[3], &a.digest, minDigest, maxDigest}} {
		var err error
		if *part.to, err = phc.DecodeString(part.text); err != nil {
			return Hash{}, fmt.Errorf("pwhash: argon2id: the %s is not base64 without padding", part.name)
		}
		if n := len(*part.to); n < part.low || n > part.top {
			return Hash{}, fmt.Errorf("pwhash: argon2id: the %s has %d octets, not %d to %d", part.name, n, part.low, part.top)
		}
	}
	return Hash{argon: &a}, nil
}

// bcryptAlphabet is that of its base64.
const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// bcryptLine is how long a line of bcrypt is: $2b$12$, salt and digest.
const bcryptLine = 7 + 22 + 31

func parseBcrypt(line string) (Hash, error) {
	cost, err := bcrypt.Cost([]byte(line))
	if err != nil || len(line) != bcryptLine || line[6] != '$' || strings.Trim(line[7:], bcryptAlphabet) != "" {
		return Hash{}, errors.New("pwhash: bcrypt: want $2b$, two digits, $ and 53 letters of salt and digest")
	}
	if cost < minCost || cost > maxCost {
		return Hash{}, fmt.Errorf("pwhash: bcrypt: cost %d is not from %d to %d", cost, minCost, maxCost)
	}
	return Hash{bcrypt: []byte(line)}, nil
}

// String is the line again. It is to be kept from logs as the password is.
func (h Hash) String() string {
	if a := h.argon; a != nil {
		return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.passes, a.threads,
			phc.EncodeToString(a.salt), phc.EncodeToString(a.digest))
	}
	return string(h.bcrypt)
}

// IsZero tells whether there is no line.
func (h Hash) IsZero() bool { return h.argon == nil && h.bcrypt == nil }

// New makes the hash of a password, with a salt of its own. A context that ends
// while others are hashing is its only error.
func New(ctx context.Context, password string) (Hash, error) {
	a := &argon2id{memory: newMemory, passes: newPasses, threads: newThreads, salt: make([]byte, newSalt)}
	_, _ = rand.Read(a.salt) // never fails
	return Hash{argon: a}, a.compute(ctx, password, newDigest)
}

func (a *argon2id) compute(ctx context.Context, password string, n uint32) error {
	leave, err := enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	a.digest = argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.threads, n)
	return nil
}

// StandIn is a hash that takes as long to check as h and that no password is known
// for: for users that do not exist or have no password, whose refusal must not come
// sooner than others'.
func (h Hash) StandIn() Hash {
	switch {
	case h.argon != nil:
		a := *h.argon
		a.salt, a.digest = make([]byte, len(a.salt)), make([]byte, len(a.digest))
		_, _ = rand.Read(a.salt) // never fails
		_, _ = rand.Read(a.digest)
		return Hash{argon: &a}
	case h.bcrypt != nil:
		line := append([]byte(nil), h.bcrypt...)
		random := make([]byte, 53)
		_, _ = rand.Read(random) // never fails
		for i, b := range random {
			line[7+i] = bcryptAlphabet[b&63]
		}
		// The last letter of the salt has four bits that nothing stands for; some
		// decoders mind what is in them.
		line[7+21] = bcryptAlphabet[random[21]&0x30]
		return Hash{bcrypt: line}
	}
	return Hash{}
}

// Check tells whether password is the right one. It takes the memory and the time
// that the line says, whatever the answer is, and waits for its turn before: an
// error of ctx is its only one. bcrypt looks at 72 octets of a password and at none
// behind the first NUL.
func (h Hash) Check(ctx context.Context, password string) (bool, error) {
	switch {
	case h.argon != nil:
		got := argon2id{memory: h.argon.memory, passes: h.argon.passes, threads: h.argon.threads, salt: h.argon.salt}
		if err := got.compute(ctx, password, uint32(len(h.argon.digest))); err != nil {
			return false, err
		}
		return subtle.ConstantTimeCompare(got.digest, h.argon.digest) == 1, nil
	case h.bcrypt != nil:
		leave, err := enter(ctx)
		if err != nil {
			return false, err
		}
		defer leave()
		return bcrypt.CompareHashAndPassword(h.bcrypt, []byte(password)) == nil, nil
	}
	return false, nil
}

// turns bounds how many passwords are hashed at a time: more would not be done
// sooner, and each takes its memory.
var turns = make(chan struct{}, max(1, min(runtime.GOMAXPROCS(0), 4)))

func enter(ctx context.Context) (leave func(), err error) {
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
