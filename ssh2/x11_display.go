package ssh2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// An X11Display is a display that X11 programs can connect to.
type X11Display struct {
	// Network and Address are where it listens, as for net.Dial: "unix" and a
	// path, or "tcp" and a host with a port.
	Network, Address string
	// Screen is the number of the screen that DISPLAY names.
	Screen uint32
	// Protocol and Cookie are the authorization data that programs have to
	// present; empty means none.
	Protocol string
	Cookie   []byte
}

// ErrNoX11Display means that no display was given and DISPLAY names none.
var ErrNoX11Display = errors.New("ssh2: x11: no DISPLAY")

// FindX11Display finds the display of that name, as in DISPLAY, which an empty
// name stands for: "[host]:number[.screen]". No host, or "unix", is a Unix socket
// of this machine. The cookie is that which the user's .Xauthority file has for
// the display (or the file named by XAUTHORITY), none if there is none. It does
// not connect, but may ask for the addresses of the host.
func FindX11Display(name string) (*X11Display, error) {
	if name == "" {
		name = os.Getenv("DISPLAY")
	}
	if name == "" {
		return nil, ErrNoX11Display
	}
	file := os.Getenv("XAUTHORITY")
	if file == "" {
		if home, err := os.UserHomeDir(); err == nil {
			file = filepath.Join(home, ".Xauthority")
		}
	}
	d, host, number, err := parseX11Display(name)
	if err != nil {
		return nil, err
	}
	entries, err := readXauthority(file)
	if err != nil {
		return nil, err
	}
	local, addrs := d.Network == "unix", []netip.Addr(nil)
	if !local {
		if addrs, err = lookUp(host); err != nil {
			return nil, err
		}
		for _, a := range addrs {
			local = local || a.IsLoopback()
		}
	}
	self, _ := os.Hostname() // without a name nothing is found by it
	for _, e := range entries {
		if e.protocol == MITMagicCookie && e.fits(local, self, addrs, number) {
			d.Protocol, d.Cookie = e.protocol, e.cookie
			break
		}
	}
	return d, nil
}

// lookUp returns the addresses of a host, IPv4 ones as such.
func lookUp(host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", host)
	if err != nil {
		return nil, fmt.Errorf("ssh2: x11: %w", err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

const (
	x11SocketDir = "/tmp/.X11-unix/X"
	x11Port      = 6000
	maxX11Number = 65535 - x11Port
)

// parseX11Display reads a name as in DISPLAY.
func parseX11Display(name string) (d *X11Display, host string, number int, err error) {
	bad := func() (*X11Display, string, int, error) {
		return nil, "", 0, fmt.Errorf("ssh2: x11: display %+q: want [host]:number[.screen]", clip(name))
	}
	colon := strings.LastIndexByte(name, ':')
	if colon < 0 {
		return bad()
	}
	numbers, screens, hasScreen := strings.Cut(name[colon+1:], ".")
	n, err := strconv.ParseUint(numbers, 10, 16)
	if err != nil || n > maxX11Number {
		return bad()
	}
	var screen uint64
	if hasScreen {
		if screen, err = strconv.ParseUint(screens, 10, 32); err != nil {
			return bad()
		}
	}
	d = &X11Display{Screen: uint32(screen)}
	host = name[:colon]
	switch {
	case strings.HasPrefix(host, "/"): // macOS: the path of a socket, the number being part of it
		d.Network, d.Address = "unix", host+":"+numbers
	case host == "" || host == "unix":
		d.Network, d.Address = "unix", x11SocketDir+numbers
	default:
		host = strings.TrimPrefix(strings.TrimPrefix(host, "tcp/"), "inet/")
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if host == "" {
			return bad()
		}
		d.Network, d.Address = "tcp", net.JoinHostPort(host, strconv.Itoa(x11Port+int(n)))
	}
	return d, host, int(n), nil
}

// Dial connects to the display. On Linux a socket that has no file is looked for
// among those without.
func (d *X11Display) Dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, d.Network, d.Address)
	if err != nil && runtime.GOOS == "linux" && d.Network == "unix" && errors.Is(err, os.ErrNotExist) {
		nc, err = dialer.DialContext(ctx, "unix", "@"+d.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("ssh2: x11: %w", err)
	}
	return nc, nil
}
