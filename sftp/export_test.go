package sftp

import "github.com/fairlead-ssh/fairlead/internal/fxp"

// For the tests in package sftp_test.

const (
	IOAuto   = ioAuto
	IOInline = ioInline
	IOSpawn  = ioSpawn
)

// SetIO chooses where READ and WRITE run.
func (s *Server) SetIO(p ioPolicy) { s.io = p }

// Served tells whether the loop of a session has a handler for op.
func Served(op fxp.Op) bool { return handlers[op].run != nil }

// NewNameCoder is what a session has of c.
func NewNameCoder(c *Charset) translator { return c.coder() }

// NewOpen says in the words of version 5 and 6 what flags of OPEN say in those of 3 and 4.
func NewOpen(flags uint32) (access, newFlags uint32) {
	how, _ := openHow(&fxp.Open{Flags: flags, Attrs: fxp.Attrs{V: fxp.V4}})
	return uint32(how.Access), uint32(how.Disposition) | uint32(how.Flags)
}

// Guard puts p in front of fsys as a Server does.
func Guard(fsys FileSystem, p *Policy) (FileSystem, error) {
	fsys, _, err := guardAll(fsys, p)
	return fsys, err
}

// HashByName is the first known of some hash algorithms.
var HashByName = hashByName

// DeedTexts are the lines of the log about deeds.
func DeedTexts() (texts []string) {
	for _, row := range deeds {
		texts = append(texts, row.text)
	}
	return texts
}

// AttrsLine is attrsLine.
func AttrsLine(a *Attrs) string { return attrsLine(a) }

// OpenFiles is how many files the process may have open.
func OpenFiles() int64 { return openFiles() }
