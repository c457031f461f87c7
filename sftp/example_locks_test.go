package sftp_test

import (
	"fmt"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// A file system of one's own has one table, enters each file that it opens, and asks the
// handle before it reads or writes.
func ExampleLockTable() {
	var locks sftp.LockTable
	file := sftp.FileID{Dev: 1, Ino: 42}
	how := sftp.OpenHow{Access: sftp.AccessReadData | sftp.AccessWriteData, Disposition: sftp.OpenExisting}
	one, _ := locks.Open(file, &how)
	two, _ := locks.Open(file, &how)

	fmt.Println("lock:", one.Lock(sftp.Range{Offset: 0, Length: 100, Mask: sftp.RangeWrite}, 0, nil))
	fmt.Println("write by the other:", two.Check(true, 50, 10))
	fmt.Println("read by the other:", two.Check(false, 50, 10))
	one.Close()
	fmt.Println("write by the other:", two.Check(true, 50, 10))
	// Output:
	// lock: <nil>
	// write by the other: sftp: byte range is locked
	// read by the other: <nil>
	// write by the other: <nil>
}
