package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"unicode"
)

// TestCVE_9_1_LogLines holds that whatever a peer sends is one line of printable
// text, and in JSON still what it was.
func TestCVE_9_1_LogLines(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		for _, hostile := range []string{
			"a\r\nb", "\x1b[2J", "\u009b2J", "\u202egnp", "x\u2028y\u0085z", "\U000e0041", "\x00", "\x7f", `"q\`, "größe", "%s%n", "bad\xff",
		} {
			var out bytes.Buffer
			newLog(format, slog.LevelInfo, &out).Info("sftp open", "path", hostile)
			line, rest, _ := strings.Cut(out.String(), "\n")
			if rest != "" {
				t.Errorf("%s: %q: more than one line: %q", format, hostile, out.String())
			}
			if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("%s: %q: control character in %q", format, hostile, line)
			}
			if format != "json" {
				continue
			}
			var got struct{ Path string }
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			if want := strings.ToValidUTF8(hostile, "\uFFFD"); got.Path != want {
				t.Errorf("%q came back as %q", want, got.Path)
			}
		}
	}
}

// TestAddressesInTheLog holds that an address is one text in every format.
func TestAddressesInTheLog(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		newLog(format, slog.LevelInfo, &out).Info("x", "remote", &net.TCPAddr{IP: net.IPv6loopback, Port: 22})
		if !strings.Contains(out.String(), "[::1]:22") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}
