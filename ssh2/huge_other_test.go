//go:build !unix

package ssh2

import "testing"

// huge returns n octets of zeros.
func huge(_ *testing.T, n int) []byte { return make([]byte, n) }
