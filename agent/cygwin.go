package agent

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// Cygwin has Unix sockets that are TCP sockets on the loopback interface. The
// path is a small file with the port and a secret of 16 octets, which each side
// shows the other; then both tell process, user and group. The owner of the
// file is who can read the secret, so any process that shows it may pass.

const (
	maxCygwinFile = 256
	cygwinMagic   = "!<socket >"
)

type cygwinSocket struct {
	port   uint16
	secret [16]byte
}

var errNotCygwin = errors.New("not a Cygwin socket")

// parseCygwin reads the text of a socket file:
//
//	!<socket >PORT s XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX
func parseCygwin(data []byte) (*cygwinSocket, error) {
	rest, ok := bytes.CutPrefix(data, []byte(cygwinMagic))
	if !ok || len(data) > maxCygwinFile {
		return nil, errNotCygwin
	}
	fields := bytes.Fields(bytes.TrimRight(rest, "\x00"))
	if len(fields) != 3 || string(fields[1]) != "s" {
		return nil, errNotCygwin
	}
	port, err := strconv.ParseUint(string(fields[0]), 10, 16)
	words := bytes.Split(fields[2], []byte("-"))
	if err != nil || port == 0 || len(words) != 4 {
		return nil, errNotCygwin
	}
	s := &cygwinSocket{port: uint16(port)}
	for i, w := range words {
		n, err := strconv.ParseUint(string(w), 16, 32)
		if err != nil || len(w) != 8 {
			return nil, errNotCygwin
		}
		binary.LittleEndian.PutUint32(s.secret[4*i:], uint32(n))
	}
	return s, nil
}

// credentials are process, user and group.
type credentials [12]byte

// dialCygwin connects twice: the first time it learns which user and group the
// agent has, which are then our own, as Cygwin wants to see them.
func dialCygwin(ctx context.Context, path string) (io.ReadWriteCloser, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := parseCygwin(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var mine credentials
	binary.LittleEndian.PutUint32(mine[:], uint32(os.Getpid()))
	first, theirs, err := s.connect(ctx, mine)
	if err != nil {
		return nil, err
	}
	_ = first.Close()
	copy(mine[4:], theirs[4:])
	conn, _, err := s.connect(ctx, mine)
	return conn, err
}

// connect shows the secret and exchanges credentials.
func (s *cygwinSocket) connect(ctx context.Context, mine credentials) (_ net.Conn, theirs credentials, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.port))))
	if err != nil {
		return nil, theirs, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			_ = conn.Close()
			err = fmt.Errorf("cygwin socket: %w", err)
		}
	}()
	if _, err := conn.Write(s.secret[:]); err != nil {
		return nil, theirs, err
	}
	var secret [16]byte
	if _, err := io.ReadFull(conn, secret[:]); err != nil {
		return nil, theirs, err
	}
	if subtle.ConstantTimeCompare(secret[:], s.secret[:]) != 1 {
		return nil, theirs, errors.New("answered with another secret")
	}
	if _, err := conn.Write(mine[:]); err != nil {
		return nil, theirs, err
	}
	if _, err := io.ReadFull(conn, theirs[:]); err != nil {
		return nil, theirs, err
	}
	return conn, theirs, nil
}
