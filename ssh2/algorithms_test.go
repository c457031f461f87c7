package ssh2

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/kex"
)

var update = flag.Bool("update", false, "write generated documents anew")

// algorithmsDoc is the document that lists every algorithm.
const algorithmsDoc = "../docs/algorithms.md"

// TestAlgorithmsDocument: docs/algorithms.md has every row of every table, and nothing else.
func TestAlgorithmsDocument(t *testing.T) {
	want := algorithmsMarkdown()
	if *update {
		if err := os.WriteFile(algorithmsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(algorithmsDoc)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale (%v): go test ./ssh2 -run AlgorithmsDocument -update", algorithmsDoc, err)
	}
}

func algorithmsMarkdown() string {
	var b strings.Builder
	b.WriteString(`# Algorithms

Everything that can be negotiated, in the order of preference. Written by ` + "`go test ./ssh2 -run AlgorithmsDocument -update`" + `.

The profile is the first one that has the algorithm: *modern* is on by default; *compatible* has it on top of that, and *legacy* is for what is weak or broken.
A list of one's own names it whatever the profile, as in ` + "`+hmac-sha1`" + `; see ` + "`ssh2.AlgList` and `ssh2.Profile`" + `.
`)
	kind := AlgorithmKind(0)
	for _, a := range Algorithms() {
		if a.Kind != kind {
			kind = a.Kind
			fmt.Fprintf(&b, "\n## %s\n\n| name | profile | reference | the same as |\n|---|---|---|---|\n", strings.ToUpper(kind.String()[:1])+kind.String()[1:])
		}
		profile := a.Profile.String()
		if a.Kind == Compression && a.Profile != Modern {
			profile = "none: by name only"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.Name, profile, a.Reference, strings.Join(a.Aliases, ", "))
	}
	fmt.Fprintf(&b, `
## Key exchange by the GSS-API

Known only where `+"`ServerAuth.GSSAPI` or `ClientConfig.GSSKeyExchange`"+` provides a mechanism, and then offered before all other key exchanges. What the star stands
for names the mechanism (RFC 4462 section 2.3); for Kerberos, which package gssapi provides, it is toWM5Slw5Ew8Mqkay+al2g==. The host key algorithm null (RFC 4462
section 5) is offered along with them, behind all others.

| name | profile | reference |
|---|---|---|
`)
	for _, r := range kex.GSSRows(fakeOID) {
		fmt.Fprintf(&b, "| %s* | %s | %s |\n", strings.TrimSuffix(r.Name, kex.GSSSuffix(fakeOID)), profileOf(r.Status), r.Reference)
	}
	return b.String()
}

// TestAlgorithms: every kind has rows, every row a name, a reference and a profile, and Config agrees with them.
func TestAlgorithms(t *testing.T) {
	seen := map[AlgorithmKind]int{}
	for _, a := range Algorithms() {
		seen[a.Kind]++
		if a.Name == "" || a.Reference == "" || a.Kind.String() == "unknown" {
			t.Errorf("%+v", a)
		}
		for _, other := range a.Aliases {
			if !slices.ContainsFunc(Algorithms(), func(b Algorithm) bool { return b.Kind == a.Kind && b.Name == other }) {
				t.Errorf("%s: its alias %s has no row", a.Name, other)
			}
		}
	}
	for _, k := range algorithmKinds {
		if seen[k.kind] == 0 {
			t.Errorf("no %s", k.name)
		}
	}
	if AlgorithmKind(0).String() != "unknown" {
		t.Error("the zero kind has a name")
	}
	for _, p := range []Profile{Modern, Compatible, Legacy} {
		o, err := (&Config{Profile: p}).resolve()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(o.compress, []string{"none"}) {
			t.Errorf("%s offers compression %q", p, o.compress)
		}
		for kind, offered := range map[AlgorithmKind][]string{KeyExchange: o.kex, HostKeyAlgorithm: o.hostKeys, Cipher: o.ciphers, MAC: o.macs} {
			for _, a := range Algorithms() {
				if a.Kind == kind && slices.Contains(offered, a.Name) != (a.Profile <= p) {
					t.Errorf("%s %s: %s profile, offered by %s: %t", kind, a.Name, a.Profile, p, slices.Contains(offered, a.Name))
				}
			}
		}
	}
}
