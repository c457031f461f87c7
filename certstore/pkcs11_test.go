package certstore

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/keys"
)

// absolute makes a path absolute here.
func absolute(path string) string {
	if runtime.GOOS == "windows" {
		return `C:` + filepath.FromSlash(path)
	}
	return path
}

func TestParseToken(t *testing.T) {
	lib := absolute("/lib/token.so")
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte("12 34\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]struct {
		path  map[string]string
		pin   string
		shown string
	}{
		lib:                          {nil, "", lib},
		"pkcs11:?module-path=" + lib: {nil, "", "pkcs11:?module-path=" + lib},
		"PKCS11:token=My%20token;object=k;x-vendor=1?pin-value=12%2034&module-path=" + lib: {map[string]string{"token": "My token", "object": "k"}, "12 34", "PKCS11:token=My%20token;object=k;x-vendor=1?module-path=" + lib},
		"pkcs11:id=%00%ff;type=cert;slot-id=7?module-path=" + lib + "&pin-source=" + pin:   {map[string]string{"id": "\x00\xff", "type": "cert", "slot-id": "7"}, "12 34", "pkcs11:id=%00%ff;type=cert;slot-id=7?module-path=" + lib + "&pin-source=" + pin},
		"pkcs11:serial=1?module-path=" + lib + "&pin-source=file://" + pin:                 {map[string]string{"serial": "1"}, "12 34", "pkcs11:serial=1?module-path=" + lib + "&pin-source=file://" + pin},
	} {
		if runtime.GOOS == "windows" && strings.Contains(location, "file://") {
			continue // a drive is not a path behind a host
		}
		u, err := parseToken(location)
		if err != nil {
			t.Errorf("%s: %v", location, err)
			continue
		}
		for k, v := range want.path {
			if u.path[k] != v {
				t.Errorf("%s: %s is %q", location, k, u.path[k])
			}
		}
		if u.module != lib || string(u.pin) != want.pin || u.shown != want.shown || len(u.path) != len(want.path) {
			t.Errorf("%s: %q, PIN %q, shown %q", location, u.module, string(u.pin), u.shown)
		}
	}
	const secret = "4711"
	for _, location := range []string{
		"", "lib.so", "./lib.so", "pkcs11:", "pkcs11:token=a", "pkcs11:?pin-value=" + secret, "pkcs11:?module-path=lib.so&pin-value=" + secret,
		"pkcs11:token=a;token=b?module-path=" + lib + "&pin-value=" + secret,
		"pkcs11:tokem=a?module-path=" + lib + "&pin-value=" + secret,
		"pkcs11:token?module-path=" + lib + "&pin-value=" + secret,
		"pkcs11:token=%zz?module-path=" + lib + "&pin-value=" + secret,
		"pkcs11:?module-path=" + lib + "&pin-value=" + secret + "%zz",
		"pkcs11:?module-path=" + lib + "&pin-value=" + secret + "&pin-value=1",
		"pkcs11:?module-path=" + lib + "&pin-value=" + secret + "&pin-source=" + pin,
		"pkcs11:?module-path=" + lib + "&module-name=x&pin-value=" + secret,
		"pkcs11:?module-path=" + lib + "&pin-source=pin",
		"pkcs11:?module-path=" + lib + "&pin-source=%7C/bin/cat",
		"pkcs11:?module-path=" + lib + "&pin-source=file://elsewhere" + pin,
		"pkcs11:?module-path=" + lib + "&pin-source=" + pin + "-not",
		"pkcs11:type=data?module-path=" + lib, "pkcs11:type=x?module-path=" + lib, "pkcs11:slot-id=x?module-path=" + lib,
	} {
		_, err := Open(PKCS11, location, Options{})
		if _, ok := errors.AsType[*FormatError](err); !ok {
			t.Errorf("%s: %T: %v", location, err, err)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds the PIN: %v", location, err)
		}
	}
	if err := os.WriteFile(pin, make([]byte, maxPIN+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parseToken("pkcs11:?module-path=" + lib + "&pin-source=" + pin); err == nil || !strings.Contains(err.Error(), "octets") {
		t.Errorf("a large PIN: %v", err)
	}
}

// A location of a token is never looked for among contents, and a library that
// is none is refused.
func TestTokenLibraries(t *testing.T) {
	none := absolute("/nonexistent/token.so")
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{none, text, "pkcs11:token=a?module-path=" + none + "&pin-value=4711"} {
		_, err := Open(PKCS11, location, Options{Password: keys.Passphrase("1234")})
		_, format := errors.AsType[*FormatError](err)
		e, platform := errors.AsType[*PlatformError](err)
		if format == platform || platform && (e.Type != PKCS11 || e.Hint == "") || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %T: %v", location, err, err)
		}
	}
	if _, err := OpenBytes(PKCS11, []byte(none), Options{}); err == nil {
		t.Error("a token in memory")
	}
	if _, err := OpenBytes(Auto, []byte("pkcs11:?module-path="+text), Options{}); err == nil {
		t.Error("a token found by looking")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("/lib/token.so")
	f.Add("pkcs11:token=My%20token;object=k;id=%01;type=private?module-path=/lib/token.so&pin-value=1234")
	f.Add("pkcs11:slot-id=1?pin-source=/nonexistent&module-path=/l")
	f.Fuzz(func(t *testing.T, location string) {
		if strings.Contains(strings.ToLower(location), "pin-source") {
			return // which names a file
		}
		u, err := parseToken(location)
		if err != nil {
			typed(t, location, err)
			return
		}
		again, err := parseToken(u.shown)
		if err != nil || again.module != u.module || len(again.path) != len(u.path) || again.pin != nil {
			t.Fatalf("%q: shown as %q: %v", location, u.shown, err)
		}
	})
}
