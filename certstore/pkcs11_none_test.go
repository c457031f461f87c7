//go:build !cgo

package certstore

import (
	"errors"
	"testing"
)

// Without cgo the type exists and says what is missing.
func TestTokenWithoutCgo(t *testing.T) {
	_, err := Open(PKCS11, absolute("/lib/token.so"), Options{})
	if e, ok := errors.AsType[*PlatformError](err); !ok || e.Type != PKCS11 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%T: %v", err, err)
	}
}
