package certstore

func isJCEKS([]byte) bool { return false }

func readJCEKS(*input) ([]Entry, error) { return nil, unsupported("", "stores of this form") }
