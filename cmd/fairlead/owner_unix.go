//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// othersCanWrite tells whether somebody else than root and the user can change a file.
func othersCanWrite(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().Perm()&0o022 != 0 || ok && st.Uid != 0 && int(st.Uid) != os.Getuid()
}
