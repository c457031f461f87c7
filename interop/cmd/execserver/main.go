// Command execserver is an example of ssh2.Server: whoever logs in may run commands with /bin/sh as the user that
// started it, and transfer files if it was given a directory. It is meant for tests on the loopback interface: it
// refuses to listen anywhere else.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// options are the flags.
type options struct {
	listen, user, passwordFile, authorizedKeys, root string
	hostKeys                                         []string
	kex, hostKeyAlgorithms, ciphers, macs            string
	rekeyBytes                                       uint64
	env                                              []string
	terminals, x11, agent                            bool
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "execserver:", err)
		os.Exit(1)
	}
}

func parseFlags() *options {
	o := new(options)
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `HOST:PORT` to listen on")
	flag.StringVar(&o.user, "user", "", "`NAME` of the only user")
	flag.StringVar(&o.passwordFile, "password-file", "", "`FILE` with the password")
	flag.StringVar(&o.authorizedKeys, "authorized-keys", "", "`FILE` with one public key")
	flag.StringVar(&o.root, "root", "", "`DIR` to serve over SFTP; none by default")
	flag.Func("host-key", "private key `FILE`, its certificate in FILE-cert.pub; may be repeated", func(name string) error {
		o.hostKeys = append(o.hostKeys, name)
		return nil
	})
	flag.StringVar(&o.kex, "kex", "", "key exchange `LIST`")
	flag.StringVar(&o.hostKeyAlgorithms, "host-key-algorithms", "", "host key algorithm `LIST`")
	flag.StringVar(&o.ciphers, "ciphers", "", "cipher `LIST`")
	flag.StringVar(&o.macs, "macs", "", "MAC `LIST`")
	flag.Uint64Var(&o.rekeyBytes, "rekey-bytes", 0, "ask for new keys after this many `OCTETS`")
	flag.Func("env", "`NAME` of a variable that clients may set, exact or ending in *; may be repeated", func(name string) error {
		o.env = append(o.env, name)
		return nil
	})
	flag.BoolVar(&o.terminals, "terminals", false, "allow terminals (Linux), and shells")
	flag.BoolVar(&o.x11, "x11", false, "allow X11 forwarding")
	flag.BoolVar(&o.agent, "agent", false, "allow agent forwarding")
	flag.Parse()
	return o
}

func run() error {
	o := parseFlags()
	server, err := newServer(o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("--listen %s: not a loopback address", o.listen), l.Close())
	}
	fmt.Printf("listening on %s\n", l.Addr())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-signals:
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, ssh2.ErrServerClosed) {
		return err
	}
	return nil
}

// newServer is everything there is to say about a server.
func newServer(o *options) (*ssh2.Server, error) {
	hostKeys, err := loadHostKeys(o.hostKeys)
	if err != nil {
		return nil, err
	}
	auth, err := newAuth(o)
	if err != nil {
		return nil, err
	}
	s := &ssh2.Server{
		Config: ssh2.Config{
			KeyExchanges:      ssh2.AlgList(o.kex),
			HostKeyAlgorithms: ssh2.AlgList(o.hostKeyAlgorithms),
			Ciphers:           ssh2.AlgList(o.ciphers),
			MACs:              ssh2.AlgList(o.macs),
			Rekey:             ssh2.RekeyLimits{Bytes: o.rekeyBytes},
		},
		HostKeys:             hostKeys,
		Auth:                 auth,
		AcceptEnv:            o.env,
		AllowPTY:             o.terminals,
		AllowX11:             o.x11,
		AllowAgentForwarding: o.agent,
		OnEnd: func(c *ssh2.Conn, _ error) {
			fmt.Printf("connection ended: %d key exchanges\n", c.Info().KeyExchanges)
		},
	}
	var files *sftp.Server
	if o.root != "" {
		dir, err := osfs.New(o.root, osfs.Options{})
		if err != nil {
			return nil, err
		}
		files = &sftp.Server{FS: func(context.Context, sftp.SessionInfo) (sftp.FileSystem, error) { return dir, nil }}
	}
	s.Session = func(ctx context.Context, s *ssh2.ServerSession) {
		switch {
		case s.Kind == ssh2.Exec, s.Kind == ssh2.Shell && o.terminals:
			execute(ctx, s)
		case s.Kind == ssh2.Subsystem && s.Subsystem == "sftp" && files != nil:
			info := s.Conn().Info()
			if err := files.Serve(ctx, s, sftp.SessionInfo{User: s.User(), ClientIdent: info.RemoteIdent}); err != nil {
				s.Exit(1)
			}
		default:
			s.Refuse()
		}
	}
	return s, nil
}

// newAuth lets one user in, by password or key, whichever was given.
func newAuth(o *options) (ssh2.ServerAuth, error) {
	var auth ssh2.ServerAuth
	if o.passwordFile != "" {
		data, err := os.ReadFile(o.passwordFile)
		if err != nil {
			return auth, err
		}
		want := strings.TrimRight(string(data), "\r\n")
		auth.Password = func(_ context.Context, a *ssh2.AuthAttempt, got string) ssh2.Verdict {
			right := ssh2.CheckPassword(want, got)
			return ssh2.Verdict{OK: right && a.User == o.user}
		}
	}
	if o.authorizedKeys != "" {
		data, err := os.ReadFile(o.authorizedKeys)
		if err != nil {
			return auth, err
		}
		want, _, _, _, err := gossh.ParseAuthorizedKey(data)
		if err != nil {
			return auth, err
		}
		auth.PublicKey = func(_ context.Context, a *ssh2.AuthAttempt, got gossh.PublicKey) ssh2.Verdict {
			return ssh2.Verdict{OK: a.User == o.user && bytes.Equal(got.Marshal(), want.Marshal())}
		}
	}
	return auth, nil
}

// loadHostKeys reads the keys and the certificates that lie beside them.
func loadHostKeys(files []string) ([]gossh.Signer, error) {
	var signers []gossh.Signer
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		signer, err := gossh.ParsePrivateKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		signers = append(signers, signer)
		data, err = os.ReadFile(file + "-cert.pub")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		key, _, _, _, err := gossh.ParseAuthorizedKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s-cert.pub: %w", file, err)
		}
		cert, ok := key.(*gossh.Certificate)
		if !ok {
			return nil, fmt.Errorf("%s-cert.pub: is not a certificate", file)
		}
		certSigner, err := gossh.NewCertSigner(cert, signer)
		if err != nil {
			return nil, fmt.Errorf("%s-cert.pub: %w", file, err)
		}
		signers = append(signers, certSigner)
	}
	return signers, nil
}
