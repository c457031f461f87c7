//go:build !cgo

package certstore

// readPKCS11 refuses: libraries of tokens are in C.
func readPKCS11(in *input) ([]Entry, error) {
	u, err := parseToken(in.location)
	if err != nil {
		return nil, err
	}
	in.location = u.shown
	return nil, &PlatformError{in.typ, "this build has no PKCS#11, for which Go needs cgo (CGO_ENABLED=1 and a C compiler); use a PFX or PEM file"}
}
