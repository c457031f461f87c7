package sftpserver

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write generated documents anew")

// sameDocument compares a generated document with its file, or writes it.
func sameDocument(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale (%v): go test ./sftpserver -run %s -update", file, err, t.Name())
	}
}
