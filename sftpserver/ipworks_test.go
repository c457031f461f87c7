package sftpserver_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// TestComingFromIPWorks runs the program of docs/coming-from-ipworks.md.
func TestComingFromIPWorks(t *testing.T) {
	host, err := keys.Generate(t.Context(), keys.Ed25519, keys.GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ppk, err := host.Marshal(keys.PPK3, keys.MarshalOptions{Passphrase: keys.Passphrase("hunter2"), Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "host.ppk")
	if err := os.WriteFile(file, ppk, 0o600); err != nil {
		t.Fatal(err)
	}
	const pfx = "../certstore/testdata/stores/pfx/modern.p12"
	s := sftpserver.New()
	if err := portedCert(s, pfx, "wrong"); sftpserver.ErrorCode(err) != sftpserver.CodeNoHostKey {
		t.Error(err)
	}
	if err := errors.Join(portedCert(s, pfx, "testing"), portedConfig(s, file, "hunter2")); err != nil {
		t.Fatal(err)
	}
	user := newKey(t)
	portedLogin(s, string(user.PublicKey().Marshal()))
	files := map[string][]byte{"/readme": []byte("hello")}
	portedFiles(s, files)
	start(t, s)

	for _, alg := range []string{gossh.KeyAlgoRSASHA256, gossh.KeyAlgoED25519} {
		if kind := hostKeyOf(t, s, alg); !strings.Contains(alg, kind) && kind != gossh.KeyAlgoRSA {
			t.Errorf("%s: %s", alg, kind)
		}
	}
	var asked ssh2.Challenge
	banners, _, err := login(t, s, "alice", answers(&asked, "secret", "123456"))
	if err != nil || len(asked.Prompts) != 2 || asked.Prompts[0].Echo || !asked.Prompts[1].Echo || len(banners) != 1 || banners[0] != "Welcome\n" {
		t.Error(banners, asked, err)
	}
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(user)); err != nil {
		t.Error(err)
	}
	if _, _, err := login(t, s, "alice", ssh2.PublicKeys(newKey(t)), answers(nil, "secret", "1")); err == nil {
		t.Error("a wrong key and a wrong code are let in")
	}

	c := connect(t, s)
	list, err := c.ReadDirAll(t.Context(), "/")
	if err != nil || len(list) != 1 || list[0].Name != "readme" || list[0].Attrs.Size != 5 {
		t.Error(list, err)
	}
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	if err := errors.Join(c.WriteFile(t.Context(), "/new", content, 0), c.AppendFile(t.Context(), "/new", []byte("end"), 0)); err != nil {
		t.Error(err)
	}
	if got, err := c.ReadFile(t.Context(), "/new"); err != nil || !bytes.Equal(got, append(content, "end"...)) {
		t.Error(len(got), err)
	}
	if err := c.WriteFile(t.Context(), "/big", make([]byte, 1<<20+1), 0); !errors.Is(err, sftp.CodeQuotaExceeded) && !errors.Is(err, sftp.CodeFailure) {
		t.Error(err)
	}
	if err := c.WriteFile(t.Context(), "/x.exe", nil, 0); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "no programs") {
		t.Error(err)
	}
	if err := c.Remove(t.Context(), "/new"); err != nil {
		t.Error(err)
	}
	if _, err := c.Stat(t.Context(), "/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
