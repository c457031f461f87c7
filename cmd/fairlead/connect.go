package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A connector makes connections to hosts as ssh would.
type connector struct {
	config *sshConfig
	term   terminal // nil: nobody can be asked
	notes  io.Writer
	log    *slog.Logger // nil: no log
	quiet  bool         // no banners

	mu      sync.Mutex
	closers []*ssh2.Client // the connections, in the order they were made
}

// Close ends all connections. It may be called by several goroutines.
func (c *connector) Close() error {
	c.mu.Lock()
	closers := c.closers
	c.closers = nil
	c.mu.Unlock()
	for _, conn := range slices.Backward(closers) {
		_ = conn.Close()
	}
	return nil
}

// leave takes leave of the hosts, so that their logs do not speak of connections that broke. Close ends it.
func (c *connector) leave() {
	c.mu.Lock()
	clients := slices.Clone(c.closers)
	c.mu.Unlock()
	for _, client := range slices.Backward(clients) {
		_ = client.Disconnect(ssh2.DisconnectByApplication, "done")
	}
}

// connect logs in to the host of t.
func (c *connector) connect(ctx context.Context, t *target) (*ssh2.Client, *hostSettings, error) {
	h, err := c.config.lookUp(t.host, t.user, t.port)
	if err != nil {
		return nil, nil, err
	}
	client, err := c.client(ctx, h, t.fingerprint, 0)
	if err != nil {
		return nil, nil, c.explain(h, err)
	}
	return client, h, nil
}

// client logs in to a host, which is depth hops behind another one's.
func (c *connector) client(ctx context.Context, h *hostSettings, fingerprint string, depth int) (*ssh2.Client, error) {
	policy, err := c.hostKeys(h, fingerprint)
	if err != nil {
		return nil, err
	}
	l := &login{h: h, term: c.term, notes: c.notes}
	cfg := &ssh2.ClientConfig{
		Config: ssh2.Config{
			KeyExchanges: h.kex, HostKeyAlgorithms: h.hostKeyAlgorithms, Ciphers: h.ciphers, MACs: h.macs,
			MinRSABits: h.minRSABits,
			KeepAlive:  ssh2.KeepAlive{Interval: h.aliveInterval, Count: h.aliveCount},
			Timeouts:   ssh2.Timeouts{Ident: h.connectTimeout, Kex: h.connectTimeout},
			Log:        c.log,
		},
		User: h.user, Auth: l.methods(),
		PublicKeyAlgorithms: h.pubkeyAlgorithms,
		HostKeyPolicy:       policy,
		Banner: func(text, _ string) {
			if !c.quiet {
				_, _ = io.WriteString(c.notes, strings.TrimRight(plainLines(text), "\n")+"\n")
			}
		},
	}
	if len(cfg.Auth) == 0 {
		return nil, errors.New("no way to log in is left: nobody can be asked for a password here, and keys are switched off")
	}
	if h.compression {
		cfg.Compression = "^zlib@openssh.com"
	}
	nc, err := c.dial(ctx, h, depth)
	if err != nil {
		return nil, err
	}
	client, err := ssh2.NewClient(ctx, nc, policy.addr, cfg)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.closers = append(c.closers, client)
	c.mu.Unlock()
	return client, nil
}

// maxJumps bounds hosts behind hosts: a configuration may go round in circles.
const maxJumps = 8

// dial makes the connection below SSH's.
func (c *connector) dial(ctx context.Context, h *hostSettings, depth int) (net.Conn, error) {
	addr := net.JoinHostPort(h.hostName, h.port)
	switch {
	case depth > maxJumps:
		return nil, fmt.Errorf("ProxyJump: more than %d hosts on the way", maxJumps)
	case h.proxyJump != "" && !strings.EqualFold(h.proxyJump, "none"):
		via, err := c.jump(ctx, h.proxyJump, depth)
		if err != nil {
			return nil, err
		}
		return via.DialContext(ctx, "tcp", addr)
	case h.proxyCommand != "" && !strings.EqualFold(h.proxyCommand, "none"):
		command, err := expandCommand(h.proxyCommand, c.config.tokens(h))
		if err != nil {
			return nil, fmt.Errorf("ProxyCommand: %w", err)
		}
		return startProxy(command, addr, c.notes)
	}
	d := net.Dialer{Timeout: h.connectTimeout}
	if h.bindAddress != "" {
		ip, err := net.ResolveIPAddr("ip", h.bindAddress)
		if err != nil {
			return nil, fmt.Errorf("BindAddress: %w", err)
		}
		d.LocalAddr = &net.TCPAddr{IP: ip.IP, Zone: ip.Zone}
	}
	return d.DialContext(ctx, h.addressFamily, addr)
}

// jump logs in to the last host of a ProxyJump, by way of those before it.
func (c *connector) jump(ctx context.Context, list string, depth int) (*ssh2.Client, error) {
	before, last := "", list
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		before, last = list[:i], list[i+1:]
	}
	t, err := parseHop(strings.TrimSpace(last))
	if err != nil {
		return nil, fmt.Errorf("ProxyJump: %q: %w", last, err)
	}
	h, err := c.config.forHops().lookUp(t.host, t.user, t.port)
	if err != nil {
		return nil, err
	}
	if h.proxyJump == list { // given for all hosts, which must end somewhere
		h.proxyJump = ""
	}
	if before != "" {
		h.proxyJump, h.proxyCommand = before, ""
	}
	client, err := c.client(ctx, h, "", depth+1)
	if err != nil {
		return nil, c.explain(h, err)
	}
	return client, nil
}

// parseHop reads [user@]host[:port] or ssh://[user@]host[:port].
func parseHop(s string) (*target, error) {
	if rest, ok := strings.CutPrefix(s, "ssh://"); ok {
		s = strings.TrimSuffix(rest, "/")
	}
	t := &target{}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		t.user, s = s[:i], s[i+1:]
	}
	t.host = s
	if host, port, err := net.SplitHostPort(s); err == nil {
		t.host = host
		if t.port, err = checkPort(port); err != nil {
			return nil, err
		}
	} else if strings.HasPrefix(s, "[") {
		t.host = strings.TrimSuffix(s[1:], "]")
	}
	return t, t.check()
}

// explain says in one line why there is no connection, and what to do.
func (c *connector) explain(h *hostSettings, err error) error {
	if told := (explained{}); errors.As(err, &told) {
		return err
	}
	at := plain(h.hostName)
	if h.port != "22" {
		at = plain(net.JoinHostPort(h.hostName, h.port))
	}
	var dns *net.DNSError
	var auth *ssh2.AuthError
	var known *ssh2.KnownHostsError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled) || errors.As(err, new(signalError)):
		return err
	case errors.As(err, &known):
		return explained{hostKeyAdvice(known, err)}
	case errors.As(err, &auth):
		text := fmt.Sprintf("%s: login as %s failed: %s", at, plain(h.user), plain(strings.TrimPrefix(err.Error(), "ssh2: ")))
		if c.term == nil || h.batch {
			text += "; nobody could be asked for a password here"
		}
		return explained{errors.New(text)}
	case errors.As(err, &dns):
		return explained{fmt.Errorf("%s: the name is not known: %s", at, plain(bareDNS(dns)))}
	case errors.As(err, &op) && op.Op == "dial":
		return explained{fmt.Errorf("%s: cannot connect: %s", at, plain(op.Err.Error()))}
	case errors.Is(err, io.EOF):
		return explained{fmt.Errorf("%s: the server ended the connection during the handshake", at)}
	}
	return explained{fmt.Errorf("%s: %s", at, plain(strings.TrimPrefix(err.Error(), "ssh2: ")))}
}

func bareDNS(e *net.DNSError) string {
	if e.IsNotFound {
		return "no such host; is it spelled right, or an alias that ~/.ssh/config does not have?"
	}
	return e.Err
}

// explained is an error that has been made fit for a person.
type explained struct{ error }

// Unwrap returns it.
func (e explained) Unwrap() error { return e.error }
