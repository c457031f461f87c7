// Package certstore opens stores of keys and certificates, and finds in them those that a server is to use: PFX, PEM,
// PPK, JWK, XML, PKCS#7, Java key stores, public keys of SSH and X.509, tokens, and on Windows the system's stores.
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
// Keys in a token are used through the PKCS #11 library of its vendor, which needs a build with cgo. The location of
// such a store ([PKCS11]) is the absolute path of the library, if it has one token, or a URI of RFC 7512:
//
//	pkcs11:token=My%20token;object=host%20key?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/ssh/pin
//
// In front of the question mark are what token and objects must have: token,
// serial, manufacturer, model, slot-id, slot-description, slot-manufacturer,
// library-description, library-manufacturer, library-version, and of objects
// object (the label), id and type (cert, private, public). Behind it are
// module-path and, if [Options] has no password, pin-value or pin-source, a
// file. module-name is not known, programs as a source are not run, and
// attributes that begin with x- are passed over.
//
// Stores are treated as hostile input: at most 16 MiB are read, the cost of checking a password is limited, and parsers
// do not recurse deeper than the expected structure. Certificates are not verified: that a store has one proves nothing
// about it.
package certstore
