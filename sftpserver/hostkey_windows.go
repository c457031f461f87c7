package sftpserver

import "golang.org/x/sys/windows"

// place gives a file its name, and never replaces another. A second link would do, but the first one could not be
// removed while somebody reads the file by the second.
func place(temp, name string) error {
	from, err := windows.UTF16PtrFromString(temp)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH)
}
