package sftp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The setters below set a field of Attrs and its bit in Valid.

// SetSize sets the size, in bytes.
func (a *Attrs) SetSize(n uint64) { a.Size, a.Valid = n, a.Valid|AttrSize }

// SetMode sets the POSIX st_mode, and the type as well if mode has type bits.
func (a *Attrs) SetMode(mode uint32) { a.Mode, a.Valid = mode, a.Valid|AttrMode }

// SetType sets the type, also in the mode if that is valid.
func (a *Attrs) SetType(t Type) {
	a.Kind = t
	if a.Has(AttrMode) {
		a.Mode = a.Mode&^ModeType | t.ModeBits()
	}
}

// SetOwner sets owner and group by name. If both are decimal numbers, the ids are set too, which
// are all that version 3 can carry.
func (a *Attrs) SetOwner(owner, group string) {
	a.Owner, a.Group, a.Valid = owner, group, a.Valid|AttrOwnerGroup
	uid, ok1 := decimal(owner)
	gid, ok2 := decimal(group)
	if ok1 && ok2 {
		a.UID, a.GID, a.Valid = uid, gid, a.Valid|AttrUIDGID
	}
}

// OwnerText returns the name of the owner, or the id in decimal, or "" if neither is valid.
func (a *Attrs) OwnerText() string { return a.principalText(a.Owner, a.UID) }

// GroupText is [Attrs.OwnerText] for the group.
func (a *Attrs) GroupText() string { return a.principalText(a.Group, a.GID) }

func (a *Attrs) principalText(name string, id uint32) string {
	switch {
	case a.Has(AttrOwnerGroup) && name != "":
		return name
	case a.Has(AttrUIDGID):
		return strconv.FormatUint(uint64(id), 10)
	}
	return ""
}

// SetBits sets the attribute bits in valid to what they are in bits, and leaves the others.
func (a *Attrs) SetBits(bits, valid AttrBits) {
	a.Bits, a.BitsValid, a.Valid = a.Bits&^valid|bits&valid, a.BitsValid|valid, a.Valid|AttrBitsSet
}

// timeOf is the time that which names: AttrAtime, AttrMtime, AttrCtime or AttrBirth.
func (a *Attrs) timeOf(which AttrMask) *time.Time {
	switch which {
	case AttrAtime:
		return &a.Atime
	case AttrMtime:
		return &a.Mtime
	case AttrCtime:
		return &a.Ctime
	case AttrBirth:
		return &a.Birth
	default:
		return nil
	}
}

// Millis returns a time in milliseconds since 1970-01-01 UTC. which is one of AttrAtime,
// AttrMtime, AttrCtime and AttrBirth; 0 is also the answer if it is not valid.
func (a *Attrs) Millis(which AttrMask) int64 {
	if t := a.timeOf(which); t != nil && a.Has(which) {
		return t.UnixMilli()
	}
	return 0
}

// SetMillis sets a time in milliseconds since 1970-01-01 UTC; which as in Millis.
func (a *Attrs) SetMillis(which AttrMask, ms int64) {
	if t := a.timeOf(which); t != nil {
		*t = time.UnixMilli(ms)
		a.Valid |= which
		if ms%1000 != 0 {
			a.Valid |= AttrSubsecond
		}
	}
}

// otherRows are the attributes that [Attrs.Other] has, in their order there.
var otherRows = [...]struct {
	name string
	need AttrMask
	get  func(*Attrs) string
	set  func(*Attrs, string) error
}{
	{"MIMEType", AttrMIME, func(a *Attrs) string { return a.MIME }, func(a *Attrs, s string) error {
		a.MIME = s
		return nil
	}},
	{"AllocationSize", AttrAllocation, func(a *Attrs) string { return number(a.Allocation) }, func(a *Attrs, s string) (err error) {
		a.Allocation, err = strconv.ParseUint(s, 10, 64)
		return err
	}},
	{"ATimeNS", AttrAtime | AttrSubsecond, nanosOf(AttrAtime), setNanosOf(AttrAtime)},
	{"CreateTimeNS", AttrBirth | AttrSubsecond, nanosOf(AttrBirth), setNanosOf(AttrBirth)},
	{"MTimeNS", AttrMtime | AttrSubsecond, nanosOf(AttrMtime), setNanosOf(AttrMtime)},
	{"TextHint", AttrTextHint, func(a *Attrs) string { return number(uint64(a.TextHint)) }, func(a *Attrs, s string) error {
		n, err := strconv.ParseUint(s, 10, 8)
		a.TextHint = TextHint(n)
		return err
	}},
	{"LinkCount", AttrLinks, func(a *Attrs) string { return number(uint64(a.Links)) }, func(a *Attrs, s string) error {
		n, err := strconv.ParseUint(s, 10, 32)
		a.Links = uint32(n)
		return err
	}},
	{"UntranslatedName", AttrUntranslated, func(a *Attrs) string { return a.Untranslated }, func(a *Attrs, s string) error {
		a.Untranslated = s
		return nil
	}},
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func nanosOf(which AttrMask) func(*Attrs) string {
	return func(a *Attrs) string { return strconv.Itoa(a.timeOf(which).Nanosecond()) }
}

// setNanosOf sets the part of a time below the second; the time may follow.
func setNanosOf(which AttrMask) func(*Attrs, string) error {
	return func(a *Attrs, s string) error {
		n, err := strconv.ParseUint(s, 10, 32)
		if err == nil && n >= 1e9 {
			err = strconv.ErrRange
		}
		if err != nil {
			return err
		}
		if !a.Has(which) {
			return errors.New("the time itself is not set")
		}
		t := a.timeOf(which)
		*t = time.Unix(t.Unix(), int64(n))
		return nil
	}
}

// Other returns the attributes that version 3 does not have and that listings do not show, as text:
// "Name=Value" joined by semicolons. The names are MIMEType, AllocationSize, ATimeNS, CreateTimeNS,
// MTimeNS (the parts of times below the second), TextHint, LinkCount and UntranslatedName, as far
// as they are valid. Semicolons, percent signs and control characters in a value are written as
// "%3B" and so on.
func (a *Attrs) Other() string {
	var b []byte
	for i := range otherRows {
		row := &otherRows[i]
		if !a.Has(row.need) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ';')
		}
		b = append(append(b, row.name...), '=')
		value := row.get(a)
		for j := range len(value) {
			if c := value[j]; c < ' ' || c == ';' || c == '%' || c == 0x7f {
				b = fmt.Appendf(b, "%%%02X", c)
			} else {
				b = append(b, c)
			}
		}
	}
	return string(b)
}

// SetOther sets the attributes that are in text, which is written as [Attrs.Other] writes it, in
// any order, and leaves the others alone. Set the times first: the nanoseconds in text are added to
// them. Upper and lower case of names do not matter. An error leaves a as it was.
func (a *Attrs) SetOther(text string) error {
	b := *a
	for item := range strings.SplitSeq(text, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, ok := strings.Cut(item, "=")
		if !ok {
			return fmt.Errorf("sftp: attributes: %.64q: not name=value", item)
		}
		value, err := unescapeOther(value)
		if err == nil {
			err = b.setOther(name, value)
		}
		if err != nil {
			return fmt.Errorf("sftp: attributes: %.64q: %w", item, err)
		}
	}
	*a = b
	return nil
}

func (a *Attrs) setOther(name, value string) error {
	for i := range otherRows {
		row := &otherRows[i]
		if strings.EqualFold(row.name, name) {
			if err := row.set(a, value); err != nil {
				return err
			}
			a.Valid |= row.need
			return nil
		}
	}
	return errors.New("unknown name")
}

// unescapeOther undoes what Other does to values.
func unescapeOther(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b []byte
	for len(s) > 0 {
		if s[0] != '%' {
			b, s = append(b, s[0]), s[1:]
			continue
		}
		if len(s) < 3 {
			return "", errors.New("percent sign without two digits")
		}
		c, err := strconv.ParseUint(s[1:3], 16, 8)
		if err != nil {
			return "", errors.New("percent sign without two digits")
		}
		b, s = append(b, byte(c)), s[3:]
	}
	return string(b), nil
}
