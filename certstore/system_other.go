//go:build !windows

package certstore

// readSystem refuses: the stores are those of Windows.
func readSystem(in *input) ([]Entry, error) {
	return nil, &PlatformError{in.typ, "its stores are those of Windows; use a PFX or PEM file (cstPFXFile, cstPEMKeyFile)"}
}
