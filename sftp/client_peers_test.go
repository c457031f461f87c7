package sftp_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// The idents of servers that need something done otherwise.
const (
	identAsyncSSH = "SSH-2.0-AsyncSSH_2.24.1"
	identMINA     = "SSH-2.0-APACHE-SSHD-2.16.0"
	identProFTPD  = "SSH-2.0-mod_sftp/1.0.0"
)

// TestW8_ClientRealPathControl: AsyncSSH's server takes REALPATH of version 6 without the control byte for a cut
// message; others get none.
func TestW8_ClientRealPathControl(t *testing.T) {
	for ident, want := range map[string]byte{"": 0, identAsyncSSH: byte(sftp.RealPathNoCheck)} {
		meet(t, host{v: fxp.V6}, &sftp.ClientConfig{ServerIdent: ident}, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
			if r, ok := m.(*fxp.Realpath); !ok || r.Control != want {
				h.t.Errorf("%q: %v %+v, want control %d", ident, op, m, want)
			}
			h.reply(id, &fxp.Name{V: h.v, Entries: []fxp.NameEntry{{Name: "/p", Attrs: fxp.Attrs{V: h.v}}}})
		}), func(t *testing.T, c *sftp.Client) {
			if p, err := c.RealPath(t.Context(), "p"); err != nil || p != "/p" {
				t.Errorf("%q: %q, %v", ident, p, err)
			}
		})
	}
}

// TestW21_ClientLink: LINK carries the new name first, but the existing one to MINA.
func TestW21_ClientLink(t *testing.T) {
	for ident, want := range map[string]string{"": "new", identMINA: "old"} {
		meet(t, host{v: fxp.V6}, &sftp.ClientConfig{ServerIdent: ident}, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
			if l, ok := m.(*fxp.Link); !ok || l.New != want {
				h.t.Errorf("%q: %v %+v, want %s first", ident, op, m, want)
			}
			h.status(id, sftp.CodeOK)
		}), func(t *testing.T, c *sftp.Client) {
			if err := errors.Join(c.Link(t.Context(), "old", "new"), c.Symlink(t.Context(), "old", "new")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestClientHomeDirElsewhere: OpenSSH refuses home-directory without a name, and ProFTPD's answer ends the session, so
// that it must not be asked.
func TestClientHomeDirElsewhere(t *testing.T) {
	all := []fxp.Pair{{Name: "home-directory", Data: []byte("1")}, {Name: "expand-path@openssh.com", Data: []byte("1")}}
	for _, c := range []struct {
		name, ident, user string
		exts              []fxp.Pair
		asked             []string
		home              string
		err               error
	}{
		{"OpenSSH", "", "", all, []string{"home-directory", "expand-path@openssh.com"}, "/home/me", nil},
		{"OpenSSH, another user", "", "bob", all, []string{"home-directory"}, "", sftp.CodeFailure},
		{"no expand-path", "", "", all[:1], []string{"home-directory"}, "", sftp.CodeFailure},
		{"ProFTPD", identProFTPD, "", all[:1], nil, "", errors.ErrUnsupported},
	} {
		var asked []string
		meet(t, host{exts: c.exts}, &sftp.ClientConfig{ServerIdent: c.ident}, serving(func(h *host, _ fxp.Op, id uint32, m wire.Layouter) {
			name := m.(*fxp.Extended).Name
			asked = append(asked, name)
			if name == "expand-path@openssh.com" {
				h.reply(id, &fxp.Name{V: h.v, Entries: []fxp.NameEntry{{Name: "/home/me", Attrs: fxp.Attrs{V: h.v}}}})
				return
			}
			h.status(id, sftp.CodeFailure)
		}), func(t *testing.T, cl *sftp.Client) {
			home, err := cl.HomeDir(t.Context(), c.user)
			if home != c.home || !errors.Is(err, c.err) {
				t.Errorf("%s: %q, %v, want %q, %v", c.name, home, err, c.home, c.err)
			}
		})
		if !slices.Equal(asked, c.asked) {
			t.Errorf("%s: asked for %v, want %v", c.name, asked, c.asked)
		}
	}
}

// TestClientHashOfRanges: servers that hash other octets than they are asked for are asked for ranges up to the end
// only.
func TestClientHashOfRanges(t *testing.T) {
	exts := []fxp.Pair{{Name: "check-file", Data: []byte("sha256")}}
	for _, ident := range []string{"", identMINA, identProFTPD} {
		meet(t, host{exts: exts}, &sftp.ClientConfig{ServerIdent: ident}, serving(func(h *host, op fxp.Op, id uint32, m wire.Layouter) {
			sum := make([]byte, 32)
			if ident == identMINA {
				sum = wire.AppendBytes(nil, sum)
			}
			h.reply(id, &fxp.ExtendedReply{Data: wire.Append(nil, &fxp.ReplyCheckFile{Algorithm: "sha256", Hashes: sum})})
		}), func(t *testing.T, c *sftp.Client) {
			h, err := c.Hash(t.Context(), "f", sftp.HashRange{Start: 100})
			if err != nil || len(h.Sum) != 32 {
				t.Errorf("%q: to the end: %+v, %v", ident, h, err)
			}
			if _, err := c.Hash(t.Context(), "f", sftp.HashRange{Start: 100, Length: 50}); (ident == "") != (err == nil) || err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%q: a part: %v", ident, err)
			}
		})
	}
}
