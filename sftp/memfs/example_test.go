package memfs_test

import (
	"context"
	"fmt"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

func Example() {
	ctx := context.Background()
	tree := memfs.New(memfs.Options{})
	f, err := tree.Open(ctx, "/hello", &sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = f.WriteAt([]byte("hello"), 0)
	_ = f.Close(nil)
	a, _ := tree.Stat(ctx, "/hello", sftp.StatOpt{})
	fmt.Printf("%d bytes, mode %o\n", a.Size, a.Mode)
	// Output: 5 bytes, mode 100666
}
