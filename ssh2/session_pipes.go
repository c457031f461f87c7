package ssh2

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// StdinPipe returns what the command reads from. Closing it is the end of its
// input; without that many commands do not end. Ask for it before the start.
func (s *Session) StdinPipe() (io.WriteCloser, error) {
	if err := s.pipe(0, s.Stdin != nil, "Stdin"); err != nil {
		return nil, err
	}
	return stdinPipe{s.ch}, nil
}

type stdinPipe struct{ ch *Channel }

func (p stdinPipe) Write(b []byte) (int, error) { return p.ch.Write(b) }
func (p stdinPipe) Close() error                { return ignoreClosed(p.ch.CloseWrite()) }

// StdoutPipe returns what the command writes to standard output. Data that is
// not read blocks the command once the window is used up. Read to the end
// before Wait, which discards the rest. Closing it discards the rest too, and
// tells servers that support it that no more is wanted. Ask for it before the
// start.
func (s *Session) StdoutPipe() (io.ReadCloser, error) {
	if err := s.pipe(1, s.Stdout != nil, "Stdout"); err != nil {
		return nil, err
	}
	return stdoutPipe{s.ch}, nil
}

type stdoutPipe struct{ ch *Channel }

func (p stdoutPipe) Read(b []byte) (int, error) { return p.ch.Read(b) }
func (p stdoutPipe) Close() error               { return ignoreClosed(p.ch.CloseRead()) }

// StderrPipe is StdoutPipe for standard error, which shares its window: read
// both, at the same time.
func (s *Session) StderrPipe() (io.ReadCloser, error) {
	if err := s.pipe(2, s.Stderr != nil, "Stderr"); err != nil {
		return nil, err
	}
	return stderrPipe{s.ch, s.ch.Stderr()}, nil
}

type stderrPipe struct {
	ch *Channel
	io.Reader
}

// Close has what arrives dropped from now on.
func (p stderrPipe) Close() error {
	ch := p.ch
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.hear = false
	n := ch.stderr.size
	ch.stderr.purge()
	if n > 0 {
		ch.consume(n)
	}
	return nil
}

// pipe notes that a pipe was asked for.
func (s *Session) pipe(i int, set bool, name string) error {
	switch {
	case s.started:
		return errStarted
	case set || s.piped[i]:
		return errors.New("ssh2: session: " + name + " is set already")
	}
	s.piped[i] = true
	return nil
}

// CloseRead discards what has arrived, and what is still to arrive, on the
// stream that Read reads, and tells the peer, if it understands eow@openssh.com
// (OpenSSH PROTOCOL 2.1), that no more data is wanted. Reads that wait, and
// later ones, return io.EOF when the peer has ended the stream.
func (ch *Channel) CloseRead() error {
	ch.mu.Lock()
	again := ch.discard
	ch.discard = true
	n := ch.in.size
	ch.in.purge()
	if n > 0 {
		ch.consume(n)
	}
	err := ch.usable()
	ch.mu.Unlock()
	if again || err != nil {
		return err
	}
	ch.sayEOW()
	return nil
}

// sayEOW tells the peer that no more of the stream is wanted. Only those are told
// that are known to understand it, since others have been seen to break off.
func (ch *Channel) sayEOW() {
	_, software, _ := strings.Cut(ch.conn.t.Info().RemoteIdent, "SSH-2.0-")
	if ch.typ != "session" || !strings.HasPrefix(software, "OpenSSH") && !strings.HasPrefix(software, "Fairlead") {
		return
	}
	// It is a favour: nobody waits for it.
	_ = ch.tell(context.Background(), &msg.ChannelRequest{Recipient: ch.peer, Name: "eow@openssh.com"})
}
