package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// PingExtension is the name in EXT_INFO by which an end says that it answers
// PING (OpenSSH PROTOCOL 1.9).
const PingExtension = "ping@openssh.com"

// maxPing bounds the data that is echoed.
const maxPing = 1 << 10

// pong answers PING.
func (c *Conn) pong(p []byte) error {
	var m msg.Ping
	if err := msg.Decode(p, &m); err != nil {
		return c.Violation("%v", err)
	}
	if len(m.Data) > maxPing {
		return c.Violation("PING with %d octets", len(m.Data))
	}
	return c.PostMessage(&msg.Pong{Data: m.Data})
}

// gotPong takes the answer to a PING of ours; others are ignored.
func (c *Conn) gotPong(p []byte) error {
	var m msg.Pong
	if err := msg.Decode(p, &m); err != nil {
		return c.Violation("%v", err)
	}
	if len(m.Data) == 8 {
		n := binary.BigEndian.Uint64(m.Data)
		c.mu.Lock()
		if done := c.pings[n]; done != nil {
			close(done)
			delete(c.pings, n)
		}
		c.mu.Unlock()
	}
	return nil
}

// Ping sends PING and returns how long the answer took. The error is
// errors.ErrUnsupported if the peer did not announce that it answers.
func (c *Conn) Ping(ctx context.Context) (time.Duration, error) {
	c.mu.Lock()
	_, ok := c.info.Extensions[PingExtension]
	if !ok {
		c.mu.Unlock()
		return 0, fmt.Errorf("ssh2: ping: %w", errors.ErrUnsupported)
	}
	c.pingN++
	n, done := c.pingN, make(chan struct{})
	if c.pings == nil {
		c.pings = make(map[uint64]chan struct{})
	}
	c.pings[n] = done
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pings, n)
		c.mu.Unlock()
	}()
	start := time.Now()
	if err := c.SendContext(ctx, &msg.Ping{Data: binary.BigEndian.AppendUint64(nil, n)}); err != nil {
		return 0, err
	}
	select {
	case <-done:
		return time.Since(start), nil
	case <-c.done:
		return 0, c.Err()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
