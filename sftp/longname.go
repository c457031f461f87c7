package sftp

import (
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	longNameOwner = 32   // bytes of an owner or group shown
	longNameFile  = 1024 // bytes of a name shown; file systems stop at 255
)

// AppendLongName appends the "ls -l" line that version 3 sends beside a name (longname,
// filexfer-02 §7), in the column widths of the draft's example. now decides between
// "Jan _2 15:04" and "Jan _2  2006" as ls does: the time of day within six months back.
// owner and group are shown as names, or as the numbers in a if empty. The line has
// no control characters and a bounded length whatever the arguments hold. It does not
// allocate if dst has room.
func AppendLongName(dst []byte, name string, a *Attrs, now time.Time, owner, group string) []byte {
	return DatesUnix.AppendLongName(dst, name, a, now, owner, group)
}

// DateStyle is how the "ls -l" lines of version 3 write dates.
type DateStyle uint8

// The styles of dates.
const (
	DatesUnix DateStyle = iota // "Jan _2 15:04" within six months back, or else "Jan _2  2006"
	DatesISO                   // "2006-01-02 15:04", always
)

// AppendLongName is like the function [AppendLongName], with dates in style d.
func (d DateStyle) AppendLongName(dst []byte, name string, a *Attrs, now time.Time, owner, group string) []byte {
	dst = appendModeString(dst, a)
	dst = append(dst, ' ')
	if a.Has(AttrLinks) {
		dst = appendPadNumber(dst, uint64(a.Links), 3)
	} else {
		dst = append(dst, "  ?"...)
	}
	dst = append(dst, ' ')
	dst = appendPrincipal(dst, owner, a.UID, a.Has(AttrUIDGID))
	dst = append(dst, ' ')
	dst = appendPrincipal(dst, group, a.GID, a.Has(AttrUIDGID))
	dst = append(dst, ' ')
	if a.Has(AttrSize) {
		dst = appendPadNumber(dst, a.Size, 8)
	} else {
		dst = append(dst, "       0"...)
	}
	dst = append(dst, ' ')
	dst = d.appendDate(dst, a, now)
	dst = append(dst, ' ')
	return appendPrintable(dst, name, longNameFile)
}

func appendModeString(dst []byte, a *Attrs) []byte {
	letter := byte('?')
	for i := range typeModes {
		if typeModes[i].typ == a.Type() {
			letter = typeModes[i].letter
		}
	}
	dst = append(dst, letter)
	if !a.Has(AttrMode) {
		return append(dst, "?????????"...)
	}
	m := a.Mode
	const rwx = "rwxrwxrwx"
	for i := range len(rwx) {
		c := byte('-')
		if m&(1<<(8-i)) != 0 {
			c = rwx[i]
		}
		dst = append(dst, c)
	}
	perm := dst[len(dst)-9:]
	for _, s := range [...]struct {
		bit         uint32
		at          int
		with, alone byte
	}{{ModeSetUID, 2, 's', 'S'}, {ModeSetGID, 5, 's', 'S'}, {ModeSticky, 8, 't', 'T'}} {
		if m&s.bit == 0 {
			continue
		}
		if perm[s.at] == 'x' {
			perm[s.at] = s.with
		} else {
			perm[s.at] = s.alone
		}
	}
	return dst
}

// appendPrincipal appends a name or number, padded to 8 columns.
func appendPrincipal(dst []byte, name string, id uint32, known bool) []byte {
	start := len(dst)
	switch {
	case name != "":
		dst = appendColumn(dst, name)
	case known:
		dst = strconv.AppendUint(dst, uint64(id), 10)
	default:
		dst = append(dst, '?')
	}
	for len(dst)-start < 8 {
		dst = append(dst, ' ')
	}
	return dst
}

func appendPadNumber(dst []byte, n uint64, width int) []byte {
	var tmp [20]byte
	digits := strconv.AppendUint(tmp[:0], n, 10)
	for range width - len(digits) {
		dst = append(dst, ' ')
	}
	return append(dst, digits...)
}

func (d DateStyle) appendDate(dst []byte, a *Attrs, now time.Time) []byte {
	if !a.Has(AttrMtime) {
		if d == DatesISO {
			return append(dst, "1970-01-01 00:00"...)
		}
		return append(dst, "Jan  1  1970"...)
	}
	const halfYear = 31556952 / 2 // seconds: half a Gregorian year, as ls counts
	t := a.Mtime.In(now.Location())
	if d == DatesISO {
		if y := t.Year(); y < 0 || y > 9999 {
			return append(dst, "????-??-?? ??:??"...)
		}
		return t.AppendFormat(dst, "2006-01-02 15:04")
	}
	// Seconds, not Sub: a Duration ends after 292 years, a peer's times do not.
	age := now.Unix() - t.Unix()
	if age >= 0 && age < halfYear {
		return t.AppendFormat(dst, "Jan _2 15:04")
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return append(dst, "??? ??  ????"...)
	}
	return t.AppendFormat(dst, "Jan _2  2006")
}

// appendColumn appends name up to longNameOwner bytes, blanks replaced, since they part
// the columns.
func appendColumn(dst []byte, name string) []byte {
	start := len(dst)
	dst = appendPrintable(dst, name, longNameOwner)
	for i := start; i < len(dst); i++ {
		if dst[i] == ' ' {
			dst[i] = '_'
		}
	}
	return dst
}

// appendPrintable appends s with control characters as "?", at most limit bytes and never
// half a rune. Bytes that are not UTF-8 pass: the name's charset is not ours to judge.
func appendPrintable(dst []byte, s string, limit int) []byte {
	if len(s) > limit {
		s = s[:limit]
		for i := 0; i < utf8.UTFMax-1 && len(s) > 0 && !utf8.RuneStart(s[len(s)-1]); i++ {
			s = s[:len(s)-1]
		}
		if n := len(s); n > 0 && s[n-1] >= utf8.RuneSelf {
			s = s[:n-1]
		}
	}
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == 0x7f {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}
