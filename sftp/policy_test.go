package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// rawMessage sends a body as a message of any type.
type rawMessage struct {
	t    fxp.Type
	body []byte
}

func (m *rawMessage) Type() fxp.Type       { return m.t }
func (m *rawMessage) Layout(c *wire.Coder) { c.Rest(&m.body) }

// TestPolicyRefusesEveryRow sends every request there is under a policy that denies it by
// its name: nothing of it reaches the file system.
func TestPolicyRefusesEveryRow(t *testing.T) {
	for _, row := range fxp.Rows() {
		if row.Reply == 0 || row.Op == fxp.OpInit || row.Op == fxp.OpClose {
			continue
		}
		served := sftp.Served(row.Op) || row.Op == fxp.OpRead || row.Op == fxp.OpWrite
		if !served {
			continue
		}
		srv, _ := memServer(memfs.Options{})
		srv.Policy = &sftp.Policy{Deny: []string{row.Name}}
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			v := max(row.Since, fxp.V3)
			for _, x := range p.init(v).Extensions {
				if x.Name == row.AnnouncedAs && row.Extension != "" && x.Name != "check-file" { // which is two rows
					t.Errorf("%s is announced", row.Name)
				}
			}
			body := wire.Append(nil, row.New(v))
			m := fxp.Message(&rawMessage{row.Type, body})
			switch {
			case row.Op == fxp.OpRead:
				m = &fxp.Read{Handle: p.open("/f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate), Length: 1}
			case row.Op == fxp.OpWrite:
				m = &fxp.Write{Handle: p.open("/f", fxp.OpenRead|fxp.OpenWrite|fxp.OpenCreate), Data: []byte("x")}
			case row.Extension != "":
				m = &fxp.Extended{Name: row.Extension, Data: body}
			}
			if got := p.code(p.call(m)); got != sftp.CodePermissionDenied && (row.Extension == "" || got != sftp.CodeOpUnsupported) {
				t.Errorf("%s: %v", row.Name, got)
			}
		})
	}
}

// guarded puts p in front of a tree.
func guarded(t testing.TB, fsys sftp.FileSystem, p *sftp.Policy) sftp.FileSystem {
	t.Helper()
	g, err := sftp.Guard(fsys, p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// putFile and getFile move whole files through a FileSystem.
func putFile(fsys sftp.FileSystem, name, content string) error {
	return writeFile(fsys, name, content, sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateTruncate})
}

func writeFile(fsys sftp.FileSystem, name, content string, how sftp.OpenHow) error {
	f, err := fsys.Open(context.Background(), name, &how)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(content), 0)
	return errors.Join(err, f.Close(err))
}

func getFile(fsys sftp.FileSystem, name string) (string, error) {
	f, err := fsys.Open(context.Background(), name, &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		return "", err
	}
	p := make([]byte, 1<<16)
	n, err := f.ReadAt(p, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(p[:n]), errors.Join(err, f.Close(err))
}

func listNames(fsys sftp.FileSystem, dir string) (names []string, err error) {
	ctx := context.Background()
	d, err := fsys.OpenDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	for err == nil {
		var list []sftp.Entry
		list, err = d.Next(ctx, 3)
		for _, e := range list {
			names = append(names, e.Name)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	slices.Sort(names)
	return names, errors.Join(err, d.Close(err))
}

func wantCode(t *testing.T, what string, err error, want sftp.Code) {
	t.Helper()
	if got := sftp.CodeOf(err); got != want {
		t.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
}

// TestPolicyPaths: what each permission is for, name by name.
func TestPolicyPaths(t *testing.T) {
	const (
		ok     = sftp.CodeOK
		no     = sftp.CodePermissionDenied
		hidden = sftp.CodeNoSuchFile
	)
	ctx := context.Background()
	tree := memfs.New(memfs.Options{})
	for _, dir := range []string{"/pub", "/pub/d", "/ro", "/drop", "/secret", "/secret/d"} {
		if err := tree.Mkdir(ctx, dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"/pub/f", "/ro/f", "/drop/f", "/secret/f", "/pub/x.key"} {
		if err := putFile(tree, f, "content of "+f); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"/pub/to-secret": "/secret", "/pub/to-f": "/secret/f", "/pub/to-ro": "/ro/f", "/pub/dangling": "/secret/new"} {
		if err := tree.Link(ctx, to, link, true); err != nil {
			t.Fatal(err)
		}
	}
	g := guarded(t, tree, &sftp.Policy{
		Rules: []sftp.Rule{
			{Path: "/", Perm: sftp.PermReadOnly},
			{Path: "/pub", Perm: sftp.PermAll},
			{Path: "/drop/*", Perm: sftp.PermCreate},
			{Path: "/secret"},
			{Path: "*.key", Perm: sftp.PermStat},
		},
		RefuseNames: []string{"*.EXE"}, MaxDepth: 4, MaxFileSize: 100,
	})
	open := func(name string, a sftp.Access, d sftp.Disposition) error {
		f, err := g.Open(ctx, name, &sftp.OpenHow{Access: a, Disposition: d})
		if err == nil {
			err = f.Close(nil)
		}
		return err
	}
	const r, w = sftp.AccessReadData, sftp.AccessWriteData
	stat := func(name string, follow bool) error {
		_, err := g.Stat(ctx, name, sftp.StatOpt{Follow: follow})
		return err
	}
	opendir := func(name string) error {
		_, err := listNames(g, name)
		return err
	}
	mode := &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o600}
	size := &sftp.Attrs{Valid: sftp.AttrSize, Size: 3}
	big := &sftp.Attrs{Valid: sftp.AttrSize, Size: 101}
	for _, row := range []struct {
		what string
		err  error
		want sftp.Code
	}{
		{"read /ro/f", open("/ro/f", r, sftp.OpenExisting), ok},
		{"write /ro/f", open("/ro/f", w, sftp.OpenExisting), no},
		{"truncate /ro/f", open("/ro/f", w, sftp.CreateTruncate), no},
		{"create /ro/n", open("/ro/n", w, sftp.OpenOrCreate), no},
		{"create for reading /ro/n", open("/ro/n", r, sftp.OpenOrCreate), no},
		{"read /pub/f", open("/pub/f", r|w, sftp.OpenOrCreate), ok},
		{"create /drop/new", open("/drop/new", w, sftp.CreateTruncate), ok},
		{"overwrite /drop/f", open("/drop/f", w, sftp.CreateTruncate), no},
		{"resume /drop/f", open("/drop/f", w, sftp.OpenExisting), hidden},
		{"read /drop/f", open("/drop/f", r, sftp.OpenExisting), hidden},
		{"stat /drop/f", stat("/drop/f", true), hidden},
		{"list /drop", opendir("/drop"), ok},
		{"read /secret/f", open("/secret/f", r, sftp.OpenExisting), hidden},
		{"read /secret/none", open("/secret/none", r, sftp.OpenExisting), hidden},
		{"create /secret/n", open("/secret/n", w, sftp.CreateNew), no},
		{"create /secret/f", open("/secret/f", w, sftp.CreateNew), no},
		{"stat /secret", stat("/secret", true), hidden},
		{"list /secret", opendir("/secret"), hidden},
		{"read by ..", open("/pub/../secret/f", r, sftp.OpenExisting), hidden},
		{"read by link", open("/pub/to-f", r, sftp.OpenExisting), hidden},
		{"write by link", open("/pub/to-f", w, sftp.OpenOrCreate), no},
		{"create by a dangling link", open("/pub/dangling", w, sftp.OpenOrCreate), no},
		{"read through a link", open("/pub/to-secret/f", r, sftp.OpenExisting), hidden},
		{"read by link what may be read", open("/pub/to-ro", r, sftp.OpenExisting), ok},
		{"write by link what may be read", open("/pub/to-ro", w, sftp.OpenExisting), no},
		{"stat of a link itself", stat("/pub/to-f", false), ok},
		{"stat through it", stat("/pub/to-f", true), hidden},
		{"list through a link", opendir("/pub/to-secret"), hidden},
		{"mkdir through a link", g.Mkdir(ctx, "/pub/to-secret/n", nil), no},
		{"remove through a link", g.Remove(ctx, "/pub/to-secret/f"), hidden},
		{"rename through a link", g.Rename(ctx, "/pub/to-secret/f", "/pub/n", 0), hidden},
		{"rename to through a link", g.Rename(ctx, "/pub/f", "/pub/to-secret/n", 0), no},
		{"setstat through a link", g.SetStat(ctx, "/pub/to-f", mode, true), hidden},
		{"setstat /ro/f", g.SetStat(ctx, "/ro/f", mode, true), no},
		{"size of /ro/f", g.SetStat(ctx, "/ro/f", size, true), no},
		{"setstat /pub/f", g.SetStat(ctx, "/pub/f", mode, true), ok},
		{"too large", g.SetStat(ctx, "/pub/f", big, true), sftp.CodeQuotaExceeded},
		{"room for too much", g.SetStat(ctx, "/pub/f", &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 101}, true), sftp.CodeQuotaExceeded},
		{"room in /ro/f", g.SetStat(ctx, "/ro/f", &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 1}, true), no},
		{"rmdir /secret/d", g.Rmdir(ctx, "/secret/d"), hidden},
		{"rmdir /pub/d", g.Rmdir(ctx, "/pub/d"), ok},
		{"mkdir /pub/d", g.Mkdir(ctx, "/pub/d", nil), ok},
		{"mkdir /ro/d", g.Mkdir(ctx, "/ro/d", nil), no},
		{"read the key", open("/pub/x.key", r, sftp.OpenExisting), no},
		{"see the key", stat("/pub/x.key", true), ok},
		{"rename the key", g.Rename(ctx, "/pub/x.key", "/pub/y", 0), no},
		{"rename to a key", g.Rename(ctx, "/pub/f", "/pub/f.key", 0), no},
		{"link to the secret", g.Link(ctx, "/secret/f", "/pub/l", true), hidden},
		{"link to it by ..", g.Link(ctx, "../secret/f", "/pub/l", true), hidden},
		{"link by a link", g.Link(ctx, "to-secret/f", "/pub/l", true), hidden},
		{"link to what is not there", g.Link(ctx, "none", "/pub/l", true), ok},
		{"hard link to /ro/f", g.Link(ctx, "/ro/f", "/pub/h", false), no},
		{"hard link through a link", g.Link(ctx, "/pub/to-secret/f", "/pub/h", false), hidden},
		{"hard link", g.Link(ctx, "/pub/f", "/pub/h", false), ok},
		{"rename over what may not be written", g.Rename(ctx, "/pub/f", "/ro/f", sftp.RenameOverwrite), no},
		{"rename over", g.Rename(ctx, "/pub/h", "/pub/f", sftp.RenameOverwrite), ok},
		{"a name that is refused", open("/pub/virus.exe", w, sftp.CreateNew), no},
		{"rename to one", g.Rename(ctx, "/pub/f", "/pub/f.Exe", 0), no},
		{"mkdir of one", g.Mkdir(ctx, "/pub/d.exe", nil), no},
		{"link of one", g.Link(ctx, "f", "/pub/l.exe", true), no},
		{"too deep", g.Mkdir(ctx, "/pub/a/b/c/d", nil), sftp.CodeInvalidFilename},
		{"NUL", g.Mkdir(ctx, "/pub/a\x00", nil), sftp.CodeInvalidFilename},
	} {
		wantCode(t, row.what, row.err, row.want)
	}
	if names, err := listNames(g, "/"); err != nil || !slices.Equal(names, []string{"drop", "pub", "ro"}) {
		t.Error(names, err)
	}
	if names, err := listNames(g, "/drop"); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
	if text, err := g.ReadLink(ctx, "/pub/to-f"); err != nil || text != "/secret/f" {
		t.Error(text, err)
	}
	wantCode(t, "readlink", func() error { _, err := g.ReadLink(ctx, "/secret/f"); return err }(), hidden)
	wantCode(t, "statfs", func() error { _, err := g.StatFS(ctx, "/secret"); return err }(), hidden)
	for name, want := range map[string]string{
		".": "/", "/secret/f": "/secret/f", "/secret/none": "/secret/none", "/pub/to-f": "/pub/to-f", "/pub/to-ro": "/ro/f", "/pub/../drop": "/drop",
	} {
		if got, _, err := g.RealPath(ctx, name, sftp.RealPathOpt{}); err != nil || got != want {
			t.Errorf("realpath %s: %s, %v", name, got, err)
		}
	}
	_, _, err := g.RealPath(ctx, "/secret/f", sftp.RealPathOpt{Control: sftp.RealPathStatAlways})
	wantCode(t, "realpath with attributes", err, hidden)
}

// TestPolicyHandles: a handle keeps what it was opened for, and no more; no file outgrows
// the limit, however it is written.
func TestPolicyHandles(t *testing.T) {
	ctx := context.Background()
	tree := memfs.New(memfs.Options{})
	g := guarded(t, tree, &sftp.Policy{MaxFileSize: 10, Rules: []sftp.Rule{{Path: "/", Perm: sftp.PermCreate | sftp.PermStat | sftp.PermRead}, {Path: "/w", Perm: sftp.PermAll}}})
	all := sftp.Access(0x1F01FF)
	f, err := g.Open(ctx, "/new", &sftp.OpenHow{Access: all, Disposition: sftp.OpenOrCreate})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.WriteAt([]byte("0123456789"), 0); n != 10 || err != nil {
		t.Error(n, err)
	}
	_, err = f.WriteAt([]byte("x"), 10)
	wantCode(t, "write beyond", err, sftp.CodeQuotaExceeded)
	_, err = f.WriteAt([]byte("x"), 1<<62)
	wantCode(t, "write far beyond", err, sftp.CodeQuotaExceeded)
	wantCode(t, "size beyond", f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 11}), sftp.CodeQuotaExceeded)
	wantCode(t, "room beyond", f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 11}), sftp.CodeQuotaExceeded)
	wantCode(t, "size", f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 5}), sftp.CodeOK)
	wantCode(t, "mode", f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o777}), sftp.CodePermissionDenied)
	wantCode(t, "lock", f.Lock(ctx, sftp.Range{Mask: sftp.RangeWrite}), sftp.CodePermissionDenied)
	if a, err := f.Stat(ctx, sftp.AttrsBasic); err != nil || a.Size != 5 {
		t.Error(a, err)
	}
	p := make([]byte, 5)
	if n, err := f.ReadAt(p, 0); n != 5 || err != nil && !errors.Is(err, io.EOF) {
		t.Error(n, err)
	}
	wantCode(t, "again", writeFile(g, "/new", "x", sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.OpenOrCreate}), sftp.CodePermissionDenied)

	if err := putFile(tree, "/w", "12345678"); err != nil {
		t.Fatal(err)
	}
	app, err := g.Open(ctx, "/w", &sftp.OpenHow{Access: sftp.AccessWriteData | sftp.AccessAppendData, Disposition: sftp.OpenExisting, Flags: sftp.OpenAppend})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.WriteAt([]byte("90"), 0); err != nil {
		t.Error(err)
	}
	_, err = app.WriteAt([]byte("x"), 0)
	wantCode(t, "append beyond", err, sftp.CodeQuotaExceeded)
	n, err := sftp.CopyRange(ctx, app, 8, f, 0, 0)
	if n != 0 || sftp.CodeOf(err) != sftp.CodeQuotaExceeded {
		t.Errorf("copy behind the limit: %d, %v", n, err)
	}
	n, err = sftp.CopyRange(ctx, f, 7, f, 0, 0)
	if n > 3 || sftp.CodeOf(err) != sftp.CodeQuotaExceeded {
		t.Errorf("copy of 5 into the last 3: %d, %v", n, err)
	}
	if err := errors.Join(f.Close(nil), app.Close(nil)); err != nil {
		t.Error(err)
	}
}

// TestPolicyCapabilities: nothing is announced that is forbidden everywhere.
func TestPolicyCapabilities(t *testing.T) {
	tree := memfs.New(memfs.Options{})
	has := func(p sftp.Policy) sftp.Features { return guarded(t, tree, &p).Capabilities().Features }
	all := tree.Capabilities().Features
	if got := has(sftp.Policy{}); got != all {
		t.Errorf("%b of %b", got, all)
	}
	if got := has(sftp.Policy{Allow: []string{"readonly"}}); got.Has(sftp.FeatureWrite) || got&(sftp.FeaturePosixRename|sftp.FeatureHardLink|sftp.FeatureCopy) != 0 || !got.Has(sftp.FeatureStatFS) {
		t.Errorf("%b", got)
	}
	if got := has(sftp.Policy{Deny: []string{"hardlink"}}); got != all&^sftp.FeatureHardLink {
		t.Errorf("%b of %b", got, all)
	}
	if got := has(sftp.Policy{Rules: []sftp.Rule{{Path: "/", Perm: sftp.PermReadOnly}, {Path: "/in", Perm: sftp.PermCreate}}}); !got.Has(sftp.FeatureWrite) || got.Has(sftp.FeaturePosixRename) {
		t.Errorf("%b", got)
	}
}

// extFS answers a request of its own.
type extFS struct{ sftp.FileSystem }

func (e extFS) Capabilities() sftp.Capabilities {
	c := e.FileSystem.Capabilities()
	c.Extensions = []string{"a@example.com", "b@example.com"}
	return c
}

func (e extFS) Extended(_ context.Context, request string, _ []byte) ([]byte, error) {
	return []byte(request), nil
}

// TestPolicyExtended: requests that only the file system knows pass if they are named, and
// without that only where there is nothing they could get around.
func TestPolicyExtended(t *testing.T) {
	tree := extFS{memfs.New(memfs.Options{})}
	for what, row := range map[string]struct {
		p    sftp.Policy
		a, b bool
	}{
		"nothing said": {sftp.Policy{}, true, true},
		"deny list":    {sftp.Policy{Deny: []string{"write"}}, true, true},
		"rules":        {sftp.Policy{Rules: []sftp.Rule{{Path: "/", Perm: sftp.PermAll}}}, false, false},
		"allow list":   {sftp.Policy{Allow: []string{"all"}}, false, false},
		"named":        {sftp.Policy{Allow: []string{"all"}, Extended: []string{"a@example.com"}}, true, false},
		"none":         {sftp.Policy{Extended: []string{}}, false, false},
		"EXTENDED":     {sftp.Policy{Deny: []string{"EXTENDED"}}, false, false},
	} {
		srv := serverOf(tree)
		srv.Policy = &row.p
		play(t, srv, sftp.SessionInfo{}, func(p *peer) {
			announced := map[string]bool{}
			for _, x := range p.init(3).Extensions {
				announced[x.Name] = true
			}
			for name, want := range map[string]bool{"a@example.com": row.a, "b@example.com": row.b} {
				_, got := p.extended(name, new(fxp.ExtNothing)).(*fxp.ExtendedReply)
				if got != want || announced[name] != want {
					t.Errorf("%s: %s answered %v, announced %v", what, name, got, announced[name])
				}
			}
		})
	}
}

// TestPolicySession: the Server's policy and the session's restrict together, and one that
// cannot be meant refuses the session.
func TestPolicySession(t *testing.T) {
	srv, tree := memServer(memfs.Options{})
	if err := putFile(tree, "/f", "x"); err != nil {
		t.Fatal(err)
	}
	srv.Policy = &sftp.Policy{Deny: []string{"remove"}}
	mine := sftp.SessionInfo{Policy: &sftp.Policy{Deny: []string{"mkdir"}}}
	play(t, srv, mine, func(p *peer) {
		p.init(3)
		p.want("remove", sftp.CodePermissionDenied, &fxp.Path{T: fxp.TypeRemove, Path: "/f"})
		p.want("mkdir", sftp.CodePermissionDenied, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "/d", Attrs: fxp.Attrs{V: 3}})
		p.want("rename", sftp.CodeOK, &fxp.TwoPaths{T: fxp.TypeRename, First: "/f", Second: "/g"})
		if p.get("/g") != "x" {
			t.Error("content")
		}
	})
	play(t, srv, sftp.SessionInfo{}, func(p *peer) {
		p.init(3)
		p.want("mkdir", sftp.CodeOK, &fxp.PathAttrs{T: fxp.TypeMkdir, Path: "/d", Attrs: fxp.Attrs{V: 3}})
	})
	mine.Policy = &sftp.Policy{Deny: []string{"everything"}}
	a, b := newPair(32 << 10)
	defer a.Close()
	if err := srv.Serve(context.Background(), b, mine); err == nil || !strings.Contains(err.Error(), "everything") {
		t.Error(err)
	}
}

// TestPolicyModel does random things under rules: nothing that may not be read ever is, and
// what may not be changed is as it was, whatever links, renames and copies are made.
func TestPolicyModel(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(14) {
		r := rand.New(rand.NewPCG(seed, 4))
		tree := anyTree(t, seed)
		for _, dir := range []string{"/pub", "/pub/a", "/pub/a/locked", "/ro", "/ro/d", "/secret", "/secret/d", "/drop"} {
			if err := tree.Mkdir(ctx, dir, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []string{"/secret/f", "/secret/d/f", "/pub/a/locked/f", "/drop/f", "/pub/k.key"} {
			if err := putFile(tree, f, "SECRET"); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []string{"/pub/f", "/pub/a/f", "/ro/f", "/ro/d/f"} {
			if err := putFile(tree, f, "known"); err != nil {
				t.Fatal(err)
			}
		}
		for link, to := range map[string]string{"/pub/l1": "/secret", "/pub/a/l2": "../../secret/d", "/pub/l3": "/ro", "/ro/l4": "/secret", "/pub/l5": "a/locked"} {
			if err := tree.Link(ctx, to, link, true); err != nil {
				t.Fatal(err)
			}
		}
		before := fmt.Sprint(treeOf(t, tree, "/secret"), treeOf(t, tree, "/ro"))
		g := guarded(t, tree, &sftp.Policy{Rules: []sftp.Rule{
			{Path: "/", Perm: sftp.PermReadOnly},
			{Path: "/pub", Perm: sftp.PermAll},
			{Path: "/pub/a/locked", Perm: sftp.PermStat | sftp.PermRename},
			{Path: "/drop", Perm: sftp.PermCreate | sftp.PermRename | sftp.PermList},
			{Path: "*.key", Perm: sftp.PermStat},
			{Path: "/pub/**/*.key", Perm: sftp.PermStat | sftp.PermRename | sftp.PermHardlink},
			{Path: "/secret"},
		}})
		elems := []string{"pub", "a", "locked", "ro", "d", "secret", "drop", "f", "k.key", "l1", "l2", "l3", "l4", "l5", "n1", "n2", "n3.key", ".."}
		name := func() string {
			s := ""
			for range 1 + r.IntN(4) {
				s += "/" + elems[r.IntN(len(elems))]
			}
			if r.IntN(2) == 0 {
				s = "/pub" + s
			}
			return s
		}
		done := 0
		for range 3000 {
			a, b := name(), name()
			var err error
			switch r.IntN(10) {
			case 0:
				err = g.Rename(ctx, a, b, sftp.RenameFlags(r.IntN(4)))
			case 1:
				target := b
				if r.IntN(2) == 0 {
					target = strings.TrimPrefix(b, "/")
				}
				err = g.Link(ctx, target, a, true)
			case 2:
				err = g.Link(ctx, a, b, false)
			case 3:
				err = putFile(g, a, "mine")
			case 4:
				err = writeFile(g, a, "mine", sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.Disposition(r.IntN(5))})
			case 5:
				err = g.Remove(ctx, a)
			case 6:
				err = g.Mkdir(ctx, a, nil)
			case 7:
				err = g.SetStat(ctx, a, &sftp.Attrs{Valid: sftp.AttrSize}, r.IntN(2) == 0)
			case 8:
				err = g.Rmdir(ctx, a)
			default:
				var got string
				if got, err = getFile(g, a); strings.Contains(got, "SECRET") {
					t.Fatalf("seed %d: %s was read", seed, a)
				}
			}
			if err == nil {
				done++
			}
		}
		if after := fmt.Sprint(treeOf(t, tree, "/secret"), treeOf(t, tree, "/ro")); after != before {
			t.Fatalf("seed %d:\n%s\nbecame\n%s", seed, before, after)
		}
		if done < 100 {
			t.Errorf("seed %d: only %d operations succeeded", seed, done)
		}
	}
}

// anyTree is an empty tree in memory or, for odd seeds, on the disk.
func anyTree(t *testing.T, seed uint64) sftp.FileSystem {
	t.Helper()
	if seed%2 == 0 || runtime.GOOS == "windows" { // where making symlinks takes a privilege
		return memfs.New(memfs.Options{})
	}
	dir, err := osfs.New(t.TempDir(), osfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// treeOf returns everything beneath a directory, with content.
func treeOf(t *testing.T, fsys sftp.FileSystem, dir string) (all []string) {
	t.Helper()
	names, err := listNames(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		full := dir + "/" + name
		a, err := fsys.Stat(context.Background(), full, sftp.StatOpt{})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		switch a.Type() {
		case sftp.TypeRegular:
			text, err = getFile(fsys, full)
		case sftp.TypeSymlink:
			text, err = fsys.ReadLink(context.Background(), full)
		case sftp.TypeDirectory:
			all = append(all, treeOf(t, fsys, full)...)
		default:
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %v %s", full, a.Type(), text))
	}
	return all
}

// TestPolicyEveryName sends every request that holds a name, in every version and about a
// hidden name, also by way of a symlink: none succeeds, none tells whether anything is there,
// and nothing changes.
func TestPolicyEveryName(t *testing.T) {
	ctx := context.Background()
	for _, v := range []fxp.Version{3, 4, 5, 6} {
		tree := memfs.New(memfs.Options{})
		if err := errors.Join(tree.Mkdir(ctx, "/pub", nil), tree.Mkdir(ctx, "/secret", nil), tree.Mkdir(ctx, "/secret/d", nil),
			putFile(tree, "/secret/f", "SECRET"), putFile(tree, "/pub/f", "known"), tree.Link(ctx, "/secret", "/pub/l", true)); err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprint(treeOf(t, tree, "/secret"))
		srv := serverOf(tree)
		srv.TempFolder = "/secret"
		srv.Policy = &sftp.Policy{Rules: []sftp.Rule{{Path: "/pub", Perm: sftp.PermAll}}}
		x := func(name string, data wire.Layouter) fxp.Message {
			return &fxp.Extended{Name: name, Data: wire.Append(nil, data)}
		}
		how := fxp.Attrs{V: v}
		// About a name, with another one that may be used.
		all := func(name, free string) map[string]fxp.Message {
			m := map[string]fxp.Message{
				"OPENDIR": &fxp.Path{T: fxp.TypeOpendir, Path: name}, "REMOVE": &fxp.Path{T: fxp.TypeRemove, Path: name},
				"RMDIR": &fxp.Path{T: fxp.TypeRmdir, Path: name}, "READLINK": &fxp.Path{T: fxp.TypeReadlink, Path: name},
				"STAT": &fxp.Stat{V: v, T: fxp.TypeStat, Path: name}, "LSTAT": &fxp.Stat{V: v, T: fxp.TypeLstat, Path: name},
				"MKDIR": &fxp.PathAttrs{T: fxp.TypeMkdir, Path: name, Attrs: how}, "SETSTAT": &fxp.PathAttrs{T: fxp.TypeSetstat, Path: name, Attrs: how},
				"RENAME from": &fxp.Rename{V: v, Old: name, New: free}, "RENAME to": &fxp.Rename{V: v, Old: "/pub/f", New: name},
				"SYMLINK to": &fxp.TwoPaths{T: fxp.TypeSymlink, First: name, Second: free}, "SYMLINK at": &fxp.TwoPaths{T: fxp.TypeSymlink, First: "f", Second: name},
				"posix-rename from": x("posix-rename@openssh.com", &fxp.ExtPaths{Old: name, New: free}),
				"posix-rename to":   x("posix-rename@openssh.com", &fxp.ExtPaths{Old: "/pub/f", New: name}),
				"hardlink from":     x("hardlink@openssh.com", &fxp.ExtPaths{Old: name, New: free}),
				"hardlink to":       x("hardlink@openssh.com", &fxp.ExtPaths{Old: "/pub/f", New: name}),
				"statvfs":           x("statvfs@openssh.com", &fxp.ExtText{Text: name}), "space-available": x("space-available", &fxp.ExtText{Text: name}),
				"lsetstat":   x("lsetstat@openssh.com", &fxp.ExtSetstat{Path: name, Attrs: how}),
				"check-file": x("check-file-name", &fxp.ExtCheckName{Path: name, HashRange: fxp.HashRange{Algorithms: []string{"sha256"}}}), "md5-hash": x("md5-hash", &fxp.ExtMD5Name{Path: name}),
				"copy-file from": x("copy-file", &fxp.ExtCopyFile{From: name, To: free}), "copy-file to": x("copy-file", &fxp.ExtCopyFile{From: "/pub/f", To: name, Overwrite: true}),
				"make-temp-folder": x("make-temp-folder", new(fxp.ExtNothing)),
			}
			if v >= fxp.V6 {
				m["LINK to"] = &fxp.Link{New: free, Target: name}
				m["LINK at"] = &fxp.Link{New: name, Target: "/pub/f"}
				m["LINK symbolic"] = &fxp.Link{New: free, Target: name, Symbolic: true}
			}
			for flags := range uint32(64) {
				if flags&fxp.OpenTrunc != 0 && flags&(fxp.OpenWrite|fxp.OpenAppend|fxp.OpenCreate) == 0 {
					continue // means nothing
				}
				open := &fxp.Open{Path: name, Flags: flags, Attrs: how}
				if v >= fxp.V5 {
					open.Access, open.Flags = sftp.NewOpen(flags)
				}
				m[fmt.Sprintf("OPEN %#x", flags)] = open
			}
			return m
		}
		play(t, srv, sftp.SessionInfo{ClientIdent: "SSH-2.0-OpenSSH_9.9"}, func(p *peer) {
			p.init(v)
			for _, dir := range []string{"/secret/", "/pub/l/", "/pub/../secret/"} {
				there, not := all(dir+"f", "/pub/free"), all(dir+"none", "/pub/free")
				for what, m := range there {
					got := p.code(p.call(m))
					if got == sftp.CodeOK || got == sftp.CodeBadMessage || got == sftp.CodeOpUnsupported {
						t.Errorf("version %d: %s of %sf: %v", v, what, dir, got)
					}
					if none := p.code(p.call(not[what])); none != got {
						t.Errorf("version %d: %s in %s: %v, and %v of what is not there", v, what, dir, got, none)
					}
				}
			}
		})
		if after := fmt.Sprint(treeOf(t, tree, "/secret")); after != before {
			t.Errorf("version %d: %s became %s", v, before, after)
		}
		if names, err := listNames(tree, "/pub"); err != nil || !slices.Equal(names, []string{"f", "l"}) {
			t.Errorf("version %d: %q, %v", v, names, err)
		}
	}
}
