// Package keys reads, writes and generates SSH keys in all common file formats, and implements public keys in X.509
// certificates (RFC 6187). Keys are of the types of golang.org/x/crypto/ssh, imported here as gossh, and can be used
// wherever a gossh.Signer or a gossh.PublicKey is expected:
//
//	k, err := keys.Parse(data, keys.Passphrase("secret"))
//	if err != nil {
//		return err // a *keys.PassphraseError or a *keys.FormatError
//	}
//	auth := ssh2.PublicKeys(k.Signer)
//
// [Parse] and [ParsePublic] find the format by looking: OpenSSH, traditional PEM, PKCS#8, PuTTY's PPK 2 and 3, RFC
// 4716, JWK, XML, the wire form. Files are treated as hostile input: sizes are checked before memory is allocated or
// numbers are used in computations, and the cost of checking a passphrase is bounded by [Limits].
//
// Not read: SSH 1 keys, ssh.com's private keys, PPK 1, PPK 3 with Argon2d, keys of more than two primes. Private key
// files of security keys contain nothing that could sign; use an agent for them.
package keys
