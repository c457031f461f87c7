package sftp

import (
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
)

// TestPolicyTable walks the message table: no request is without a gate, what changes
// something takes a permission that reading does not bring, and the lists refuse each row by its name.
func TestPolicyTable(t *testing.T) {
	readonly, err := (&Policy{Allow: []string{"readonly"}}).compile()
	if err != nil {
		t.Fatal(err)
	}
	open, err := (&Policy{}).compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range fxp.Rows() {
		g := gates[row.Op]
		if row.Reply == 0 {
			if g.kind != 0 {
				t.Errorf("%s is no request, but has a gate", row.Name)
			}
			continue
		}
		switch g.kind {
		case gateNeeds:
			if g.anyOf == 0 {
				t.Errorf("%s needs nothing", row.Name)
			}
		case gateFree, gateField, gateFixed:
			if g.anyOf != 0 || row.Effect == fxp.Writes {
				t.Errorf("%s passes although it changes something", row.Name)
			}
		default:
			t.Errorf("%s has no gate", row.Name)
		}
		if row.Effect == fxp.Writes && (g.anyOf&PermReadOnly != 0 || !readonly.refused[row.Op]) {
			t.Errorf("%s changes something and passes a read-only policy", row.Name)
		}
		if row.Effect == fxp.Reads && g.kind == gateNeeds && g.anyOf&PermReadOnly != 0 && readonly.refused[row.Op] {
			t.Errorf("%s does not pass a read-only policy", row.Name)
		}
		if open.refused[row.Op] {
			t.Errorf("%s is refused by a policy that says nothing", row.Name)
		}
		deny, err := (&Policy{Deny: []string{row.Name}}).compile()
		if g.kind == gateFixed {
			if err == nil {
				t.Errorf("%s can be denied", row.Name)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		for op, refused := range deny.refused {
			if request := fxp.Op(op).Row().Reply != 0; request && refused != (fxp.Op(op) == row.Op) {
				t.Errorf("%s denied: %s refused: %v", row.Name, fxp.Op(op), refused)
			}
		}
		if row.Op == fxp.OpOpen {
			continue
		}
		allow, err := (&Policy{Allow: []string{row.Name}}).compile()
		if err != nil {
			t.Error(err)
			continue
		}
		for op, refused := range allow.refused {
			if gates[op].kind == gateNeeds && refused != (fxp.Op(op) != row.Op) {
				t.Errorf("%s allowed alone: %s refused: %v", row.Name, fxp.Op(op), refused)
			}
		}
	}
	// Every group refuses and allows something.
	for _, p := range permNames {
		if p.perm == 0 {
			continue
		}
		deny, err := (&Policy{Deny: []string{p.name}}).compile()
		if err != nil || deny.mask&p.perm != 0 {
			t.Errorf("%s: %v, %v", p.name, deny.mask, err)
		}
		allow, err := (&Policy{Allow: []string{p.name}}).compile()
		if err != nil || allow.mask != p.perm {
			t.Errorf("%s: %v, %v", p.name, allow.mask, err)
		}
	}
}

// TestPolicyRules: what patterns cover, that the last one decides, and what lies beneath.
func TestPolicyRules(t *testing.T) {
	p, err := (&Policy{Rules: []Rule{
		{"/", PermReadOnly},
		{"/in/*", PermCreate},
		{"/in/open", PermAll},
		{"/home/**/private/", 0},
		{"*.key", PermStat},
		{"/in/open/sure.key", PermRead},
	}}).compile()
	if err != nil {
		t.Fatal(err)
	}
	for clean, want := range map[string]Perm{
		"/": PermReadOnly, "/x": PermReadOnly, "/in": PermReadOnly, "/in/a": PermCreate, "/in/a/b/c": PermCreate,
		"/in/open": PermAll, "/in/open/x/y": PermAll, "/in/opened": PermCreate, "/home/private": 0, "/home/a/b/private/x": 0,
		"/home/a/b": PermReadOnly, "/in/open/a.key": PermStat, "/x.key/below/it": PermStat, "/in/open/sure.key": PermRead,
	} {
		if got := p.perms(clean); got != want {
			t.Errorf("%s: %v, want %v", clean, got, want)
		}
	}
	for _, row := range []struct {
		from, to string
		dir, ok  bool
	}{
		{"/in/open/a", "/in/open/b", false, true},
		{"/in/open/a", "/in/open/b", true, true},
		{"/in/a", "/in/open/b", false, false},      // may be read there
		{"/in/open/a", "/in/a", false, true},       // loses only
		{"/x.key", "/y.key", false, true},          // the same rule
		{"/x.key", "/y", false, false},             // sheds it
		{"/home", "/in/open/x", true, false},       // private ones are beneath
		{"/home/a", "/in/open/b/x", false, false},  // may be changed there
		{"/in/open/d", "/in/open/e", true, true},   // *.key in it stay *.key
		{"/in/open", "/in/open2", true, false},     // sure.key is beneath
		{"/in/open/d", "/home/a/d", true, false},   // becomes subject to a rule about parts of it
		{"/in/open/d", "/in/open/d/e", true, true}, // for the file system to refuse
	} {
		if got := p.mayMove(row.from, row.to, row.dir); got != row.ok {
			t.Errorf("%s to %s, directory %v: %v", row.from, row.to, row.dir, got)
		}
	}
	none, err := (&Policy{Rules: []Rule{}}).compile()
	if err != nil || none.perms("/") != 0 {
		t.Error("an empty list of rules allows something")
	}
}

// TestPolicyCheck: what cannot be meant is refused, and so is the session.
func TestPolicyCheck(t *testing.T) {
	for _, p := range []Policy{
		{Allow: []string{"reed"}},
		{Allow: []string{"OPEN"}},
		{Deny: []string{"removal"}},
		{Deny: []string{""}},
		{Deny: []string{"STATUS"}},
		{Deny: []string{"CLOSE"}},
		{Rules: []Rule{{Path: "[", Perm: PermAll}}},
		{Rules: []Rule{{Path: "", Perm: PermAll}}},
		{Rules: []Rule{{Path: "/a/../b", Perm: PermAll}}},
		{RefuseNames: []string{"["}},
		{RefuseNames: []string{""}},
		{MaxFileSize: -1},
		{MaxDepth: -1},
	} {
		if err := p.Check(); err == nil {
			t.Errorf("%+v passes", p)
		}
	}
	if err := (&Policy{}).Check(); err != nil {
		t.Error(err)
	}
}

// TestPerm: text and back.
func TestPerm(t *testing.T) {
	for p := range PermAll + 1 {
		text, err := p.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var q Perm
		if err := q.UnmarshalText(text); err != nil || q != p {
			t.Fatalf("%s is %v, %v", text, q, err)
		}
	}
	if p, err := ParsePerm("readonly, lock"); err != nil || p != PermReadOnly|PermLock {
		t.Error(p, err)
	}
	for _, text := range []string{"", ",", "read,wite", "READ"} {
		if p, err := ParsePerm(text); err == nil || p != 0 {
			t.Errorf("%q is %v", text, p)
		}
	}
}
