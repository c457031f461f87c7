package fstest

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// rangeLocks: BLOCK and UNBLOCK on two handles, which are two sessions' as well as one's.
func rangeLocks(t *tree) {
	t.put("/f", strings.Repeat("x", 100))
	t.must(t.Link(ctx, "/f", "/g", false))
	a, b := t.open("/f", reading|writing, 0), t.open("/g", reading|writing, 0)
	const mandatory = sftp.RangeRead | sftp.RangeWrite
	t.want("lock", a.Lock(ctx, sftp.Range{Offset: 10, Length: 10, Mask: mandatory}), sftp.CodeOK)
	t.want("overlap", b.Lock(ctx, sftp.Range{Offset: 19, Length: 10, Mask: sftp.RangeRead}), sftp.CodeRangeLockRefused)
	t.want("own overlap", a.Lock(ctx, sftp.Range{Offset: 0, Mask: mandatory}), sftp.CodeRangeLockRefused)
	t.want("to the end", b.Lock(ctx, sftp.Range{Offset: 50, Mask: sftp.RangeWrite}), sftp.CodeOK)
	t.want("behind the end", a.Lock(ctx, sftp.Range{Offset: 100, Length: 1 << 63, Mask: mandatory}), sftp.CodeOK)
	p := make([]byte, 5)
	_, err := b.ReadAt(p, 8)
	t.want("read into the lock", err, sftp.CodeRangeLockConflict)
	_, err = b.ReadAt(p, 5)
	t.want("read before it", err, sftp.CodeOK)
	_, err = b.WriteAt(p, 19)
	t.want("write into it", err, sftp.CodeRangeLockConflict)
	_, err = a.WriteAt(p, 12)
	t.want("write by its holder", err, sftp.CodeOK)
	_, err = a.WriteAt(p, 60)
	t.want("write into the other's", err, sftp.CodeRangeLockConflict)
	_, err = a.ReadAt(p, 60)
	t.want("read it", err, sftp.CodeOK)
	t.want("cut it", a.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 70}), sftp.CodeRangeLockConflict)
	t.want("grow into it", b.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 200}), sftp.CodeRangeLockConflict)
	t.want("cut by name", t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrSize | sftp.AttrMode, Mode: 0o600}, true), sftp.CodeRangeLockConflict)
	if got := t.code("/f", writing, sftp.CreateTruncate, 0); got != sftp.CodeRangeLockConflict {
		t.Errorf("emptied by OPEN: %v", got)
	}
	if size := t.lstat("/f", 0); size.Size != 100 || size.Mode&0o777 == 0o600 {
		t.Errorf("changed: %+v", size)
	}
	app := t.open("/f", writing, sftp.OpenAppend)
	_, err = app.WriteAt(p, 0)
	t.want("append into the lock behind the end", err, sftp.CodeRangeLockConflict)
	t.must(app.Close(nil))
	t.want("unlock of a part", a.Unlock(ctx, sftp.Range{Offset: 10, Length: 5}), sftp.CodeNoMatchingRangeLock)
	t.want("unlock of another's", a.Unlock(ctx, sftp.Range{Offset: 50}), sftp.CodeNoMatchingRangeLock)
	t.want("unlock", a.Unlock(ctx, sftp.Range{Offset: 10, Length: 10}), sftp.CodeOK)
	_, err = b.WriteAt(p, 12)
	t.want("write where the lock was", err, sftp.CodeOK)
	t.must(a.Close(nil))
	t.want("the locks of a closed handle", b.SetStat(ctx, &sftp.Attrs{Valid: sftp.AttrSize, Size: 200}), sftp.CodeOK)
	t.want("advisory", b.Lock(ctx, sftp.Range{Offset: 0, Length: 10, Mask: mandatory | sftp.RangeAdvisory}), sftp.CodeOK)
	c := t.open("/f", reading|writing, 0)
	_, err = c.WriteAt(p, 0)
	t.want("write into an advisory lock", err, sftp.CodeOK)
	t.want("lock into one", c.Lock(ctx, sftp.Range{Offset: 5, Length: 10, Mask: sftp.RangeAdvisory}), sftp.CodeRangeLockRefused)
	_, err = sftp.CopyRange(ctx, c, 300, b, 55, 5)
	t.want("copy by the holder's handle", err, sftp.CodeOK)
	_, err = sftp.CopyRange(ctx, c, 60, c, 0, 5)
	t.want("copy into a lock", err, sftp.CodeRangeLockConflict)
	t.must(b.Close(nil))
	t.must(c.Close(nil))
}

// shareModes: the block bits of OPEN.
func shareModes(t *tree) {
	t.put("/f", "text")
	reader := t.open("/f", reading, 0)
	if got := t.code("/f", reading, sftp.OpenExisting, sftp.OpenBlockRead); got != sftp.CodeLockConflict {
		t.Errorf("block reading while there is a reader: %v", got)
	}
	if got := t.code("/f", reading, sftp.OpenExisting, sftp.OpenBlockRead|sftp.OpenBlockAdvisory); got != sftp.CodeOK {
		t.Errorf("block reading, advisory: %v", got)
	}
	blocker := t.open("/f", writing, sftp.OpenBlockWrite)
	if got := t.code("/f", writing, sftp.CreateTruncate, 0); got != sftp.CodeLockConflict || t.get("/f") != "text" {
		t.Errorf("emptied behind a lock: %v %q", got, t.get("/f"))
	}
	t.want("size behind a lock", t.SetStat(ctx, "/f", &sftp.Attrs{Valid: sftp.AttrSize}, true), sftp.CodeLockConflict)
	if got := t.code("/f", sftp.AccessReadAttrs, sftp.OpenExisting, 0); got != sftp.CodeOK {
		t.Errorf("open for attributes: %v", got)
	}
	_, err := reader.ReadAt(make([]byte, 4), 0)
	t.want("read beside a writer", err, sftp.CodeOK)
	t.must(reader.Close(nil))
	t.must(blocker.Close(nil))
	if got := t.code("/f", writing, sftp.TruncateExisting, sftp.OpenBlockRead|sftp.OpenBlockWrite|sftp.OpenBlockDelete); got != sftp.CodeOK {
		t.Errorf("alone: %v", got)
	}
}

// keptFiles: BLOCK_DELETE, by OPEN and by BLOCK.
func keptFiles(t *tree) {
	t.put("/f", "text")
	t.put("/g", "other")
	lock := func() sftp.File { return t.open("/f", reading, sftp.OpenBlockDelete) }
	block := func() sftp.File {
		f := t.open("/f", reading, 0)
		t.must(f.Lock(ctx, sftp.Range{Length: 1, Mask: sftp.RangeDelete}))
		return f
	}
	for what, take := range map[string]func() sftp.File{"OPEN": lock, "BLOCK": block} {
		f := take()
		t.want(what+": remove", t.Remove(ctx, "/f"), sftp.CodeLockConflict)
		t.want(what+": rename over it", t.Rename(ctx, "/g", "/f", sftp.RenameAtomic), sftp.CodeLockConflict)
		if got := t.code("/f", reading, sftp.OpenExisting, sftp.OpenDeleteOnClose); got != sftp.CodeLockConflict {
			t.Errorf("%s: delete on close: %v", what, got)
		}
		t.want(what+": rename it", t.Rename(ctx, "/f", "/moved", 0), sftp.CodeOK)
		t.want(what+": remove it there", t.Remove(ctx, "/moved"), sftp.CodeLockConflict)
		t.want(what+": back", t.Rename(ctx, "/moved", "/f", 0), sftp.CodeOK)
		t.must(f.Close(nil))
	}
	t.want("remove at last", t.Remove(ctx, "/f"), sftp.CodeOK)
}

// deleteOnClose: the object that was opened goes, and nothing else.
func deleteOnClose(t *tree) {
	gone := func(name string) {
		t.Helper()
		if _, err := t.Stat(ctx, name, sftp.StatOpt{}); sftp.CodeOf(err).In(3) != sftp.CodeNoSuchFile {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	// Plainly, though the connection was cut, and while another handle is open.
	f, err := t.Open(ctx, "/tmp", &sftp.OpenHow{Access: writing, Disposition: sftp.CreateNew, Flags: sftp.OpenDeleteOnClose})
	t.must(err)
	other := t.open("/tmp", reading, 0)
	_, err = f.WriteAt([]byte("text"), 0)
	t.must(err)
	t.must(f.Close(errors.New("cut")))
	gone("/tmp")
	p := make([]byte, 4)
	_, err = other.ReadAt(p, 0)
	t.want("the other handle", err, sftp.CodeOK)
	t.must(other.Close(nil))

	// Another object in its place stays.
	t.put("/f", "first")
	f = t.open("/f", reading, sftp.OpenDeleteOnClose)
	t.put("/new", "second")
	t.must(t.Rename(ctx, "/new", "/f", sftp.RenameAtomic))
	t.must(f.Close(nil))
	if got := t.get("/f"); got != "second" {
		t.Errorf("the wrong file went: %q", got)
	}

	// It may have gone already.
	f = t.open("/f", reading, sftp.OpenDeleteOnClose)
	t.must(t.Remove(ctx, "/f"))
	t.want("close of what is gone", f.Close(nil), sftp.CodeOK)
}

// atomicAppend: two handles that append lose nothing of each other's.
func atomicAppend(t *tree) {
	t.put("/log", "")
	for _, flags := range []sftp.OpenFlags{sftp.OpenAppend, sftp.OpenAppendAtomic, sftp.OpenAppend | sftp.OpenAppendAtomic} {
		t.put("/log", "")
		var wg sync.WaitGroup
		for w := range 4 {
			f := t.open("/log", writing, flags)
			line := bytes.Repeat([]byte(strconv.Itoa(w)), 1000)
			line[999] = '\n'
			wg.Go(func() {
				for range 50 {
					if _, err := f.WriteAt(line, 7); err != nil {
						t.Error(err)
					}
				}
				if err := f.Close(nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		text := t.get("/log")
		if len(text) != 4*50*1000 {
			t.Fatalf("flags %#x: %d octets", flags, len(text))
		}
		for line := range strings.Lines(text) {
			if line != strings.Repeat(line[:1], 999)+"\n" {
				t.Fatalf("flags %#x: torn line %q", flags, line)
			}
		}
	}
}
