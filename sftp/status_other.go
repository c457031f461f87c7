//go:build !unix && !windows

package sftp

// codeOfErrno knows no error numbers of this system; errors.Is decides.
func codeOfErrno(error) (Code, bool) { return 0, false }
