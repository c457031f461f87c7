package sftp

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// TestW8_ServerQuirkTable: each row is reached by the ident of its server, and none by others.
func TestW8_ServerQuirkTable(t *testing.T) {
	idents := []string{"SSH-2.0-AsyncSSH_2.24.1", "SSH-2.0-ssh2js1.17.0srv", "SSH-2.0-APACHE-SSHD-2.16.0", "SSH-2.0-Erlang/4.15.2", "SSH-2.0-Twisted_26.10.0", "SSH-2.0-mod_sftp/1.0.0"}
	if len(idents) != len(serverQuirkRows) {
		t.Fatalf("%d rows, %d idents to try", len(serverQuirkRows), len(idents))
	}
	for i, row := range serverQuirkRows {
		if row.why == "" || row.quirks == 0 || serverQuirks(idents[i]) != row.quirks {
			t.Errorf("row %q is not reached by %q", row.ident, idents[i])
		}
	}
	for _, ident := range []string{"", "SSH-2.0-OpenSSH_9.9", "SSH-2.0-Fairlead_0.1", "SSH-2.0-Go"} {
		if serverQuirks(ident) != 0 {
			t.Errorf("%q has quirks", ident)
		}
	}
}

// TestW21_LinkAsMINAReadsIt: LINK carries the new name first, but the existing one to MINA.
func TestW21_LinkAsMINAReadsIt(t *testing.T) {
	for _, symbolic := range []bool{false, true} {
		if m := quirk(0).link("old", "new", symbolic); m.New != "new" || m.Target != "old" || m.Symbolic != symbolic {
			t.Errorf("by the draft: %+v", m)
		}
		if m := existingFirst.link("old", "new", symbolic); m.New != "old" || m.Target != "new" || m.Symbolic != symbolic {
			t.Errorf("to MINA: %+v", m)
		}
	}
}

// TestHashesWithLengths: MINA puts a length in front of each hash of check-file.
func TestHashesWithLengths(t *testing.T) {
	one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	plain := append(bytes.Clone(one), two...)
	if got, err := quirk(0).hashes(&fxp.ReplyCheckFile{Hashes: plain}); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("without lengths: %x, %v", got, err)
	}
	listed := wire.AppendBytes(wire.AppendBytes(nil, one), two)
	if got, err := minaHashes.hashes(&fxp.ReplyCheckFile{Hashes: listed}); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("with lengths: %x, %v", got, err)
	}
	for n := 1; n < len(listed); n++ {
		var broken *ProtocolError
		if got, err := minaHashes.hashes(&fxp.ReplyCheckFile{Hashes: listed[:n]}); n != 36 && !errors.As(err, &broken) {
			t.Errorf("cut after %d octets: %x, %v", n, got, err)
		}
	}
}
