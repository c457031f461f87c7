package sftp_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/codepage"
	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// charsets returns all that are supported.
func charsets(t testing.TB) (list []*sftp.Charset) {
	t.Helper()
	for i := range codepage.All() {
		if p := &codepage.All()[i]; p.Supported() {
			c, err := sftp.CodePage(p.Number)
			if err != nil {
				t.Fatal(err)
			}
			if c.Number() != p.Number || c.Name() == "" {
				t.Errorf("%d is %d %q", p.Number, c.Number(), c.Name())
			}
			list = append(list, c)
		}
	}
	return list
}

func checkCharset(t testing.TB, c *sftp.Charset, s string) {
	t.Helper()
	// A name of the file system: whatever is listed can be asked for.
	out := c.Encode(s)
	if back := c.Decode(out); back != s {
		t.Fatalf("%d: %q is written as %q and read as %q", c.Number(), s, out, back)
	}
	// What a peer writes: what it is told from then on means the same.
	name := c.Decode(s)
	again := c.Encode(name)
	if back := c.Decode(again); back != name {
		t.Fatalf("%d: %q is read as %q, written as %q and read as %q", c.Number(), s, name, again, back)
	}
	// A path is its elements, as listings and requests put them together.
	slash := c.Encode("/")
	if dir, elem := c.Encode("d"+strings.ReplaceAll(s, "/", "")), c.Encode(strings.ReplaceAll(s, "/", "")); true {
		want := "d" + strings.ReplaceAll(s, "/", "") + "/" + strings.ReplaceAll(s, "/", "")
		if got := c.Decode(dir + slash + elem); got != want {
			t.Fatalf("%d: %q in %q is read as %q", c.Number(), elem, dir, got)
		}
	}
}

// TestW20_Charsets: in every code page every name goes out and comes back, whatever is in it,
// and nothing fails.
func TestW20_Charsets(t *testing.T) {
	names := []string{
		"", ".", "..", "/", "/a/b", "//", "plain.txt", "grüße.txt", "Ünïcödé", "файл", "ファイル名.txt", "文件", "파일", "ملف", "קובץ", "αρχείο",
		"\xff\xfe", "caf\xe9", "%", "%{", "%{}", "%{25}", "%{41}", "%{2F}", "%{=2F}", "%{=E9}", "%{xE9}", "%{x2F}", "%{x81}A", "100%{", "%%{{",
		"\x1b$B", "~{", "~}", "~~", "~", "\\", "¥", "‾", "a\x00b", "\ufffd", "\U0001F600", "e\u0301", "\x81\x40", "\xf0\x9f\x98", "+AC8-", "ÀÁ/ÂÃ",
		"\ufeffbom", "\x0e\x0f", "%{E9}", "%{0E9}", "%{e9}", "%{D800}", "%{110000}", "a%{x8", "%{25}{25}", "Ê̄",
	}
	for _, c := range charsets(t) {
		for _, s := range names {
			checkCharset(t, c, s)
		}
		r := rand.New(rand.NewPCG(1, uint64(c.Number())))
		for range 150 {
			p := make([]byte, r.IntN(12))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			checkCharset(t, c, string(p))
			runes := make([]rune, r.IntN(8))
			for i := range runes {
				runes[i] = rune(r.IntN(0x3000))
			}
			checkCharset(t, c, string(runes))
		}
	}
}

// TestW20_Escapes: what exactly is written for what a code page lacks, and what no escape
// ever stands for.
func TestW20_Escapes(t *testing.T) {
	for _, row := range []struct {
		page       uint32
		name, wire string
	}{
		{1252, "grüße €", "gr\xfc\xdfe \x80"},
		{1252, "файл", "%{444}%{430}%{439}%{43B}"},
		{1252, "caf\xe9", "caf%{=E9}"},
		{1252, "50%", "50%"},
		{1252, "50%{", "50%{25}{"},
		{437, "ü", "\x81"},
		{932, "ファイル", "\x83\x74\x83\x40\x83\x43\x83\x8b"},
		{932, "¥", "%{A5}"}, // 0x5C, which is read as a backslash
		{1253, "%{xAA}", "\xaa"},
		{1253, "%{xE1}", "%{25}{xE1}"}, // which is α
		{65001, "grüße", "grüße"},
		{65001, "caf\xe9", "caf%{=E9}"},
		{1200, "a/ü", "a\x00/\x00\xfc\x00"},
		{20127, "ü", "%{FC}"},
		{37, "a/b", "\x81\x61\x82"},
		{50220, "日/本", "\x1b$BF|\x1b(B/\x1b$BK\\\x1b(B"},
		{52936, "中/x", "~{VP~}/x"},
	} {
		c, err := sftp.CodePage(row.page)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Encode(row.name); got != row.wire {
			t.Errorf("%d: %q is written as %q, want %q", row.page, row.name, got, row.wire)
		}
		if got := c.Decode(row.wire); got != row.name {
			t.Errorf("%d: %q is read as %q, want %q", row.page, row.wire, got, row.name)
		}
	}
	for _, c := range charsets(t) {
		for _, s := range []string{"%{2F}", "%{=2F}", "%{x2F}", "%{2E}%{2E}", "%{0}", "%{00}", "%{=00}", "%{41}", "%{=2E}", "%{/}"} {
			if got := c.Decode(c.Encode("/")[:0] + asciiIn(c, s)); got != s {
				t.Errorf("%d: %s stands for %q", c.Number(), s, got)
			}
		}
	}
}

// asciiIn writes ASCII in c without escapes: none of s is lacking.
func asciiIn(c *sftp.Charset, s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(c.Encode(string(r)))
	}
	return b.String()
}

// TestCharsetErrors: what there is not is said, with the number.
func TestCharsetErrors(t *testing.T) {
	for _, n := range []uint32{0, 1361, 65000, 10, 0x9c000100} {
		_, err := sftp.CodePage(n)
		if !errors.Is(err, sftp.ErrUnsupportedCodePage) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if _, err := sftp.CharsetOf("nothing"); !errors.Is(err, sftp.ErrUnsupportedCodePage) {
		t.Error(err)
	}
	if c, err := sftp.CharsetOf("cp850"); err != nil || c.Number() != 850 {
		t.Error(c, err)
	}
}

func FuzzCharset(f *testing.F) {
	all := charsets(f)
	for i, s := range []string{"a/b", "grüße", "\xff%{25}{", "%{x81}\x81", "\x1b$B~{", "日本/語"} {
		f.Add(uint16(i*13), s)
	}
	f.Fuzz(func(t *testing.T, i uint16, s string) {
		if len(s) < 300 {
			checkCharset(t, all[int(i)%len(all)], s)
		}
	})
}

// TestW20_Session: in a session of version 3 with a code page every name of every request
// and reply is translated: of files, of both ends of a rename, of links and their targets, of
// listings with their long names, of extended requests.
func TestW20_Session(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	latin, err := sftp.CharsetOf("latin1")
	if err != nil {
		t.Fatal(err)
	}
	srv.Charset = latin
	ctx := context.Background()
	l := latin.Encode
	play(t, srv, sftp.SessionInfo{ClientIdent: "SSH-2.0-OpenSSH_9.9"}, func(p *peer) {
		p.init(3)
		p.put("/grüße"[:1]+l("grüße"), "x")
		for _, name := range []string{"grüße"} {
			if _, err := tree.Stat(ctx, "/"+name, sftp.StatOpt{}); err != nil {
				t.Error(name, err)
			}
		}
		if got := p.get("/" + l("grüße")); got != "x" {
			t.Errorf("content %q", got)
		}
		p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: l("Ä"), Attrs: fxp.Attrs{V: fxp.V3}})
		p.want("rename", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeRename, First: l("grüße"), Second: l("Ä/ö")})
		p.want("symlink", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeSymlink, First: l("Ä/ö"), Second: l("ü")})
		if m, ok := p.call(&fxp.Path{T: fxp.TypeReadlink, Path: l("ü")}).(*fxp.Name); !ok || m.Entries[0].Name != l("Ä/ö") || string(m.Entries[0].LongName) != l("Ä/ö") {
			t.Errorf("readlink: %v", m)
		}
		if m, ok := p.call(&fxp.Path{T: fxp.TypeRealpath, Path: l("ü")}).(*fxp.Name); !ok || m.Entries[0].Name != l("/Ä/ö") {
			t.Errorf("realpath: %v", m)
		}
		p.want("hardlink", sftp.CodeOK, &fxp.Extended{Name: "hardlink@openssh.com", Data: wire.Append(nil, &fxp.ExtPaths{Old: l("Ä/ö"), New: l("ß")})})
		p.want("posix-rename", sftp.CodeOK, &fxp.Extended{Name: "posix-rename@openssh.com", Data: wire.Append(nil, &fxp.ExtPaths{Old: l("ß"), New: l("é")})})
		if _, ok := p.extended("statvfs@openssh.com", &fxp.ExtText{Text: l("Ä")}).(*fxp.ExtendedReply); !ok {
			t.Error("statvfs")
		}
		p.want("lsetstat", sftp.CodeOK, &fxp.Extended{Name: "lsetstat@openssh.com", Data: wire.Append(nil, &fxp.ExtSetstat{Path: l("é"), Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrPermissions, Permissions: 0o600}})})
		p.want("setstat", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeSetstat, Path: l("é"), Attrs: fxp.Attrs{V: 3, Flags: fxp.AttrPermissions, Permissions: 0o640}})
		p.stat(l("é"))
		// What the page lacks is escaped in listings, and found again by that name.
		if err := tree.Mkdir(ctx, "/файл", nil); err != nil {
			t.Fatal(err)
		}
		h := p.opendir("/")
		names := map[string]string{}
		for {
			m, ok := p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: h}).(*fxp.Name)
			if !ok {
				break
			}
			for _, e := range m.Entries {
				names[e.Name] = string(e.LongName)
			}
		}
		p.close(h)
		for _, want := range []string{l("Ä"), l("ü"), l("é"), "%{444}%{430}%{439}%{43B}"} {
			if long, ok := names[want]; !ok || !strings.HasSuffix(long, " "+want) {
				t.Errorf("%q is not listed, or as %q", want, long)
			}
		}
		p.want("rmdir", sftp.CodeOK, &fxp.Path{T: fxp.TypeRmdir, Path: "%{444}%{430}%{439}%{43B}"})
		p.want("remove", sftp.CodeOK, &fxp.Path{T: fxp.TypeRemove, Path: l("é")})
		// What no name may be is judged by what it means.
		p.want("NUL", sftp.CodeInvalidFilename.In(3), &fxp.Path{T: fxp.TypeStat, Path: "a\x00b"})
		p.want("long", sftp.CodeInvalidFilename.In(3), &fxp.Path{T: fxp.TypeStat, Path: strings.Repeat("x", 5*sftp.MaxPath)})
	})
}

// TestW20_SessionInfo: a session's own charset comes before the server's, and is for that
// session only.
func TestW20_SessionInfo(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	if err := tree.Mkdir(context.Background(), "/é", nil); err != nil {
		t.Fatal(err)
	}
	for page, want := range map[uint32]string{850: "\x82", 1252: "\xe9", 1200: "\xe9\x00", 0: "é"} {
		info := sftp.SessionInfo{}
		if page != 0 {
			c, err := sftp.CodePage(page)
			if err != nil {
				t.Fatal(err)
			}
			info.Charset = c
		}
		play(t, srv, info, func(p *peer) {
			p.init(3)
			h := p.opendir(encodeIn(info.Charset, "/"))
			m, ok := p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: h}).(*fxp.Name)
			if !ok || len(m.Entries) != 3 || m.Entries[2].Name != want || m.Entries[0].Name != encodeIn(info.Charset, ".") {
				t.Errorf("page %d lists %v", page, wire.Print(m))
			}
		})
	}
}

func encodeIn(c *sftp.Charset, s string) string {
	if c == nil {
		return s
	}
	return c.Encode(s)
}

// TestAllocsCharset: names that are the same on both sides cost nothing.
func TestAllocsCharset(t *testing.T) {
	c, err := sftp.CodePage(1252)
	if err != nil {
		t.Fatal(err)
	}
	n := sftp.NewNameCoder(c)
	if got := testing.AllocsPerRun(100, func() { n.Encode("/some/dir/with a file.txt"); n.Decode("/some/dir/with a file.txt") }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestW20_FilenameCharset: clients of version 6 learn of the charset and may turn to it; names
// of versions 4 and up are UTF-8 until then, and always without a charset.
func TestW20_FilenameCharset(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	for _, name := range []string{"/é", "/caf\xe9"} {
		if err := tree.Mkdir(context.Background(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	latin, err := sftp.CodePage(28591)
	if err != nil {
		t.Fatal(err)
	}
	utf := []string{".", "..", "caf%{=E9}", "é"}
	translated := []string{".", "..", "caf%{=E9}", "\xe9"}
	for _, v := range []fxp.Version{3, 4, 5, 6} {
		for _, charset := range []*sftp.Charset{nil, latin} {
			play(t, srv, sftp.SessionInfo{Charset: charset}, func(p *peer) {
				said := ""
				for _, x := range p.init(v).Extensions {
					if x.Name == "filename-charset" {
						said = string(x.Data)
					}
				}
				if want := map[bool]string{true: "ISO-8859-1"}[v == 6 && charset != nil]; said != want {
					t.Errorf("version %d: filename-charset %q, want %q", v, said, want)
				}
				check := func(what string, want []string) {
					t.Helper()
					got := p.list(".")
					slices.Sort(got)
					if !slices.Equal(got, want) {
						t.Errorf("version %d, charset %v, %s: %q", v, charset != nil, what, got)
					}
					for _, name := range got {
						p.stat(name)
					}
				}
				switch {
				case v > 3:
					check("at first", utf)
				case charset != nil:
					check("at first", translated)
				default:
					check("at first", []string{".", "..", "caf\xe9", "é"})
				}
				if v < 6 {
					return
				}
				for _, on := range []bool{false, true} {
					code := p.code(p.extended("filename-translation-control", &fxp.ExtFlag{On: on}))
					switch {
					case charset == nil:
						if code != sftp.CodeOpUnsupported {
							t.Errorf("control without a charset: %v", code)
						}
						check("after control", utf)
					case code != sftp.CodeOK:
						t.Errorf("control: %v", code)
					case on:
						check("translated", utf)
					default:
						check("untranslated", translated)
					}
				}
			})
		}
	}
}
