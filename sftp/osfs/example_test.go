package osfs_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// A directory to read from: nothing in it can be changed, and nothing outside of it can be reached.
func Example() {
	dir, err := os.MkdirTemp("", "served")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	tree, err := osfs.New(dir, osfs.Options{ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer tree.Close()
	// For a server: sftp.Server{FS: func(...) (sftp.FileSystem, error) { return tree, nil }}.

	err = tree.Mkdir(context.Background(), "/new", nil)
	fmt.Println(sftp.CodeOf(err))
	_, err = tree.Stat(context.Background(), "/../../etc/passwd", sftp.StatOpt{}) // is /etc/passwd of the tree
	fmt.Println(sftp.CodeOf(err))
	// Output:
	// sftp: write protected
	// sftp: no such path
}
