package certstore

// readSystem opens a store of Windows.
func readSystem(in *input) ([]Entry, error) {
	return nil, &PlatformError{in.typ, "not yet"}
}
