package seal

import (
	"slices"
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
	}
	for m := range MACs() {
		names = append(names, m.Name)
		if got, ok := FindMAC(m.Name); !ok || got != m {
			t.Errorf("%s: not found", m.Name)
		}
		if m.KeyLen == 0 || m.Size == 0 || m.Size > m.hash().Size() || m.Reference == "" {
			t.Errorf("%s: a column is empty or wrong", m.Name)
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

func TestOnlySoundRowsAreOn(t *testing.T) {
	for c := range Ciphers() {
		if c.Status != alg.Default {
			t.Errorf("%s is %v", c.Name, c.Status)
		}
	}
	for m := range MACs() {
		want := alg.Default
		if m.Size < 32 {
			want = alg.Legacy
		}
		if m.Status != want {
			t.Errorf("%s is %v, want %v", m.Name, m.Status, want)
		}
	}
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
		refused("no iv", c, a, key, nil, macKey)
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
