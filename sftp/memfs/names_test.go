package memfs

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/invariant"
)

// TestNamesAgainstMap: random names in and out, against a map and its sorted keys.
func TestNamesAgainstMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var d names
	model := make(map[string]*entry)
	for step := range 20_000 {
		name := strconv.Itoa(r.IntN(300))
		if e := model[name]; e != nil {
			d.remove(e)
			delete(model, name)
		} else {
			e = &entry{name: name}
			d.add(e)
			model[name] = e
		}
		if d.get(name) != model[name] || d.len() != len(model) {
			t.Fatalf("step %d: %s", step, name)
		}
		if step%100 > 0 {
			continue
		}
		want := slices.Sorted(maps.Keys(model))
		var got []string
		for e := d.from(""); e != nil; e = e.next[0] {
			got = append(got, e.name)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("step %d: %q, want %q", step, got, want)
		}
		at, _ := slices.BinarySearch(want, name)
		if e := d.from(name); at == len(want) && e != nil || at < len(want) && e.name != want[at] {
			t.Fatalf("step %d: from %s: %v", step, name, e)
		}
	}
}

// TestListingTakesConstantMemory: a directory of a million entries costs its listing no
// more than one of a thousand, whose names and attributes alone would take 300 MB.
func TestListingTakesConstantMemory(t *testing.T) {
	cost := func(n int) (allocated uint64) {
		s := New(Options{})
		_ = open(t, s, "/f").Close(nil)
		if err := s.Mkdir(ctx, "/d", nil); err != nil {
			t.Fatal(err)
		}
		d1, f := s.root.children.get("d").node, s.root.children.get("f").node
		for i := range n { // of one file: its entries are what counts
			s.put(d1, strconv.Itoa(i), f)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, err := s.OpenDir(ctx, "/d")
		if err != nil {
			t.Fatal(err)
		}
		seen, last := 0, ""
		for {
			entries, err := d.Next(ctx, 100)
			for i := range entries {
				if name := entries[i].Name; name <= last {
					t.Fatalf("%q after %q", name, last)
				} else {
					last = name
				}
			}
			seen += len(entries)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if err := d.Close(nil); err != nil || seen != n {
			t.Fatalf("%d of %d listed, %v", seen, n, err)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	many := 1_000_000
	if testing.Short() || invariant.Enabled {
		many = 100_000 // making them takes too long
	}
	few, all := cost(1000), cost(many)
	t.Logf("allocated for 1000 entries: %d octets, for %d: %d", few, many, all)
	if all > 2*few+64<<10 {
		t.Errorf("listing %d entries allocated %d octets, 1000 entries %d", many, all, few)
	}
}

// TestListingBatch: no Next returns more than a bounded number.
func TestListingBatch(t *testing.T) {
	s := New(Options{})
	_ = open(t, s, "/f").Close(nil)
	for i := range maxBatch + 10 {
		if err := s.Link(ctx, "/f", "/"+strconv.Itoa(i), false); err != nil {
			t.Fatal(err)
		}
	}
	d, err := s.OpenDir(ctx, "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{maxBatch, 11} {
		if entries, err := d.Next(ctx, 1<<30); len(entries) != want || err != nil {
			t.Errorf("%d entries, %v, want %d", len(entries), err, want)
		}
	}
	if _, err := d.Next(ctx, 1); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}
