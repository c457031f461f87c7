package main

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"
)

// clientOptions are what get, put and ls have in common: how to reach a host.
type clientOptions struct {
	port       string
	config     string
	identities []string
	jump       string
	options    []string
	compress   bool
	ipv4, ipv6 bool
	batch      bool
	quiet      bool
	verbose    bool
	server     string
	version    int
	limit      int64 // octets a second, each way; 0 is none
	help       bool
}

// add defines the flags; help are the names of that one.
func (o *clientOptions) add(f *flagSet, help string) {
	f.value(func(s string) (err error) { o.port, err = checkPort(s); return err }, "P,port", "PORT", "connect to this port")
	f.list(&o.identities, "i,identity", "FILE", "log in with the key in this file; may be repeated")
	f.text(&o.jump, "J,jump", "HOST[,HOST...]", "go by way of these hosts: [user@]host[:port]")
	f.text(&o.config, "F,config", "FILE", "read this in place of ~/.ssh/config and the system's; none reads nothing")
	f.list(&o.options, "o,option", "OPTION=VALUE", "set an option of ssh_config(5); may be repeated")
	f.on(&o.compress, "C,compress", "compress what is sent, for slow links")
	f.on(&o.ipv4, "4,ipv4", "use IPv4 only")
	f.on(&o.ipv6, "6,ipv6", "use IPv6 only")
	f.on(&o.batch, "B,batch", "ask nothing: fail where a question would be asked")
	f.value(func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 3 || n > 6 {
			return fmt.Errorf("is not one of 3, 4, 5, 6")
		}
		o.version = n
		return nil
	}, "sftp-version", "VERSION", "speak exactly this version of SFTP, 3 to 6 (default: the newest that the server speaks)")
	f.text(&o.server, "s,sftp-server", "SUBSYSTEM|COMMAND", "ask for this subsystem in place of sftp; with a slash or space in it, run this command of the host")
	f.on(&o.quiet, "q,quiet", "no progress, no banners: only errors")
	f.on(&o.verbose, "v,verbose", "tell more, of the connection too")
	f.on(&o.help, help, "print this")
}

// sshConfig is the configuration with what the flags say on top.
func (o *clientOptions) sshConfig(me account) (*sshConfig, error) {
	file := o.config
	if file != "" && file != "none" {
		var err error
		if file, err = (&sshConfig{me: me}).expandFile(file, map[byte]string{}); err != nil {
			return nil, err
		}
	}
	c, err := newSSHConfig(file, me)
	if err != nil {
		return nil, err
	}
	for _, s := range o.options {
		if err := c.give(s); err != nil {
			return nil, fmt.Errorf("-o %w", err)
		}
	}
	add := func(name, value string) { c.given = append(c.given, givenOption{name, value}) }
	if o.port != "" {
		add("Port", o.port)
	}
	for _, file := range o.identities {
		add("IdentityFile", file)
	}
	if o.jump != "" {
		add("ProxyJump", o.jump)
	}
	if o.compress {
		add("Compression", "yes")
	}
	if o.batch {
		add("BatchMode", "yes")
	}
	switch {
	case o.ipv4 && o.ipv6:
		return nil, fmt.Errorf("both -4 and -6")
	case o.ipv4:
		add("AddressFamily", "inet")
	case o.ipv6:
		add("AddressFamily", "inet6")
	}
	return c, nil
}

// logger is the log of the connection, for -v.
func (o *clientOptions) logger(stderr io.Writer) *slog.Logger {
	if !o.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(escaper{stderr}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			a.Value = slog.StringValue(a.Value.Time().Format(time.TimeOnly))
		}
		return addrText(groups, a)
	}}))
}
