package sftp_test

import (
	"errors"
	"io"
	"testing"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// TestListing: every entry comes once, in order, then the end.
func TestListing(t *testing.T) {
	d := sftp.Listing([]sftp.Entry{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	got := ""
	for {
		list, err := d.Next(t.Context(), 2)
		if errors.Is(err, io.EOF) && len(list) == 0 {
			break
		}
		if err != nil || len(list) == 0 || len(list) > 2 {
			t.Fatalf("%v, %v", list, err)
		}
		for _, e := range list {
			got += e.Name
		}
	}
	if got != "abc" {
		t.Errorf("%q", got)
	}
	if err := d.Close(nil); err != nil {
		t.Error(err)
	}
	if list, err := sftp.Listing(nil).Next(t.Context(), 0); !errors.Is(err, io.EOF) || len(list) != 0 {
		t.Errorf("an empty one: %v, %v", list, err)
	}
}
