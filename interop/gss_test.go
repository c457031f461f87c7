package interop

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/gssapi"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// gssFamilies returns the gss- methods that OpenSSH's programs have, without the name of the mechanism. Only some
// distributions build them with these.
func gssFamilies(t *testing.T) []string {
	t.Helper()
	if _, err := opensshVersion(); err != nil {
		missingPeer(t, "OpenSSH", err)
	}
	out, err := exec.Command("ssh", "-Q", "kex-gss").Output()
	if err != nil {
		missingPeer(t, "OpenSSH with key exchange by the GSS-API", fmt.Errorf("ssh -Q kex-gss: %w", err))
	}
	return strings.Fields(string(out))
}

// krb5Suffix is the name of Kerberos 5 in the names of methods (RFC 4462 section 2.3).
const krb5Suffix = "toWM5Slw5Ew8Mqkay+al2g=="

// startGSS runs our server in this process: sessions say who logged in by what.
func startGSS(t *testing.T, k *kdc, hostKeys ...gossh.Signer) *net.TCPAddr {
	t.Helper()
	acceptor, err := gssapi.NewAcceptor(&gssapi.AcceptorConfig{Keytab: k.hostKeytab})
	if err != nil {
		t.Fatal(err)
	}
	s := &ssh2.Server{
		Config:   ssh2.Config{Profile: ssh2.Legacy},
		HostKeys: hostKeys,
		Auth: ssh2.ServerAuth{GSSAPI: &ssh2.GSSServer{
			Mechanisms: []ssh2.GSSAcceptor{acceptor}, KeyExchange: true, Allow: gssapi.SameName(realmName),
		}},
		Session: func(_ context.Context, s *ssh2.ServerSession) {
			if s.Command == "much" {
				_, _ = s.Write(make([]byte, 8<<20))
			}
			i := s.Conn().Info()
			fmt.Fprintf(s, "%v by %v, %s, %s, %d exchanges\n", s.Identity(), i.Methods, i.Kex, i.HostKeyAlgorithm, i.KeyExchanges)
			s.Exit(0)
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
		<-served
	})
	return l.Addr().(*net.TCPAddr)
}

// gssClient runs OpenSSH's client with the GSS-API and nothing else.
func gssClient(t *testing.T, addr *net.TCPAddr, env []string, remote string, options ...string) (output, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{"-F", "none", "-p", strconv.Itoa(addr.Port), "-T"}
	for _, o := range append(options,
		"GSSAPIServerIdentity="+gssHost, "StrictHostKeyChecking=yes", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=none",
		"IdentityAgent=none", "BatchMode=yes", "LogLevel=ERROR", "GSSAPITrustDNS=no", "User="+userName) {
		args = append(args, "-o", o)
	}
	return command{"ssh", append(args, "127.0.0.1", remote), env, nil}.run(ctx)
}

// TestGSSOpenSSHClient lets OpenSSH's client in to our server by a ticket of a real KDC, with every gss- method it has.
func TestGSSOpenSSHClient(t *testing.T) { // RFC 4462
	families := gssFamilies(t)
	k := startKDC(t)
	keys := keysOf(t)
	addr := startGSS(t, k, keys.hostSigners(t)...)
	bare := startGSS(t, k)
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := keys.knownHosts(known, "127.0.0.1", addr.Port); err != nil {
		t.Fatal(err)
	}
	env, _ := k.kinit(t, userName, "")
	who := userName + "@" + realmName + " by "
	want := func(t *testing.T, out output, err error, parts ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if !strings.Contains(out.stdout, p) {
				t.Errorf("%q without %q", out.stdout[max(0, len(out.stdout)-300):], p)
			}
		}
	}
	mic := []string{"GSSAPIAuthentication=yes", "GSSAPIKeyExchange=no", "PreferredAuthentications=gssapi-with-mic", "UserKnownHostsFile=" + known}
	t.Run("gssapi-with-mic", func(t *testing.T) {
		out, err := gssClient(t, addr, env, "x", mic...)
		want(t, out, err, who+"[gssapi-with-mic]")
	})
	t.Run("delegated credentials are not looked at", func(t *testing.T) {
		out, err := gssClient(t, addr, env, "x", append(mic, "GSSAPIDelegateCredentials=yes")...)
		want(t, out, err, who+"[gssapi-with-mic]")
	})
	t.Run("new keys on the way", func(t *testing.T) {
		out, err := gssClient(t, addr, env, "much", append(mic, "RekeyLimit=256K")...)
		want(t, out, err, who+"[gssapi-with-mic]")
	})
	for _, enctype := range []string{"aes256-cts-hmac-sha384-192", "aes128-cts-hmac-sha256-128", "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96"} {
		t.Run(enctype, func(t *testing.T) {
			env, _ := k.kinit(t, userName, enctype)
			out, err := gssClient(t, addr, env, "x", mic...)
			want(t, out, err, who+"[gssapi-with-mic]")
			out, err = gssClient(t, addr, env, "x", "GSSAPIAuthentication=yes", "GSSAPIKeyExchange=yes")
			want(t, out, err, who+"[gssapi-keyex]")
		})
	}
	for _, family := range families {
		t.Run(family, func(t *testing.T) {
			options := []string{"GSSAPIAuthentication=yes", "GSSAPIKeyExchange=yes", "GSSAPIKexAlgorithms=" + family}
			out, err := gssClient(t, addr, env, "x", append(options, "PreferredAuthentications=gssapi-keyex")...)
			want(t, out, err, who+"[gssapi-keyex], "+family+krb5Suffix)
			out, err = gssClient(t, addr, env, "x", append(options, "PreferredAuthentications=gssapi-with-mic")...)
			want(t, out, err, who+"[gssapi-with-mic], "+family+krb5Suffix)
			out, err = gssClient(t, bare, env, "x", options...)
			want(t, out, err, who+"[gssapi-keyex], "+family+krb5Suffix+", null")
			out, err = gssClient(t, bare, env, "much", append(options, "RekeyLimit=256K")...)
			want(t, out, err, who, family+krb5Suffix)
			if strings.Contains(out.stdout, " 1 exchanges") {
				t.Error("keys were not exchanged anew")
			}
		})
	}
	for name, refused := range map[string]func() (output, error){
		"another user": func() (output, error) { return gssClient(t, addr, env, "x", append([]string{"User=root"}, mic...)...) },
		"another user, by the key exchange": func() (output, error) {
			return gssClient(t, addr, env, "x", "User=root", "GSSAPIAuthentication=yes", "GSSAPIKeyExchange=yes")
		},
		"stranger": func() (output, error) {
			env, _ := k.kinit(t, "stranger", "")
			return gssClient(t, addr, env, "x", mic...)
		},
		"no ticket": func() (output, error) { return gssClient(t, addr, k.environment, "x", mic...) },
		"unknown host key and no key exchange by it": func() (output, error) {
			return gssClient(t, addr, env, "x", "GSSAPIAuthentication=yes", "GSSAPIKeyExchange=no")
		},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := refused(); err == nil {
				t.Errorf("let in: %q", out.stdout)
			}
		})
	}
}

// hostSigners returns the host keys without their certificates.
func (k *keyring) hostSigners(t *testing.T) (out []gossh.Signer) {
	t.Helper()
	for _, file := range k.hostKeyFiles {
		out = append(out, must(gossh.ParsePrivateKey(must(os.ReadFile(file)))))
	}
	return out
}

// TestGSSOwnClient logs our client in to OpenSSH's server by a ticket, with every gss- method that server has.
func TestGSSOwnClient(t *testing.T) { // RFC 4462
	families := gssFamilies(t)
	k := startKDC(t)
	s := launch(t, serverOptions{sshd: &sshd{
		env: append(slices.Clone(k.environment), "KRB5_KTNAME=FILE:"+k.hostKeytab),
		settings: []string{
			"GSSAPIAuthentication yes", "GSSAPIKeyExchange yes", "GSSAPIStrictAcceptorCheck no",
			"GSSAPIKexAlgorithms " + strings.Join(families, ","),
		},
	}})
	_, cache := k.kinit(t, userName, "")
	login := func(t *testing.T, cfg *ssh2.ClientConfig, method string) *ssh2.Client {
		t.Helper()
		c, err := s.tryOurs(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Info().Methods; !slices.Equal(got, []string{method}) {
			t.Errorf("logged in by %q, want %q", got, method)
		}
		if out, err := session(t, c).Output(t.Context(), "echo in"); err != nil || string(out) != "in\n" {
			t.Errorf("command: %q, %v", out, err)
		}
		return c
	}
	client := func(t *testing.T, cfg gssapi.InitiatorConfig) *ssh2.GSSClient {
		t.Helper()
		if cfg.Config == "" {
			cfg.Config = k.conf
		}
		i, err := gssapi.NewInitiator(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		return &ssh2.GSSClient{Mechanisms: []ssh2.GSSInitiator{i}, Host: gssHost}
	}
	t.Cleanup(func() { // no login is kept and renewed behind a connection
		stacks := make([]byte, 1<<20)
		for wait := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if n := runtime.Stack(stacks, true); !strings.Contains(string(stacks[:n]), "enableAutoSessionRenewal") {
				return
			}
			if time.Now().After(wait) {
				t.Error("the Kerberos library still renews a ticket")
				return
			}
		}
	})
	for name, cfg := range map[string]gssapi.InitiatorConfig{
		"credential cache": {CredentialCache: cache},
		"keytab":           {Principal: userName, Keytab: k.userKeytab},
		"password":         {Principal: userName + "@" + realmName, Password: k.password},
	} {
		t.Run(name, func(t *testing.T) {
			g := client(t, cfg)
			ours := s.ourConfig(t)
			ours.Auth = []ssh2.AuthMethod{ssh2.GSSAPI(g)}
			login(t, ours, ssh2.MethodGSSAPI)
			login(t, ours, ssh2.MethodGSSAPI) // from the same initiator again
		})
	}
	for _, enctype := range []string{"aes256-cts-hmac-sha384-192", "aes128-cts-hmac-sha256-128", "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96"} {
		t.Run(enctype, func(t *testing.T) {
			_, cache := k.kinit(t, userName, enctype)
			g := client(t, gssapi.InitiatorConfig{Config: k.conf + "." + enctype, CredentialCache: cache})
			ours := s.ourConfig(t)
			ours.GSSKeyExchange = g
			ours.Auth = []ssh2.AuthMethod{ssh2.GSSKeyex()}
			login(t, ours, ssh2.MethodGSSKeyex)
			ours.GSSKeyExchange = nil
			ours.Auth = []ssh2.AuthMethod{ssh2.GSSAPI(g)}
			login(t, ours, ssh2.MethodGSSAPI)
		})
	}
	for _, family := range families {
		t.Run(family, func(t *testing.T) {
			g := client(t, gssapi.InitiatorConfig{CredentialCache: cache})
			ours := s.ourConfig(t)
			ours.HostKey = func(string, net.Addr, gossh.PublicKey) error { return io.ErrUnexpectedEOF } // GSS-API vouches
			ours.KeyExchanges = ssh2.AlgList(family + krb5Suffix)
			ours.GSSKeyExchange = g
			for method, auth := range map[string]ssh2.AuthMethod{ssh2.MethodGSSKeyex: ssh2.GSSKeyex(), ssh2.MethodGSSAPI: ssh2.GSSAPI(g)} {
				ours.Auth = []ssh2.AuthMethod{auth}
				c := login(t, ours, method)
				if got := c.Info().Kex; got != family+krb5Suffix {
					t.Errorf("key exchange %s", got)
				}
				if err := c.Rekey(t.Context()); err != nil {
					t.Error(err)
				}
				if out, err := session(t, c).Output(t.Context(), "echo in"); err != nil || string(out) != "in\n" {
					t.Errorf("command after new keys: %q, %v", out, err)
				}
			}
		})
	}
	t.Run("refusals", func(t *testing.T) {
		_, strangers := k.kinit(t, "stranger", "")
		for name, cfg := range map[string]gssapi.InitiatorConfig{
			"stranger": {CredentialCache: strangers}, "wrong password": {Principal: userName, Password: "wrong"}, "no cache": {CredentialCache: cache + "none"},
		} {
			ours := s.ourConfig(t)
			ours.Auth = []ssh2.AuthMethod{ssh2.GSSAPI(client(t, cfg))}
			if _, err := s.tryOurs(t, ours); err == nil {
				t.Errorf("%s: let in", name)
			} else {
				t.Logf("%s: %v", name, err)
			}
		}
		ours := s.ourConfig(t)
		g := client(t, gssapi.InitiatorConfig{CredentialCache: cache})
		g.Host = "other.fairlead.test"
		ours.GSSKeyExchange, ours.Auth = g, []ssh2.AuthMethod{ssh2.GSSAPI(g)}
		if _, err := s.tryOurs(t, ours); err == nil {
			t.Error("a host that is not in the realm was known")
		} else {
			t.Logf("unknown host: %v", err)
		}
	})
}
