package sftpserver

// report tells the Error event and the log of an error that no caller is told.
func (s *Server) report(c *Connection, err error) {
	if f := s.Error; f != nil {
		f(&ErrorEvent{Event: Event{c}, Code: ErrorCode(err), Description: err.Error(), Err: err})
	}
}
