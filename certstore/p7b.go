package certstore

func isP7B([]byte) bool { return false }

func readP7B(*input) ([]Entry, error) { return nil, unsupported("", "stores of this form") }
