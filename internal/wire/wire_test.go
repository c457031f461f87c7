package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type sample struct {
	B      byte
	T      bool
	U32    uint32
	U64    uint64
	I64    int64
	Cookie [4]byte
	P, S   []byte
	Str    string
	Names  []string
	Opt    string
	Rest   []byte
	HasOpt bool
}

func (m *sample) Layout(c *Coder) {
	c.Byte(&m.B)
	c.Bool(&m.T)
	c.Uint32(&m.U32)
	c.Uint64(&m.U64)
	c.Int64(&m.I64)
	c.Fixed(m.Cookie[:])
	c.Bytes(&m.P)
	c.Secret(&m.S)
	c.String(&m.Str)
	c.Names(&m.Names)
	if c.More(m.HasOpt) {
		m.HasOpt = true
		c.String(&m.Opt)
		c.Rest(&m.Rest)
	}
}

func full() *sample {
	return &sample{
		7, true, 1 << 31, 1 << 63, -5,
		[4]byte{1, 2, 3, 4},
		[]byte("bytes"), []byte("hunter2"),
		"a\x1b[2J\u202e",
		[]string{"x", "y@z"},
		"opt", []byte("rest"), true,
	}
}

func TestRoundTripAndTruncation(t *testing.T) {
	m := full()
	p := Append(nil, m)
	var got sample
	if err := Decode(p, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, &got) {
		t.Errorf("got %+v, want %+v", got, *m)
	}
	if !bytes.Equal(Append(nil, &got), p) {
		t.Error("encoding is not stable")
	}
	end := len(p) - len("rest") // Rest may be cut anywhere
	optional := end - len("opt") - 4
	for n := range end {
		var short sample
		err := Decode(p[:n], &short)
		if n == optional && err != nil {
			t.Errorf("without the optional field: %v", err)
		}
		if n != optional && !errors.Is(err, ErrShort) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

type one struct{ U uint32 }

func (m *one) Layout(c *Coder) { c.Uint32(&m.U) }

func TestTrailing(t *testing.T) {
	if err := Decode([]byte{0, 0, 0, 1, 9}, &one{}); !errors.Is(err, ErrTrailing) {
		t.Errorf("trailing octet: %v", err)
	}
}

func TestCVE_4_4_LengthBeforeAllocation(t *testing.T) {
	p := []byte{0xFF, 0xFF, 0xFF, 0xFF, 'x'}
	for _, f := range []func(*Coder){
		func(c *Coder) { var b []byte; c.Bytes(&b) },
		func(c *Coder) { var s string; c.String(&s) },
		func(c *Coder) { var n []string; c.Names(&n) },
	} {
		n := testing.AllocsPerRun(10, func() {
			c := Coder{mode: decoding, buf: p}
			f(&c)
			if !errors.Is(c.Err(), ErrShort) {
				t.Errorf("4 GiB field: %v", c.Err())
			}
		})
		if n > 2 {
			t.Errorf("%v allocations for a refused field", n)
		}
	}
}

func TestCVE_1_15_NameLists(t *testing.T) {
	long := strings.Repeat("x", 65)
	for in, want := range map[string][]string{
		"": nil, "a": {"a"}, "a,b": {"a", "b"}, "a,,b": {"a", "b"}, "a,": {"a"}, ",": nil, ",a": {"a"}, ",,,,": nil, "a,a": {"a", "a"},
		// Too long for a name, yet in its place: see Names.
		long + ",a": {long, "a"},
	} {
		var got []string
		c := Decoder(AppendString(nil, in))
		c.Names(&got)
		if err := c.End(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"a b", "a\x00", "\xc3\xa4", "a\n,b", "a\x7f", "ok,\x1b[31m"} {
		var got []string
		c := Decoder(AppendString(nil, in))
		c.Names(&got)
		if !errors.Is(c.Err(), ErrValue) {
			t.Errorf("%q accepted as %q", in, got)
		}
	}
}

func TestCVE_9_1_PrintQuotesPeerTextAndHidesSecrets(t *testing.T) {
	s := Print(full())
	if strings.Contains(s, "hunter2") || strings.ContainsAny(s, "\x1b\u202e\n") {
		t.Errorf("printed %q", s)
	}
	if !strings.Contains(s, `"x,y@z"`) {
		t.Errorf("printed %q", s)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Append(nil, full()))
	f.Fuzz(func(t *testing.T, p []byte) {
		var m, again sample
		if Decode(p, &m) != nil {
			return
		}
		if err := Decode(Append(nil, &m), &again); err != nil || !reflect.DeepEqual(m.Str, again.Str) {
			t.Errorf("second decode: %v", err)
		}
		_ = Print(&m)
	})
}
