package sftp

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// TestInflowInPieces: messages come out whole however they are cut, and what comes octet by
// octet does not take a Buf for each.
func TestInflowInPieces(t *testing.T) {
	before := packet.Live()
	for _, piece := range []int{1, 3, 7} {
		inflowInPieces(t, piece, bytes.Repeat([]byte("0123456789"), 300)) // more takes long with poisoned Bufs
	}
	for _, piece := range []int{100, 4096, 32 << 10, 34 << 10, 1 << 20} {
		inflowInPieces(t, piece, bytes.Repeat([]byte("0123456789"), 20_000))
	}
	if n := packet.Live(); n != before {
		t.Errorf("%d Bufs are left", n-before)
	}
}

func inflowInPieces(t *testing.T, piece int, content []byte) {
	t.Helper()
	eof := wire.Append(nil, &fxp.Data{V: fxp.V6, Data: []byte("last"), EOF: true})
	var stream []byte
	stream = fxp.Append(stream, 1, &fxp.Status{V: fxp.V3, Code: 4, Text: "no"})
	stream = fxp.Append(stream, 2, &fxp.Data{Data: content})
	stream = fxp.Append(stream, 3, &fxp.Data{})
	stream = fxp.Append(stream, 4, &fxp.Handle{T: fxp.TypeHandle, Handle: []byte("h")})
	stream = fxp.Finish(append(fxp.AppendHeader(stream, fxp.TypeData, 5), eof...), len(stream))
	stream = fxp.Append(stream, 6, &fxp.ExtendedReply{Data: content[:len(content)/2]})
	var got []uint32
	f := inflow{message: func(r reply) error {
		got = append(got, r.id)
		var data []byte
		bufs := 0
		for b := r.data; b != nil; bufs++ {
			data = append(data, b.Bytes()...)
			next := b.Unlink()
			b.Release()
			b = next
		}
		switch r.id {
		case 2:
			if !bytes.Equal(data, content) || r.n != len(content) || r.eof {
				t.Errorf("pieces of %d: content of %d octets", piece, len(data))
			}
			if most := len(content)/gatherSize + len(content)/max(piece, 8<<10) + 3; bufs > most {
				t.Errorf("pieces of %d: %d Bufs, want %d at most", piece, bufs, most)
			}
		case 3:
			if r.data != nil || r.n != 0 || r.eof {
				t.Errorf("pieces of %d: empty DATA is %+v", piece, r)
			}
		case 5:
			if string(data) != "last" || !r.eof {
				t.Errorf("pieces of %d: the last DATA is %q %v", piece, data, r.eof)
			}
		case 6:
			if r.t != fxp.TypeExtendedReply || !bytes.Equal(r.body, content[:len(content)/2]) {
				t.Errorf("pieces of %d: EXTENDED_REPLY of %d octets", piece, len(r.body))
			}
		}
		return nil
	}}
	for p := stream; len(p) > 0; {
		n := min(piece, len(p))
		b := packet.Get(n)
		copy(b.Bytes(), p[:n])
		p = p[n:]
		if err := f.feed(b); err != nil {
			t.Fatal(err)
		}
		if whole := f.in == nil && f.own == nil && !f.data; (f.ended(io.EOF) == io.EOF) != whole { //nolint:errorlint // made there
			t.Fatalf("pieces of %d: end of the stream after %d octets is %v", piece, len(stream)-len(p), f.ended(io.EOF))
		}
	}
	if len(got) != 6 {
		t.Errorf("pieces of %d: %d messages", piece, len(got))
	}
	if f.in != nil || f.own != nil || f.data {
		t.Errorf("pieces of %d: something is left", piece)
	}
}

// TestInflowLetsGo: what is under way when a stream ends is released.
func TestInflowLetsGo(t *testing.T) {
	before := packet.Live()
	boom := errors.New("boom")
	stream := fxp.Append(nil, 1, &fxp.Data{Data: make([]byte, 100_000)})
	for _, n := range []int{1, 6, 12, 14, 50_000, len(stream)} {
		f := inflow{message: func(r reply) error {
			r.data.Release()
			return boom
		}}
		b := packet.Get(n)
		copy(b.Bytes(), stream)
		if err := f.feed(b); (err != nil) != (n == len(stream)) {
			t.Errorf("%d octets: %v", n, err)
		}
		f.close()
	}
	if n := packet.Live(); n != before {
		t.Errorf("%d Bufs are left", n-before)
	}
}

// TestCVE_12_2_LongNamesTakeWhatComes: a long message takes memory as it comes, and not as its length says.
func TestCVE_12_2_LongNamesTakeWhatComes(t *testing.T) {
	before := packet.Live()
	const whole = 5 << 20
	sum := 0
	f := inflow{message: func(r reply) error {
		for _, c := range r.body {
			sum += int(c)
		}
		return nil
	}}
	stream := fxp.AppendHeader(nil, fxp.TypeName, 7)
	stream = append(stream, bytes.Repeat([]byte{1}, whole)...)
	fxp.Finish(stream, 0)
	for at := 0; at < len(stream); at += 30_000 {
		b := packet.Get(min(30_000, len(stream)-at))
		copy(b.Bytes(), stream[at:])
		if err := f.feed(b); err != nil {
			t.Fatal(err)
		}
		if f.own != nil && f.own.Cap() > 2*at+2*fxp.MaxLength {
			t.Fatalf("%d octets taken for %d that have come", f.own.Cap(), at)
		}
	}
	if sum != whole || packet.Live() != before {
		t.Errorf("%d octets of %d came, %d Bufs are left", sum, whole, packet.Live()-before)
	}
}
