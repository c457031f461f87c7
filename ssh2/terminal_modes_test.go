package ssh2

import (
	"bytes"
	"context"
	"encoding"
	"fmt"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// TestEveryTerminalMode: each mode of RFC 4254 section 8 and RFC 8160 has its
// number and its name, and travels from a client to a handler with its value.
func TestEveryTerminalMode(t *testing.T) {
	leakCheck(t)
	var all TerminalModes
	for first, names := range map[TerminalOpcode][]string{
		1: {
			"VINTR", "VQUIT", "VERASE", "VKILL", "VEOF", "VEOL", "VEOL2", "VSTART", "VSTOP", "VSUSP", "VDSUSP",
			"VREPRINT", "VWERASE", "VLNEXT", "VFLUSH", "VSWTCH", "VSTATUS", "VDISCARD",
		},
		30: {
			"IGNPAR", "PARMRK", "INPCK", "ISTRIP", "INLCR", "IGNCR", "ICRNL", "IUCLC", "IXON", "IXANY", "IXOFF",
			"IMAXBEL", "IUTF8",
		},
		50: {
			"ISIG", "ICANON", "XCASE", "ECHO", "ECHOE", "ECHOK", "ECHONL", "NOFLSH", "TOSTOP", "IEXTEN",
			"ECHOCTL", "ECHOKE", "PENDIN",
		},
		70:  {"OPOST", "OLCUC", "ONLCR", "OCRNL", "ONOCR", "ONLRET"},
		90:  {"CS7", "CS8", "PARENB", "PARODD"},
		128: {"TTY_OP_ISPEED", "TTY_OP_OSPEED"},
	} {
		for i, name := range names {
			op := first + TerminalOpcode(i)
			var got TerminalOpcode
			if err := got.UnmarshalText([]byte(name)); err != nil || got != op || op.String() != name {
				t.Errorf("%d: %q, %d, %v", op, op, got, err)
			}
			all = append(all, TerminalMode{op, 1000 + uint32(op)})
		}
	}
	if len(all) != len(terminalModes) {
		t.Errorf("%d modes are in the table, %d in the RFCs", len(terminalModes), len(all))
	}
	got := make(chan PTY, 1)
	s := testServer(func(_ context.Context, s *ServerSession) {
		got <- *s.PTY
		s.Exit(0)
	})
	s.AllowPTY = true
	p := dialPair(t, s, testClient(), netsim.Link{}, netsim.Link{})
	defer p.close(t)
	sess, err := p.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sess.PTY = &PTY{Modes: all}
	if err := sess.Run(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if pty := <-got; !slices.Equal(pty.Modes, all) {
		t.Errorf("sent %v\ngot %v", all, pty.Modes)
	}
}

func TestTerminalModesText(t *testing.T) {
	var m TerminalModes
	if err := m.UnmarshalText([]byte("ECHO=0, VINTR=3,mode 100=7,99=1")); err != nil || m.String() != "ECHO=0,VINTR=3,mode 100=7,mode 99=1" {
		t.Errorf("%v, %v", m, err)
	}
	m.Set(ECHO, 1)
	m.Set(ISIG, 1)
	if v, ok := m.Value(ECHO); v != 1 || !ok || len(m) != 5 {
		t.Errorf("%d, %v, %v", v, ok, m)
	}
	if _, ok := m.Value(VEOF); ok {
		t.Error("VEOF is set")
	}
	for _, bad := range []string{"ECHO", "ECHO=", "ECHO=-1", "ECHO=4294967296", "echo=1", "=1", "0=1", "160=1", ",", "ECHO=1,"} {
		if err := m.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is %v", bad, m)
		}
	}
	for _, bad := range []TerminalModes{{{0, 1}}, {{160, 1}}, make(TerminalModes, maxPTYModes+1)} {
		if b, err := bad.MarshalBinary(); err == nil {
			t.Errorf("%v is %x", bad[:1], b)
		}
	}
	var _ interface {
		encoding.TextMarshaler
		encoding.BinaryMarshaler
	} = m
}

// TestTerminalModesEncoding has the corners of RFC 4254 section 8.
func TestTerminalModesEncoding(t *testing.T) {
	for _, tt := range []struct {
		in   []byte
		want string
		ok   bool
	}{
		{nil, "", true},
		{[]byte{0}, "", true},
		{[]byte{53, 0, 0, 0, 1, 0}, "ECHO=1", true},
		{[]byte{53, 0, 0, 0, 1}, "ECHO=1", true},                        // without TTY_OP_END
		{[]byte{53, 0, 0, 0, 1, 0, 53, 0, 0, 0, 0}, "ECHO=1", true},     // nothing counts after it
		{[]byte{159, 1, 0, 0, 0, 0}, "mode 159=16777216", true},         // known or not, it has an argument
		{[]byte{53, 0, 0, 0, 1, 160, 1, 2, 3}, "ECHO=1", true},          // 160 ends parsing, whatever follows
		{[]byte{255, 53, 0, 0, 0, 1}, "", true},                         // so does 255
		{[]byte{53, 0, 0, 0}, "", false},                                // cut off
		{[]byte{53, 0, 0, 0, 1, 54}, "", false},                         // also
		{bytes.Repeat([]byte{53, 0, 0, 0, 1}, maxPTYModes), "", true},   // as many as may be
		{bytes.Repeat([]byte{1, 0, 0, 0, 1}, maxPTYModes+1), "", false}, // more
	} {
		var m TerminalModes
		err := m.UnmarshalBinary(tt.in)
		if (err == nil) != tt.ok || tt.want != "" && m.String() != tt.want {
			t.Errorf("%x: %v, %v", tt.in[:min(len(tt.in), 12)], m, err)
		}
	}
}

// FuzzTerminalModes: what is parsed is never more than what came, and survives
// both encodings.
func FuzzTerminalModes(f *testing.F) {
	f.Add([]byte{53, 0, 0, 0, 1, 0})
	f.Add([]byte{1, 0})
	f.Add([]byte{128, 0, 0, 0x96, 0, 160, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		var m, again TerminalModes
		if m.UnmarshalBinary(in) != nil {
			return
		}
		if len(m)*5 > len(in) || len(m) > maxPTYModes {
			t.Fatalf("%d modes of %d octets", len(m), len(in))
		}
		b, err := m.MarshalBinary()
		if err != nil || again.UnmarshalBinary(b) != nil || !slices.Equal(m, again) {
			t.Errorf("%v, encoded %x: %v, %v", m, b, again, err)
		}
		text, _ := m.MarshalText()
		again = nil
		if err := again.UnmarshalText(text); err != nil || !slices.Equal(m, again) {
			t.Errorf("%s: %v, %v", text, again, err)
		}
	})
}

func FuzzTerminalModesText(f *testing.F) {
	f.Add("ECHO=1,VINTR=3")
	f.Add("mode 99=4294967295")
	f.Fuzz(func(t *testing.T, in string) {
		var m, again TerminalModes
		if m.UnmarshalText([]byte(in)) != nil {
			return
		}
		b, err := m.MarshalBinary()
		if err != nil || again.UnmarshalBinary(b) != nil || !slices.Equal(m, again) {
			t.Errorf("%q: %v, %x, %v, %v", in, m, b, again, err)
		}
	})
}

// TestPTYDefaults: what a client does not say of its terminal is a vt100 of 80
// by 24.
func TestPTYDefaults(t *testing.T) {
	for _, tt := range []struct{ in, want PTY }{
		{PTY{}, PTY{Term: "vt100", Width: 80, Height: 24, WidthPx: 640, HeightPx: 480}},
		{PTY{Term: "xterm", Width: 100}, PTY{Term: "xterm", Width: 100, Height: 24}},
		{PTY{Height: 50}, PTY{Term: "vt100", Width: 80, Height: 50}},
		{PTY{WidthPx: 800}, PTY{Term: "vt100", WidthPx: 800, HeightPx: 480}},
		{PTY{HeightPx: 600}, PTY{Term: "vt100", WidthPx: 640, HeightPx: 600}},
		{PTY{Width: 1, Height: 2, WidthPx: 3, HeightPx: 4}, PTY{Term: "vt100", Width: 1, Height: 2, WidthPx: 3, HeightPx: 4}},
	} {
		if got := tt.in.withDefaults(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%+v: %+v", tt.in, got)
		}
	}
	leakCheck(t)
	p, c := scriptServer(t, testClient())
	done := make(chan error, 1)
	go func() {
		s, err := c.Session(t.Context())
		if err == nil {
			s.PTY = &PTY{}
			err = s.Shell(t.Context())
		}
		done <- err
	}()
	id := p.accept(7)
	p.want("pty", &msg.ChannelRequest{Recipient: 7, Name: "pty-req", WantReply: true, Data: wire.Append(nil, &msg.PtyReq{
		Term: "vt100", Width: 80, Height: 24, WidthPx: 640, HeightPx: 480, Modes: []byte{0},
	})})
	p.send(signal(msg.NumChannelSuccess, id))
	p.want("shell", &msg.ChannelRequest{Recipient: 7, Name: "shell", WantReply: true})
	p.send(signal(msg.NumChannelSuccess, id))
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = p.close()
}
