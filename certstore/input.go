package certstore

import (
	"fmt"

	"github.com/fairlead-ssh/fairlead/keys"
)

// maxStore bounds a store in octets.
const maxStore = 16 << 20

// maxEncrypted bounds the encrypted keys in a store. Each may cost what
// Options.Limits allow, and that is seconds.
const maxEncrypted = 256

// maxPrivate bounds the octets of all private keys in a store. To check one of
// RSA takes time by the cube of its size: with this bound half a minute at most.
const maxPrivate = 256 << 10

// maxEntries bounds the entries of a store.
const maxEntries = 1 << 16

// Options says how to open a store. The zero value opens what has no password.
type Options struct {
	// Password opens the store: its passphrase, or the PIN of a token.
	Password keys.Passphrase
	// KeyPassword opens the private keys in it, where they have another. Empty,
	// it is Password.
	KeyPassword keys.Passphrase
	// Ask, if set, is called for a password that is needed and was not given:
	// that of the store, when alias is empty, or of the key of an entry, also
	// when neither of the above opens it. Its error is returned as it is.
	Ask func(alias string) (keys.Passphrase, error)
	// Limits bounds what a store may ask to spend on a password. Its zero value
	// stands for the defaults of package keys.
	Limits keys.Limits
}

// input is a store that is being read.
type input struct {
	typ      Type
	format   string // the row that reads it
	location string // a path, the name of a system's store, the path of a library
	data     []byte // the contents, not in armour and not in Base64; nil for what is no file
	opts     Options
	limits   keys.Limits // with no field zero
	onClose  []func() error
	asked    error // what Ask returned, once it failed
	opened   int   // keys that a password was wanted for
	private  int   // octets of the private keys that were read
}

// password returns what opens the store, empty if there is none.
func (in *input) password() (keys.Passphrase, error) {
	if len(in.opts.Password) == 0 {
		p, err := in.ask("")
		in.opts.Password = p
		return p, err
	}
	return in.opts.Password, nil
}

// keyPassword returns what opens the key of an entry, empty if there is none.
// It is called for keys that are encrypted, and only for them.
func (in *input) keyPassword(alias string) (keys.Passphrase, error) {
	if in.opened++; in.opened > maxEncrypted {
		return nil, bad("", "more than %d encrypted keys", maxEncrypted)
	}
	switch {
	case len(in.opts.KeyPassword) != 0:
		return in.opts.KeyPassword, nil
	case len(in.opts.Password) != 0:
		return in.opts.Password, nil
	}
	return in.ask(alias)
}

func (in *input) ask(alias string) (p keys.Passphrase, err error) {
	if in.opts.Ask == nil {
		return nil, nil
	}
	if in.asked == nil { // who once gave up is not asked for the next key
		p, in.asked = in.opts.Ask(alias)
	}
	return p, in.asked
}

// closeWith has f called when the store is closed.
func (in *input) closeWith(f func() error) { in.onClose = append(in.onClose, f) }

var errPrivate = fmt.Errorf("private keys of more than %d octets", maxPrivate)

// charge counts a private key of n octets.
func (in *input) charge(n int) error {
	if in.private += n; in.private > maxPrivate {
		return &FormatError{Err: errPrivate}
	}
	return nil
}

// share is what the next encrypted key may cost that has limits to itself: of
// all the n-th has an n-th part, so that many together cost a few times what
// one may.
func (in *input) share() keys.Limits {
	l, n := in.limits, max(in.opened, 1)
	l.BcryptRounds = max(l.BcryptRounds/n, 1) // 0 would be the default
	l.PBKDF2Iterations = max(l.PBKDF2Iterations/n, 1)
	l.MemoryPasses = max(l.MemoryPasses/int64(n), 1)
	return l
}
