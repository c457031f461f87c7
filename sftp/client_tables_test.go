package sftp

import "testing"

// TestServerQuirkTable: each row is found by its ident, does something and says why.
func TestServerQuirkTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range serverQuirkRows {
		if seen[r.ident] || r.quirks == 0 || r.why == "" {
			t.Errorf("row %+v", r)
		}
		seen[r.ident] = true
		if serverQuirks("SSH-2.0-"+r.ident+"1.0")&r.quirks != r.quirks {
			t.Errorf("%s: not found by its ident", r.ident)
		}
	}
	if serverQuirks("") != 0 || serverQuirks("SSH-2.0-OpenSSH_9.9") != 0 {
		t.Error("OpenSSH has quirks")
	}
}
