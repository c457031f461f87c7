package sftp_test

import (
	"context"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
)

// TestPolicyNamesThroughLinks: a name that may not be made is not made through a link
// either, also where there are no rules: as a file, and at the depth where it would be.
func TestPolicyNamesThroughLinks(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(2) {
		tree := anyTree(t, seed)
		for _, dir := range []string{"/a", "/a/b"} {
			if err := tree.Mkdir(ctx, dir, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := putFile(tree, "/old.exe", "old"); err != nil {
			t.Fatal(err)
		}
		g := guarded(t, tree, &sftp.Policy{RefuseNames: []string{"*.exe"}, MaxDepth: 2})
		for link, target := range map[string]string{"/new": "new.exe", "/old": "old.exe", "/d": "a/b"} {
			if err := g.Link(ctx, target, link, true); err != nil {
				t.Fatal(err)
			}
		}
		no, deep := sftp.CodePermissionDenied, sftp.CodeInvalidFilename
		wantCode(t, "make through a link", putFile(g, "/new", "x"), no)
		wantCode(t, "overwrite through a link", putFile(g, "/old", "x"), no)
		wantCode(t, "overwrite", putFile(g, "/old.exe", "x"), no)
		for _, d := range []sftp.Disposition{sftp.OpenExisting, sftp.TruncateExisting} {
			how := sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: d}
			wantCode(t, "overwrite what is there", writeFile(g, "/old.exe", "x", how), no)
			wantCode(t, "overwrite what is there through a link", writeFile(g, "/old", "x", how), no)
		}
		wantCode(t, "truncate", g.SetStat(ctx, "/old", &sftp.Attrs{Valid: sftp.AttrSize}, true), no)
		wantCode(t, "file too deep", putFile(g, "/d/f", "x"), deep)
		wantCode(t, "directory too deep", g.Mkdir(ctx, "/d/e", nil), deep)
		wantCode(t, "rename too deep", g.Rename(ctx, "/old.exe", "/d/e", 0), deep)
		wantCode(t, "link too deep", g.Link(ctx, "x", "/d/e", true), deep)
		if got, err := getFile(g, "/old"); got != "old" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if _, err := tree.Stat(ctx, "/new.exe", sftp.StatOpt{}); sftp.CodeOf(err) != sftp.CodeNoSuchFile {
			t.Errorf("made: %v", err)
		}
	}
}

// TestPolicyNewThroughLinks: to CREATE_NEW a link is a file that is there, under a policy as
// without one.
func TestPolicyNewThroughLinks(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(2) {
		tree := anyTree(t, seed)
		g := guarded(t, tree, &sftp.Policy{Rules: []sftp.Rule{{Path: "/", Perm: sftp.PermAll}}})
		if err := g.Link(ctx, "target", "/link", true); err != nil {
			t.Fatal(err)
		}
		err := writeFile(g, "/link", "x", sftp.OpenHow{Access: sftp.AccessWriteData, Disposition: sftp.CreateNew})
		wantCode(t, "make what is there", err, sftp.CodeFileAlreadyExists)
	}
}

// careless is a File that leaves it to others to see what a handle may do.
type careless struct{ sftp.FileSystem }

func (c careless) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	h := *how
	h.Access |= sftp.AccessWriteData
	return c.FileSystem.Open(ctx, name, &h)
}

// TestPolicySizeOfAHandle: setting the size is writing, through a handle that reads as well.
func TestPolicySizeOfAHandle(t *testing.T) {
	ctx := context.Background()
	tree := memfs.New(memfs.Options{})
	if err := putFile(tree, "/f", "content"); err != nil {
		t.Fatal(err)
	}
	g := guarded(t, careless{tree}, &sftp.Policy{Deny: []string{"write"}})
	f, err := g.Open(ctx, "/f", &sftp.OpenHow{Access: sftp.AccessReadData, Disposition: sftp.OpenExisting})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "size", f.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize}), sftp.CodePermissionDenied)
	wantCode(t, "close", f.Close(nil), sftp.CodeOK)
}

// TestPolicyDeniesByNameWhoeverServes: what is denied by its name is not done by the file
// system in place of the server.
func TestPolicyDeniesByNameWhoeverServes(t *testing.T) {
	ctx := context.Background()
	g := guarded(t, extFS{FileSystem: memfs.New(memfs.Options{})}, &sftp.Policy{Deny: []string{"posix-rename@openssh.com"}})
	if _, err := g.Extended(ctx, "posix-rename@openssh.com", nil); sftp.CodeOf(err) != sftp.CodePermissionDenied {
		t.Error(err)
	}
}

// BenchmarkPolicyDeepNames judges the deepest name there is by a pattern that may begin
// anywhere.
func BenchmarkPolicyDeepNames(b *testing.B) {
	g := guarded(b, memfs.New(memfs.Options{}), &sftp.Policy{Rules: []sftp.Rule{{Path: "/", Perm: sftp.PermAll}, {Path: "/**/x/secret", Perm: 0}}})
	name := strings.Repeat("/x", sftp.MaxPath/2)
	for b.Loop() {
		_ = g.Remove(b.Context(), name)
	}
}
