package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/internal/transport"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The soak moves data both ways at once while the keys change every few KiB, with every cipher that both sides know, in
// clear and compressed, and with each side asking.

const (
	soakBytes = 8 << 10   // octets after which new keys are asked for
	soakSize  = 128 << 10 // octets each way
	soakLeast = 2         // key exchanges after the first: what is under way when somebody asks goes under the old keys
)

// A soakCase is one connection.
type soakCase struct {
	cipher, compression string
	weAsk, theyAsk      bool
	times               int // of soakData each way
}

func (c soakCase) asks() string {
	switch {
	case !c.theyAsk:
		return "we ask"
	case !c.weAsk:
		return "they ask"
	}
	return "both ask"
}

func (c soakCase) String() string {
	return strings.Join([]string{c.cipher, c.compression, c.asks()}, "/")
}

// ours is our end's configuration for it.
func (c soakCase) ours() ssh2.Config {
	cfg := ssh2.Config{Ciphers: ssh2.AlgList(c.cipher), Compression: ssh2.AlgList(c.compression), KeyExchanges: "curve25519-sha256"}
	if c.weAsk {
		cfg.Rekey.Bytes = soakBytes
	}
	return cfg
}

// soakData compresses in part.
var soakData = sync.OnceValue(func() []byte {
	data := sample(soakSize)
	for i := range data {
		if i/700%2 == 0 {
			data[i] = 'x'
		}
	}
	return data
})

// A soakPeer is the other side.
type soakPeer struct {
	// knows returns the names it knows of a kind, "cipher" or "compression".
	knows func(kind string) ([]string, error)
	// run makes one connection and returns the key exchanges after the first as our end counts them.
	run func(ctx context.Context, t *testing.T, c soakCase) (int, error)
	// times is how often it takes soakData in one connection.
	times int
}

// soakPeers makes them ready, or skips the test where one is missing.
var soakPeers = []struct {
	name  string
	start func(t *testing.T) soakPeer
}{
	{"sshd", soakSSHD},
	{"ssh", soakSSH},
	{"asyncssh server", soakAsyncSSHServer},
	{"asyncssh client", soakAsyncSSHClient},
	{"x_crypto server", soakGoServer},
	{"x_crypto client", soakGoClient},
}

// TestW35_SoakInterop runs the soak with OpenSSH, AsyncSSH and x/crypto, as clients and as servers.
func TestW35_SoakInterop(t *testing.T) {
	var names []string
	for _, p := range soakPeers {
		names = append(names, p.name)
	}
	table := newTable(fmt.Sprintf("New keys every %d KiB during traffic both ways (key exchanges after the first when we ask, they ask, both ask)", soakBytes>>10), names)
	var mu sync.Mutex
	cells := make(map[[2]string]entry)
	set := func(label, peer string, r result, note string) {
		mu.Lock()
		defer mu.Unlock()
		cells[[2]string{label, peer}] = entry{r, note}
	}
	t.Run("peers", func(t *testing.T) { // returns when its parallel subtests have ended
		for _, peer := range soakPeers {
			t.Run(peer.name, func(t *testing.T) {
				t.Parallel()
				p := peer.start(t)
				ciphers, err := p.knows("cipher")
				compression, err2 := p.knows("compression")
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				tried := 0
				for cipher := range seal.Ciphers() {
					for _, z := range transport.Compressions() {
						label := cipher.Name + " " + z.Name
						if !slices.Contains(ciphers, cipher.Name) || !slices.Contains(compression, z.Name) {
							continue
						}
						tried++
						set(label, peer.name, resultFail, "the test did not end")
						var counts []string
						for _, c := range []soakCase{
							{cipher.Name, z.Name, true, false, p.times}, {cipher.Name, z.Name, false, true, p.times}, {cipher.Name, z.Name, true, true, p.times},
						} {
							t.Run(c.String(), func(t *testing.T) {
								ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
								defer cancel()
								n, err := p.run(ctx, t, c)
								if err == nil && n < soakLeast {
									err = fmt.Errorf("%d key exchanges after the first, want at least %d", n, soakLeast)
								}
								if err != nil {
									set(label, peer.name, resultFail, c.asks()+": "+lastLine(err.Error()))
									t.Fatal(err)
								}
								counts = append(counts, strconv.Itoa(n))
							})
						}
						if len(counts) == 3 {
							set(label, peer.name, resultOK, fmt.Sprintf("ok (%s)", strings.Join(counts, ", ")))
						}
					}
				}
				if tried == 0 {
					t.Error("nothing was tried")
				}
			})
		}
	})
	// Rows are what some peer knows; the others are our own's business alone, and that of the soak in the transport.
	for cipher := range seal.Ciphers() {
		for _, z := range transport.Compressions() {
			label := cipher.Name + " " + z.Name
			known := func(peer string) bool { return cells[[2]string{label, peer}].result != resultNone }
			if !slices.ContainsFunc(names, known) {
				continue
			}
			for _, peer := range names {
				c := cells[[2]string{label, peer}]
				if !known(peer) {
					c = entry{resultNA, "the peer does not know it, or is missing"}
				}
				table.set(label, peer, c.result, c.text)
			}
		}
	}
	addReport(table.String())
}

// soakOurs runs the soak with our client.
func soakOurs(ctx context.Context, addr string, cfg *ssh2.ClientConfig, c soakCase) (int, error) {
	cfg.Config = c.ours()
	client, err := ssh2.Dial(ctx, "tcp", addr, cfg)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if i := client.Info(); i.Out.Cipher != c.cipher || i.In.Compression != c.compression || i.Out.Compression != c.compression {
		return 0, fmt.Errorf("negotiated %+v and %+v", i.In, i.Out)
	}
	x, err := client.Session(ctx)
	if err != nil {
		return 0, err
	}
	e := newEchoed(ctx, c)
	x.Stdin, x.Stdout = e, e
	if err := errors.Join(x.Run(ctx, "cat"), e.end()); err != nil {
		return 0, err
	}
	return client.Info().KeyExchanges - 1, nil
}

// soakServer runs ours for one connection of a client, which sends the data to "cat" and gets it back.
func soakServer(ctx context.Context, t *testing.T, c soakCase, client func(addr string) error) (int, error) {
	t.Helper()
	key, err := os.ReadFile(keysOf(t).hostKeyFiles[0])
	if err != nil {
		return 0, err
	}
	signer, err := gossh.ParsePrivateKey(key)
	if err != nil {
		return 0, err
	}
	ended := make(chan int, 1)
	s := &ssh2.Server{
		Config:   c.ours(),
		HostKeys: []gossh.Signer{signer},
		Auth: ssh2.ServerAuth{PublicKey: func(_ context.Context, _ *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: bytes.Equal(key.Marshal(), keysOf(t).user.PublicKey().Marshal())}
		}},
		Session: func(_ context.Context, s *ssh2.ServerSession) {
			_, _ = io.Copy(s, s)
			s.Exit(0)
		},
		OnEnd: func(c *ssh2.Conn, _ error) { ended <- c.Info().KeyExchanges - 1 },
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	err = client(l.Addr().String())
	n := 0
	if err == nil {
		select {
		case n = <-ended:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	_ = s.Close()
	if e := <-served; !errors.Is(e, ssh2.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return n, err
}

// An echoed is data on its way out and back. No more of it is under way than a few times what keys last: or a fast
// peer would have all of it before the first request for new keys.
type echoed struct {
	ctx   context.Context
	mu    sync.Mutex
	moved sync.Cond
	rest  []byte // to be sent
	want  []byte // to come back
}

func newEchoed(ctx context.Context, c soakCase) *echoed {
	data := bytes.Repeat(soakData(), c.times)
	e := &echoed{ctx: ctx, rest: data, want: data}
	e.moved.L = &e.mu
	context.AfterFunc(ctx, func() {
		e.mu.Lock() // who is between its look at ctx and Wait must not miss it
		defer e.mu.Unlock()
		e.moved.Broadcast()
	})
	return e
}

func (e *echoed) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.want)-len(e.rest) > 2*soakBytes && e.ctx.Err() == nil {
		e.moved.Wait()
	}
	switch {
	case e.ctx.Err() != nil:
		return 0, e.ctx.Err()
	case len(e.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), soakBytes)], e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func (e *echoed) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !bytes.HasPrefix(e.want, p) {
		return 0, fmt.Errorf("other octets than sent, %d before the end", len(e.want))
	}
	e.want = e.want[len(p):]
	e.moved.Broadcast()
	return len(p), nil
}

func (e *echoed) end() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.want) > 0 {
		return fmt.Errorf("%d octets did not come back", len(e.want))
	}
	return nil
}

// soakBack compares what came back.
func soakBack(back []byte) error {
	if !bytes.Equal(back, soakData()) {
		return fmt.Errorf("%d octets came back, not as they went", len(back))
	}
	return nil
}

// offered is knows for a server that offers all it knows.
func offered(addr string) func(kind string) ([]string, error) {
	return func(kind string) ([]string, error) {
		k, err := readKexinit(addr)
		if err != nil {
			return nil, err
		}
		return k.offers(kind), nil
	}
}

// theirBytes is what the peer is told: 0 if it is not to ask.
func (c soakCase) theirBytes() int {
	if c.theyAsk {
		return soakBytes
	}
	return 0
}

// knownCiphers asks OpenSSH's client.
func knownCiphers() ([]string, error) {
	out, err := exec.Command("ssh", "-Q", "cipher").Output()
	return strings.Fields(string(out)), err
}

// soakSSHD is OpenSSH's server.
func soakSSHD(t *testing.T) soakPeer {
	t.Helper()
	ciphers, err := knownCiphers()
	if err != nil {
		missingPeer(t, "OpenSSH ssh", err)
	}
	settings := []string{"Ciphers " + strings.Join(ciphers, ","), "Compression yes"}
	quiet := launch(t, serverOptions{sshd: &sshd{ordinary: true, settings: settings}})
	asks := launch(t, serverOptions{sshd: &sshd{ordinary: true, settings: append(settings, "RekeyLimit "+strconv.Itoa(soakBytes))}})
	return soakPeer{offered(quiet.addr()), soakEither(quiet, asks), 1}
}

// soakEither runs our client with a server that asks for new keys or with one that does not.
func soakEither(quiet, asks *server) func(context.Context, *testing.T, soakCase) (int, error) {
	return func(ctx context.Context, t *testing.T, c soakCase) (int, error) {
		t.Helper()
		s := quiet
		if c.theyAsk {
			s = asks
		}
		return soakOurs(ctx, s.addr(), s.ourConfig(t), c)
	}
}

// soakSSH is OpenSSH's client.
func soakSSH(t *testing.T) soakPeer {
	t.Helper()
	if _, err := knownCiphers(); err != nil {
		missingPeer(t, "OpenSSH ssh", err)
	}
	knows := func(kind string) ([]string, error) {
		if kind == "compression" {
			return []string{"none", "zlib@openssh.com"}, nil // what its switch for compression asks for
		}
		return knownCiphers()
	}
	return soakPeer{knows, func(ctx context.Context, t *testing.T, c soakCase) (int, error) {
		t.Helper()
		return soakServer(ctx, t, c, func(addr string) error {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return err
			}
			args := []string{"-F", "none", "-p", port, "-i", keysOf(t).userKey, "-c", c.cipher}
			for _, option := range []string{
				"StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=none",
				"IdentityAgent=none", "IdentitiesOnly=yes", "LogLevel=ERROR",
			} {
				args = append(args, "-o", option)
			}
			if c.compression != "none" {
				args = append(args, "-C")
			}
			if c.theyAsk {
				args = append(args, "-o", "RekeyLimit="+strconv.Itoa(soakBytes))
			}
			out, err := command{name: "ssh", args: append(args, userName+"@"+host, "cat"), stdin: soakData()}.run(ctx)
			if err != nil {
				return err
			}
			return soakBack([]byte(out.stdout))
		})
	}, 1}
}

const asyncsshSoak = "asyncssh_soak.py"

// soakAsyncSSHServer is AsyncSSH's server.
func soakAsyncSSHServer(t *testing.T) soakPeer {
	t.Helper()
	quiet, asks := startAsyncSSHWith(t, asyncsshSoak, "server", "0"), startAsyncSSHWith(t, asyncsshSoak, "server", strconv.Itoa(soakBytes))
	return soakPeer{offered(quiet.addr()), soakEither(quiet, asks), 1}
}

// soakAsyncSSHClient is AsyncSSH's client, one process for all connections.
func soakAsyncSSHClient(t *testing.T) soakPeer {
	t.Helper()
	if _, err := asyncssh.find(); err != nil {
		missingPeer(t, asyncssh.name, err)
	}
	cmd := exec.Command(python(), filepath.Join("testdata", asyncsshSoak), "client", keysOf(t).userKey)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", asyncsshSoak, err)
		}
	})
	out := bufio.NewReader(stdout)
	line, err := out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string][]string)
	if err := json.Unmarshal(line, &known); err != nil {
		t.Fatal(err)
	}
	knows := func(kind string) ([]string, error) { return known[kind], nil }
	return soakPeer{knows, func(ctx context.Context, t *testing.T, c soakCase) (int, error) {
		t.Helper()
		return soakServer(ctx, t, c, func(addr string) error {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(in, "{%q: %s, %q: %q, %q: %q, %q: %q, %q: %d, %q: \"%x\"}\n", "port", port, "user", userName,
				"cipher", c.cipher, "compression", c.compression, "rekey_bytes", c.theirBytes(), "data", soakData()); err != nil {
				return err
			}
			answer, err := out.ReadString('\n')
			if err == nil && answer != "ok\n" {
				err = errors.New(strings.TrimSpace(answer))
			}
			return err
		})
	}, 1}
}

// knownToXCrypto is knows for both ends of x/crypto.
func knownToXCrypto(kind string) ([]string, error) {
	if kind == "compression" {
		return []string{"none"}, nil
	}
	known, err := knownToGo()
	return known[kind], err
}

// soakGoServer is x/crypto's server in this process.
func soakGoServer(t *testing.T) soakPeer {
	t.Helper()
	return soakPeer{knownToXCrypto, func(ctx context.Context, t *testing.T, c soakCase) (int, error) {
		t.Helper()
		key, err := os.ReadFile(keysOf(t).hostKeyFiles[0])
		if err != nil {
			return 0, err
		}
		signer, err := gossh.ParsePrivateKey(key)
		if err != nil {
			return 0, err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		defer l.Close()
		cfg := &gossh.ServerConfig{NoClientAuth: true, Config: gossh.Config{Ciphers: []string{c.cipher}, RekeyThreshold: uint64(c.theirBytes())}}
		cfg.AddHostKey(signer)
		served := make(chan error, 1)
		go func() { served <- goServeCat(l, cfg) }()
		n, err := soakOurs(ctx, l.Addr().String(), &ssh2.ClientConfig{
			User:    userName,
			HostKey: func(string, net.Addr, gossh.PublicKey) error { return nil },
		}, c)
		l.Close()
		if e := <-served; err == nil {
			err = e
		}
		return n, err
	}, 4}
}

// goServeCat serves one connection with one session, which gets back what it sends.
func goServeCat(l net.Listener, cfg *gossh.ServerConfig) error {
	nc, err := l.Accept()
	if err != nil {
		return err
	}
	defer nc.Close()
	conn, channels, requests, err := gossh.NewServerConn(nc, cfg)
	if err != nil {
		return err
	}
	go gossh.DiscardRequests(requests)
	for channel := range channels {
		ch, requests, err := channel.Accept()
		if err != nil {
			return err
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "exec", nil)
				if r.Type == "exec" {
					go func() {
						_, _ = io.Copy(ch, ch)
						_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
						_ = ch.Close()
					}()
				}
			}
		}()
	}
	_ = conn.Wait() // the client hung up
	return nil
}

// soakGoClient is x/crypto's client in this process.
func soakGoClient(t *testing.T) soakPeer {
	t.Helper()
	return soakPeer{knownToXCrypto, func(ctx context.Context, t *testing.T, c soakCase) (int, error) {
		t.Helper()
		return soakServer(ctx, t, c, func(addr string) error {
			client, err := gossh.Dial("tcp", addr, &gossh.ClientConfig{
				Config:          gossh.Config{Ciphers: []string{c.cipher}, RekeyThreshold: uint64(c.theirBytes())},
				User:            userName,
				Auth:            []gossh.AuthMethod{gossh.PublicKeys(keysOf(t).user)},
				HostKeyCallback: gossh.InsecureIgnoreHostKey(),
			})
			if err != nil {
				return err
			}
			defer client.Close()
			defer context.AfterFunc(ctx, func() { client.Close() })()
			x, err := client.NewSession()
			if err != nil {
				return err
			}
			e := newEchoed(ctx, c)
			x.Stdin, x.Stdout = e, e
			return errors.Join(x.Run("cat"), e.end())
		})
	}, 4}
}
