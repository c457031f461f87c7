package certstore

func isBCFKS([]byte) bool { return false }

func readBCFKS(*input) ([]Entry, error) { return nil, unsupported("", "stores of this form") }
