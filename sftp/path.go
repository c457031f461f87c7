package sftp

import (
	"path"
	"strings"
)

// MaxPath is the longest path in bytes that CleanPath takes (PATH_MAX of most hosts).
const MaxPath = 4096

// CleanPath turns a name from the wire into its canonical spelling, the one that every check uses:
// absolute, "/" separated, without ".", "..", empty elements or a trailing slash. A relative name
// starts at "/"; "" is "/". ".." is taken lexically and stays at the root there, as in a chroot.
// Names with NUL and names over MaxPath are CodeInvalidFilename.
func CleanPath(name string) (string, error) {
	if len(name) > MaxPath {
		return "", Status(CodeInvalidFilename, "path too long")
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", Status(CodeInvalidFilename, "path holds a NUL byte")
	}
	if name == "" {
		return "/", nil
	}
	if name[0] != '/' {
		name = "/" + name
	}
	// path.Clean returns its argument, without allocating, when it is clean already.
	return path.Clean(name), nil
}

// JoinPath applies elem to base as REALPATH's compose-path does (filexfer-13 §8.9): an absolute
// elem replaces base. Pass the result through CleanPath.
func JoinPath(base, elem string) string {
	switch {
	case elem == "":
		return base
	case elem[0] == '/' || base == "":
		return elem
	}
	return base + "/" + elem
}
