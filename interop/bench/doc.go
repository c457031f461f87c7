// Package bench compares this module's server with golang.org/x/crypto/ssh and github.com/pkg/sftp, side by side in
// one process. README.md says how to run it and what the figures mean.
package bench
