package certstore

func isJKS([]byte) bool { return false }

func readJKS(*input) ([]Entry, error) { return nil, unsupported("", "stores of this form") }
