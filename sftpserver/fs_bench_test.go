package sftpserver

import (
	"context"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// nullFile reads and writes nothing, at once.
type nullFile struct{ sftp.UnsupportedFile }

func (nullFile) ReadAt(p []byte, _ int64) (int, error)  { return len(p), nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// fileWith is an open file as the server has it with these handlers.
func fileWith(handlers string) sftp.File {
	s := new(Server)
	s.DirCreate = func(*DirCreateEvent) {}
	switch handlers {
	case "FileClose":
		s.FileClose = func(*FileCloseEvent) {}
	case "FileRead and FileWrite":
		s.FileRead, s.FileWrite = func(*FileReadEvent) {}, func(*FileWriteEvent) {}
	}
	e := &engine{Server: s, Options: s.Options, Events: s.Events, sftp: new(sftp.Server)}
	fsys := e.withEvents(context.Background(), newConnection(e, "1", nil), "alice", sftp.Unsupported{}).(*eventFS)
	return (&eventFile{File: nullFile{}, fs: fsys}).plain()
}

// TestAllocsContentEvents: without handlers of content READ and WRITE allocate nothing, nor do the counts for FileClose.
func TestAllocsContentEvents(t *testing.T) {
	p := make([]byte, 16)
	for _, handlers := range []string{"none", "FileClose"} {
		f := fileWith(handlers)
		if n := testing.AllocsPerRun(100, func() {
			_, _ = f.ReadAt(p, 0)
			_, _ = f.WriteAt(p, 0)
		}); n != 0 {
			t.Errorf("%s: %v allocations", handlers, n)
		}
	}
}

// BenchmarkContentEvents is what the events of one READ or WRITE cost beside the READ or WRITE itself.
func BenchmarkContentEvents(b *testing.B) {
	for _, handlers := range []string{"none", "FileClose", "FileRead and FileWrite"} {
		file, p := fileWith(handlers), make([]byte, 32<<10)
		for what, call := range map[string]func([]byte, int64) (int, error){"read": file.ReadAt, "write": file.WriteAt} {
			b.Run(handlers+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = call(p, 0)
				}
			})
		}
	}
}
