package sftp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// trailOf runs script in a session of anna, and returns the lines of level info but the last,
// which is about the session: the message, and the attributes but user and remote.
func trailOf(t *testing.T, srv *sftp.Server, script func(p *peer)) (lines []string) {
	t.Helper()
	var out bytes.Buffer
	srv.Log = slog.New(slog.NewJSONHandler(&out, nil))
	info := sftp.SessionInfo{User: "anna", RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 99}}
	play(t, srv, info, script)
	for line := range strings.Lines(out.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r["level"] == "ERROR" {
			continue // a panic
		}
		if r["level"] != "INFO" || r["user"] != "anna" || r["remote"] != "192.0.2.7:99" {
			t.Errorf("whose is %s", line)
		}
		text := fmt.Sprint(r["msg"])
		for _, key := range []string{"path", "from", "to", "target", "attributes", "octets", "read", "complete", "error"} {
			if v, ok := r[key]; ok {
				text += fmt.Sprintf(" %s=%v", key, v)
			}
		}
		lines = append(lines, text)
	}
	if n := len(lines) - 1; n < 0 || !strings.HasPrefix(lines[n], "sftp session ended") {
		t.Fatalf("the last line is not that of the session: %q", lines)
	}
	return lines[:len(lines)-1]
}

// Each change that a client makes, and each file that comes or goes, leaves one line of level
// info; what was refused, looked at or listed leaves none.
func TestLogTrail(t *testing.T) {
	for v := fxp.V3; v <= fxp.V6; v++ {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			srv, _ := memServer(memfs.Options{})
			srv.TempFolder = "/"
			var want []string
			expect := func(lines ...string) { want = append(want, lines...) }
			got := trailOf(t, srv, func(p *peer) {
				p.init(v)
				ext := func(name string, data wire.Layouter) *fxp.Extended {
					return &fxp.Extended{Name: name, Data: wire.Append(nil, data)}
				}
				mode := fxp.Attrs{V: v, Flags: fxp.AttrPermissions, Permissions: 0o640}
				p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "d/", Attrs: fxp.Attrs{V: v}})
				expect("directory made path=/d")
				p.put("./d/f", strings.Repeat("x", 40000))
				expect("file uploaded path=/d/f octets=40000 complete=true")
				p.put("empty", "")
				expect("file uploaded path=/empty octets=0 complete=true")
				p.get("d/f")
				expect("file downloaded path=/d/f octets=40000")
				p.close(p.open("d/f", fxp.OpenWrite)) // and nothing more
				h := p.open("d/f", fxp.OpenRead|fxp.OpenWrite)
				p.read(h, 0, 10)
				p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: []byte("yz")})
				p.close(h)
				expect("file uploaded path=/d/f octets=2 read=10 complete=true")
				p.want("setstat", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "empty", Attrs: mode})
				p.want("setstat of nothing", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: "empty", Attrs: fxp.Attrs{V: v}})
				expect("attributes set path=/empty attributes=mode=0640")
				h = p.open("empty", fxp.OpenWrite)
				p.want("fsetstat", sftp.CodeOK, &fxp.Fsetstat{Handle: h, Attrs: mode})
				p.close(h)
				expect("attributes set path=/empty attributes=mode=0640")
				p.want("lsetstat", sftp.CodeOK, ext("lsetstat@openssh.com", &fxp.ExtSetstat{Path: "empty", Attrs: mode}))
				expect("attributes set path=/empty attributes=mode=0640")
				p.want("rename", sftp.CodeOK, &fxp.Rename{V: v, Old: "empty", New: "d/../a\nb"})
				expect(`file renamed from=/empty to="/a\nb"`)
				p.want("posix-rename", sftp.CodeOK, ext("posix-rename@openssh.com", &fxp.ExtPaths{Old: "a\nb", New: "e"}))
				expect(`file renamed from="/a\nb" to=/e`)
				if v < fxp.V6 {
					p.want("symlink", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeSymlink, First: "./e", Second: "s"})
				} else {
					p.want("link", sftp.CodeOK, &fxp.Link{New: "s", Target: "./e", Symbolic: true})
				}
				expect("symbolic link made path=/s target=./e")
				p.want("hardlink", sftp.CodeOK, ext("hardlink@openssh.com", &fxp.ExtPaths{Old: "e", New: "l"}))
				expect("hard link made path=/l target=/e")
				p.want("copy-file", sftp.CodeOK, ext("copy-file", &fxp.ExtCopyFile{From: "d/f", To: "c"}))
				expect("file copied from=/d/f to=/c")
				from, to := p.open("d/f", fxp.OpenRead), p.open("c2", fxp.OpenWrite|fxp.OpenCreate)
				p.want("copy-data", sftp.CodeOK, ext("copy-data", &fxp.ExtCopyData{From: from, To: to}))
				p.close(from)
				p.close(to)
				expect("file copied from=/d/f to=/c2 octets=40000 complete=true")
				p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: "s"})
				expect("file removed path=/s")
				p.want("rmdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "r", Attrs: fxp.Attrs{V: v}})
				p.want("rmdir", sftp.CodeOK, &fxp.Path{T: fxp.TypeRmdir, Path: "r"})
				expect("directory made path=/r", "directory removed path=/r")

				if v >= fxp.V6 {
					m := openOf(v, "c2", fxp.OpenRead)
					m.Flags |= uint32(sftp.OpenDeleteOnClose)
					switch r := p.call(m).(type) {
					case *fxp.Handle:
						p.close(slices.Clone(r.Handle))
					default:
						t.Error(wire.Print(r))
					}
					expect("file downloaded path=/c2 octets=0", "file removed path=/c2")
				}

				// Refused, or nothing but looked at.
				p.want("remove", sftp.CodeNoSuchFile, &fxp.Path{T: fxp.TypeRemove, Path: "none"})
				p.want("rename", sftp.CodeNoSuchFile, &fxp.Rename{V: v, Old: "none", New: "x"})
				p.want("open", sftp.CodeNoSuchFile, openOf(v, "none", fxp.OpenRead))
				p.stat("d")
				p.close(p.opendir("d"))
			})
			if !slices.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for _, text := range sftp.DeedTexts() {
				if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, text+" ") }) {
					t.Errorf("no line %q", text)
				}
			}
		})
	}
}

// The line of attributes that were set names each, and quotes the text of the client.
func TestLogTrailAttributes(t *testing.T) {
	a := sftp.Attrs{
		Size: 7, Mode: sftp.ModeRegular | 0o4755, UID: 1, GID: 2, Owner: "eve mode=0777", Group: "g\n", Bits: sftp.BitHidden, BitsValid: 7,
	}
	for mask, want := range map[sftp.AttrMask]string{
		0: "", sftp.AttrSize: "size=7", sftp.AttrMode: "mode=4755", sftp.AttrUIDGID: "uid=1 gid=2",
		sftp.AttrOwnerGroup: `owner="eve mode=0777" group="g\n"`, sftp.AttrTimes: "times", sftp.AttrBirth: "times", sftp.AttrACL: "acl",
		sftp.AttrBitsSet: "bits=0x4/0x7", sftp.AttrMIME: "others", sftp.AttrExtended: "others", sftp.AttrAllocation: "others",
		sftp.AttrSize | sftp.AttrMode | sftp.AttrAtime: "size=7 mode=4755 times",
	} {
		if a.Valid = mask; sftp.AttrsLine(&a) != want {
			t.Errorf("%#x: %q, want %q", mask, sftp.AttrsLine(&a), want)
		}
	}
}

// An upload that is not whole says so, and why: the client went, a WRITE failed or closing did.
func TestLogTrailIncomplete(t *testing.T) {
	begun := func(p *peer) []byte {
		p.init(3)
		h := p.open("f", fxp.OpenWrite|fxp.OpenCreate)
		p.want("write", sftp.CodeOK, &fxp.Write{Handle: h, Data: []byte("abc")})
		return h
	}
	srv, _ := memServer(memfs.Options{})
	got := trailOf(t, srv, func(p *peer) { begun(p) })
	if want := []string{"file uploaded path=/f octets=3 complete=false error=" + sftp.ErrDisconnected.Error()}; !slices.Equal(got, want) {
		t.Errorf("the client went: %q", got)
	}
	srv, _ = memServer(memfs.Options{MaxBytes: 1000})
	got = trailOf(t, srv, func(p *peer) {
		h := begun(p)
		p.call(&fxp.Write{Handle: h, Offset: 3, Data: make([]byte, 2000)})
		p.close(h)
	})
	if len(got) != 1 || !strings.HasPrefix(got[0], "file uploaded path=/f octets=3 complete=false error=") {
		t.Errorf("a WRITE failed: %q", got)
	}
	for _, panics := range []bool{false, true} {
		mem := memfs.New(memfs.Options{})
		got = trailOf(t, serverOf(unclosable{mem, panics}), func(p *peer) {
			h := begun(p)
			p.send(&fxp.Handle{T: fxp.TypeClose, Handle: h}) // which has no answer after a panic
		})
		if len(got) != 1 || !strings.HasPrefix(got[0], "file uploaded path=/f octets=3 complete=false error=") {
			t.Errorf("closing failed, by panic %v: %q", panics, got)
		}
	}
}

// unclosable is a file system whose files do not close well.
type unclosable struct {
	sftp.FileSystem
	panics bool
}

func (u unclosable) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	f, err := u.FileSystem.Open(ctx, name, how)
	return &unclosableFile{f, u.panics}, err
}

type unclosableFile struct {
	sftp.File
	panics bool
}

func (f *unclosableFile) Close(cause error) error {
	_ = f.File.Close(cause)
	if f.panics {
		panic("closing")
	}
	return errors.New("disk full\n")
}

// The trail costs nothing per READ and WRITE: a file that is read and written piece by piece
// has one line, and a log that takes less than level info is not asked again.
func TestLogTrailPerFile(t *testing.T) {
	var asked countedHandler
	srv, _ := memServer(memfs.Options{})
	srv.Log = slog.New(&asked)
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
		p.init(3)
		before := asked.enabled
		p.put("f", strings.Repeat("x", 1<<20))
		p.get("f")
		if asked.enabled != before || asked.records != 0 {
			t.Errorf("asked %d times, %d lines", asked.enabled-before, asked.records)
		}
		p.end()
	})
}

// countedHandler takes nothing below warnings. It is used by one session, without concurrency.
type countedHandler struct{ enabled, records int }

func (h *countedHandler) Enabled(_ context.Context, l slog.Level) bool {
	h.enabled++
	return l >= slog.LevelWarn
}

func (h *countedHandler) Handle(context.Context, slog.Record) error {
	h.records++
	return nil
}
func (h *countedHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *countedHandler) WithGroup(string) slog.Handler      { return h }
