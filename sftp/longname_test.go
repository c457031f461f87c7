package sftp

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAppendLongName(t *testing.T) {
	now := time.Date(2026, 7, 14, 12, 0, 0, 0, time.UTC)
	at := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 14, 29, 0, 0, time.UTC) }
	all := AttrSize | AttrMode | AttrLinks | AttrUIDGID | AttrMtime
	for _, row := range []struct {
		want         string
		name         string
		a            Attrs
		owner, group string
	}{
		{
			"-rwxr-xr-x   1 mjos     staff      348911 Mar 25 14:29 t-filexfer", "t-filexfer",
			Attrs{Valid: all, Mode: 0o100755, Links: 1, Size: 348911, Mtime: at(2026, 3, 25)},
			"mjos", "staff",
		},
		{
			"drwxrwsrwt  12 0        100          4096 Jan  5  2026 d", "d",
			Attrs{Valid: all, Mode: 0o043777, Links: 12, Size: 4096, GID: 100, Mtime: at(2026, 1, 5)},
			"", "",
		},
		{
			"lrwSrwS--T   1 a_b      ?c              3 Jul 15  2026 x y", "x y",
			Attrs{Valid: all, Mode: 0o127660, Links: 1, Size: 3, Mtime: at(2026, 7, 15)},
			"a b", "\nc",
		},
		{"??????????   ? ?        ?               0 Jan  1  1970 n", "n", Attrs{}, "", ""},
		{"p?????????   ? ?        ?               0 Jan  1  1970 n", "n", Attrs{Kind: TypeFIFO}, "", ""},
	} {
		if got := string(AppendLongName(nil, row.name, &row.a, now, row.owner, row.group)); got != row.want {
			t.Errorf("\n%q, want\n%q", got, row.want)
		}
	}
}

// TestCVE_12_9_LongNameBounded: whatever the attributes and names hold, the line is
// bounded and printable.
func TestCVE_12_9_LongNameBounded(t *testing.T) {
	huge := Attrs{
		Valid: math.MaxUint32, Mode: math.MaxUint32, Links: math.MaxUint32, Size: math.MaxUint64, UID: math.MaxUint32, GID: math.MaxUint32,
	}
	for _, secs := range []int64{math.MinInt64, -1 << 40, 0, 1 << 40, math.MaxInt64} {
		huge.Mtime = time.Unix(secs, 0)
		for _, name := range []string{
			"", strings.Repeat("\U0001F600", 255), strings.Repeat("x", 64<<10), "\r\n\x1b[31m\x7f", strings.Repeat("\xff", 5000),
			strings.Repeat("x", longNameFile-1) + "é",
		} {
			line := AppendLongName(nil, name, &huge, time.Unix(0, 0), strings.Repeat("é", 1024), strings.Repeat("o", 1<<10))
			if len(line) > 256+longNameFile {
				t.Errorf("%d bytes", len(line))
			}
			if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("control characters in %q", line)
			}
			if utf8.ValidString(name) && !utf8.Valid(line) {
				t.Errorf("cut inside a rune: %q", line)
			}
		}
	}
}

func TestLongNameAllocs(t *testing.T) {
	a := Attrs{Valid: AttrsBasic | AttrLinks, Mode: 0o100644, Size: 12345, Links: 1, Mtime: time.Unix(1e9, 0)}
	now := time.Unix(1.1e9, 0)
	dst := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { dst = AppendLongName(dst[:0], "some-file.txt", &a, now, "root", "") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAppendLongName(f *testing.F) {
	f.Add("name", "owner", "group", uint32(0o100644), uint64(5), int64(0), uint32(math.MaxUint32))
	f.Fuzz(func(t *testing.T, name, owner, group string, mode uint32, size uint64, secs int64, valid uint32) {
		a := Attrs{Valid: AttrMask(valid), Mode: mode, Size: size, Mtime: time.Unix(secs, 0)}
		line := AppendLongName(nil, name, &a, time.Unix(1e9, 0), owner, group)
		if len(line) > 256+longNameFile || bytes.ContainsAny(line, "\x00\r\n") {
			t.Errorf("%q", line)
		}
	})
}
