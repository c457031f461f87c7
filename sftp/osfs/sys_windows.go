package osfs

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// hostFeatures are what the host's calls add.
const hostFeatures = sftp.FeatureStatFS | sftp.FeatureFoldedNames

var reOpenFile = windows.NewLazySystemDLL("kernel32.dll").NewProc("ReOpenFile")

// shareAll lets others do with an open file what they may, as package os does.
const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

// timesFile sets the times of an open file. A handle for reading alone may not, so it is
// opened again for that, by the handle: whatever has its name by now is left alone.
func timesFile(f *os.File, a *sftp.Attrs) error {
	if err := checkTimes(a); err != nil {
		return err
	}
	return control(f, func(h windows.Handle) error {
		err := setTimes(h, a)
		if !errors.Is(err, fs.ErrPermission) {
			return err
		}
		again, _, _ := reOpenFile.Call(uintptr(h), windows.FILE_WRITE_ATTRIBUTES, shareAll, 0)
		if windows.Handle(again) == windows.InvalidHandle {
			return err
		}
		return errors.Join(setTimes(windows.Handle(again), a), windows.CloseHandle(windows.Handle(again)))
	})
}

func setTimes(h windows.Handle, a *sftp.Attrs) error {
	var at, mt *windows.Filetime // nil leaves the time alone
	if a.Has(sftp.AttrAtime) {
		t := windows.NsecToFiletime(a.Atime.UnixNano())
		at = &t
	}
	if a.Has(sftp.AttrMtime) {
		t := windows.NsecToFiletime(a.Mtime.UnixNano())
		mt = &t
	}
	return windows.SetFileTime(h, nil, at, mt)
}

// What a count of nanoseconds and a FILETIME, which begins in 1601, can both say. Some of
// the other values of a FILETIME are orders instead of times.
var (
	firstTime = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// checkTimes refuses times that the host cannot keep.
func checkTimes(a *sftp.Attrs) error {
	for _, t := range [...]struct {
		has  sftp.AttrMask
		time time.Time
	}{{sftp.AttrAtime, a.Atime}, {sftp.AttrMtime, a.Mtime}} {
		if a.Has(t.has) && (t.time.Before(firstTime) || t.time.After(lastTime)) {
			return sftp.CodeInvalidParameter
		}
	}
	return nil
}

// control runs call with the handle of f, which cannot be closed meanwhile.
func control(f *os.File, call func(h windows.Handle) error) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = call(windows.Handle(fd)) }); err != nil {
		return err
	}
	return inner
}

// finalPath is where an open file is by now, in a form that needs no more parsing
// (`\\?\C:\...`).
func finalPath(f *os.File) (path string, err error) {
	err = control(f, func(h windows.Handle) error {
		for size := uint32(512); size <= math.MaxUint16; {
			buf := make([]uint16, size)
			n, err := windows.GetFinalPathNameByHandle(h, &buf[0], size, 0)
			switch {
			case err != nil:
				return err
			case n < size:
				path = windows.UTF16ToString(buf[:n])
				return nil
			}
			size = n + 1
		}
		return windows.ERROR_FILENAME_EXCED_RANGE
	})
	return path, err
}

// blockSize is the unit in which room is told: Windows tells it in bytes, and the unit of
// nearly all its volumes is this.
const blockSize = 4096

// statfs answers for the volume of the root: others are behind mount points, which no name
// goes through.
func (s *FS) statfs(rel string, info *sftp.FSInfo) error {
	var a sftp.Attrs
	if err := s.lstat(rel, &a); err != nil {
		return err
	}
	if a.Type() == sftp.TypeSymlink {
		return errSymlink
	}
	return statfsFile(s.base, info)
}

func statfsFile(f *os.File, info *sftp.FSInfo) error {
	path, err := finalPath(f)
	if err != nil {
		return err
	}
	var a sftp.Attrs
	if err := statFile(f, &a); err != nil {
		return err
	}
	if !a.IsDir() { // the call wants a directory
		path = path[:strings.LastIndexByte(path, '\\')+1]
	}
	text, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	var avail, total, free uint64
	if err := windows.GetDiskFreeSpaceEx(text, &avail, &total, &free); err != nil {
		return err
	}
	*info = sftp.FSInfo{
		BlockSize: blockSize, FragmentSize: blockSize, NameMax: maxElement,
		Blocks: total / blockSize, Free: free / blockSize, Avail: avail / blockSize,
	}
	return nil
}

// maxElement is the longest name in UTF-16 units.
const maxElement = 255

// checkHostName refuses what Windows reads as something else than a plain name: drives
// and alternate streams (":"), the other separator, wildcards, device names, trailing dots
// and blanks, which it drops, and octets that are no text, for which it keeps the same
// character whatever they are.
func checkHostName(rel string) error {
	if strings.ContainsAny(rel, "\\:*?\"<>|") {
		return sftp.CodeInvalidFilename
	}
	for i := range len(rel) {
		if rel[i] < 0x20 {
			return sftp.CodeInvalidFilename
		}
	}
	wide, err := syscall.UTF16FromString(rel)
	if err != nil || syscall.UTF16ToString(wide) != rel || !filepath.IsLocal(local(rel)) {
		return sftp.CodeInvalidFilename
	}
	for elem := range strings.SplitSeq(rel, "/") {
		if elem != "." && (strings.HasSuffix(elem, ".") || strings.HasSuffix(elem, " ")) {
			return sftp.CodeInvalidFilename
		}
	}
	return nil
}

// checkLinkText refuses targets that name a drive, another host or a device. Nothing inside
// could follow them; but programs of the host might, and Windows would complete one such
// as "C:x" by the directory that this process is in, which READLINK would then tell.
func checkLinkText(text string) error {
	text = slashed(text)
	if strings.ContainsAny(text, ":?") || strings.HasPrefix(text, "//") {
		return sftp.Status(sftp.CodePermissionDenied, "symbolic link would leave the root")
	}
	return nil
}

// cutRoot cuts the directory root off path, in whatever letters it is written.
func cutRoot(path, root string) (rest string, ok bool) {
	if len(path) < len(root) || !strings.EqualFold(path[:len(root)], root) {
		return path, false
	}
	return path[len(root):], true
}

// spelled answers rel, in which there are no links, as its names are stored: any letters
// and short names (PROGRA~1) lead to an object, and rules go by names. What does not exist
// stays as it is.
func (s *FS) spelled(rel string) (string, error) {
	if rel == "." {
		return rel, nil
	}
	elems := strings.Split(rel, "/")
	at := "."
	for i, elem := range elems {
		name, err := s.stored(at, elem)
		switch {
		case err == nil:
			elems[i] = name
		case errors.Is(err, fs.ErrNotExist):
			return strings.Join(elems, "/"), nil
		default:
			return "", err
		}
		at = strings.Join(elems[:i+1], "/")
	}
	return at, nil
}

// stored answers how a directory spells the name of elem. The directory is opened inside
// the jail; the look at it is by its path on the host and tells nothing but a name.
func (s *FS) stored(dir, elem string) (string, error) {
	d, err := s.openDir(dir)
	if err != nil {
		return "", err
	}
	defer d.Close()
	path, err := finalPath(d)
	if err != nil {
		return "", err
	}
	text, err := windows.UTF16PtrFromString(strings.TrimSuffix(path, `\`) + `\` + elem)
	if err != nil {
		return "", err
	}
	var found windows.Win32finddata
	h, err := windows.FindFirstFile(text, &found)
	if err != nil {
		return "", err
	}
	name := windows.UTF16ToString(found.FileName[:])
	return name, windows.FindClose(h)
}
