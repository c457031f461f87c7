package sftpserver

import "runtime"

// DoEvents does nothing but let others run: events need no message loop here. It is for
// programs that were written for one.
func (s *Server) DoEvents() { runtime.Gosched() }
