package sftp

// For the tests in package sftp_test.

const (
	IOAuto   = ioAuto
	IOInline = ioInline
	IOSpawn  = ioSpawn
)

// SetIO chooses where READ and WRITE run.
func (s *Server) SetIO(p ioPolicy) { s.io = p }
