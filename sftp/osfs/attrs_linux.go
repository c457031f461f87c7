package osfs

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/sftp"
)

const (
	// hostAttrs are answered beyond version 3's, hostSettable of them can be set.
	hostAttrs    = sftp.AttrCtime | sftp.AttrBirth | sftp.AttrLinks | sftp.AttrAllocation
	hostSettable = sftp.AttrAllocation
	hostXattrs   = sftp.AttrExtended
	hostBits     = sftp.BitImmutable | sftp.BitAppendOnly | sftp.BitCompressed

	// Extended attributes shown for one file; the kernel has 64 KiB names and values.
	maxXattrs     = 256
	maxXattrBytes = 64 << 10
)

// attrBits are attribute bits as statx tells them and FS_IOC_SETFLAGS takes them; no flag:
// cannot be set.
var attrBits = [...]struct {
	bit   sftp.AttrBits
	statx uint64
	flag  uint32
}{
	{sftp.BitCompressed, unix.STATX_ATTR_COMPRESSED, 0x04},
	{sftp.BitImmutable, unix.STATX_ATTR_IMMUTABLE, 0x10},
	{sftp.BitAppendOnly, unix.STATX_ATTR_APPEND, 0x20},
	{sftp.BitEncrypted, unix.STATX_ATTR_ENCRYPTED, 0},
}

// statMore adds the creation time and the attribute bits to a, which lstat made of rel.
func (s *FS) statMore(rel string, a *sftp.Attrs) error {
	return s.at(rel, func(fd int, elem string) error {
		return statx(fd, elem, unix.AT_SYMLINK_NOFOLLOW, a)
	})
}

func statMoreFile(f *os.File, a *sftp.Attrs) error {
	return control(f, func(fd int) error { return statx(fd, "", unix.AT_EMPTY_PATH, a) })
}

func statx(fd int, elem string, flags int, a *sftp.Attrs) error {
	var st unix.Statx_t
	switch err := unix.Statx(fd, elem, flags, unix.STATX_BTIME|unix.STATX_INO, &st); err {
	case nil:
	case unix.ENOSYS, unix.EPERM: // before Linux 4.11, or a seccomp filter
		return nil
	default:
		return err
	}
	if st.Ino != a.Ino {
		return nil // swapped under us: the other's do not belong to a
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		a.Birth = time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
		a.Valid |= sftp.AttrBirth
	}
	for _, b := range attrBits {
		if st.Attributes_mask&b.statx == 0 {
			continue
		}
		a.Valid |= sftp.AttrBitsSet
		a.BitsValid |= b.bit
		if st.Attributes&b.statx != 0 {
			a.Bits |= b.bit
		}
	}
	return nil
}

// setBits sets and clears attribute bits of f.
func setBits(f *os.File, set, clear sftp.AttrBits) error {
	var on, off uint32
	for _, b := range attrBits {
		if set&b.bit != 0 {
			on |= b.flag
		}
		if clear&b.bit != 0 {
			off |= b.flag
		}
	}
	if on|off == 0 {
		return nil
	}
	err := control(f, func(fd int) error {
		flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		if want := flags&^off | on; want != flags {
			return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(want))
		}
		return nil
	})
	if errors.Is(err, unix.ENOTTY) && on == 0 {
		return nil // no such bits here: they are clear
	}
	if errors.Is(err, unix.ENOTTY) {
		err = errors.ErrUnsupported
	}
	return err
}

// readXattrs adds the extended attributes user.* of f to a, as many as there is room for.
func readXattrs(f *os.File, a *sftp.Attrs) {
	a.Valid |= sftp.AttrExtended
	_ = control(f, func(fd int) error {
		buf := make([]byte, maxXattrBytes)
		n, err := unix.Flistxattr(fd, buf)
		if err != nil {
			return err
		}
		left := maxXattrBytes
		value := make([]byte, maxXattrBytes)
		for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
			if !strings.HasPrefix(name, "user.") || len(a.Extended) == maxXattrs {
				continue
			}
			m, err := unix.Fgetxattr(fd, name, value)
			if err != nil || len(name)+m > left {
				continue
			}
			left -= len(name) + m
			a.Extended = append(a.Extended, sftp.ExtAttr{Name: name, Data: string(value[:m])})
		}
		return nil
	})
}

func writeXattrs(f *os.File, list []sftp.ExtAttr) error {
	return control(f, func(fd int) error {
		for i := range list {
			if err := unix.Fsetxattr(fd, list[i].Name, []byte(list[i].Data), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// allocate reserves n octets for f; its size stays.
func allocate(f *os.File, n int64) error {
	if n == 0 {
		return nil
	}
	return control(f, func(fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, n) })
}
