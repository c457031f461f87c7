package sftpserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// TestErrorMessageSetting: the text goes with the next failure, and with that one only.
func TestErrorMessageSetting(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	start(t, s)
	c := connect(t, s)
	id, err := s.Config("ConnectionUID[0]")
	if err != nil {
		t.Fatal(err)
	}
	configure(t, s, "SFTPErrorMessage["+id+"]=the harbour is closed")
	if got, err := s.Config("SFTPConnectionErrorMessage[" + id + "]"); got != "the harbour is closed" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for i, told := range []bool{true, false} {
		if _, err := c.Stat(t.Context(), "/none"); err == nil || strings.Contains(err.Error(), "the harbour is closed") != told {
			t.Errorf("failure %d: %v", i, err)
		}
	}
	if got, err := s.Config("SFTPErrorMessage[" + id + "]"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestFileDataSetting: handlers of FileRead and FileWrite see and change the data by the setting.
func TestFileDataSetting(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	var mu sync.Mutex
	var seen []string
	config := func(expr string) {
		got, err := s.Config(expr)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, got)
	}
	s.FileRead = func(e *sftpserver.FileReadEvent) {
		config("SFTPConnectionFileData[" + e.ConnectionID() + "]")
		config("SFTPConnectionFileData[" + e.ConnectionID() + "]=READ")
	}
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		if e.Before {
			config("SFTPConnectionFileData[" + e.ConnectionID() + "]")
			config("SFTPConnectionFileData[" + e.ConnectionID() + "]=written")
		}
	}
	start(t, s)
	c := connect(t, s)
	if _, err := c.Put(t.Context(), "/f", strings.NewReader("content"), sftp.TransferOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := c.Open(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 4)
	if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, []byte("READ")) {
		t.Errorf("%q, %v", got, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) < 4 || seen[0] != "content" || seen[2] != "written" {
		t.Errorf("%q", seen)
	}
	id, _ := s.Config("ConnectionUID[0]")
	if got, err := s.Config("SFTPConnectionFileData[" + id + "]"); got != "" || err != nil {
		t.Errorf("outside of events: %q, %v", got, err)
	}
	if _, err := s.Config("SFTPConnectionFileData[" + id + "]=x"); err == nil {
		t.Error("data is set outside of events")
	}
	if _, err := s.Config("SFTPConnectionFileData[none]"); !errors.Is(err, sftpserver.ErrUnknownConnection) {
		t.Error(err)
	}
}

// TestDirListBufferSizeSetting: a listing of ten takes as many READDIRs as the setting makes it, for all and for one
// connection.
func TestDirListBufferSizeSetting(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	configure(t, s, "DirListBufferSize=4", "ListDotEntries=False")
	start(t, s)
	c := connect(t, s)
	for _, name := range "abcdefgh" {
		if err := c.Mkdir(t.Context(), "/"+string(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	id, err := s.Config("ConnectionUID[0]")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ set, most int }{{0, 4}, {2, 2}, {50, 8}} {
		if step.set != 0 {
			configure(t, s, fmt.Sprintf("DirListBufferSize[%s]=%d", id, step.set))
		}
		d, err := c.OpenDir(t.Context(), "/")
		if err != nil {
			t.Fatal(err)
		}
		most, all := 0, 0
		for {
			list, err := d.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			most, all = max(most, len(list)), all+len(list)
		}
		if err := d.Close(t.Context()); err != nil || most != step.most || all != 8 {
			t.Errorf("DirListBufferSize[id]=%d: %d entries, at most %d in one reply, want %d; %v", step.set, all, most, step.most, err)
		}
	}
}

// TestCodePageSetting: with a code page, clients of version 3 write names in it, and files here have them in UTF-8.
func TestCodePageSetting(t *testing.T) {
	root := t.TempDir()
	s := sftpserver.New()
	configure(t, s, "RootDirectory="+root, "CodePage=1252")
	start(t, s)
	if err := connect(t, s).Mkdir(t.Context(), "/gr\xfc\xdfe", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "grüße")); err != nil {
		t.Error(err)
	}
	bad := sftpserver.New()
	bad.CodePage, bad.HostKeys = 1, s.HostKeys
	if err := bad.Start(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("code page 1: %v", err)
	}
}

// TestSecureConnectionSettings: what a client can see of the settings of SSH.
func TestSecureConnectionSettings(t *testing.T) {
	for _, c := range []struct {
		expr, want string
		see        func(i ssh2.ConnInfo) string
	}{
		{"SSHEncryptionAlgorithms=aes192-ctr", "aes192-ctr", func(i ssh2.ConnInfo) string { return i.In.Cipher }},
		{"SSHMacAlgorithms=hmac-sha2-512", "hmac-sha2-512", func(i ssh2.ConnInfo) string { return i.In.MAC }},
		{"SSHKeyExchangeAlgorithms=ecdh-sha2-nistp384", "ecdh-sha2-nistp384", func(i ssh2.ConnInfo) string { return i.Kex }},
		{"SSHPublicKeyAlgorithms=ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", func(i ssh2.ConnInfo) string { return i.HostKeyAlgorithm }},
		{"SSHCompressionAlgorithms=zlib", "zlib", func(i ssh2.ConnInfo) string { return i.In.Compression }},
		{"SSHPubKeyAuthSigAlgorithms=ssh-rsa,rsa-sha2-256", "ssh-rsa,rsa-sha2-256", func(i ssh2.ConnInfo) string { return string(i.Extensions["server-sig-algs"]) }},
		{"UseStrictKeyExchange=1", "true", func(i ssh2.ConnInfo) string { return fmt.Sprint(i.Strict) }},
		{"UseStrictKeyExchange=0", "false", func(i ssh2.ConnInfo) string { return fmt.Sprint(i.Strict) }},
		{"ServerSSHVersionString=SSH-2.0-Harbour_7", "SSH-2.0-Harbour_7", func(i ssh2.ConnInfo) string { return i.RemoteIdent }},
	} {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		second, err := keys.Generate(t.Context(), keys.ECDSA, keys.GenerateOptions{}) // clients like the first better
		if err != nil {
			t.Fatal(err)
		}
		s.HostKeys = []gossh.Signer{newKey(t), second.Signer}
		configure(t, s, c.expr)
		start(t, s)
		client, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			Config: ssh2.Config{Profile: ssh2.Legacy, Compression: "zlib,none", Ciphers: "-*gcm*,chacha20-poly1305@openssh.com"},
			User:   "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if got := c.see(client.Info()); got != c.want {
			t.Errorf("%s: the client sees %q", c.expr, got)
		}
		_ = client.Close()
	}
}

// TestStrictKexSettings: 3 refuses a client without strict key exchange, 1 and 2 take one whose algorithms bear it.
func TestStrictKexSettings(t *testing.T) {
	for _, c := range []struct {
		mode, cipher string
		ok           bool
	}{{"1", "chacha20-poly1305@openssh.com", true}, {"2", "chacha20-poly1305@openssh.com", false}, {"2", "aes128-gcm@openssh.com", true}, {"3", "aes128-gcm@openssh.com", false}} {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		configure(t, s, "UseStrictKeyExchange="+c.mode)
		start(t, s)
		client, err := ssh2.Dial(t.Context(), "tcp", s.Addr().String(), &ssh2.ClientConfig{
			Config: ssh2.Config{StrictKex: ssh2.StrictKexOff, Ciphers: ssh2.AlgList(c.cipher)},
			User:   "alice", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.InsecureIgnoreHostKey(),
		})
		if (err == nil) != c.ok {
			t.Errorf("UseStrictKeyExchange=%s with %s: %v", c.mode, c.cipher, err)
		}
		if err == nil {
			_ = client.Close()
		}
	}
}

// TestKeyRenegotiationThresholdSetting: keys are exchanged anew when so much has passed.
func TestKeyRenegotiationThresholdSetting(t *testing.T) {
	for _, c := range []struct {
		expr string
		anew bool
	}{{"KeyRenegotiationThreshold=256k", true}, {"KeyRenegotiationThreshold=524288000", false}} {
		s := sftpserver.New()
		s.RootDirectory = t.TempDir()
		configure(t, s, c.expr)
		start(t, s)
		client := connect(t, s)
		if _, err := client.Put(t.Context(), "/f", bytes.NewReader(make([]byte, 2<<20)), sftp.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
		for conn := range s.Connections() {
			if n := conn.Info().KeyExchanges; (n > 1) != c.anew {
				t.Errorf("%s: %d key exchanges", c.expr, n)
			}
		}
	}
}

// TestFileSettings: what a client sees of settings of files.
func TestFileSettings(t *testing.T) {
	s := sftpserver.New()
	s.RootDirectory = t.TempDir()
	configure(t, s, "ProtocolVersion=6", "ServerEOL=\r\n", "ReadOnly=yes", "Extensions=newline,copy-data")
	start(t, s)
	c := connect(t, s)
	if c.Version() != 6 || c.ServerInfo().Newline != "\r\n" {
		t.Errorf("version %d, newline %q", c.Version(), c.ServerInfo().Newline)
	}
	if err := c.Mkdir(t.Context(), "/d", nil); err == nil {
		t.Error("a read-only server made a directory")
	}
	id, err := s.Config("ConnectionUID[0]")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Config("SFTPConnectionProtocolVersion[" + id + "]"); got != "6" || err != nil {
		t.Errorf("SFTPConnectionProtocolVersion = %q, %v", got, err)
	}
}
