package osfs

import (
	"os"
	"testing"

	"golang.org/x/sys/windows"
)

// openAlone opens a file so that nobody else can, until the function is called.
func openAlone(t *testing.T, name string) func() {
	t.Helper()
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(text, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = windows.CloseHandle(h) }
}

// scratch is a directory with the files a and b.
func scratch(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	for _, name := range []string{"a", "b"} {
		if err := root.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// renamesLetters tells whether the host changes the letters of a name by a rename. Wine 10 says yes and does nothing.
func renamesLetters(t *testing.T) bool {
	t.Helper()
	root := scratch(t)
	if err := root.Rename("a", "A"); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(root.Name())
	if err != nil {
		t.Fatal(err)
	}
	return list[0].Name() == "A" || list[1].Name() == "A"
}

// replacesOpen tells whether the host replaces a file that is open by a rename: Windows since 10, version 1709, on NTFS;
// not Wine 10.
func replacesOpen(t *testing.T) bool {
	t.Helper()
	root := scratch(t)
	f, err := root.Open("b")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return root.Rename("a", "b") == nil
}
