package transport

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

const (
	// maxIdent is the longest ident line, CR LF included (RFC 4253 section 4.2).
	maxIdent = 255
	// A server may send lines before its ident. OpenSSH's client gives up
	// after 1024 lines; a line of several KiB is some proxy's error page.
	maxPreIdentLines = 1024
	maxPreIdentLine  = 8 << 10
	// maxGreeting is how much of these lines is kept.
	maxGreeting = 8 << 10
)

// exchangeIdents is RFC 4253 section 4.2: both sides send their ident at once,
// without waiting for the other.
func (c *Conn) exchangeIdents() error {
	if err := checkIdent(c.cfg.Version); err != nil {
		return err
	}
	ident := urgent{buf: bufOf([]byte(c.cfg.Greeting + c.cfg.Version + "\r\n")), raw: true}
	if c.cfg.Role == msg.Server && c.cfg.Choose == nil {
		// "Key exchange will begin immediately after sending this identifier":
		// KEXINIT goes along, which saves a segment and half a round trip. A
		// client waits, since servers exist that lose what comes too early.
		c.startKex(KexFirst, ident)
	} else {
		c.out.sendUrgent(ident)
	}
	var greeting []byte
	for lines := 0; ; lines++ {
		line, err := c.readLine()
		if err != nil {
			c.mu.Lock()
			c.info.Greeting = string(greeting) // often the reason, as "Exceeded MaxStartups"
			c.mu.Unlock()
			return err
		}
		if !bytes.HasPrefix(line, []byte("SSH-")) {
			// Only a server may say something first.
			if c.cfg.Role == msg.Server {
				return c.identError("does not start with SSH-")
			}
			if lines == maxPreIdentLines {
				return c.identError("too many lines before it")
			}
			line = append(line, '\n')
			greeting = append(greeting, line[:min(len(line), maxGreeting-len(greeting))]...)
			continue
		}
		if len(line) > maxIdent-2 {
			return c.identError("longer than 255 octets")
		}
		for _, b := range line {
			// The RFC says printable US-ASCII; what is refused is only what
			// could harm a log or the exchange hash, since peers with UTF-8
			// in the comment exist.
			if b < ' ' || b == 0x7F {
				return c.identError("control character")
			}
		}
		ident := string(line)
		if !strings.HasPrefix(ident, "SSH-2.0-") && !(strings.HasPrefix(ident, "SSH-1.99-") && c.cfg.Role == msg.Client) {
			return c.identError(fmt.Sprintf("version not supported: %+q", clip(ident, 16)))
		}
		c.quirks.Store(uint32(quirksOf(c.cfg.Role.Other(), ident)))
		c.mu.Lock()
		c.info.RemoteIdent, c.info.Greeting = ident, string(greeting)
		c.mu.Unlock()
		if c.cfg.Greeted != nil && len(greeting) > 0 {
			c.cfg.Greeted(string(greeting))
		}
		if c.cfg.OnIdent != nil {
			c.cfg.OnIdent(ident)
		}
		return c.admit(ident)
	}
}

// admit asks the configuration of a server about the client's ident.
func (c *Conn) admit(ident string) error {
	if c.cfg.Admit != nil {
		if err := c.cfg.Admit(ident); err != nil {
			err = &IdentError{ident, err}
			c.end(err, ReasonVersionNotSupported, "ident not accepted")
			return err
		}
	}
	if c.cfg.Choose != nil {
		if err := c.choose(ident); err != nil {
			err = &IdentError{ident, err}
			c.end(err, ReasonHostNotAllowed, "not allowed to connect")
			return err
		}
	}
	return nil
}

// readLine returns the next line without its end, LF or CR LF.
func (c *Conn) readLine() ([]byte, error) {
	limit := maxPreIdentLine
	if c.cfg.Role == msg.Server {
		limit = maxIdent
	}
	for seen := 0; ; {
		p := c.in.Bytes()
		p = p[:min(len(p), limit)] // the same verdict however the octets arrive
		if i := bytes.IndexByte(p[seen:], '\n'); i >= 0 {
			line := bytes.TrimSuffix(bytes.Clone(p[:seen+i]), []byte("\r"))
			c.in.Skip(seen + i + 1)
			return line, nil
		}
		if seen = len(p); seen >= limit {
			return nil, c.identError("line too long")
		}
		if err := c.fill(seen + 1); err != nil {
			return nil, err
		}
	}
}

// identError ends the connection before it is one: the peer may not speak SSH
// at all, so a client is told in plain text, and nobody by DISCONNECT.
func (c *Conn) identError(why string) error {
	err := &ProtocolError{ReasonVersionNotSupported, "ident: " + why}
	if c.cfg.Role == msg.Server {
		c.out.sendUrgent(urgent{buf: bufOf([]byte("Invalid SSH identification string.\r\n")), raw: true})
	}
	c.endAfterFlush(err)
	return err
}

// checkIdent refuses an ident of our own that peers would refuse.
func checkIdent(v string) error {
	if !strings.HasPrefix(v, "SSH-2.0-") || len(v) > maxIdent-2 || len(v) == len("SSH-2.0-") {
		return fmt.Errorf("ssh2: ident: %+q is not SSH-2.0-software", clip(v, maxIdent))
	}
	for _, b := range []byte(v) {
		if b < ' ' || b >= 0x7F {
			return fmt.Errorf("ssh2: ident: %+q has a character that may not be in it", v)
		}
	}
	return nil
}
