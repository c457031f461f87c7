package seal

import (
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/alg"
)

func TestEveryRow(t *testing.T) {
	var names []string
	for c := range Ciphers() {
		names = append(names, c.Name)
		if got, ok := FindCipher(c.Name); !ok || got != c {
			t.Errorf("%s: not found", c.Name)
		}
		if c.KeyLen == 0 || c.Block < 8 || c.RekeyBytes == 0 || c.Reference == "" {
			t.Errorf("%s: a column is empty", c.Name)
		}
		if c.AEAD != (c.aead != nil) || c.AEAD == (c.crypt != nil) {
			t.Errorf("%s: column AEAD and the constructors disagree", c.Name)
		}
		if c.CBC != strings.Contains(c.Name, "-cbc") {
			t.Errorf("%s: column CBC is wrong", c.Name)
		}
		// RFC 4344 §3.2, and SP 800-67 Rev. 2 §3.3 for small blocks.
		if c.Block == 8 && c.IVLen == 8 && c.RekeyBytes > 8<<20 || c.RekeyBytes > 16<<32 {
			t.Errorf("%s: %d octets under one key", c.Name, c.RekeyBytes)
		}
		aliasOf(t, c.Row, func(n string) (alg.Row, bool) { r, ok := FindCipher(n); return r.Meta(), ok })
	}
	for m := range MACs() {
		names = append(names, m.Name)
		if got, ok := FindMAC(m.Name); !ok || got != m {
			t.Errorf("%s: not found", m.Name)
		}
		if m.KeyLen == 0 || m.Size == 0 || m.Reference == "" || (m.hash == nil) == (m.keyed == nil) {
			t.Errorf("%s: a column is empty or wrong", m.Name)
		}
		if m.hash != nil && (m.Size > m.hash().Size() || m.KeyLen != m.hash().Size()) {
			t.Errorf("%s: a size is not of its hash", m.Name)
		}
	}
	slices.Sort(names)
	if n := len(names); len(slices.Compact(names)) != n {
		t.Error("a name occurs twice")
	}
	// What each mode does with the columns is what the tests over modes show:
	// here only that a block is the one packets are made of.
	for _, m := range modes()[1:] {
		f := frameOf(m.sealer(t))
		if f.block != m.cipher.Block {
			t.Errorf("%v: block %d in the table, %d in use", m, m.cipher.Block, f.block)
		}
		if m.mac != nil && f.tag != m.mac.Size {
			t.Errorf("%v: mac of %d octets in the table, %d in use", m, m.mac.Size, f.tag)
		}
	}
}

// aliasOf checks that a row's aliases are rows, of no other status.
func aliasOf(t *testing.T, r alg.Row, find func(string) (alg.Row, bool)) {
	t.Helper()
	for _, name := range r.Aliases {
		if other, ok := find(name); !ok || name == r.Name || (other.Status == alg.Legacy) != (r.Status == alg.Legacy) {
			t.Errorf("%s: alias %s", r.Name, name)
		}
	}
}

// What is on by default, in this order, and what is safe if named; all the rest
// is for old peers.
func TestOnlySoundRowsAreOn(t *testing.T) {
	check := func(rows []alg.Row, on, safe string) {
		t.Helper()
		if got := strings.Join(alg.Defaults(rows), " "); got != on {
			t.Errorf("on by default: %s\nwant %s", got, on)
		}
		var offered []string
		for _, r := range rows {
			if r.Status == alg.Offered {
				offered = append(offered, r.Name)
			}
		}
		if got := strings.Join(offered, " "); got != safe {
			t.Errorf("safe if named: %s\nwant %s", got, safe)
		}
	}
	var cs, ms []alg.Row
	for c := range Ciphers() {
		cs = append(cs, c.Row)
	}
	for m := range MACs() {
		ms = append(ms, m.Row)
	}
	check(
		cs,
		"aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com aes128-ctr aes192-ctr aes256-ctr",
		"aes128-gcm aes256-gcm",
	)
	check(
		ms,
		"hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha2-256 hmac-sha2-512",
		"umac-128-etm@openssh.com umac-128@openssh.com umac-64-etm@openssh.com umac-64@openssh.com "+
			"hmac-sha2-256-96-etm@openssh.com hmac-sha2-256-96 hmac-sha2-512-96-etm@openssh.com hmac-sha2-512-96",
	)
}

func TestIterationCanStop(t *testing.T) {
	for range Ciphers() {
		break
	}
	for range MACs() {
		break
	}
}

// House rule 8: what is not exactly right is refused.
func TestWrongArguments(t *testing.T) {
	for _, m := range modes()[1:] {
		c, a := m.names()
		key, iv, macKey := m.keys()
		refused := func(what, c, a string, key, iv, macKey []byte) {
			t.Helper()
			if s, err := NewSealer(c, a, key, iv, macKey); err == nil || s != nil {
				t.Errorf("%v: NewSealer accepted %s", m, what)
			}
			if o, err := NewOpener(c, a, key, iv, macKey); err == nil || o != nil {
				t.Errorf("%v: NewOpener accepted %s", m, what)
			}
		}
		refused("no cipher", "", a, key, iv, macKey)
		refused("an unknown cipher", c+"x", a, key, iv, macKey)
		refused("a short key", c, a, key[1:], iv, macKey)
		refused("a long key", c, a, append([]byte{0}, key...), iv, macKey)
		refused("no key", c, a, nil, iv, macKey)
		refused("a long iv", c, a, key, append([]byte{0}, iv...), macKey)
		if m.mac == nil {
			// The MAC negotiated beside an AEAD does not matter.
			if _, err := NewSealer(c, "whatever", key, iv, nil); err != nil {
				t.Errorf("%v: %v", m, err)
			}
			continue
		}
		if len(iv) > 0 {
			refused("no iv", c, a, key, nil, macKey)
		}
		refused("no mac", c, "", key, iv, macKey)
		refused("an unknown mac", c, a+"x", key, iv, macKey)
		refused("a short mac key", c, a, key, iv, macKey[1:])
		refused("no mac key", c, a, key, iv, nil)
	}
}

func TestArgumentsAreCopied(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		if m.cipher == nil {
			return
		}
		c, a := m.names()
		key, iv, macKey := m.keys()
		s, err := NewSealer(c, a, key, iv, macKey)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{key, iv, macKey} {
			for i := range b {
				b[i] = 0
			}
		}
		if _, err := open(m.opener(t), 0, 0, sealed(s, 0, 0, framed(count(9, 0), s.Padding(9)))); err != nil {
			t.Error(err)
		}
	})
}
