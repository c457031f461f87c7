package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Limits of Serve and Listen.
const (
	// MaxRequest is the longest request in octets, as OpenSSH's agent has it.
	// Whoever sends a longer one is disconnected before memory is taken for it.
	MaxRequest = 256 << 10
	// MaxConns is how many connections Listen serves at a time.
	MaxConns = 64
)

// Message numbers of draft-ietf-sshm-ssh-agent section 6.1.
const (
	numFailure           = 5
	numRequestIdentities = 11
	numIdentitiesAnswer  = 12
	numSignRequest       = 13
	numSignResponse      = 14
)

// Options of Serve. The zero value lists keys and signs, and refuses all else.
type Options struct {
	// Manage lets clients add and remove keys, lock and unlock, and use
	// extensions, as far as the agent does. Without it all of these fail, which
	// is what an agent that is reached from elsewhere should do.
	Manage bool
	// Log gets a debug line per request and the reasons of failures, which the
	// client does not learn. Nil discards them.
	Log *slog.Logger
}

// Serve answers one client's requests, in order, until the stream ends, which
// returns nil, or the client breaks the protocol. When ctx ends, conn is
// closed. Serve closes conn in any case. If a method of a panics, only that
// request fails.
func Serve(ctx context.Context, conn io.ReadWriteCloser, a sshagent.Agent, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer conn.Close()
	defer stop()
	var head [4]byte
	for {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, io.EOF):
				return nil
			}
			return fmt.Errorf("agent: read: %w", err)
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == 0 || n > MaxRequest {
			return fmt.Errorf("agent: request of %d octets: want 1 to %d", n, MaxRequest)
		}
		request := make([]byte, n)
		if _, err := io.ReadFull(conn, request); err != nil {
			return fmt.Errorf("agent: read: %w", err)
		}
		reply, err := answer(a, request, o)
		if err != nil {
			o.Log.DebugContext(ctx, "agent request failed", "number", request[0], "err", fmt.Sprintf("%+q", err.Error()))
		}
		clear(request) // there may be a passphrase or a key in it
		if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...)); err != nil {
			return fmt.Errorf("agent: write: %w", err)
		}
	}
}

var errNotAllowed = errors.New("not allowed here")

// answer returns the reply to one request, and why it is a failure.
func answer(a sshagent.Agent, request []byte, o Options) (reply []byte, err error) {
	reply = []byte{numFailure}
	defer func() {
		if v := recover(); v != nil {
			reply, err = []byte{numFailure}, fmt.Errorf("panic: %v", v)
		}
	}()
	switch {
	case request[0] == numRequestIdentities && len(request) == 1:
		keys, err := a.List()
		if err != nil {
			return reply, err
		}
		m := identities{keys}
		return wire.Append([]byte{numIdentitiesAnswer}, &m), nil
	case request[0] == numSignRequest:
		var m signRequest
		if err := wire.Decode(request[1:], &m); err != nil {
			return reply, err
		}
		key, err := gossh.ParsePublicKey(m.key)
		if err != nil {
			return reply, err
		}
		sig, err := sign(a, key, m.data, sshagent.SignatureFlags(m.flags))
		if err != nil {
			return reply, err
		}
		return wire.Append([]byte{numSignResponse}, &signResponse{gossh.Marshal(sig)}), nil
	case !o.Manage:
		return reply, errNotAllowed
	}
	return passOn(a, request)
}

func sign(a sshagent.Agent, key gossh.PublicKey, data []byte, flags sshagent.SignatureFlags) (*gossh.Signature, error) {
	var sig *gossh.Signature
	var err error
	if e, ok := a.(sshagent.ExtendedAgent); ok {
		sig, err = e.SignWithFlags(key, data, flags)
	} else if flags != 0 {
		return nil, errors.New("agent has no other hashes")
	} else {
		sig, err = a.Sign(key, data)
	}
	if err == nil && sig == nil {
		err = errors.New("no signature")
	}
	return sig, err
}

// passOn has x/crypto's server answer one request, since it knows how keys that
// are added are written.
func passOn(a sshagent.Agent, request []byte) ([]byte, error) {
	one := &exchange{in: append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)}
	err := sshagent.ServeAgent(a, one) // io.EOF after the one request
	if len(one.out) < 5 {
		return []byte{numFailure}, fmt.Errorf("no answer: %w", err)
	}
	return one.out[4:], nil
}

// exchange is a stream of one request, and keeps what comes back.
type exchange struct{ in, out []byte }

func (x *exchange) Read(p []byte) (int, error) {
	if len(x.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, x.in)
	x.in = x.in[n:]
	return n, nil
}

func (x *exchange) Write(p []byte) (int, error) {
	x.out = append(x.out, p...)
	return len(p), nil
}

// Listen serves every connection that l accepts until ctx ends or l fails, and
// returns when the last has ended: nil if ctx ended, else why. It closes l.
// A temporary failure of l, such as too many open files, is waited out.
// Beyond MaxConns at a time, connections are closed at once. Who may connect is
// up to the socket: make it in a directory that only its user may enter.
func Listen(ctx context.Context, l net.Listener, a sshagent.Agent, o Options) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, MaxConns)
	var pause time.Duration
	for {
		conn, err := l.Accept()
		var temporary interface{ Temporary() bool }
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err == nil:
			pause = 0
		case errors.As(err, &temporary) && temporary.Temporary():
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		default:
			return fmt.Errorf("agent: accept: %w", err)
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() {
				defer func() { <-slots }()
				_ = Serve(ctx, conn, a, o) // a client that breaks off is no error of ours
			})
		default:
			_ = conn.Close()
		}
	}
}
