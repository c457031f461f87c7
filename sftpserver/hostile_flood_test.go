package sftpserver_test

import (
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// slow are ways to hold a connection without a login.
var slow = []func(nc net.Conn){
	func(net.Conn) {}, // says nothing
	func(nc net.Conn) { _, _ = fmt.Fprint(nc, "SSH-2.0-half an id") },
	func(nc net.Conn) { _, _ = nc.Write([]byte("SSH-2.0-x\r\n\x00\x00\x01")) },                       // half a length
	func(nc net.Conn) { _, _ = nc.Write([]byte("SSH-2.0-x\r\n\x00\x00\x04\x00\x08\x14half of it")) }, // half a KEXINIT
	func(nc net.Conn) { // an octet now and then
		for _, b := range []byte("SSH-2.0-" + fmt.Sprint(make([]byte, 50))) {
			if _, err := nc.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(3 * time.Second)
		}
	},
	func(nc net.Conn) { // IGNOREs, each of them a whole packet
		_, _ = fmt.Fprint(nc, "SSH-2.0-x\r\n")
		for {
			if _, err := nc.Write([]byte("\x00\x00\x00\x0c\x06\x02\x00\x00\x00\x00......")); err != nil {
				return
			}
			time.Sleep(3 * time.Second)
		}
	},
}

// TestSlowFlood: 200 clients that take their time hold no more places than there are, none of them longer than
// LoginTimeout; who has logged in notices nothing, and others log in when it is over.
func TestSlowFlood(t *testing.T) {
	for name, bound := range map[string]func(*sftpserver.Options){
		"MaxStartups":    func(o *sftpserver.Options) { o.MaxStartups = 20 },
		"MaxConnections": func(o *sftpserver.Options) { o.MaxConnections, o.MaxStartups = 20, 100000 },
		"both":           func(o *sftpserver.Options) { o.MaxConnections, o.MaxStartups = 20, 20 },
	} {
		t.Run(name, func(t *testing.T) {
			noneLeft(t)
			synctest.Test(t, func(t *testing.T) {
				const limit = 30 * time.Second
				s := sftpserver.New()
				tree(s)
				s.LoginTimeout = limit
				bound(&s.Options)
				connect := simulated(t, s, netsim.Link{})
				in, _ := connect()
				inside := logIn(t, in)
				for round := range 2 {
					began := time.Now()
					most := 0
					for i := range 200 {
						nc, _ := connect()
						go func() { _, _ = io.Copy(io.Discard, nc); _ = nc.Close() }()
						go slow[i%len(slow)](nc)
						synctest.Wait()
						most = max(most, len(listOf(s)))
					}
					if most > 21 || most < 10 { // with the one inside
						t.Errorf("round %d: %d connections at a time", round, most)
					}
					if _, err := inside.Subsystem(t.Context(), "sftp"); err != nil {
						t.Errorf("round %d: who is inside gets %v", round, err)
					}
					time.Sleep(limit - time.Since(began) + 5*time.Second) // which is what refusals take, and more
					synctest.Wait()
					if n := len(listOf(s)); n != 1 {
						t.Errorf("round %d: %d connections after the time", round, n)
					}
					for range 5 { // half the bound, so that none is refused by chance
						nc, _ := connect()
						logIn(t, nc)
					}
					for c := range s.Connections() {
						if c.ID() != "1" {
							_ = c.Disconnect()
						}
					}
					synctest.Wait()
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				_ = in.Close()
				synctest.Wait()
			})
		})
	}
}
