package ssh2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
)

// Families of addresses in .Xauthority files.
const (
	xauthInternet  = 0
	xauthInternet6 = 6
	xauthLocal     = 256   // the address is the host's name
	xauthWild      = 65535 // any address
)

// An xauthEntry is how to log in to a display, as one entry of a .Xauthority
// file says. All of it is big-endian, and each field has its length in front.
type xauthEntry struct {
	family   uint16
	address  []byte
	number   string // of the display; empty is any
	protocol string
	cookie   []byte
}

// maxXauthority is the largest .Xauthority file that is read.
const maxXauthority = 1 << 20

var errXauthority = errors.New("ssh2: x11: malformed .Xauthority")

// parseXauthority reads a .Xauthority file.
func parseXauthority(p []byte) ([]xauthEntry, error) {
	var entries []xauthEntry
	field := func() (f []byte, ok bool) {
		if len(p) < 2 || len(p)-2 < int(binary.BigEndian.Uint16(p)) {
			return nil, false
		}
		n := 2 + int(binary.BigEndian.Uint16(p))
		f, p = p[2:n], p[n:]
		return f, true
	}
	for len(p) > 0 {
		if len(p) < 2 {
			return nil, errXauthority
		}
		e := xauthEntry{family: binary.BigEndian.Uint16(p)}
		p = p[2:]
		address, ok1 := field()
		number, ok2 := field()
		protocol, ok3 := field()
		cookie, ok4 := field()
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return nil, errXauthority
		}
		e.address, e.number, e.protocol, e.cookie = address, string(number), string(protocol), cookie
		entries = append(entries, e)
	}
	return entries, nil
}

// append appends the entry as it stands in a file. No field is longer than 64
// KiB.
func (e *xauthEntry) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, e.family)
	for _, f := range [][]byte{e.address, []byte(e.number), []byte(e.protocol), e.cookie} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(f))), f...)
	}
	return b
}

// fits tells whether the entry is for display number of a host: local ones by
// the name of this host, others by their addresses.
func (e *xauthEntry) fits(local bool, host string, addrs []netip.Addr, number int) bool {
	if e.number != "" && e.number != strconv.Itoa(number) {
		return false
	}
	switch e.family {
	case xauthWild:
		return true
	case xauthLocal:
		return local && string(e.address) == host
	case xauthInternet, xauthInternet6:
		return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return bytes.Equal(a.AsSlice(), e.address) })
	}
	return false
}

// readXauthority reads the file of that name; one that is not there is empty.
func readXauthority(name string) ([]xauthEntry, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ssh2: x11: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxXauthority+1))
	if err != nil {
		return nil, fmt.Errorf("ssh2: x11: %w", err)
	}
	if len(data) > maxXauthority {
		return nil, fmt.Errorf("ssh2: x11: %s: longer than %d octets", name, maxXauthority)
	}
	return parseXauthority(data)
}
