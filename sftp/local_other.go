//go:build !unix

package sftp

// openNonblock is for hosts that have pipes among their files.
const openNonblock = 0
