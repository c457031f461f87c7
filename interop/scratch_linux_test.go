package interop

import "syscall"

// freeBytes returns the room left in the file system of dir, 0 when there is no such directory.
func freeBytes(dir string) uint64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0
	}
	return st.Bavail * uint64(st.Bsize)
}
