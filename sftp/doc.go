// Package sftp serves the SSH File Transfer Protocol (draft-ietf-secsh-filexfer) over any
// [packet.Conn]: an SSH channel, a pipe, a connection in memory. It knows nothing of SSH.
//
// A [Server] speaks the protocol; what it serves is a [FileSystem], of which packages
// osfs (a directory of this host) and memfs (memory) are two. Content is read into,
// and written from, the very packets that carry it.
//
//	tree, err := osfs.New("/srv/files", osfs.Options{})
//	...
//	srv := &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) {
//		return tree, nil
//	}}
//	err = srv.Serve(ctx, conn, sftp.SessionInfo{User: "anna"})
package sftp
