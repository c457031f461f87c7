package sftp

import (
	"crypto/rand"
	"encoding/hex"
	"runtime"
	"strings"
	"unicode/utf8"
)

// maxElement is the longest path element in bytes that any common file system keeps.
const maxElement = 255

// badName returns why a name from a listing may not become an element of a path, "" if it
// may. A server chooses these names, so each could be an attempt to leave the target (cves
// 8.10 and 8.11).
func badName(name string) string {
	switch {
	case name == "":
		return "empty name"
	case name == "." || name == "..":
		return "name of a directory itself"
	case strings.IndexByte(name, '/') >= 0:
		return "slash in a name"
	case strings.IndexByte(name, 0) >= 0:
		return "NUL in a name"
	}
	return ""
}

// badLocalName is badName for names of files that are to be made on this host.
func badLocalName(name string, windows bool) string {
	if why := badName(name); why != "" {
		return why
	}
	if len(name) > maxElement {
		return "name too long"
	}
	if windows {
		return badWindowsName(name)
	}
	return ""
}

// onWindows is a constant of the host.
const onWindows = runtime.GOOS == "windows"

// onlyText says that the names of files of this host are Unicode, and no others can be made.
const onlyText = onWindows || runtime.GOOS == "darwin" || runtime.GOOS == "ios"

// windowsDevices are the names that open a device in whatever directory, with any extension.
var windowsDevices = map[string]bool{
	"CON": true, "PRN": true, "AUX": true, "NUL": true, "CONIN$": true, "CONOUT$": true, "CLOCK$": true,
}

// badWindowsName returns what is wrong with a name on Windows: separators, streams, devices,
// and what the system would change silently.
func badWindowsName(name string) string {
	for i := range len(name) {
		switch c := name[i]; {
		case c < 0x20, strings.IndexByte(`\:*?"<>|`, c) >= 0:
			return "character that Windows does not allow"
		}
	}
	if last := name[len(name)-1]; last == ' ' || last == '.' {
		return "space or dot at the end, which Windows drops"
	}
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	if windowsDevices[base] {
		return "name of a device"
	}
	if len(base) >= 4 && (base[:3] == "COM" || base[:3] == "LPT") {
		switch base[3:] {
		case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
			return "name of a device"
		}
	}
	return ""
}

// partSuffix marks a file that is not whole yet; servers that watch for uploads know it
// from WinSCP.
const partSuffix = ".filepart"

// partName returns the name beside name of a file that is not whole yet, unlike any other
// that is under way with unique, or the one to find again. name may be a path; its last
// element is shortened where it would get too long.
func partName(name string, unique bool) string {
	suffix := partSuffix
	if unique {
		var b [6]byte
		_, _ = rand.Read(b[:]) // which never fails
		suffix = "." + hex.EncodeToString(b[:]) + partSuffix
	}
	start := strings.LastIndexByte(name, '/') + 1
	if over := len(name) - start + len(suffix) - maxElement; over > 0 {
		cut := len(name) - over
		for cut > start+1 && !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut]
	}
	return name + suffix
}

// joinRemote puts an element to a remote path as it is; "" and "." are the start directory.
func joinRemote(dir, name string) string {
	switch {
	case dir == "" || dir == ".":
		return name
	case strings.HasSuffix(dir, "/"):
		return dir + name
	}
	return dir + "/" + name
}

// linkStaysInside reports whether a symlink at the slash-separated path link, relative to
// the root of a tree, with the text target, leads to something inside that root as long as
// link's directory is what its path says. A ".." behind another element is refused:
// where it leads depends on whether that element is a link.
func linkStaysInside(link, target string, windows bool) bool {
	if windows && strings.ContainsAny(target, `\:`) {
		return false
	}
	if target == "" || strings.IndexByte(target, 0) >= 0 || strings.HasPrefix(target, "/") {
		return false
	}
	depth := strings.Count(link, "/")
	down := false
	for elem := range strings.SplitSeq(target, "/") {
		switch elem {
		case "", ".":
		case "..":
			if down {
				return false
			}
			if depth--; depth < 0 {
				return false
			}
		default:
			down = true
		}
	}
	return true
}
