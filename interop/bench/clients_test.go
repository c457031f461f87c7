package bench

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	pkgsftp "github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
)

// A client moves files over an SSH connection that is there already.
type client interface {
	// get reads all of a file and puts its content into into, or nowhere if that is nil.
	get(name string, size int, into []byte) error
	put(name string, data []byte) error
	close() error
}

// clients are the ways to use a server. Both run on x/crypto/ssh, so that the transport of the client is the same for
// both servers.
var clients = []struct {
	name string
	open func(*gossh.Client) (client, error)
}{
	{"pkgsftp", openPkg},
	{"raw", openRaw},
}

const (
	block  = 32 << 10 // octets per READ and WRITE: what every server takes
	inWork = 64       // requests under way
)

// pkgClient is pkg/sftp with all that makes it fast.
type pkgClient struct{ *pkgsftp.Client }

func openPkg(conn *gossh.Client) (client, error) {
	c, err := pkgsftp.NewClient(conn, pkgsftp.UseConcurrentReads(true), pkgsftp.UseConcurrentWrites(true),
		pkgsftp.MaxConcurrentRequestsPerFile(inWork), pkgsftp.MaxPacket(block))
	return pkgClient{c}, err
}

func (c pkgClient) get(name string, size int, into []byte) error {
	f, err := c.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var to io.Writer = io.Discard
	if into != nil {
		to = bytes.NewBuffer(into[:0])
	}
	n, err := f.WriteTo(to)
	if err == nil && n != int64(size) {
		err = fmt.Errorf("%d octets, want %d", n, size)
	}
	return err
}

func (c pkgClient) put(name string, data []byte) error {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.ReadFromWithConcurrency(bytes.NewReader(data), inWork)
	return errors.Join(err, f.Close())
}

func (c pkgClient) close() error { return c.Close() }

// rawClient does as little as possible: it knows its requests beforehand and looks at the heads of the answers only.
// What it costs is nearly all SSH's.
type rawClient struct {
	ch  gossh.Channel
	in  *bufio.Reader
	out []byte // the packet being built
}

// Message numbers and flags of SFTP version 3.
const (
	fxpInit, fxpVersion              = 1, 2
	fxpOpen, fxpClose                = 3, 4
	fxpRead, fxpWrite                = 5, 6
	fxpStatus, fxpHandle, fxpData    = 101, 102, 103
	openRead, openWrite, creat, trun = 1, 2, 8, 16
)

func openRaw(conn *gossh.Client) (client, error) {
	ch, requests, err := conn.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	go gossh.DiscardRequests(requests)
	ok, err := ch.SendRequest("subsystem", true, gossh.Marshal(struct{ Name string }{"sftp"}))
	if err == nil && !ok {
		err = errors.New("no sftp subsystem")
	}
	if err != nil {
		return nil, errors.Join(err, ch.Close())
	}
	c := &rawClient{ch: ch, in: bufio.NewReaderSize(ch, 2*block), out: make([]byte, 0, 2*block)}
	c.begin(fxpInit, 3)
	if err := c.send(); err != nil {
		return nil, err
	}
	kind, _, n, err := c.head()
	if err != nil || kind != fxpVersion {
		return nil, fmt.Errorf("answer %d to INIT: %w", kind, err)
	}
	_, err = c.in.Discard(n)
	return c, err
}

func (c *rawClient) begin(kind byte, id uint32) {
	c.out = append(c.out[:0], 0, 0, 0, 0, kind)
	c.out = binary.BigEndian.AppendUint32(c.out, id)
}

func (c *rawClient) text(s string) {
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(len(s)))
	c.out = append(c.out, s...)
}

func (c *rawClient) send() error {
	binary.BigEndian.PutUint32(c.out, uint32(len(c.out)-4))
	_, err := c.ch.Write(c.out)
	return err
}

// head reads the head of an answer and returns how many octets follow.
func (c *rawClient) head() (kind byte, id uint32, rest int, err error) {
	var b [9]byte
	if _, err = io.ReadFull(c.in, b[:]); err != nil {
		return 0, 0, 0, err
	}
	n := binary.BigEndian.Uint32(b[:])
	if n < 5 || n > 1<<20 {
		return 0, 0, 0, fmt.Errorf("answer of %d octets", n)
	}
	return b[4], binary.BigEndian.Uint32(b[5:]), int(n) - 5, nil
}

// status reads an answer that has to be good news.
func (c *rawClient) status() error {
	kind, _, n, err := c.head()
	if err != nil {
		return err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return err
	}
	if kind != fxpStatus || n < 4 || binary.BigEndian.Uint32(body) != 0 {
		return fmt.Errorf("answer %d: %q", kind, body)
	}
	return nil
}

func (c *rawClient) open(name string, flags uint32) (handle string, err error) {
	c.begin(fxpOpen, 0)
	c.text(name)
	c.out = binary.BigEndian.AppendUint32(c.out, flags)
	c.out = binary.BigEndian.AppendUint32(c.out, 0) // no attributes
	if err := c.send(); err != nil {
		return "", err
	}
	kind, _, n, err := c.head()
	if err != nil {
		return "", err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return "", err
	}
	if kind != fxpHandle || n < 4 {
		return "", fmt.Errorf("answer %d to OPEN: %q", kind, body)
	}
	return string(body[4:]), nil
}

func (c *rawClient) done(handle string) error {
	c.begin(fxpClose, 0)
	c.text(handle)
	if err := c.send(); err != nil {
		return err
	}
	return c.status()
}

// request names a block of an open file; the id is the number of the block.
func (c *rawClient) request(kind byte, handle string, number int) {
	c.begin(kind, uint32(number))
	c.text(handle)
	c.out = binary.BigEndian.AppendUint64(c.out, uint64(number)*block)
}

func (c *rawClient) get(name string, size int, into []byte) error {
	handle, err := c.open(name, openRead)
	if err != nil {
		return err
	}
	blocks, asked := size/block, 0
	ask := func() error {
		c.request(fxpRead, handle, asked)
		c.out = binary.BigEndian.AppendUint32(c.out, block)
		asked++
		return c.send()
	}
	for asked < min(inWork, blocks) {
		if err := ask(); err != nil {
			return err
		}
	}
	for range blocks {
		kind, id, n, err := c.head()
		if err != nil {
			return err
		}
		if kind != fxpData || n != block+4 || int(id) >= blocks {
			return fmt.Errorf("answer %d to READ %d of %d octets", kind, id, n)
		}
		if into == nil {
			_, err = c.in.Discard(n)
		} else if _, err = c.in.Discard(4); err == nil {
			_, err = io.ReadFull(c.in, into[int(id)*block:][:block])
		}
		if err == nil && asked < blocks {
			err = ask()
		}
		if err != nil {
			return err
		}
	}
	return c.done(handle)
}

func (c *rawClient) put(name string, data []byte) error {
	handle, err := c.open(name, openWrite|creat|trun)
	if err != nil {
		return err
	}
	blocks := len(data) / block
	for i := range blocks + inWork { // answers are read inWork requests behind
		if i < blocks {
			c.request(fxpWrite, handle, i)
			c.text("")
			binary.BigEndian.PutUint32(c.out[len(c.out)-4:], block)
			c.out = append(c.out, data[i*block:][:block]...)
			if err := c.send(); err != nil {
				return err
			}
		}
		if i >= inWork && i-inWork < blocks {
			if err := c.status(); err != nil {
				return err
			}
		}
	}
	return c.done(handle)
}

func (c *rawClient) close() error { return c.ch.Close() }
