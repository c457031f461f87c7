package sftp_test

import (
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

func TestSession(t *testing.T) {
	srv, _ := memServer(memfs.Options{})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		if r := p.init(3); r.Version != 3 || len(r.Extensions) == 0 {
			t.Errorf("VERSION %+v", r)
		}
		content := strings.Repeat("0123456789abcdef", 50_000)
		p.put("file", content)
		if got := p.get("/file"); got != content {
			t.Errorf("read %d octets, wrote %d", len(got), len(content))
		}
		p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d"})
		p.want("rename", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeRename, First: "file", Second: "d/file"})
		d := p.opendir("d")
		m, ok := p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: d}).(*fxp.Name)
		if !ok || len(m.Entries) != 3 || m.Entries[0].Name != "." || m.Entries[1].Name != ".." || m.Entries[2].Name != "file" {
			t.Errorf("READDIR answers %+v", m)
		}
		p.want("end of the list", sftp.CodeEOF, &fxp.Handle{T: fxp.TypeReaddir, Handle: d})
		p.close(d)
	})
}
