package sftpserver_test

import (
	"errors"
	"net"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// listening starts a server with these settings on a port of the system's choice, or returns why not.
func listening(t *testing.T, set func(*sftpserver.Server)) (*sftpserver.Server, error) {
	t.Helper()
	s := sftpserver.New()
	s.LocalPort = 0
	s.HostKeys = []gossh.Signer{newKey(t)}
	set(s)
	t.Cleanup(func() { _ = s.Close() })
	return s, s.Start(t.Context())
}

// TestLocalHostPort: LocalHost limits the server to an address, LocalPort 0 lets the system choose, and Addr tells what it was.
func TestLocalHostPort(t *testing.T) {
	s, err := listening(t, func(s *sftpserver.Server) { s.LocalHost = "127.0.0.1" })
	if err != nil {
		t.Fatal(err)
	}
	addr := s.Addr().(*net.TCPAddr)
	if !addr.IP.Equal(net.IPv4(127, 0, 0, 1)) || addr.Port == 0 || !s.Listening() {
		t.Errorf("listens on %v: %v", addr, s.Listening())
	}
	if nc, err := net.Dial("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: addr.Port}).String()); err == nil {
		_ = nc.Close()
		t.Error("another address of the host answers")
	}
	for _, tt := range []struct {
		name string
		set  func(*sftpserver.Server)
		code int
	}{
		{"the port is taken", func(s *sftpserver.Server) { s.LocalHost, s.LocalPort = "127.0.0.1", addr.Port }, 10048},
		{"not our address", func(s *sftpserver.Server) { s.LocalHost = "192.0.2.1" }, 10049},
		{"other family", func(s *sftpserver.Server) { s.LocalHost = "::1" }, 11004},
		{"port", func(s *sftpserver.Server) { s.LocalPort = 65536 }, 10022},
		{"negative port", func(s *sftpserver.Server) { s.LocalPort = -1 }, 10022},
		{"family", func(s *sftpserver.Server) { s.IPFamily = 3 }, 10022},
		{"backlog", func(s *sftpserver.Server) { s.ConnectionBacklog = -1 }, 10022},
		{"connections", func(s *sftpserver.Server) { s.MaxConnections = 100_001 }, 10022},
		{"buffer", func(s *sftpserver.Server) { s.InBufferSize = -1 }, 10022},
		{"clients", func(s *sftpserver.Server) { s.AllowedClients = []string{"10.0.0.0/40"} }, 10022},
	} {
		s, err := listening(t, tt.set)
		var typed *sftpserver.Error
		if sftpserver.ErrorCode(err) != tt.code || !errors.As(err, &typed) || s.Listening() {
			t.Errorf("%s: %d: %v", tt.name, sftpserver.ErrorCode(err), err)
		}
	}
}

// TestUseIPv6: 0 listens on IPv4 only, 1 on IPv6 only, 2 on both.
func TestUseIPv6(t *testing.T) {
	for _, tt := range []struct {
		family sftpserver.IPFamily
		v4, v6 bool
	}{
		{sftpserver.IPv4, true, false},
		{sftpserver.IPv6, false, true},
		{sftpserver.IPv4And6, true, true},
	} {
		s, err := listening(t, func(s *sftpserver.Server) { s.IPFamily = tt.family })
		if err != nil {
			t.Fatal(err)
		}
		port := s.Addr().(*net.TCPAddr).Port
		for ip, want := range map[string]bool{"127.0.0.1": tt.v4, "::1": tt.v6} {
			nc, err := net.Dial("tcp", (&net.TCPAddr{IP: net.ParseIP(ip), Port: port}).String())
			if (err == nil) != want {
				t.Errorf("family %d, %s: %v", tt.family, ip, err)
			}
			if err == nil {
				_ = nc.Close()
			}
		}
		_ = s.Close()
	}
}

// TestStartStopAgain: several servers beside each other, each started and stopped again and again; none is left over.
func TestStartStopAgain(t *testing.T) {
	noneLeft(t)
	var servers []*sftpserver.Server
	for range 3 {
		s := sftpserver.New()
		tree(s)
		start(t, s)
		servers = append(servers, s)
	}
	for round := range 3 {
		for _, s := range servers {
			c := connect(t, s)
			if _, err := c.RealPath(t.Context(), "."); err != nil {
				t.Error(err)
			}
			var err error
			switch round {
			case 0:
				err = s.StopListening()
			case 1:
				err = s.Shutdown(t.Context())
			default:
				err = s.Close()
			}
			if err != nil || s.Listening() {
				t.Errorf("round %d: %v", round, err)
			}
			if _, err := c.RealPath(t.Context(), "."); (err == nil) != (round == 0) {
				t.Errorf("round %d: the connection that was there: %v", round, err)
			}
			if err := s.StopListening(); err != nil {
				t.Errorf("stopped twice: %v", err)
			}
			start(t, s)
		}
	}
	for _, s := range servers {
		_ = s.Close()
		_ = s.Close()
	}
}

// TestServeOwnsListener: a listener that cannot be used is closed too.
func TestServeOwnsListener(t *testing.T) {
	s, err := listening(t, func(*sftpserver.Server) {})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); !errors.Is(err, sftpserver.ErrAlreadyListening) || sftpserver.ErrorCode(err) != 104 {
		t.Errorf("serve while listening: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is not closed: %v", err)
	}
}
