package sftpserver

import "runtime"

// DoEvents only yields the processor: events need no message loop here. It exists for programs that were written for a
// component with one.
func (s *Server) DoEvents() { runtime.Gosched() }
