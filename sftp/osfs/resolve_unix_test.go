//go:build linux || darwin || freebsd

package osfs

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// Links in deep directories that point at each other make a short name take long walks: what
// one request may cost is bounded, and what anybody needs is far within it.
func TestLinksInDeepDirectories(t *testing.T) {
	s, _ := jail(t, Options{})
	const depth = 900
	deep := "/d"
	for range depth {
		deep += "/a"
		if err := s.Mkdir(ctx, deep, nil); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, target string) {
		t.Helper()
		if err := s.Link(ctx, target, path.Join(deep, name), true); err != nil {
			t.Fatal(err)
		}
	}
	const links = maxLinks - 2
	for i := range links {
		link(fmt.Sprintf("far%d", i), path.Join(deep, strings.Repeat("../a/", 400), fmt.Sprintf("far%d", i+1)))
	}
	link(fmt.Sprintf("far%d", links), "/f")
	back := strings.Repeat("../a/", 700)
	for i := range links {
		link(fmt.Sprintf("back%d", i), back+fmt.Sprintf("back%d", i+1))
	}
	link(fmt.Sprintf("back%d", links), "/f")

	stat := func(name string) error {
		_, err := s.Stat(ctx, path.Join(deep, name), sftp.StatOpt{Follow: true})
		return err
	}
	for _, name := range []string{"back0", fmt.Sprintf("back%d", links-1)} {
		if err := stat(name); sftp.CodeOf(err) != sftp.CodeLinkLoop {
			t.Errorf("%s: %v, want that it takes too long", name, err)
		}
	}
	for _, name := range []string{"far0", fmt.Sprintf("far%d", links-3)} {
		if err := stat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The search for the first link finds it wherever it stands, and what it is followed by.
	link("top", "/d")
	want := path.Join(deep, "a")
	if err := s.Mkdir(ctx, want, nil); err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		name := "/absdir" + strings.Repeat("/a", n)
		got, _, err := s.RealPath(ctx, name, sftp.RealPathOpt{})
		if err != nil || got != "/d"+strings.Repeat("/a", n) {
			t.Errorf("%s is %s: %v", name, got, err)
		}
		name = path.Join(deep, "top", strings.Repeat("a/", n))
		if got, _, err = s.RealPath(ctx, name, sftp.RealPathOpt{}); err != nil || got != path.Join("/d", strings.Repeat("a/", n)) {
			t.Errorf("%s is %s: %v", name, got, err)
		}
		name = path.Join(deep, "top", strings.Repeat("a/", n), "none/x")
		if _, _, err = s.RealPath(ctx, name, sftp.RealPathOpt{}); sftp.CodeOf(err) != sftp.CodeNoSuchPath {
			t.Errorf("%s: %v, want no such path", name, err)
		}
	}
}
