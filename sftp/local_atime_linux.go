package sftp

import (
	"io/fs"
	"syscall"
	"time"
)

// atimeOf returns the last access, if the host tells.
func atimeOf(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Atim.Unix())
	}
	return info.ModTime()
}
