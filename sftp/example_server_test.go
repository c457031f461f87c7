package sftp_test

import (
	"context"
	"fmt"
	"net"

	"github.com/fairlead-ssh/fairlead/packet"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// A server over one end of a pipe; an SSH channel is served the same way.
func ExampleServer() {
	tree := memfs.New(memfs.Options{})
	srv := &sftp.Server{
		FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return tree, nil },
	}
	client, server := net.Pipe()
	done := make(chan error)
	go func() { done <- srv.Serve(context.Background(), packet.Pipe(server), sftp.SessionInfo{User: "anna"}) }()

	// INIT of version 6, which this server answers with the highest that it has.
	_, _ = client.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 6})
	answer := make([]byte, 9)
	_, _ = client.Read(answer)
	_ = client.Close()
	<-done
	fmt.Printf("message %d, version %d\n", answer[4], answer[8])
	// Output: message 2, version 6
}
