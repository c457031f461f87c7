package msg

import (
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// TestForwardLayouts compares with what RFC 4254 section 7 and OpenSSH's PROTOCOL
// section 2.4 prescribe, octet by octet, and with every truncation.
func TestForwardLayouts(t *testing.T) {
	for _, tc := range []struct {
		m    wire.Layouter
		want string
	}{
		{&TCPForward{"", 22}, "00000000" + "00000016"},
		{&TCPForward{"::1", 0}, "00000003" + "3a3a31" + "00000000"},
		{&BoundPort{40000}, "00009c40"},
		{&TCPChannel{"h", 80, "o", 65535}, "00000001" + "68" + "00000050" + "00000001" + "6f" + "0000ffff"},
		{&DirectUnix{Path: "/s"}, "00000002" + "2f73" + "00000000" + "00000000"},
		{&ForwardedUnix{Path: "/s"}, "00000002" + "2f73" + "00000000"},
	} {
		b := wire.Append(nil, tc.m)
		if got := hex.EncodeToString(b); got != tc.want {
			t.Errorf("%T: %s, want %s", tc.m, got, tc.want)
		}
		fresh := func() wire.Layouter { return reflect.New(reflect.TypeOf(tc.m).Elem()).Interface().(wire.Layouter) }
		back := fresh()
		if err := wire.Decode(b, back); err != nil || !reflect.DeepEqual(back, tc.m) {
			t.Errorf("%T: came back as %+v, %v", tc.m, back, err)
		}
		for n := range b {
			if wire.Decode(b[:n], fresh()) == nil {
				t.Errorf("%T: %d octets of %d decode", tc.m, n, len(b))
			}
		}
		if wire.Decode(append(b, 0), fresh()) == nil {
			t.Errorf("%T: decodes with an octet too many", tc.m)
		}
	}
}
