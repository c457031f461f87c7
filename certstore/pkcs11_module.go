//go:build cgo

package certstore

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/miekg/pkcs11"
)

// A library of PKCS#11 is initialized once for a process, and a token logged in
// once, however many stores use them.

// module is a loaded library.
type module struct {
	ctx    *pkcs11.Ctx
	ours   bool // we initialized it, and finalize it
	users  int
	logins map[uint]*login // by slot
}

// login is what is known of a token that is logged in. Another store that uses
// it must know the PIN, which the token does not check again.
type login struct {
	mac   []byte // nil with a PIN pad, or if another part of the program logged in
	users int
}

// modules are all that are in use or were. They stay loaded: libraries of
// tokens are known not to survive being unloaded. The lock is held while a
// library is initialized or logs in, which no other store may see half done.
var modules = struct {
	sync.Mutex
	byPath map[string]*module
}{byPath: map[string]*module{}}

// pinKey makes the MACs of PINs useless outside this process.
var pinKey = sync.OnceValue(func() []byte {
	k := make([]byte, sha256.Size)
	_, _ = rand.Read(k)
	return k
})

func pinMAC(pin string) []byte {
	h := hmac.New(sha256.New, pinKey())
	h.Write([]byte(pin))
	return h.Sum(nil)
}

var errModule = errors.New("cannot be loaded, or is no library of PKCS#11")

// useModule loads and initializes the library. Each use is paid back with
// release.
func useModule(path string) (*module, error) {
	modules.Lock()
	defer modules.Unlock()
	m := modules.byPath[path]
	if m == nil {
		ctx := pkcs11.New(path)
		if ctx == nil {
			return nil, &FormatError{Where: fmt.Sprintf("library %+q", clip(path)), Err: errModule}
		}
		m = &module{ctx: ctx, logins: map[uint]*login{}}
		modules.byPath[path] = m
	}
	if m.users == 0 {
		err := m.ctx.Initialize()
		m.ours = err == nil
		if err != nil && !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
			return nil, &FormatError{Where: "initialize", Err: err}
		}
	}
	m.users++
	return m, nil
}

func (m *module) release() error {
	modules.Lock()
	defer modules.Unlock()
	if m.users--; m.users > 0 || !m.ours {
		return nil
	}
	if err := m.ctx.Finalize(); err != nil {
		return fmt.Errorf("certstore: PKCS11: finalize: %w", err)
	}
	return nil
}

// login logs in to the token of a session. The token counts wrong PINs and
// locks itself, so each is tried once.
func (m *module) login(session pkcs11.SessionHandle, slot uint, pin string, pad bool) error {
	modules.Lock()
	defer modules.Unlock()
	l := m.logins[slot]
	err := m.ctx.Login(session, pkcs11.CKU_USER, pin)
	switch {
	case err == nil:
		l = &login{}
		if !pad {
			l.mac = pinMAC(pin)
		}
	case !is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		if is(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE) {
			return wrong("")
		}
		return &FormatError{Where: "login", Err: err}
	case l == nil:
		l = &login{}
	case l.mac != nil && !hmac.Equal(l.mac, pinMAC(pin)):
		return wrong("")
	}
	l.users++
	m.logins[slot] = l
	return nil
}

// logout gives up a login, and with the last one logs out.
func (m *module) logout(session pkcs11.SessionHandle, slot uint) {
	modules.Lock()
	defer modules.Unlock()
	l := m.logins[slot]
	if l == nil {
		return
	}
	if l.users--; l.users == 0 {
		delete(m.logins, slot)
		if l.mac != nil {
			_ = m.ctx.Logout(session) // closing the last session does it too
		}
	}
}

// is tells whether err is one of these return values of a library.
func is(err error, values ...pkcs11.Error) bool {
	e, ok := errors.AsType[pkcs11.Error](err)
	for _, v := range values {
		if ok && e == v {
			return true
		}
	}
	return false
}
