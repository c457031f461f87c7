package invariant

import "testing"

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return
}

func TestChecksOnlyInRaceBuilds(t *testing.T) {
	if got := panics(func() { Check(false, "x") }); got != Enabled {
		t.Errorf("Check panicked: %v, want %v", got, Enabled)
	}
	if panics(func() { Check(true, "x") }) {
		t.Error("Check panicked on a true condition")
	}
	var o Once
	o.Mark("x")
	if got := panics(func() { o.Mark("x") }); got != Enabled {
		t.Errorf("second Mark panicked: %v, want %v", got, Enabled)
	}
	o.Reset()
	if panics(func() { o.Mark("x") }) {
		t.Error("Mark panicked after Reset")
	}
	b := []byte{1, 2}
	Poison(b)
	if (b[0] == poison && b[1] == poison) != Enabled {
		t.Errorf("poisoned %v, want %v", b, Enabled)
	}
	var c Counter
	c.Add(2)
	if (c.Load() == 2) != Enabled {
		t.Errorf("count %d with checks %v", c.Load(), Enabled)
	}
}
