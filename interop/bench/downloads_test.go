package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	pkgsftp "github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// An openSSH is sshd with its own sftp-server, serving a directory to clients of two makes.
type openSSH struct {
	*field
	login   string
	private ed25519.PrivateKey // of the user
	pid     int
}

// startSSHD starts OpenSSH's server; it ends with the test.
func startSSHD(tb testing.TB) *openSSH {
	tb.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		if program = "/usr/sbin/sshd"; exec.Command(program, "-V").Run() != nil {
			if _, err := os.Stat(program); err != nil {
				if os.Getenv("FAIRLEAD_REQUIRE_PEERS") != "" {
					tb.Fatal("sshd: not installed")
				}
				tb.Skip("sshd: not installed")
			}
		}
	}
	me, err := user.Current()
	if err != nil {
		tb.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := gossh.NewSignerFromSigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	f := &field{dir: tempDir(tb), hostKey: newKey(tb), user: signer}
	f.prefix[ours], f.prefix[theirs] = f.dir+"/", f.dir+"/"
	etc := tb.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(etc, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		return file
	}
	key := filepath.Join(etc, "host_key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		tb.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	l := listen(tb)
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	config := write("sshd_config", fmt.Sprintf(`ListenAddress 127.0.0.1
Port %d
HostKey %s
AuthorizedKeysFile %s
PidFile none
PermitRootLogin yes
StrictModes no
UsePAM no
UseDNS no
RekeyLimit default none
Subsystem sftp internal-sftp
`, addr.Port, key, write("authorized_keys", string(gossh.MarshalAuthorizedKey(f.user.PublicKey())))))
	cmd := exec.Command(program, "-D", "-e", "-f", config)
	if os.Getuid() == 0 { // which wants a directory that only a system that booted has
		cmd = exec.Command("unshare", "--mount", "sh", "-c",
			`mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && exec "$0" "$@"`, program, "-D", "-e", "-f", config)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("sshd: %s", &log)
		}
	})
	for i := range f.addr {
		f.addr[i] = addr.String()
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", addr.String())
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			tb.Fatalf("sshd does not listen: %v: %s", err, &log)
		}
		runtime.Gosched()
	}
	return &openSSH{f, me.Username, private, cmd.Process.Pid}
}

// downloaders are the two clients, each with the SSH library it comes with.
var downloaders = []struct {
	name string
	who  int
	open func(s *openSSH, cipher, addr string) (client, error)
}{
	{"ours", ours, openOurs},
	{"pkg255", theirs, func(s *openSSH, cipher, addr string) (client, error) { return openTheirs(s, cipher, addr, 255<<10) }},
	{"pkg32", theirs, func(s *openSSH, cipher, addr string) (client, error) { return openTheirs(s, cipher, addr, 32<<10) }},
}

// ourClient is ssh2 with sftp.Client as they come.
type ourClient struct {
	ssh *ssh2.Client
	*sftp.Client
}

// request is the size of our requests, for measurements; 0 is what the server says.
var request, _ = strconv.Atoi(os.Getenv("BENCH_REQUEST"))

func openOurs(s *openSSH, cipher, addr string) (client, error) {
	ctx := context.Background()
	cfg := &ssh2.ClientConfig{User: s.login, Auth: []ssh2.AuthMethod{ssh2.PublicKeys(s.user)}, HostKey: gossh.InsecureIgnoreHostKey()}
	if cipher != "" {
		cfg.Ciphers = ssh2.AlgList(cipher)
	}
	conn, err := ssh2.Dial(ctx, "tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Subsystem(ctx, "sftp")
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c, err := sftp.NewClient(ctx, ch, &sftp.ClientConfig{ServerIdent: conn.Info().RemoteIdent, Request: request})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return ourClient{conn, c}, nil
}

func (c ourClient) get(name string, size int, into []byte) error {
	f, err := c.Open(context.Background(), name)
	if err != nil {
		return err
	}
	var to io.Writer = io.Discard
	if into != nil {
		to = bytes.NewBuffer(into[:0])
	}
	n, err := f.WriteTo(to)
	if err == nil && n != int64(size) {
		err = fmt.Errorf("%d octets, want %d", n, size)
	}
	return errors.Join(err, f.Close())
}

func (c ourClient) put(name string, data []byte) error {
	f, err := c.Create(context.Background(), name)
	if err != nil {
		return err
	}
	_, err = f.ReadFrom(bytes.NewReader(data))
	return errors.Join(err, f.Close())
}

func (c ourClient) close() error { return errors.Join(c.Close(), c.ssh.Close()) }

// theirClient is pkg/sftp with all that makes it fast, on x/crypto/ssh.
type theirClient struct {
	ssh *gossh.Client
	pkgClient
}

func openTheirs(s *openSSH, cipher, addr string, packet int) (client, error) {
	cfg := &gossh.ClientConfig{User: s.login, Auth: []gossh.AuthMethod{gossh.PublicKeys(s.user)}, HostKeyCallback: gossh.InsecureIgnoreHostKey()}
	if cipher != "" {
		cfg.Ciphers = []string{cipher}
	}
	conn, err := gossh.Dial("tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	c, err := pkgsftp.NewClient(conn, pkgsftp.UseConcurrentReads(true), pkgsftp.UseConcurrentWrites(true),
		pkgsftp.MaxConcurrentRequestsPerFile(inWork), pkgsftp.MaxPacketUnchecked(packet))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return theirClient{conn, pkgClient{c}}, nil
}

func (c theirClient) close() error { return errors.Join(c.pkgClient.close(), c.ssh.Close()) }

// moveSize is the file that BenchmarkClientGet and BenchmarkClientPut move, in octets: BENCH_MIB mebibytes.
func moveSize() int {
	if n, _ := strconv.Atoi(os.Getenv("BENCH_MIB")); n > 0 {
		return n << 20
	}
	return fileSize
}

// BenchmarkClientGet downloads from OpenSSH's server, with our client and with pkg/sftp's in turn. The processor time
// is the client's alone: the server is another process.
func BenchmarkClientGet(b *testing.B) {
	moves(b, func(c client, s *openSSH, data []byte) error { return c.get(s.path(ours, "source"), len(data), nil) })
}

// BenchmarkClientPut uploads to OpenSSH's server.
func BenchmarkClientPut(b *testing.B) {
	moves(b, func(c client, s *openSSH, data []byte) error { return c.put(s.path(ours, "target"), data) })
}

func moves(b *testing.B, move func(c client, s *openSSH, data []byte) error) {
	if os.Getenv("BENCH_ONLY") != "" {
		downloaders = downloaders[:1]
	}
	s := startSSHD(b)
	data := s.source(b, moveSize())
	for _, cipher := range ciphers {
		b.Run(cipher.short, func(b *testing.B) {
			clients := make([]client, len(downloaders))
			for i, d := range downloaders {
				c, err := d.open(s, cipher.name, s.addr[ours])
				if err != nil {
					b.Fatal(d.name, err)
				}
				defer func() { _ = c.close() }()
				if err := move(c, s, data); err != nil { // pools fill, windows grow
					b.Fatal(d.name, err)
				}
				clients[i] = c
			}
			used := make([]usage, len(downloaders))
			for round := 0; b.Loop(); round++ {
				for i := range clients {
					who := (round + i) % len(clients)
					runtime.GC()
					wall, cpu := time.Now(), cpuTime()
					if err := move(clients[who], s, data); err != nil {
						b.Fatal(downloaders[who].name, err)
					}
					used[who].wall += time.Since(wall)
					used[who].cpu += cpuTime() - cpu
					used[who].n++
				}
			}
			b.ReportMetric(0, "ns/op")
			gib := float64(len(data)) / (1 << 30)
			best := used[len(used)-1]
			for i, d := range downloaders {
				b.ReportMetric(float64(len(data))/1e6/used[i].wallEach(), d.name+"-MB/s")
				b.ReportMetric(used[i].cpuEach()/1e6/gib, d.name+"-cpu-s/GiB")
				if i > 0 && used[i].wall < best.wall {
					best = used[i]
				}
			}
			// Against the better of theirs: above 1 ours is faster, and below 1 it takes less.
			b.ReportMetric(best.wallEach()/used[0].wallEach(), "times-as-fast")
			b.ReportMetric(used[0].cpuEach()/best.cpuEach(), "cpu-ratio")
		})
	}
}

// TestClientsOnce runs both benchmarks of clients once with little data, and compares the content.
func TestClientsOnce(t *testing.T) {
	s := startSSHD(t)
	data := s.source(t, 4<<20)
	for _, d := range downloaders {
		c, err := d.open(s, "", s.addr[ours])
		if err != nil {
			t.Fatal(d.name, err)
		}
		into := make([]byte, len(data))
		if err := c.get(s.path(ours, "source"), len(data), into); err != nil || !bytes.Equal(into, data) {
			t.Errorf("%s: the download is not what the file has: %v", d.name, err)
		}
		if err := c.put(s.path(ours, "target"), data); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		if got, err := os.ReadFile(s.file("target")); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: the upload is not what was sent: %d octets, %v", d.name, len(got), err)
		}
		if err := c.close(); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: close: %v", d.name, err)
		}
	}
}
