package certstore

func readPKCS11(in *input) ([]Entry, error) {
	return nil, &PlatformError{in.typ, "this build has no PKCS#11; use a PFX or PEM file"}
}
