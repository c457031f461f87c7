package interop

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// kinds are the columns of a KEXINIT that carry security, under the names algorithms uses.
var kinds = []string{"kex", "hostkey", "cipher", "mac"}

// A kexinit is what a server offers in its first KEXINIT (RFC 4253 section 7.1), client to server and server to
// client.
type kexinit struct {
	kex, hostKeys, ciphersIn, ciphersOut, macsIn, macsOut, compressionIn, compressionOut []string
}

// readKexinit connects, exchanges identification lines and reads the server's first packet: no SSH library is in
// the way of what the server really sends.
func readKexinit(addr string) (*kexinit, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return exchangeKexinit(conn)
}

// exchangeKexinit exchanges identification lines and reads the peer's first packet, whichever end it is.
func exchangeKexinit(conn net.Conn) (*kexinit, error) {
	if _, err := io.WriteString(conn, "SSH-2.0-KexinitReader\r\n"); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(line, "SSH-2.0-") {
			break
		}
	}
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length, padding := binary.BigEndian.Uint32(head[:4]), uint32(head[4])
	if length > 35000 || length < padding+1 {
		return nil, fmt.Errorf("packet length %d with %d of padding", length, padding)
	}
	payload := make([]byte, length-1)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	payload = payload[:length-1-padding]
	if len(payload) < 17 || payload[0] != 20 {
		return nil, errors.New("the first packet is no KEXINIT")
	}
	rest := payload[17:] // after the message number and the cookie
	lists := make([][]string, 10)
	for i := range lists {
		if len(rest) < 4 || uint32(len(rest)-4) < binary.BigEndian.Uint32(rest) {
			return nil, errors.New("KEXINIT ends too early")
		}
		n := binary.BigEndian.Uint32(rest)
		if n > 0 {
			lists[i] = strings.Split(string(rest[4:4+n]), ",")
		}
		rest = rest[4+n:]
	}
	return &kexinit{
		kex: lists[0], hostKeys: lists[1], ciphersIn: lists[2], ciphersOut: lists[3], macsIn: lists[4], macsOut: lists[5],
		compressionIn: lists[6], compressionOut: lists[7],
	}, nil
}

// offers returns the algorithms of a kind; names in the kex list that only announce something are left out.
func (k *kexinit) offers(kind string) []string {
	switch kind {
	case "kex":
		return slices.DeleteFunc(slices.Clone(k.kex), func(name string) bool {
			return strings.HasPrefix(name, "ext-info-") || strings.HasPrefix(name, "kex-strict-")
		})
	case "hostkey":
		return k.hostKeys
	case "cipher":
		return k.ciphersIn
	case "compression":
		return k.compressionIn
	default:
		return k.macsIn
	}
}

// terrapin says why the server is open to the prefix truncation attack (CVE-2023-48795), "" if it is not: open is
// who offers ChaCha20-Poly1305, or CBC with an encrypt-then-MAC mode, and does not offer strict key exchange.
func (k *kexinit) terrapin() string {
	if slices.Contains(k.kex, "kex-strict-s-v00@openssh.com") {
		return ""
	}
	for _, way := range []struct{ ciphers, macs []string }{{k.ciphersIn, k.macsIn}, {k.ciphersOut, k.macsOut}} {
		if slices.Contains(way.ciphers, "chacha20-poly1305@openssh.com") {
			return "chacha20-poly1305@openssh.com without strict kex"
		}
		cbc := slices.IndexFunc(way.ciphers, func(name string) bool { return strings.HasSuffix(name, "-cbc") })
		etm := slices.IndexFunc(way.macs, func(name string) bool { return strings.HasSuffix(name, "-etm@openssh.com") })
		if cbc >= 0 && etm >= 0 {
			return way.ciphers[cbc] + " with " + way.macs[etm] + " without strict kex"
		}
	}
	return ""
}
