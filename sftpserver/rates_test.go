package sftpserver_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// served is a server with files in memory that simulated clients connect to.
func served(t *testing.T, s *sftpserver.Server) func() (*sftp.Client, *ssh2.Client) {
	t.Helper()
	fsys := memfs.New(memfs.Options{})
	s.FileSystem = func(context.Context, *sftpserver.Connection) (sftp.FileSystem, error) { return fsys, nil }
	dial := simulated(t, s, netsim.Link{})
	return func() (*sftp.Client, *ssh2.Client) {
		nc, _ := dial()
		return session(t, nc)
	}
}

func session(t *testing.T, nc net.Conn) (*sftp.Client, *ssh2.Client) {
	t.Helper()
	conn := logIn(t, nc)
	ch, err := conn.Subsystem(t.Context(), "sftp")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sftp.NewClient(t.Context(), ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, conn
}

// endless has as many octets as anybody wants.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// move puts or gets n octets, and returns how long it took.
func move(t *testing.T, c *sftp.Client, up bool, name string, n int64) time.Duration {
	began := time.Now()
	var err error
	if up {
		_, err = c.Put(t.Context(), name, io.LimitReader(endless{}, n), sftp.TransferOptions{})
	} else {
		_, err = c.Get(t.Context(), name, io.Discard, sftp.TransferOptions{})
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return time.Since(began)
}

// about tells of a rate that is not within 5 % of what it should be.
func about(t *testing.T, what string, n int64, d time.Duration, want float64) {
	t.Helper()
	if rate := float64(n) / d.Seconds(); math.Abs(rate-want) > 0.05*want {
		t.Errorf("%s: %d octets in %v are %.0f a second, want %.0f", what, n, d, rate, want)
	}
}

// TestRates: a connection moves what its limits say, each way, and what was changed for it; none is none.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const up, down, n = 200_000, 500_000, 8 << 20
		s := sftpserver.New()
		s.UploadRate, s.DownloadRate = up, down
		connect := served(t, s)
		c, _ := connect()
		about(t, "up", n, move(t, c, true, "/f", n), up)
		about(t, "down", n, move(t, c, false, "/f", n), down)
		// Others have as much for themselves, and a second session has not.
		other, conn := connect()
		done := make(chan time.Duration, 2)
		go func() { done <- move(t, c, false, "/f", n) }()
		about(t, "beside another", n, move(t, other, false, "/f", n), down)
		<-done
		ch, err := conn.Subsystem(t.Context(), "sftp")
		if err != nil {
			t.Fatal(err)
		}
		second, err := sftp.NewClient(t.Context(), ch, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*sftp.Client{other, second} {
			go func() { done <- move(t, c, false, "/f", n) }()
		}
		<-done
		about(t, "two sessions", 2*n, <-done, down)

		found, ok := s.Connection("1")
		if !ok {
			t.Fatal("no connection")
		}
		found.SetRates(0, 2*down)
		if up, down2 := found.Rates(); up != 0 || down2 != 2*down {
			t.Errorf("rates %d and %d", up, down2)
		}
		about(t, "down, changed", n, move(t, c, false, "/f", n), 2*down)
		if d := move(t, c, true, "/g", n); d > time.Second {
			t.Errorf("up, without a limit: %v", d)
		}
	})
}

// TestTotalRates: all connections share a limit evenly, one that sends small packets too, and a change holds for them.
func TestTotalRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total, n = 1_000_000, 4 << 20
		s := sftpserver.New()
		s.TotalUploadRate, s.TotalDownloadRate = total, total
		connect := served(t, s)
		var clients []*sftp.Client
		for range 4 {
			c, _ := connect()
			clients = append(clients, c)
		}
		for _, up := range []bool{true, false} {
			done := make(chan time.Duration, len(clients))
			for i, c := range clients {
				go func() { done <- move(t, c, up, fmt.Sprint("/", i), n) }()
			}
			for range clients {
				about(t, fmt.Sprint("up ", up), n, <-done, total/4)
			}
		}
		if err := s.Update(func(o *sftpserver.Options) { o.TotalDownloadRate = total / 2 }); err != nil {
			t.Fatal(err)
		}
		about(t, "changed", n, move(t, clients[0], false, "/0", n), total/2)
	})
}

// TestRatesStarveNothing: while a transfer is held back the connection answers, keys are exchanged, other requests pass, and Close
// does not wait.
func TestRatesStarveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sftpserver.New()
		s.UploadRate, s.DownloadRate = 20_000, 20_000
		s.SSHKeepAliveInterval, s.SSHKeepAliveCountMax = time.Second, 2
		ended := make(chan error, 2)
		s.Disconnected = func(e *sftpserver.DisconnectedEvent) { ended <- e.Err }
		connect := served(t, s)
		for _, up := range []bool{true, false} {
			c, conn := connect()
			if !up {
				move(t, c, true, "/f", 1<<20)
			}
			done := make(chan error, 1)
			go func() {
				var err error
				if up {
					_, err = c.Put(t.Context(), "/g", endless{}, sftp.TransferOptions{})
				} else {
					_, err = c.Get(t.Context(), "/f", io.Discard, sftp.TransferOptions{})
				}
				done <- err
			}()
			for range 20 {
				time.Sleep(time.Second)
				began := time.Now()
				if _, err := conn.Ping(t.Context()); err != nil || time.Since(began) > 100*time.Millisecond {
					t.Fatalf("no answer: %v after %v", err, time.Since(began))
				}
			}
			if err := conn.Rekey(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				t.Fatalf("was not held back: %v", err)
			default:
			}
			began := time.Now()
			_ = conn.Close()
			if err := <-done; err == nil {
				t.Error("the transfer is whole")
			}
			<-ended
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("ended after %v", d)
			}
		}
	})
}

// TestRatesAndShutdown: a transfer whose packets wait for a limit longer than a drain waits for a peer goes on to its end.
func TestRatesAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sftpserver.New()
		s.Error = func(e *sftpserver.ErrorEvent) { t.Error(time.Now(), e.Err) }
		connect := served(t, s)
		c, _ := connect()
		const n = 512 << 10
		move(t, c, true, "/f", n)
		if err := s.Update(func(o *sftpserver.Options) { o.UploadRate, o.DownloadRate = 300, 300 }); err != nil {
			t.Fatal(err)
		}
		get, _ := connect()
		put, _ := connect()
		done := make(chan error, 2)
		began := time.Now()
		go func() {
			n, err := get.Get(t.Context(), "/f", io.Discard, sftp.TransferOptions{})
			t.Log("get", n, time.Since(began))
			done <- err
		}()
		go func() {
			_, err := put.Put(t.Context(), "/g", io.LimitReader(endless{}, n), sftp.TransferOptions{})
			done <- err
		}()
		time.Sleep(10 * time.Minute)
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(t.Context()) }()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}
