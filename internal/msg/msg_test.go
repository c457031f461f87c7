package msg

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// fill gives every message fields worth coding. A message that is not listed
// keeps its zero value.
func fill(m Message) {
	switch m := m.(type) {
	case *Disconnect:
		*m = Disconnect{11, "bye", "en"}
	case *Ignore:
		m.Data = []byte{0, 0, 0, 1, 2}
	case *Debug:
		*m = Debug{true, "text", "en"}
	case *ServiceRequest:
		m.Service = "ssh-userauth"
	case *ServiceAccept:
		m.Service = "ssh-userauth"
	case *ExtInfo:
		m.Extensions = []Extension{{"server-sig-algs", []byte("ssh-ed25519")}, {"ping@openssh.com", []byte("0")}}
	case *KexInit:
		*m = KexInit{Kex: []string{"a", "b"}, HostKeys: []string{"c"}, CiphersOut: []string{"d"}, Follows: true}
	case *KexInitial:
		m.Public = []byte("public")
	case *KexReply:
		m.HostKey, m.Public, m.Signature = []byte("key"), []byte("public"), []byte("sig")
	case *KexGEXGroup:
		m.P, m.G = []byte{23}, []byte{2}
	case *KexGEXRequest:
		m.Min, m.Preferred, m.Max = 2048, 3072, 8192
	case *KexGSSInit:
		m.Token, m.Public = []byte("hunter2"), []byte("public")
	case *KexGSSHostKey:
		m.HostKey = []byte("key")
	case *KexGSSContinue:
		m.Token = []byte("hunter2")
	case *KexGSSComplete:
		*m = KexGSSComplete{[]byte("public"), []byte("mic"), true, []byte("hunter2")}
	case *GSSError:
		m.Major, m.Minor, m.Text, m.Language = 1, 2, "no", "en"
	case *GSSResponse:
		m.Mechanism = []byte{6, 1, 42}
	case *GSSToken:
		m.Token = []byte("hunter2")
	case *GSSMIC:
		m.MIC = []byte("mic")
	case *UserauthRequest:
		*m = UserauthRequest{"u", "ssh-connection", "password", []byte("\x00hunter2")}
	case *UserauthFailure:
		*m = UserauthFailure{[]string{"password"}, true}
	case *UserauthBanner:
		*m = UserauthBanner{"hi", "en"}
	case *InfoRequest:
		*m = InfoRequest{"n", "i", "", []Prompt{{"Password: ", false}, {"Code: ", true}}}
	case *InfoResponse:
		m.Answers = [][]byte{[]byte("hunter2"), nil}
	case *GlobalRequest:
		*m = GlobalRequest{"keepalive@openssh.com", true, []byte("x")}
	case *ChannelOpen:
		*m = ChannelOpen{"session", 1, 2, 3, []byte("x")}
	case *ChannelData:
		*m = ChannelData{1, []byte("data")}
	case *ChannelExtendedData:
		*m = ChannelExtendedData{1, 1, []byte("data")}
	case *ChannelRequest:
		*m = ChannelRequest{1, "exec", true, []byte("x")}
	case *ChannelOpenFailure:
		*m = ChannelOpenFailure{1, 2, "no", "en"}
	}
}

// mayEnd are the messages whose tail is optional or free.
var mayEnd = map[string]bool{
	"DISCONNECT": true, "IGNORE": true, "DEBUG": true, "SERVICE_ACCEPT": true, "USERAUTH_REQUEST": true,
	"USERAUTH_BANNER": true, "USERAUTH_PASSWD_CHANGEREQ": true, "GLOBAL_REQUEST": true, "REQUEST_SUCCESS": true, "CHANNEL_OPEN": true,
	"CHANNEL_OPEN_CONFIRMATION": true, "CHANNEL_OPEN_FAILURE": true, "CHANNEL_REQUEST": true,
}

// endsFree are the messages that end with Rest and so take any tail.
var endsFree = map[string]bool{
	"IGNORE": true, "USERAUTH_REQUEST": true, "GLOBAL_REQUEST": true, "REQUEST_SUCCESS": true,
	"CHANNEL_OPEN": true, "CHANNEL_OPEN_CONFIRMATION": true, "CHANNEL_REQUEST": true,
}

func TestEveryRow(t *testing.T) {
	for _, r := range Rows() {
		t.Run(r.Name, func(t *testing.T) {
			m := r.New()
			fill(m)
			if m.Number() != r.Number {
				t.Fatalf("number %d, row says %d", m.Number(), r.Number)
			}
			p := Append(nil, m)
			again := r.New()
			if err := Decode(p, again); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(Append(nil, again), p) {
				t.Error("does not round-trip")
			}
			if got, want := wire.Print(again), wire.Print(m); got != want {
				t.Errorf("prints %q, want %q", got, want)
			}
			if strings.Contains(wire.Print(m), "hunter2") {
				t.Error("prints a password")
			}
			for n := range p {
				err := Decode(p[:n:n], r.New())
				if err == nil && !mayEnd[r.Name] {
					t.Errorf("cut at %d: accepted", n)
				}
				if err != nil && !errors.Is(err, wire.ErrShort) && !errors.Is(err, wire.ErrValue) {
					t.Errorf("cut at %d: %v", n, err)
				}
			}
			err := Decode(append(slices.Clip(p), 0), r.New())
			if (err == nil) != endsFree[r.Name] {
				t.Errorf("CVE 6.10: one octet more: %v", err)
			}
			if Name(r.Number) == "" || r.From == 0 || r.When == 0 {
				t.Error("row is unreachable")
			}
		})
	}
}

func TestFastPathsMatchLayout(t *testing.T) {
	data := []byte("some data")
	want := Append(nil, &ChannelData{7, data})
	got := make([]byte, ChannelDataHeader, 64)
	PutChannelData(got, 7, len(data))
	got = append(got, data...)
	if !bytes.Equal(got, want) {
		t.Errorf("% x, layout % x", got, want)
	}
	for n := range len(want) + 1 {
		ch, d, ok := ParseChannelData(want[:n])
		var m ChannelData
		if err := Decode(want[:n], &m); (err == nil) != ok || ok && (ch != m.Recipient || !bytes.Equal(d, m.Data)) {
			t.Errorf("cut at %d: fast path %v, layout %v", n, ok, err)
		}
	}
	if _, _, ok := ParseChannelData(append(want, 0)); ok {
		t.Error("trailing octet accepted")
	}
}

func TestCVE_4_5_CountsAreBounded(t *testing.T) {
	for _, m := range []Message{new(InfoRequest), new(InfoResponse), new(ExtInfo)} {
		p := []byte{m.Number()}
		if m.Number() == NumInfoRequest {
			p = append(p, make([]byte, 12)...)
		}
		p = append(p, 0xFF, 0xFF, 0xFF, 0xFF)
		if err := Decode(p, m); !errors.Is(err, wire.ErrValue) {
			t.Errorf("%T with 2^32-1 entries: %v", m, err)
		}
	}
}

// The fields of gssapi-with-mic begin with a count of mechanisms that the
// client sends; memory is taken for what is there, and at most for 32.
func TestCVE_4_6_MechanismCountIsBounded(t *testing.T) {
	oid := wire.AppendBytes(nil, []byte("12345678901"))
	for what, p := range map[string][]byte{
		"2^32-1 mechanisms":          append([]byte{0xFF, 0xFF, 0xFF, 0xFF}, make([]byte, 20)...),
		"33 mechanisms":              append([]byte{0, 0, 0, 33}, bytes.Repeat(oid, 33)...),
		"one mechanism and an octet": append(append([]byte{0, 0, 0, 1}, oid...), 0),
		"two mechanisms, one there":  append([]byte{0, 0, 0, 2}, oid...),
	} {
		if err := wire.Decode(p, new(GSSFields)); !errors.Is(err, wire.ErrValue) && !errors.Is(err, wire.ErrShort) && !errors.Is(err, wire.ErrTrailing) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := testing.AllocsPerRun(10, func() {
		_ = wire.Decode([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}, new(GSSFields))
	}); n > 3 {
		t.Errorf("a count of 2^32-1 takes %v allocations", n)
	}
}

// FuzzGSSFields decodes what a client may send behind the name of the method,
// and encodes it back.
func FuzzGSSFields(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 2, 6, 0})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2, 6, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		var m GSSFields
		if wire.Decode(p, &m) != nil {
			return
		}
		if len(m.Mechanisms) > MaxMechanisms {
			t.Fatalf("%d mechanisms", len(m.Mechanisms))
		}
		if got := wire.Append(nil, &m); !bytes.Equal(got, p) {
			t.Fatalf("% x became % x", p, got)
		}
	})
}

// TestGate walks the whole table: every number, both senders, all phases. Of
// the numbers whose meaning depends on the method, 31 may come from a client as
// KEXGSS_CONTINUE; who runs another method waits for another number then.
func TestGate(t *testing.T) {
	for n := range 256 {
		number := byte(n)
		for _, from := range []Role{Client, Server} {
			for _, p := range []Phase{StrictKex, FirstKex, Rekey, Auth, Open} {
				got := Gate(number, from, p)
				if p == Auth && number >= 80 && got != Refuse {
					t.Errorf("CVE 1.1: %s accepted before authentication", Name(number))
				}
				if p == StrictKex && got == Accept && !(number == NumDisconnect || number >= 20 && number <= 49) {
					t.Errorf("CVE 1.4: %s accepted in a strict key exchange", Name(number))
				}
				if p&(FirstKex|Rekey) != 0 && got == Accept && !(number <= NumDebug || number >= 20 && number <= 49) {
					t.Errorf("CVE 1.5: %s accepted in a key exchange", Name(number))
				}
				if got == Accept && from == Client && (number == NumServiceAccept || number >= 51 && number <= 60 || number == NumKexGEXReply) {
					t.Errorf("CVE 1.2: %s accepted from a client", Name(number))
				}
			}
		}
	}
	for _, n := range []byte{NumIgnore, NumDebug, NumUnimplemented} {
		if Gate(n, Client, FirstKex) != Accept || Gate(n, Client, Rekey) != Accept {
			t.Errorf("%s refused in a plain key exchange", Name(n))
		}
	}
	for _, c := range []struct {
		from Role
		when Phase
		want Verdict
	}{{Client, Auth, Accept}, {Client, Open, Unknown}, {Client, Rekey, Refuse}, {Client, FirstKex, Refuse}, {Server, Open, Refuse}, {Server, Auth, Refuse}} {
		if got := Gate(NumServiceRequest, c.from, c.when); got != c.want {
			t.Errorf("SERVICE_REQUEST from the %v in phase %d: %d, want %d", c.from, c.when, got, c.want)
		}
	}
	if Gate(NumChannelData, Client, Open) != Accept || Gate(NumUserauthRequest, Client, Open) != Accept || Gate(9, Client, Open) != Unknown {
		t.Error("open phase is wrong")
	}
}

func FuzzMessages(f *testing.F) {
	for _, r := range Rows() {
		m := r.New()
		fill(m)
		f.Add(Append(nil, m))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, r := range Rows() {
			m, again := r.New(), r.New()
			if Decode(p, m) != nil {
				continue
			}
			q := Append(nil, m)
			if err := Decode(q, again); err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			if !bytes.Equal(Append(nil, again), q) {
				t.Fatalf("%s: unstable", r.Name)
			}
			_ = wire.Print(m)
		}
	})
}
