package certstore

func isPFX([]byte) bool { return false }

func readPFX(*input) ([]Entry, error) { return nil, unsupported("", "stores of this form") }
