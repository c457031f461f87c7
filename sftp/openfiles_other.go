//go:build !unix

package sftp

// openFiles is not told by the system.
func openFiles() int64 { return 0 }
