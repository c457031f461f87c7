// Package keys reads, writes and makes what holds an SSH key: the file
// formats, as rows of one table, and public keys that travel in X.509
// certificates (RFC 6187). What comes out are the types of
// golang.org/x/crypto/ssh, imported here as gossh, so they fit wherever a
// gossh.Signer or a gossh.PublicKey fits:
//
//	k, err := keys.Parse(data, keys.Passphrase("secret"))
//	if err != nil {
//		return err // a *keys.PassphraseError or a *keys.FormatError
//	}
//	auth := ssh2.PublicKeys(k.Signer)
//
// [Parse] and [ParsePublic] find the format by looking: OpenSSH, traditional
// PEM, PKCS#8, PuTTY's PPK 2 and 3, RFC 4716, JWK, XML, the wire form. Files are
// taken for hostile: sizes are checked before memory is taken or numbers are
// computed with, and what a file may ask its reader to spend on a passphrase
// has [Limits].
//
// Not read: SSH 1 keys, ssh.com's private keys, PPK 1, PPK 3 with Argon2d, keys
// of more than two primes. The private files of security keys hold no key that
// could sign; an agent has to do it.
package keys
