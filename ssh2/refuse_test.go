package ssh2

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// TestRefuse: a client that is refused learns why, whether or not it says anything.
func TestRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{HostKeys: []gossh.Signer{edKey("host")}}
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		done := make(chan error, 1)
		go func() { done <- s.Refuse(b, DisconnectTooManyConnections, "too many connections") }()
		_, err := NewClient(t.Context(), a, "", &ClientConfig{User: "alice", HostKey: gossh.InsecureIgnoreHostKey()})
		d, ok := errors.AsType[*DisconnectError](err)
		if !ok || !d.Remote || d.Reason != uint32(DisconnectTooManyConnections) || d.Text != "too many connections" {
			t.Errorf("the client got %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}

		silent, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		defer silent.Close()
		began := time.Now()
		if err := s.Refuse(b, DisconnectTooManyConnections, ""); err != nil || time.Since(began) > refuseTime {
			t.Errorf("a silent client: %v after %v", err, time.Since(began))
		}
		if _, err := b.Write([]byte{0}); err == nil {
			t.Error("not closed")
		}
	})
	closed, _ := net.Pipe()
	_ = closed.Close()
	if err := new(Server).Refuse(closed, DisconnectByApplication, ""); err == nil {
		t.Error("a server without host keys refuses politely")
	}
}
