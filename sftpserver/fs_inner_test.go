package sftpserver

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestEventsNilCostNothing: without handlers of files there is nothing between the server and the file system; with
// some, nothing between it and a file of which they are not about; and only those of content put
// READ and WRITE in order.
func TestEventsNilCostNothing(t *testing.T) {
	tree := memfs.New(memfs.Options{})
	events := reflect.TypeFor[Events]()
	files := 0
	for i := range events.NumField() {
		field := events.Field(i)
		e := &engine{Server: new(Server), sftp: new(sftp.Server)}
		c := newConnection(e, "1", nil)
		v := reflect.ValueOf(&e.Events).Elem().Field(i)
		v.Set(reflect.MakeFunc(field.Type, func([]reflect.Value) []reflect.Value { return nil }))
		ofFile := false
		if ev := field.Type.In(0).Elem(); ev.NumField() > 0 {
			ofFile = ev.Field(0).Type == reflect.TypeFor[FileEvent]()
		}
		wrapped := e.withEvents(context.Background(), c, "alice", tree)
		if got := wrapped != sftp.FileSystem(tree); got != ofFile {
			t.Errorf("%s: an eventFS: %v, want %v", field.Name, got, ofFile)
		}
		var info sftp.SessionInfo
		e.observeFiles(c, &info)
		content := field.Name == "FileRead" || field.Name == "FileWrite"
		if info.Serial != content {
			t.Errorf("%s: in order: %v", field.Name, info.Serial)
		}
		e.ConcurrentEvents = true
		if e.observeFiles(c, &info); info.Serial {
			t.Errorf("%s: in order with ConcurrentEvents", field.Name)
		}
		if !ofFile {
			continue
		}
		files++
		f := (&eventFile{File: new(noFile), fs: wrapped.(*eventFS)}).plain()
		switch field.Name {
		case "FileRead", "FileWrite", "FileClose":
			if _, ok := f.(*dataFile); !ok {
				t.Errorf("%s: file is a %T", field.Name, f)
			}
		case "GetAttributes", "SetAttributes":
			if _, ok := f.(*eventFile); !ok {
				t.Errorf("%s: file is a %T", field.Name, f)
			}
		default:
			if _, ok := f.(*noFile); !ok {
				t.Errorf("%s: file is a %T", field.Name, f)
			}
		}
	}
	if files != 15 {
		t.Errorf("%d events of files", files)
	}
	e := &engine{Server: new(Server)}
	if got := e.withEvents(context.Background(), nil, "", tree); got != sftp.FileSystem(tree) {
		t.Errorf("%T without handlers", got)
	}
}

// TestEventsOfPhases: every event of two phases has the fields by which a handler takes part.
func TestEventsOfPhases(t *testing.T) {
	twice := map[string]bool{}
	events := reflect.TypeFor[Events]()
	for f := range events.Fields() {
		ev := f.Type.In(0).Elem()
		if _, ok := ev.FieldByName("Before"); ok {
			twice[f.Name] = true
			if _, ok := ev.FieldByName("Handled"); !ok && ev != reflect.TypeFor[DirListEvent]() {
				t.Errorf("%s cannot be handled", ev.Name())
			}
		}
	}
	for name := range strings.FieldsSeq("DirCreate DirList DirRemove FileOpen FileRemove FileRename FileWrite SetAttributes LinkCreate") {
		if !twice[name] {
			t.Errorf("%s is not delivered twice", name)
		}
		delete(twice, name)
	}
	if len(twice) != 0 {
		t.Errorf("delivered twice, too: %v", twice)
	}
}

// TestFileDataBelongsToItsHandler: the data of an event is found by name while its handler runs, and not by anybody
// while events overlap.
func TestFileDataBelongsToItsHandler(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		e := &engine{Server: new(Server), Options: Options{ConcurrentEvents: concurrent}, sftp: new(sftp.Server)}
		c := newConnection(e, "1", nil)
		events := 0
		see := func(data *[]byte) {
			events++
			if got := c.fileData.Load(); (got == data) == concurrent {
				t.Errorf("concurrent %v: data %v", concurrent, got)
			}
		}
		e.FileRead = func(e *FileReadEvent) { see(&e.Data) }
		e.FileWrite = func(e *FileWriteEvent) { see(&e.Data) }
		f := &dataFile{&eventFile{File: idle{c: c, t: t}, fs: e.withEvents(context.Background(), c, "alice", sftp.Unsupported{}).(*eventFS)}}
		_, _ = f.ReadAt(make([]byte, 1), 0)
		_, _ = f.WriteAt(make([]byte, 1), 0)
		if events != 3 || c.fileData.Load() != nil {
			t.Errorf("%d events, data %v", events, c.fileData.Load())
		}
	}
}

// idle is a file during whose calls no handler runs.
type idle struct {
	sftp.UnsupportedFile
	c *Connection
	t *testing.T
}

func (f idle) WriteAt(p []byte, _ int64) (int, error) {
	if f.c.fileData.Load() != nil {
		f.t.Error("data of an event while no handler runs")
	}
	return len(p), nil
}
