package fstest

import (
	"errors"
	"strconv"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// attributes: what SETSTAT and FSETSTAT set comes back, to the nanosecond.
func attributes(t *tree) {
	t.put("/f", "0123456789")
	t.must(t.Mkdir(ctx, "/d", nil))
	me := t.lstat("/f", sftp.AttrOwnerGroup)
	if me.Owner == "" || me.Group == "" || !me.Has(sftp.AttrOwnerGroup) {
		t.Errorf("no owner: %+v", me)
	}
	now, then := time.Unix(1_700_000_000, 123_456_789), time.Unix(-5, 999_999_999)
	a := sftp.Attrs{
		Valid: sftp.AttrSize | sftp.AttrMode | sftp.AttrTimes | sftp.AttrOwnerGroup, Size: 4, Mode: 0o444,
		Mtime: now, Atime: then, Owner: me.Owner, Group: strconv.FormatUint(uint64(me.GID), 10) + "@example.org",
	}
	t.want("SETSTAT", t.SetStat(ctx, "/f", &a, true), sftp.CodeOK)
	got := t.lstat("/f", ^sftp.AttrMask(0))
	if got.Size != 4 || got.Mode != sftp.ModeRegular|0o444 || !got.Mtime.Equal(now) || !got.Atime.Equal(then) || got.UID != me.UID || got.GID != me.GID {
		t.Errorf("%+v", got)
	}
	if got.Links != 1 || !got.Has(sftp.AttrCtime|sftp.AttrLinks|sftp.AttrAllocation|sftp.AttrSubsecond) || got.Ctime.Before(now) {
		t.Errorf("%+v", got)
	}
	a.Valid, a.Mode, a.Mtime = sftp.AttrMode|sftp.AttrMtime, 0o640, then
	f := t.open("/f", reading, 0)
	t.want("FSETSTAT", f.SetStat(ctx, &a), sftp.CodeOK)
	got, err := f.Stat(ctx, ^sftp.AttrMask(0))
	t.must(err)
	if got.Mode != sftp.ModeRegular|0o640 || !got.Mtime.Equal(then) || !got.Atime.Equal(then) || got.Owner != me.Owner {
		t.Errorf("%+v", got)
	}
	t.must(f.Close(nil))

	// The ACL says what the mode says, and sets it.
	for _, name := range []string{"/f", "/d"} {
		got = t.lstat(name, sftp.AttrACL)
		if mode, ok := got.ACL.Mode(); !ok || !got.Has(sftp.AttrACL) || mode != got.Mode&0o777 {
			t.Errorf("%s: ACL %+v of mode %o", name, got.ACL, got.Mode)
		}
		t.want("set ACL", t.SetStat(ctx, name, &sftp.Attrs{Valid: sftp.AttrACL, ACL: sftp.ACLOfMode(0o705)}, true), sftp.CodeOK)
		if got = t.lstat(name, 0); got.Mode&0o777 != 0o705 {
			t.Errorf("%s: mode %o after the ACL", name, got.Mode)
		}
	}

	// An allocation below the size cuts, one above leaves it.
	if t.Capabilities().Attrs&sftp.AttrAllocation != 0 {
		t.put("/f", "0123456789")
		err := t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 100_000}, true)
		if got = t.lstat("/f", 0); err == nil && (got.Allocation < 100_000 || got.Size != 10) {
			t.Errorf("allocated: %+v", got)
		}
		if !errors.Is(err, errors.ErrUnsupported) { // not on every host
			t.want("allocate", err, sftp.CodeOK)
			t.want("cut", t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrAllocation, Allocation: 3}, true), sftp.CodeOK)
			if text := t.get("/f"); text != "012" {
				t.Errorf("cut to %q", text)
			}
		}
	}
}

// firstAttributes: OPEN and MKDIR give what they make its attributes; an existing file
// keeps its own.
func firstAttributes(t *tree) {
	when := time.Unix(1_000_000_000, 5)
	a := &sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrMtime | sftp.AttrSize, Mode: 0o700, Mtime: when, Size: 1 << 40}
	for i, disp := range []sftp.Disposition{sftp.CreateNew, sftp.CreateTruncate, sftp.OpenOrCreate} {
		name := "/f" + strconv.Itoa(i)
		for pass := range 2 {
			f, err := t.Open(ctx, name, &sftp.OpenHow{Access: reading | writing, Disposition: disp, Attrs: a})
			if pass == 1 && disp == sftp.CreateNew {
				t.want("again", err, sftp.CodeFileAlreadyExists)
				break
			}
			t.must(err)
			got, err := f.Stat(ctx, 0)
			t.must(err)
			if is := got.Mode == sftp.ModeRegular|0o700 && got.Mtime.Equal(when); got.Size != 0 || is != (pass == 0) {
				t.Errorf("disposition %d, pass %d: %+v", disp, pass, got)
			}
			t.must(f.Close(nil))
			t.must(t.SetStat(ctx, name, &sftp.Attrs{Valid: sftp.AttrMode, Mode: 0o600}, true))
		}
	}
	t.must(t.Mkdir(ctx, "/d", a))
	if got := t.lstat("/d", 0); got.Mode != sftp.ModeDir|0o700 || !got.Mtime.Equal(when) {
		t.Errorf("%+v", got)
	}
	bad := &sftp.Attrs{Valid: sftp.AttrLinks, Links: 7}
	t.want("MKDIR with links", t.Mkdir(ctx, "/x", bad), sftp.CodeOpUnsupported)
	_, err := t.Open(ctx, "/x", &sftp.OpenHow{Access: writing, Disposition: sftp.CreateNew, Attrs: bad})
	t.want("OPEN with links", err, sftp.CodeOpUnsupported)
	if _, err := t.Stat(ctx, "/x", sftp.StatOpt{}); err == nil {
		t.Error("it was made")
	}
	f, err := t.Open(ctx, "/f0", &sftp.OpenHow{Access: reading, Disposition: sftp.OpenExisting, Attrs: bad})
	t.want("OPEN of what is there, with attributes that do not count", err, sftp.CodeOK)
	if err == nil {
		t.must(f.Close(nil))
	}
}

// refusedAttributes: one field that can never be set keeps the others from being set.
func refusedAttributes(t *tree) {
	t.put("/f", "text")
	before := *t.lstat("/f", 0)
	f := t.open("/f", reading|writing, 0)
	base := sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrMode | sftp.AttrMtime, Size: 1, Mode: 0o600, Mtime: time.Unix(1, 0)}
	for _, row := range []struct {
		what string
		set  func(*sftp.Attrs)
		want sftp.Code
	}{
		{"links", func(a *sftp.Attrs) { a.Valid |= sftp.AttrLinks }, sftp.CodeOpUnsupported},
		{"text hint", func(a *sftp.Attrs) { a.Valid |= sftp.AttrTextHint }, sftp.CodeOpUnsupported},
		{"untranslated name", func(a *sftp.Attrs) { a.Valid |= sftp.AttrUntranslated }, sftp.CodeOpUnsupported},
		{"ctime", func(a *sftp.Attrs) { a.Valid |= sftp.AttrCtime }, sftp.CodeOpUnsupported},
		{"a bit of directories", func(a *sftp.Attrs) {
			a.Valid |= sftp.AttrBitsSet
			a.Bits, a.BitsValid = sftp.BitCaseInsensitive, sftp.BitCaseInsensitive
		}, sftp.CodeOpUnsupported},
		{"unknown owner", func(a *sftp.Attrs) { a.Valid |= sftp.AttrOwnerGroup; a.Owner = "no such user" }, sftp.CodeOwnerInvalid},
		{"unknown group", func(a *sftp.Attrs) { a.Valid |= sftp.AttrOwnerGroup; a.Group = "no such group@x" }, sftp.CodeGroupInvalid},
		{"time", func(a *sftp.Attrs) { a.Valid |= sftp.AttrAtime; a.Atime = time.Unix(1<<60, 0) }, sftp.CodeInvalidParameter},
		{"size", func(a *sftp.Attrs) { a.Size = 1 << 63 }, sftp.CodeInvalidParameter},
		{"allocation below size", func(a *sftp.Attrs) { a.Valid |= sftp.AttrAllocation; a.Size = 3; a.Allocation = 2 }, sftp.CodeInvalidParameter},
	} {
		a := base
		row.set(&a)
		err := t.SetStat(ctx, "/f", &a, true)
		if row.what == "allocation below size" && errors.Is(err, errors.ErrUnsupported) {
			continue // a host without allocation
		}
		t.want("SETSTAT "+row.what, err, row.want)
		t.want("FSETSTAT "+row.what, f.SetStat(ctx, &a), row.want)
		if after := t.lstat("/f", 0); after.Size != before.Size || after.Mode != before.Mode || !after.Mtime.Equal(before.Mtime) {
			t.Errorf("%s changed it: %+v", row.what, after)
		}
	}
	t.must(f.Close(nil))

	// A size where there can be none.
	t.must(t.Mkdir(ctx, "/d", nil))
	f = t.open("/f", reading, 0)
	defer func() { t.must(f.Close(nil)) }()
	for _, valid := range []sftp.AttrMask{sftp.AttrSize, sftp.AttrAllocation} {
		a := base
		a.Valid = a.Valid&^sftp.AttrSize | valid
		a.Allocation = 1
		for _, row := range []struct {
			what, name string
			set        func() error
			want       sftp.Code
		}{
			{"directory", "/d", func() error { return t.SetStat(ctx, "/d", &a, true) }, sftp.CodeIsADirectory},
			{"directory, no follow", "/d", func() error { return t.SetStat(ctx, "/d", &a, false) }, sftp.CodeIsADirectory},
			{"handle for reading", "/f", func() error { return f.SetStat(ctx, &a) }, sftp.CodePermissionDenied},
		} {
			before := *t.lstat(row.name, 0)
			err := row.set()
			if valid == sftp.AttrAllocation && errors.Is(err, errors.ErrUnsupported) {
				continue // a host without allocation
			}
			t.want("size of a "+row.what, err, row.want)
			if after := t.lstat(row.name, 0); after.Mode != before.Mode || !after.Mtime.Equal(before.Mtime) {
				t.Errorf("size of a %s changed it: %+v", row.what, after)
			}
		}
	}
}
