package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// TestStatusTable: every code has its row, and what older versions get they know.
func TestStatusTable(t *testing.T) {
	names := make(map[string]bool)
	last := map[int]Code{3: 8, 4: 13, 5: 17, 6: 31} // filexfer fact: the last code of each version
	for c := range Code(codeCount) {
		row := statusTable[c]
		if row.name == "" || row.text == "" || names[row.name] {
			t.Errorf("code %d: row %+v", c, row)
		}
		names[row.name] = true
		for version := 3; version <= 6; version++ {
			if got := c.In(version); got > last[version] || got == CodeNoConnection || got == CodeConnectionLost {
				t.Errorf("%v in version %d is %v", c, version, got)
			}
			if want := c <= last[version] && c != 6 && c != 7; want != (c.In(version) == c) {
				t.Errorf("%v in version %d is %v", c, version, c.In(version))
			}
		}
		if c.Since() < 3 || c > last[c.Since()] || c.Since() > 3 && c <= last[c.Since()-1] {
			t.Errorf("%v since version %d", c, c.Since())
		}
		if CodeOf(c) != c || CodeOf(fmt.Errorf("x: %w", Status(c, "y"))) != c || !errors.Is(Status(c, ""), c) {
			t.Errorf("%v does not survive CodeOf", c)
		}
		for _, e := range row.is {
			if !errors.Is(c, e) || !errors.Is(Status(c, "y"), e) {
				t.Errorf("%v is not %v", c, e)
			}
		}
	}
	for _, unknown := range []Code{32, 1 << 31} {
		if unknown.In(6) != CodeFailure || unknown.Since() != 0 || unknown.String() == "" || unknown.Text() == "" {
			t.Errorf("%v: %v", uint32(unknown), unknown.In(6))
		}
	}
}

// TestGoErrors: each row of the Go error table decides something.
func TestGoErrors(t *testing.T) {
	for _, row := range goErrors {
		if got := CodeOf(fmt.Errorf("wrapped: %w", row.err)); got != row.code {
			t.Errorf("%v: %v, want %v", row.err, got, row.code)
		}
	}
	for err, want := range map[error]Code{
		nil: CodeOK, io.EOF: CodeEOF, errors.New("x"): CodeFailure, context.Canceled: CodeFailure, fs.ErrExist: CodeFileAlreadyExists,
	} {
		if got := CodeOf(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// TestErrnoTable: each errno of this system comes out, also inside path errors.
func TestErrnoTable(t *testing.T) {
	for errno, want := range errnoCodes {
		err := &fs.PathError{Op: "open", Path: "/host/secret", Err: os.NewSyscallError("open", errno)}
		if got := CodeOf(err); got != want {
			t.Errorf("%v: %v, want %v", errno, got, want)
		}
	}
}

// TestCVE_8_5_StatusTextHidesPaths: only the text of a StatusError reaches the peer.
func TestCVE_8_5_StatusTextHidesPaths(t *testing.T) {
	for _, err := range []error{
		&fs.PathError{Op: "open", Path: "/host/secret", Err: fs.ErrNotExist},
		&os.LinkError{Op: "rename", Old: "/host/secret", New: "/host/secret2", Err: fs.ErrExist},
		fmt.Errorf("in /host/secret: %w", Status(CodeQuotaExceeded, "over quota")),
		fmt.Errorf("in /host/secret: %w", CodeNoSpace),
		errors.New("/host/secret"),
	} {
		st := ToStatus(err)
		if strings.Contains(st.Text, "secret") || st.Text == "" || st.Lang == "" || st.Code != CodeOf(err) {
			t.Errorf("%v: %+v", err, st)
		}
	}
	if st := ToStatus(fmt.Errorf("x: %w", Status(CodeQuotaExceeded, "over quota"))); st.Text != "over quota" {
		t.Errorf("%+v", st)
	}
	if st := ToStatus(Status(CodeFailure, strings.Repeat("x", 1<<20))); len(st.Text) > maxStatusText {
		t.Errorf("%d bytes of text", len(st.Text))
	}
}

func TestStatusErrorText(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{CodeNoSuchFile, "sftp: no such file"},
		{&StatusError{Code: CodeFailure}, "sftp: failure"},
		{Status(CodeFailure, "a\x1b[2Jb\n"), `sftp: a\x1b[2Jb\n`},
	} {
		if got := row.err.Error(); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}
