//go:build !unix

package sftp

// openNonblock is for hosts that have pipes among their files.
const openNonblock = 0

// openNoFollow is for hosts that can open without following symlinks.
const openNoFollow = 0
