package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// long prints lines with columns.
func (l *lister) long(list []listed) {
	rows := make([][6]string, len(list))
	var width [5]int
	for i := range list {
		a := &list[i].Attrs
		rows[i] = [6]string{modeText(a), "", l.owner(a.Owner, a.UID, a), l.owner(a.Group, a.GID, a), "?", l.when(a)}
		if a.Has(sftp.AttrLinks) {
			rows[i][1] = strconv.FormatUint(uint64(a.Links), 10)
		} else if f := strings.Fields(list[i].LongName); len(f) >= 9 && isNumber(f[1]) {
			rows[i][1] = f[1]
		}
		if a.Has(sftp.AttrSize) {
			rows[i][4] = l.size(a.Size)
		}
		for j := range width {
			width[j] = max(width[j], utf8.RuneCountInString(rows[i][j]))
		}
	}
	for i, r := range rows {
		name := plain(list[i].Name)
		if list[i].target != "" {
			name += " -> " + plain(list[i].target)
		}
		links := ""
		if width[1] > 0 {
			links = fmt.Sprintf("%*s ", width[1], r[1])
		}
		fmt.Fprintf(l.w, "%s %s%-*s %-*s %*s %s %s\n", r[0], links, width[2], r[2], width[3], r[3], width[4], r[4], r[5], name)
	}
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }

func (l *lister) owner(name string, id uint32, a *sftp.Attrs) string {
	switch {
	case name != "" && !l.o.numeric:
		return plain(name)
	case a.Has(sftp.AttrUIDGID):
		return strconv.FormatUint(uint64(id), 10)
	case name != "":
		return plain(name)
	}
	return "?"
}

func (l *lister) size(n uint64) string {
	if l.o.human {
		return humanSize(n)
	}
	return strconv.FormatUint(n, 10)
}

// halfYear is from when on ls shows the year in place of the time of day.
const halfYear = 365 * 24 * time.Hour / 2

func (l *lister) when(a *sftp.Attrs) string {
	if !a.Has(sftp.AttrMtime) {
		return "?           "
	}
	t := a.Mtime.Local()
	if age := l.o.now.Sub(t); age > halfYear || age < -time.Hour {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

// modeText is type and permissions as ls -l shows them.
func modeText(a *sftp.Attrs) string {
	letter := byte('?')
	switch a.Type() {
	case sftp.TypeRegular:
		letter = '-'
	case sftp.TypeDirectory:
		letter = 'd'
	case sftp.TypeSymlink:
		letter = 'l'
	case sftp.TypeSocket:
		letter = 's'
	case sftp.TypeChar:
		letter = 'c'
	case sftp.TypeBlock:
		letter = 'b'
	case sftp.TypeFIFO:
		letter = 'p'
	default:
	}
	if !a.Has(sftp.AttrMode) {
		return string(letter) + "?????????"
	}
	b := []byte("?rwxrwxrwx")
	b[0] = letter
	for i := range 9 {
		if a.Mode&(1<<(8-i)) == 0 {
			b[1+i] = '-'
		}
	}
	for _, special := range []struct {
		bit  uint32
		at   int
		low  byte
		high byte
	}{{sftp.ModeSetUID, 3, 's', 'S'}, {sftp.ModeSetGID, 6, 's', 'S'}, {sftp.ModeSticky, 9, 't', 'T'}} {
		if a.Mode&special.bit != 0 {
			if b[special.at] == 'x' {
				b[special.at] = special.low
			} else {
				b[special.at] = special.high
			}
		}
	}
	return string(b)
}

// humanSize is a size with three digits and a unit.
func humanSize(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	f := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		f /= 1024
		switch {
		case f >= 999.5 && unit != "EiB":
			continue
		case f < 9.995:
			return strconv.FormatFloat(f, 'f', 2, 64) + " " + unit
		case f < 99.95:
			return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
		}
		return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
	}
	return strconv.FormatUint(n, 10) + " B"
}

// typeNames are the types in JSON.
var typeNames = map[sftp.Type]string{
	sftp.TypeRegular: "file", sftp.TypeDirectory: "directory", sftp.TypeSymlink: "symlink", sftp.TypeSocket: "socket",
	sftp.TypeChar: "char", sftp.TypeBlock: "block", sftp.TypeFIFO: "fifo",
}

// jsonEntry is a line of ls --json. What is not known is left out.
type jsonEntry struct {
	Name string `json:"name"`
	// Bytes is the name if it is no text: JSON has only that.
	Bytes  []byte     `json:"nameBytes,omitempty"`
	Dir    string     `json:"dir,omitempty"`
	Type   string     `json:"type"`
	Size   *uint64    `json:"size,omitempty"`
	Mode   string     `json:"mode,omitempty"`
	UID    *uint32    `json:"uid,omitempty"`
	GID    *uint32    `json:"gid,omitempty"`
	Owner  string     `json:"owner,omitempty"`
	Group  string     `json:"group,omitempty"`
	Links  *uint32    `json:"links,omitempty"`
	Mtime  *time.Time `json:"mtime,omitempty"`
	Atime  *time.Time `json:"atime,omitempty"`
	Target string     `json:"target,omitempty"`
}

func (l *lister) json(e *listed) {
	a := &e.Attrs
	out := jsonEntry{Name: e.Name, Dir: e.dir, Type: typeNames[a.Type()], Owner: a.Owner, Group: a.Group, Target: e.target}
	if out.Type == "" {
		out.Type = "unknown"
	}
	if octets := e.TrueName(); !utf8.ValidString(octets) {
		out.Bytes = []byte(octets)
	}
	if a.Has(sftp.AttrSize) {
		out.Size = &a.Size
	}
	if a.Has(sftp.AttrMode) {
		out.Mode = fmt.Sprintf("%04o", a.Mode&sftp.ModePerm)
	}
	if a.Has(sftp.AttrUIDGID) {
		out.UID, out.GID = &a.UID, &a.GID
		if isNumber(a.Owner) && isNumber(a.Group) {
			out.Owner, out.Group = "", "" // says nothing new
		}
	}
	if a.Has(sftp.AttrLinks) {
		out.Links = &a.Links
	}
	if a.Has(sftp.AttrMtime) {
		t := a.Mtime.UTC()
		out.Mtime = &t
	}
	if a.Has(sftp.AttrAtime) {
		t := a.Atime.UTC()
		out.Atime = &t
	}
	line, err := json.Marshal(&out)
	if err != nil {
		l.fail(err) // a year beyond 9999
		return
	}
	// What JSON leaves as it is may still be more than text for a terminal.
	_, _ = escaper{l.w}.Write(append(line, '\n'))
}
