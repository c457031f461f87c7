// Package sftpserver is an SFTP server as a component. It serves a local directory, or a file system that your program
// implements, and reports everything that clients do as events, most of them before and after the operation.
//
// It joins [github.com/fairlead-ssh/fairlead/ssh2] and
// [github.com/fairlead-ssh/fairlead/sftp] and adds settings, users, connections
// and events:
//
//	s := sftpserver.New()
//	s.RootDirectory = "/srv/files"
//	s.HostKeys = []gossh.Signer{hostKey}
//	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
//		e.Accept = e.Method == "password" && e.User == "alice" && ssh2.CheckPassword(secret, e.Param)
//	}
//	err := s.ListenAndServe(ctx)
//
// # Events
//
// An [Events] field that is nil stands for the default behaviour and costs nothing. Events of one connection are
// delivered one at a time and in the order in which the client's requests came, those of different connections at the
// same time; Options.ConcurrentEvents changes that. A handler may block: only its own connection waits. A handler that
// panics ends its connection.
//
// # Nobody gets in by default
//
// Without a UserAuth handler no login succeeds. Without a RootDirectory, a FileSystem or handlers of file events, every
// request is answered with [sftp.CodeOpUnsupported]. Without a host key the server does not start.
package sftpserver
