package osfs

import (
	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// renameNew: FreeBSD has no exclusive rename.
func renameNew(int, string, int, string) error { return errNoRenameNew }

func fillFSInfo(info *sftp.FSInfo, st *unix.Statfs_t) {
	*info = sftp.FSInfo{
		BlockSize: st.Iosize, FragmentSize: st.Bsize,
		Blocks: st.Blocks, Free: st.Bfree, Avail: uint64(max(st.Bavail, 0)),
		Files: st.Files, FilesFree: uint64(max(st.Ffree, 0)), FilesAvail: uint64(max(st.Ffree, 0)),
		ID:      uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
		Flags:   fsFlags(st.Flags&unix.MNT_RDONLY != 0, st.Flags&unix.MNT_NOSUID != 0),
		NameMax: uint64(st.Namemax),
	}
}
