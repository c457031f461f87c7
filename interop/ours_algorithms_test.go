package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// startAsyncSSH starts AsyncSSH's server, which runs no commands but sends what it gets.
func startAsyncSSH(t *testing.T) *server {
	t.Helper()
	return startAsyncSSHWith(t, "asyncssh_server.py", "")
}

// startAsyncSSHWith starts a script of ours, whose arguments are a mode unless that is empty, a host key, the authorized keys, and more.
func startAsyncSSHWith(t *testing.T, script, mode string, more ...string) *server {
	t.Helper()
	if _, err := asyncssh.find(); err != nil {
		missingPeer(t, asyncssh.name, err)
	}
	s := &server{kind: "asyncssh", keys: keysOf(t), host: "127.0.0.1", log: new(lockedBuffer)}
	args := []string{filepath.Join("testdata", script)}
	if mode != "" {
		args = append(args, mode)
	}
	args = append(append(args, s.keys.hostKeyFiles[0], s.keys.authorizedKeys), more...)
	s.start(t, exec.Command(python(), args...))
	t.Cleanup(func() { s.stop(t) })
	var err error
	if s.port, err = strconv.Atoi(s.waitLine(t, listeningLine)[2]); err != nil {
		t.Fatal(err)
	}
	s.knownHosts = filepath.Join(t.TempDir(), "known_hosts")
	if err := s.keys.knownHosts(s.knownHosts, s.host, s.port); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOwnClientAlgorithms uses every algorithm of ours with each foreign server that offers it: 3 MiB there and back
// with new keys every MiB.
func TestOwnClientAlgorithms(t *testing.T) {
	servers := []struct {
		name string
		*server
		offer *kexinit
	}{
		{name: "OpenSSH sshd", server: launch(t, serverOptions{sshd: &sshd{ordinary: true}})},
		{name: "AsyncSSH server", server: startAsyncSSH(t)},
	}
	var names []string
	for i := range servers {
		var err error
		if servers[i].offer, err = readKexinit(servers[i].addr()); err != nil {
			t.Fatal(err)
		}
		names = append(names, servers[i].name)
	}
	table := newTable("Our client's algorithms, with new keys every MiB (key exchanges after the first)", names)
	data := sample(3 << 20)
	for _, w := range wanted {
		label := w.name
		used := false
		for _, s := range servers {
			if !slices.Contains(s.offer.offers(w.kind), w.name) {
				table.set(label, s.name, resultNA, "the server does not offer it")
				continue
			}
			used = true
			t.Run(w.name+"/"+s.name, func(t *testing.T) {
				table.set(label, s.name, resultFail, "the test did not end")
				rekeys, err := ownAlgorithm(t, s.server, w.kind, w.name, data)
				if err != nil {
					table.set(label, s.name, resultFail, lastLine(err.Error()))
					t.Fatal(err)
				}
				table.set(label, s.name, resultOK, fmt.Sprintf("ok (%d)", rekeys))
			})
		}
		if !used {
			t.Errorf("%s is offered by no server here", w.name)
		}
	}
	addReport(table.String())
}

// ownAlgorithm sends data there and back with one algorithm and returns how often the keys were changed.
func ownAlgorithm(t *testing.T, s *server, kind, name string, data []byte) (int, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := s.ourConfig(t)
	cfg.Rekey.Bytes = rekeyBytes
	list := ssh2.AlgList(name)
	switch kind {
	case "kex":
		cfg.KeyExchanges = list
	case "hostkey":
		cfg.HostKeyAlgorithms = list
	case "cipher":
		cfg.Ciphers = list
	case "mac":
		cfg.MACs, cfg.Ciphers = list, "aes128-ctr" // an authenticated cipher would leave the MAC unused
	}
	client, err := ssh2.Dial(ctx, "tcp", s.addr(), cfg)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	info := client.Info()
	used := map[string]string{"kex": info.Kex, "hostkey": info.HostKeyAlgorithm, "cipher": info.Out.Cipher, "mac": info.Out.MAC}
	if used[kind] != name {
		return 0, fmt.Errorf("negotiated %s", used[kind])
	}
	x, err := client.Session(ctx)
	if err != nil {
		return 0, err
	}
	x.Stdin = bytes.NewReader(data)
	out, err := x.Output(ctx, "cat")
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(out, data) {
		return 0, fmt.Errorf("%d octets came back, not as they went", len(out))
	}
	rekeys := client.Info().KeyExchanges - 1
	if rekeys < 2 {
		return 0, fmt.Errorf("%d key exchanges after the first, want at least 2", rekeys)
	}
	return rekeys, nil
}

// TestOwnClientRekey moves 64 MiB through OpenSSH both ways at once while one side, or both, ask for new keys every MiB.
func TestOwnClientRekey(t *testing.T) {
	const size = 64 << 20
	ours, theirs := uint64(rekeyBytes), "RekeyLimit 1M"
	local := filepath.Join(t.TempDir(), "data")
	if err := writeRandom(local, size); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		ours     uint64
		settings []string
	}{
		{"ours", ours, nil}, {"theirs", 0, []string{theirs}}, {"both", ours, []string{theirs}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := launch(t, serverOptions{sshd: &sshd{ordinary: true, settings: c.settings}})
			cfg := s.ourConfig(t)
			cfg.Rekey.Bytes = c.ours
			client := s.dialOurs(t, cfg)
			if err := ownBulk(t, client, data); err != nil {
				t.Fatal(err)
			}
			exchanges := client.Info().KeyExchanges
			if exchanges < 17 { // what was under way when one side asked still goes under the old keys
				t.Errorf("%d key exchanges, want at least 17", exchanges)
			}
			t.Logf("%d key exchanges", exchanges)
		})
	}
	t.Run("on demand", func(t *testing.T) {
		s := launch(t, serverOptions{sshd: &sshd{ordinary: true}})
		client := s.dialOurs(t, s.ourConfig(t))
		asked := make(chan error, 1)
		go func() {
			for range 100 {
				if err := client.Rekey(t.Context()); err != nil {
					asked <- err
					return
				}
			}
			asked <- nil
		}()
		if err := errors.Join(ownBulk(t, client, data), <-asked); err != nil {
			t.Fatal(err)
		}
		if n := client.Info().KeyExchanges; n < 101 {
			t.Errorf("asked for new keys 100 times, got them %d times", n-1)
		}
		t.Logf("%d key exchanges", client.Info().KeyExchanges)
	})
}

// ownBulk sends data through cat and compares what comes back.
func ownBulk(t *testing.T, client *ssh2.Client, data []byte) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	x, err := client.Session(ctx)
	if err != nil {
		return err
	}
	back := &comparer{want: data}
	x.Stdin, x.Stdout = bytes.NewReader(data), back
	if err := x.Run(ctx, "cat"); err != nil {
		return err
	}
	if len(back.want) > 0 {
		return fmt.Errorf("%d octets did not come back", len(back.want))
	}
	return nil
}

// A comparer takes what it wants and nothing else.
type comparer struct{ want []byte }

func (c *comparer) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(c.want, p) {
		return 0, fmt.Errorf("other octets than sent, %d before the end", len(c.want))
	}
	c.want = c.want[len(p):]
	return len(p), nil
}

// hybridRounds is how many handshakes TestCVE_3_14_HybridInterop does with each peer: a secret encoded wrongly for
// some values only, such as those with a leading zero, shows once in 256.
const hybridRounds = 300

const hybridKex = "mlkem768x25519-sha256"

// TestCVE_3_14_HybridInterop does many hybrid key exchanges with other implementations, in either role. A wrong
// secret fails the first packet under the new keys at the latest.
func TestCVE_3_14_HybridInterop(t *testing.T) {
	t.Run("our client, AsyncSSH", func(t *testing.T) {
		s := startAsyncSSH(t)
		cfg := s.ourConfig(t)
		cfg.KeyExchanges = hybridKex
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for i := range hybridRounds / 3 { // every connection with two exchanges more
			client, err := ssh2.Dial(ctx, "tcp", s.addr(), cfg)
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			for range 2 {
				if err := client.Rekey(ctx); err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
			}
			if _, err := client.Ping(ctx); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			if info := client.Info(); info.Kex != hybridKex || info.KeyExchanges != 3 {
				t.Fatalf("connection %d: %d exchanges by %s", i, info.KeyExchanges, info.Kex)
			}
			client.Close()
		}
	})
	t.Run("x_crypto's client, our server", func(t *testing.T) {
		s := startServer(t)
		var exchanges atomic.Int64
		j := s.job()
		j.Algorithms.Kex = hybridKex
		cfg, err := goConfig(j, &exchanges)
		if err != nil {
			t.Fatal(err)
		}
		for i := range hybridRounds {
			if err := goHandshake(t.Context(), s.addr(), cfg); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		if exchanges.Load() != hybridRounds {
			t.Errorf("%d exchanges, want %d", exchanges.Load(), hybridRounds)
		}
	})
}

// goHandshake logs x/crypto's client in and out.
func goHandshake(ctx context.Context, addr string, cfg *gossh.ClientConfig) error {
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	conn, channels, requests, err := gossh.NewClientConn(tcp, addr, cfg)
	if err != nil {
		tcp.Close()
		return err
	}
	return gossh.NewClient(conn, channels, requests).Close()
}
