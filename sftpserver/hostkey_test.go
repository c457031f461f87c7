package sftpserver_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftpserver"
)

func TestHostKeyFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "host_key")
	var prints sync.Map
	var wg sync.WaitGroup
	for range 8 { // at the same time: one key
		wg.Go(func() {
			key, err := sftpserver.HostKeyFile(name)
			if err != nil {
				t.Error(err)
				return
			}
			prints.Store(string(key.PublicKey().Marshal()), true)
		})
	}
	wg.Wait()
	n := 0
	prints.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); len(left) != 1 {
		t.Errorf("files left behind: %q", left)
	}
	if err := os.WriteFile(name, bytes.Repeat([]byte("no key\n"), 5), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sftpserver.HostKeyFile(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("a file that is no key: %v", err)
	}
	if data, err := os.ReadFile(name); err != nil || !bytes.HasPrefix(data, []byte("no key")) {
		t.Error("a file that is no key was replaced")
	}
	if _, err := sftpserver.HostKeyFile(filepath.Join(t.TempDir(), "none", "host_key")); err == nil {
		t.Error("no error for a directory that is not there")
	}
}
