package osfs

import (
	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// renameNew renames unless the target exists, in one step.
func renameNew(fd1 int, from string, fd2 int, to string) error {
	err := unix.RenameatxNp(fd1, from, fd2, to, unix.RENAME_EXCL)
	if err == unix.ENOTSUP || err == unix.ENOSYS || err == unix.EINVAL {
		return errNoRenameNew
	}
	return err
}

func fillFSInfo(info *sftp.FSInfo, st *unix.Statfs_t) {
	*info = sftp.FSInfo{
		BlockSize: uint64(uint32(st.Iosize)), FragmentSize: uint64(st.Bsize),
		Blocks: st.Blocks, Free: st.Bfree, Avail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree, FilesAvail: st.Ffree,
		ID:      uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
		Flags:   fsFlags(st.Flags&unix.MNT_RDONLY != 0, st.Flags&unix.MNT_NOSUID != 0),
		NameMax: 255,
	}
}
