package osfs

import (
	"io/fs"
	"syscall"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// hostAttrs are answered beyond version 3's.
const hostAttrs = sftp.AttrBirth

// attrBits are attribute bits as FILE_ATTRIBUTE_ constants.
var attrBits = [...]struct {
	bit  sftp.AttrBits
	attr uint32
}{
	{sftp.BitReadOnly, 0x1},
	{sftp.BitHidden, 0x2},
	{sftp.BitSystem, 0x4},
	{sftp.BitArchive, 0x20},
	{sftp.BitSparse, 0x200},
	{sftp.BitCompressed, 0x800},
	{sftp.BitEncrypted, 0x4000},
}

// addHost adds what Windows tells with every stat.
func addHost(a *sftp.Attrs, fi fs.FileInfo) {
	d, ok := fi.Sys().(*syscall.Win32FileAttributeData)
	if !ok {
		return
	}
	a.Atime = time.Unix(0, d.LastAccessTime.Nanoseconds())
	a.Birth = time.Unix(0, d.CreationTime.Nanoseconds())
	a.Valid |= sftp.AttrBirth | sftp.AttrBitsSet
	for _, b := range attrBits {
		a.BitsValid |= b.bit
		if d.FileAttributes&b.attr != 0 {
			a.Bits |= b.bit
		}
	}
}
