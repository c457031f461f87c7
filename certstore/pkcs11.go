package certstore

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/keys"
)

// tokenURI says where keys are: a URI of RFC 7512, or the path of a library
// alone, whose only token is then meant.
type tokenURI struct {
	module string            // path of the library
	path   map[string]string // attributes that token, slot, library and objects must have, decoded
	pin    keys.Passphrase   // nil if the URI names none
	shown  string            // the same without a PIN
}

// tokenKinds are the values of the attribute type, and whether objects of that
// kind are looked for here.
var tokenKinds = map[string]bool{"cert": true, "private": true, "public": true, "secret-key": false, "data": false}

// tokenAttributes are the path attributes of RFC 7512 section 2.3.
var tokenAttributes = []string{
	"token", "manufacturer", "serial", "model", "library-manufacturer", "library-version", "library-description",
	"object", "type", "id", "slot-description", "slot-manufacturer", "slot-id",
}

// parseToken reads a location. Its errors hold no PIN.
func parseToken(location string) (*tokenURI, error) {
	const scheme = "pkcs11:"
	if len(location) < len(scheme) || !strings.EqualFold(location[:len(scheme)], scheme) {
		u := &tokenURI{module: location, shown: location}
		return u, u.check()
	}
	path, query, _ := strings.Cut(location[len(scheme):], "?")
	u := &tokenURI{path: map[string]string{}, shown: location[:len(scheme)] + path}
	for part := range strings.SplitSeq(path, ";") {
		if part == "" {
			continue
		}
		name, value, err := tokenAttribute(part)
		switch _, twice := u.path[name]; {
		case err != nil:
			return nil, err
		case strings.HasPrefix(name, "x-"): // a vendor's, which may be passed over
			continue
		case !slices.Contains(tokenAttributes, name):
			return nil, unsupported("", fmt.Sprintf("attribute %+q", clip(name)))
		case twice:
			return nil, bad("", "%s is there twice", name)
		}
		u.path[name] = value
	}
	seen := map[string]string{}
	var shown []string
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, err := tokenAttribute(part)
		switch _, twice := seen[name]; {
		case err != nil:
			return nil, err
		case strings.HasPrefix(name, "x-"):
			continue
		case !slices.Contains([]string{"module-path", "pin-value", "pin-source"}, name):
			return nil, unsupported("", fmt.Sprintf("attribute %+q", clip(name)))
		case twice:
			return nil, bad("", "%s is there twice", name)
		}
		if seen[name] = value; name != "pin-value" {
			shown = append(shown, part)
		}
	}
	if len(shown) > 0 {
		u.shown += "?" + strings.Join(shown, "&")
	}
	u.module = seen["module-path"]
	if err := u.check(); err != nil {
		return nil, err
	}
	return u, u.readPIN(seen)
}

// tokenAttribute splits and decodes name=value. The value may be a PIN.
func tokenAttribute(part string) (name, value string, err error) {
	name, value, ok := strings.Cut(part, "=")
	if ok {
		value, err = url.PathUnescape(value)
	}
	if !ok || err != nil {
		return "", "", bad("", "an attribute that RFC 7512 does not allow")
	}
	return name, value, nil
}

// check checks what can be checked without the library.
func (u *tokenURI) check() error {
	switch {
	case u.module == "":
		return bad("", "no library: give its path, or a URI with module-path")
	case !filepath.IsAbs(u.module): // it is code, and must not be found by chance
		return bad("", "the path of the library is not absolute: %+q", clip(u.module))
	}
	if v, ok := u.path["slot-id"]; ok {
		if _, err := strconv.ParseUint(v, 10, 32); err != nil {
			return bad("", "slot-id %+q is not a number", clip(v))
		}
	}
	if v, ok := u.path["type"]; ok && !tokenKinds[v] {
		return unsupported("", fmt.Sprintf("type %+q", clip(v)))
	}
	return nil
}

// maxPIN bounds what is read from a pin-source.
const maxPIN = 4096

// readPIN takes the PIN of the URI, or the one in the file it names (RFC 7512
// section 2.4). Programs are not run.
func (u *tokenURI) readPIN(query map[string]string) error {
	value, here := query["pin-value"]
	source, there := query["pin-source"]
	switch {
	case here && there:
		return bad("", "both pin-value and pin-source")
	case here:
		u.pin = keys.Passphrase(value)
		return nil
	case !there:
		return nil
	}
	if rest, ok := strings.CutPrefix(source, "file:"); ok {
		source = rest
		if strings.HasPrefix(source, "//") { // file://host/path, file:///path
			host, path, _ := strings.Cut(source[2:], "/")
			if source = "/" + path; host != "" && host != "localhost" {
				return unsupported("pin-source", "a file on another machine")
			}
		}
	}
	if !filepath.IsAbs(source) {
		return unsupported("pin-source", "what is not an absolute path or a file URI")
	}
	f, err := os.Open(source)
	if err != nil {
		return &FormatError{Where: "pin-source", Err: err}
	}
	defer f.Close()
	pin, err := io.ReadAll(io.LimitReader(f, maxPIN+1))
	if err != nil {
		return &FormatError{Where: "pin-source", Err: err}
	}
	if len(pin) > maxPIN {
		return bad("pin-source", "more than %d octets", maxPIN)
	}
	u.pin = keys.Passphrase(strings.TrimRight(string(pin), "\r\n"))
	return nil
}
