package gssapi

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// escaper writes what would be taken for a separator in a printed name, as MIT
// Kerberos does.
var escaper = strings.NewReplacer(`\`, `\\`, "/", `\/`, "@", `\@`, "\n", `\n`, "\t", `\t`, "\b", `\b`, "\x00", `\0`)

// printName writes a principal as user@REALM or service/host@REALM. Two
// different principals never give the same text.
func printName(name types.PrincipalName, realm string) string {
	parts := make([]string, len(name.NameString))
	for i, p := range name.NameString {
		parts[i] = escaper.Replace(p)
	}
	return strings.Join(parts, "/") + "@" + escaper.Replace(realm)
}

// SameName returns a function for ssh2.GSSServer.Allow that lets the users of
// one realm log in under their own names: alice@REALM may log in as alice,
// while alice/admin@REALM may not log in at all.
func SameName(realm string) func(context.Context, *ssh2.AuthAttempt, ssh2.GSSPeer) ssh2.Verdict {
	return func(_ context.Context, a *ssh2.AuthAttempt, p ssh2.GSSPeer) ssh2.Verdict {
		switch {
		case !bytes.Equal(p.Mechanism, oid):
			return ssh2.Verdict{Reason: errors.New("gssapi: not of Kerberos")}
		case realm == "" || strings.ContainsAny(a.User, `/@\`) || p.Name != a.User+"@"+realm:
			return ssh2.Verdict{Reason: errors.New("gssapi: principal has another name")}
		}
		return ssh2.Verdict{OK: true, Identity: p.Name}
	}
}
