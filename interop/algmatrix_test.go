package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// matrixKinds are the groups of rows of the algorithm matrix.
var matrixKinds = []string{"kex", "hostkey", "cipher", "mac", "compression"}

// A matrixPeer is one column of the algorithm matrix: a program or library, with everything switched on that it can
// do, as the client of our server or as the server of our client. Which algorithms it knows is what it offers then in
// its KEXINIT. So which one is used is up to our end, which offers just the one.
type matrixPeer struct {
	name string
	find func() (string, error)
	// One of the two is set. client returns a function that logs in at 127.0.0.1:port as userName, has a command
	// send 128 KiB back and compares. server returns the address of one that sends back what "cat" gets, or of several
	// if one cannot have all host keys at once.
	client func(t *testing.T) func(ctx context.Context, port int) error
	server func(t *testing.T) (addrs []string)
	// broken has what the peer offers and then cannot do, by name, with the evidence. It is tried, and must fail.
	broken map[string]string
}

// TestAlgorithmMatrix uses every algorithm there is in our tables with every peer that has it, in both roles. A cell is
// either ok or says why the peer lacks it.
func TestAlgorithmMatrix(t *testing.T) {
	if reference {
		return
	}
	peers := append([]*matrixPeer{ourselves}, matrixPeers...)
	var names []string
	for _, p := range peers {
		names = append(names, p.name)
	}
	table := newTable("Every algorithm with every peer, 128 KiB there and back", names)
	rows := matrixRows(t)
	for _, r := range rows {
		table.row(r.label())
	}
	start := time.Now()
	t.Run("each", func(t *testing.T) { // returns when its parallel subtests have ended
		for _, p := range peers {
			t.Run(p.name, func(t *testing.T) {
				version, err := p.find()
				if err != nil {
					table.note("%s is MISSING: %v", p.name, err)
					missingPeer(t, p.name, err)
				}
				table.note("%s: %s", p.name, version)
				t.Parallel()
				p.column(t, table, rows)
			})
		}
	})
	var alone []string
	for _, r := range rows {
		others := slices.ContainsFunc(matrixPeers, func(p *matrixPeer) bool { return table.result(r.label(), p.name) == resultOK })
		if !others {
			alone = append(alone, r.label())
		}
	}
	if len(alone) > 0 {
		table.note("No peer here has: %s.", strings.Join(alone, ", "))
	}
	table.note("%d cells in %s", table.cells(), time.Since(start).Round(time.Second))
	addReport(table.String())
}

type matrixRow struct{ kind, name string }

func (r matrixRow) label() string { return r.kind + " " + r.name }

// matrixRows has what our server offers with everything on.
func matrixRows(t *testing.T) []matrixRow {
	t.Helper()
	port := matrixServer(t, everything())
	offer, err := readKexinit(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	var rows []matrixRow
	for _, kind := range matrixKinds {
		for _, name := range offer.offers(kind) {
			rows = append(rows, matrixRow{kind, name})
		}
	}
	return rows
}

// everything is a configuration that offers all that we have.
func everything() ssh2.Config {
	return ssh2.Config{Profile: ssh2.Legacy, Compression: "none,zlib@openssh.com,zlib", MinRSABits: 1024}
}

// only is everything but for one algorithm of its kind.
func (r matrixRow) only() ssh2.Config {
	cfg := everything()
	// Certificates have rows of their own, and trouble of their own.
	cfg.HostKeyAlgorithms = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-256"
	list := ssh2.AlgList(r.name)
	switch r.kind {
	case "kex":
		cfg.KeyExchanges = list
	case "hostkey":
		cfg.HostKeyAlgorithms = list
	case "cipher":
		cfg.Ciphers = list
	case "mac":
		// An authenticated cipher would leave the MAC unused.
		cfg.MACs, cfg.Ciphers = list, "aes128-ctr,aes256-ctr,aes128-cbc,3des-cbc"
	case "compression":
		cfg.Compression = list
	}
	return cfg
}

// used returns what a connection came to use of the row's kind.
func (r matrixRow) used(info ssh2.ConnInfo) []string {
	switch r.kind {
	case "kex":
		return []string{info.Kex}
	case "hostkey":
		return []string{info.HostKeyAlgorithm}
	case "cipher":
		return []string{info.In.Cipher, info.Out.Cipher}
	case "mac":
		return []string{info.In.MAC, info.Out.MAC}
	}
	return []string{info.In.Compression, info.Out.Compression}
}

// check says that a connection used another algorithm than the row's.
func (r matrixRow) check(info ssh2.ConnInfo) error {
	for _, name := range r.used(info) {
		if name != r.name {
			return fmt.Errorf("negotiated %q", name)
		}
	}
	return nil
}

// column fills the column of one peer.
func (p *matrixPeer) column(t *testing.T, table *table, rows []matrixRow) {
	var dial func(context.Context, int) error
	offers := make(map[string]*kexinit) // by address; one of a client
	var addrs []string
	var err error
	if p.client != nil {
		dial = p.client(t)
		addrs = []string{""}
		if offers[""], err = probeClient(t, dial); err != nil {
			t.Fatalf("what it offers: %v", err)
		}
	} else {
		addrs = p.server(t)
		for _, addr := range addrs {
			if offers[addr], err = readKexinit(addr); err != nil {
				t.Fatalf("what it offers: %v", err)
			}
		}
	}
	for _, r := range rows {
		at := slices.IndexFunc(addrs, func(addr string) bool { return slices.Contains(offers[addr].offers(r.kind), r.name) })
		if at < 0 {
			table.set(r.label(), p.name, resultNA, "the peer lacks it")
			continue
		}
		t.Run(r.kind+"/"+strings.ReplaceAll(r.name, "/", "-"), func(t *testing.T) {
			table.set(r.label(), p.name, resultFail, "the test did not end")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var err error
			if dial != nil {
				err = r.serve(ctx, t, dial)
			} else {
				err = r.dial(ctx, addrs[at])
			}
			why := p.broken[r.name]
			switch {
			case err == nil && why != "":
				table.set(r.label(), p.name, resultFail, "works, for all that: "+why)
				t.Errorf("works, for all that: %s", why)
			case err == nil:
				table.set(r.label(), p.name, resultOK, "")
			case why != "":
				table.set(r.label(), p.name, resultNA, why)
				t.Logf("as known: %v", err)
			default:
				table.set(r.label(), p.name, resultFail, lastLine(err.Error()))
				t.Error(err)
			}
		})
	}
}

// probeClient reads a client's KEXINIT.
func probeClient(t *testing.T, dial func(context.Context, int) error) (*kexinit, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- dial(ctx, l.Addr().(*net.TCPAddr).Port) }()
	defer func() { <-done }() // it fails, as it must
	l.(*net.TCPListener).SetDeadline(time.Now().Add(25 * time.Second))
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return exchangeKexinit(conn)
}

// serve has a foreign client use the row's algorithm with our server.
func (r matrixRow) serve(ctx context.Context, t *testing.T, dial func(context.Context, int) error) error {
	wrong := make(chan error, 16)
	port := matrixServerWith(t, r.only(), func(c *ssh2.Conn) { wrong <- r.check(c.Info()) })
	if err := dial(ctx, port); err != nil {
		return err
	}
	select {
	case err := <-wrong:
		return err
	default:
		return errors.New("the client never logged in")
	}
}

// dial has our client use the row's algorithm with a foreign server.
func (r matrixRow) dial(ctx context.Context, addr string) error {
	keys, err := sharedKeys()
	if err != nil {
		return err
	}
	client, err := ssh2.Dial(ctx, "tcp", addr, &ssh2.ClientConfig{
		Config: r.only(), User: userName,
		Auth:    []ssh2.AuthMethod{ssh2.None(), ssh2.PublicKeys(keys.user), ssh2.Password("any")},
		HostKey: gossh.InsecureIgnoreHostKey(), // which key it is does not matter here
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := r.check(client.Info()); err != nil {
		return err
	}
	x, err := client.Session(ctx)
	if err != nil {
		return err
	}
	data := matrixData()
	x.Stdin = bytes.NewReader(data)
	out, err := x.Output(ctx, "cat")
	if err != nil {
		return err
	}
	if !bytes.Equal(out, data) {
		return fmt.Errorf("%d octets came back, not as they went", len(out))
	}
	return nil
}

// matrixData is half random, half not, so that compression has something to do either way.
func matrixData() []byte {
	data := bytes.Repeat([]byte("x"), 128<<10)
	_, _ = rand.Read(data[64<<10:])
	return data
}

func matrixServer(t *testing.T, cfg ssh2.Config) (port int) {
	return matrixServerWith(t, cfg, func(*ssh2.Conn) {})
}

// matrixServerWith runs our server, in this process, until the test ends: it lets everyone in and has every command
// send back its input.
func matrixServerWith(t *testing.T, cfg ssh2.Config, login func(*ssh2.Conn)) (port int) {
	t.Helper()
	hostKeys, err := matrixHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	s := &ssh2.Server{
		Config: cfg, HostKeys: hostKeys,
		Auth: ssh2.ServerAuth{
			None:     func(context.Context, *ssh2.AuthAttempt) ssh2.Verdict { return ssh2.Verdict{OK: true} },
			Password: func(context.Context, *ssh2.AuthAttempt, string) ssh2.Verdict { return ssh2.Verdict{OK: true} },
		},
		OnLogin: func(_ context.Context, c *ssh2.Conn) error { login(c); return nil },
		Session: func(_ context.Context, x *ssh2.ServerSession) {
			if x.Kind != ssh2.Exec {
				return
			}
			if _, err := io.Copy(x, x); err == nil {
				x.Exit(0)
			}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, ssh2.ErrServerClosed) {
			t.Errorf("server ended with %v", err)
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

// matrixHostKeys has a host key of every type, bare and certified.
var matrixHostKeys = sync.OnceValues(func() ([]gossh.Signer, error) {
	files, err := matrixHostKeyFiles()
	if err != nil {
		return nil, err
	}
	var signers []gossh.Signer
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		signer, err := gossh.ParsePrivateKey(pem)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		signers = append(signers, signer)
		line, err := os.ReadFile(file + "-cert.pub")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		key, _, _, _, err := gossh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, err
		}
		certified, err := gossh.NewCertSigner(key.(*gossh.Certificate), signer)
		if err != nil {
			return nil, err
		}
		signers = append(signers, certified)
	}
	return signers, nil
})
