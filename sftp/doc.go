// Package sftp speaks the SSH File Transfer Protocol (draft-ietf-secsh-filexfer), versions 3
// to 6, as server and as client, over any [packet.Conn]: an SSH channel, a pipe, a connection
// in memory. It knows nothing of SSH.
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
//
// To write a file system, embed [Unsupported] in it and [UnsupportedFile] in its files, and
// implement the methods that it can support. [Stream] makes files of readers and writers. A
// [Policy] and a [Quota] stand in front of any file system.
//
// A [Client] works like package os, with a context for whatever waits. [Client.GetFile] and
// [Client.PutFile], and [Client.GetTree] and [Client.PutTree] for directories, transfer with
// progress, resume, verification and atomic replacement.
//
//	channel, err := conn.Subsystem(ctx, "sftp") // of an *ssh2.Client
//	...
//	c, err := sftp.NewClient(ctx, channel, nil)
//	...
//	text, err := c.ReadFile(ctx, "notes.txt")
//
// A session of golang.org/x/crypto/ssh is a connection, too: open a channel "session", ask for
// the subsystem "sftp" on it, and give it to [packet.Pipe].
package sftp
