// Package keys reads, writes and makes what holds an SSH key: the file
// formats, as rows of one table, and public keys that travel in X.509
// certificates (RFC 6187). What comes out are the types of
// golang.org/x/crypto/ssh, imported here as gossh, so they fit wherever a
// gossh.Signer or a gossh.PublicKey fits.
package keys
