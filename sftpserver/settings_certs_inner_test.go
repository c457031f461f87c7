package sftpserver

import (
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/certstore"
)

// TestHostKeyInUse: a host key that lies in a token stays open for those that came to it, also while a change of settings is
// tried and when listening has ended and another key is set, and is closed once nobody needs it.
func TestHostKeyInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	key, err := HostKeyFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var closed atomic.Int32
	s := New()
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	s.stash.cert = certSetting{
		source: certstore.Source{Store: "token"}, signers: []gossh.Signer{key},
		loaded: newHeldCert(func() error { closed.Add(1); return nil }),
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old := s.engine
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Read(make([]byte, 1)); err != nil { // it is served
		t.Fatal(err)
	}
	if err := s.Update(func(o *Options) { o.CodePage = 1 }); err == nil || closed.Load() != 0 || s.engine != old {
		t.Errorf("a change that fails: %v, closed %d times", err, closed.Load())
	}
	if store, err := s.Config("SSHCertStore"); store != "token" || err != nil {
		t.Errorf("%q, %v", store, err)
	}
	if _, err := s.Config("UserAuthBanner=hello"); err != nil || closed.Load() != 0 {
		t.Errorf("another setting: %v, closed %d times", err, closed.Load())
	}
	now := s.engine
	if err := s.StopListening(); err != nil {
		t.Fatal(err)
	}
	<-now.done
	if _, err := s.Config("SSHCertStore=" + file); err != nil || closed.Load() != 0 {
		t.Errorf("%v, closed %d times", err, closed.Load())
	}
	_ = nc.Close()
	<-old.done
	if closed.Load() != 1 {
		t.Errorf("in the end closed %d times", closed.Load())
	}
}
