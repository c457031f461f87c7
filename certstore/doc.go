// Package certstore opens stores that hold keys and certificates and finds
// those that a server shall use in them: PFX, PEM, PPK, JWK, XML, PKCS#7, Java
// key stores, public keys of SSH and X.509, tokens, and on Windows the system's
// stores.
//
//	c, err := certstore.Load(certstore.Auto, "server.pfx", []byte("secret"), "CN=sftp.example.com")
//	if err != nil {
//		return err // a *PasswordError, a *FormatError, a *PlatformError, or ErrNoMatch
//	}
//	server.HostKeys, err = c.Signers()
//
// A [Store] is what one file holds, in its order; a [Certificate] is one key
// with its certificate, if there is one, and shows every field of it; a [Source]
// is a place to load one from, as settings have it. Single keys are read by
// package keys, in all of its formats.
//
// Stores are taken for hostile: at most 16 MiB are read, what they may ask to
// spend on a password has limits, and nothing descends further than the form
// that it expects. No certificate is verified: to hold one proves nothing.
package certstore
