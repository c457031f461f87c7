package ssh2_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// connect starts a server for user "ann" that runs session, and logs in to it.
// prepare, if not nil, sets more of the server.
func connect(session func(context.Context, *ssh2.ServerSession), prepare func(*ssh2.Server)) (c *ssh2.Client, stop func(), err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader) // keep yours in a file
	if err != nil {
		return nil, nil, err
	}
	key, err := gossh.NewSignerFromSigner(private)
	if err != nil {
		return nil, nil, err
	}
	s := &ssh2.Server{
		HostKeys: []gossh.Signer{key},
		Auth: ssh2.ServerAuth{Password: func(_ context.Context, a *ssh2.AuthAttempt, pw string) ssh2.Verdict {
			return ssh2.Verdict{OK: a.User == "ann" && ssh2.CheckPassword("secret", pw)}
		}},
		Session: session,
	}
	if prepare != nil {
		prepare(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	go func() { _ = s.Serve(l) }()
	c, err = ssh2.Dial(context.Background(), "tcp", l.Addr().String(), &ssh2.ClientConfig{
		User:    "ann",
		Auth:    []ssh2.AuthMethod{ssh2.Password("secret")},
		HostKey: gossh.FixedHostKey(key.PublicKey()),
	})
	if err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	return c, func() { _ = c.Close(); _ = s.Close() }, nil
}

// A command with its own standard error, and how it ended.
func ExampleSession_Run() {
	c, stop, err := connect(runCommand, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	s, err := c.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	var stdout, stderr bytes.Buffer
	s.Stdin = strings.NewReader("hello\n")
	s.Stdout, s.Stderr = &stdout, &stderr
	err = s.Run(ctx, "cat; echo oops >&2; exit 3")
	fmt.Printf("%q %q\n", stdout.String(), stderr.String())
	if exit, ok := errors.AsType[*ssh2.ExitError](err); ok {
		fmt.Println("status", exit.Status)
	}
	// Output:
	// "hello\n" "oops\n"
	// status 3
}

// runCommand is a server's handler that runs commands, as sshd does. Give it to
// nobody whom you would not give a shell.
func runCommand(ctx context.Context, s *ssh2.ServerSession) {
	if s.Kind != ssh2.Exec {
		return // refused
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", s.Command)
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Stdout, cmd.Stderr = s, s.Stderr()
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.Exit(127)
		return
	}
	go func() { // apart from Wait, which would wait for a client that never ends its input
		_, _ = io.Copy(stdin, s)
		_ = stdin.Close()
	}()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		s.Exit(uint32(exit.ExitCode()))
	} else if err != nil {
		s.ExitSignal(ssh2.SIGKILL, false, "")
	}
}

// A server that runs commands with the environment that clients may set.
func ExampleServer_exec() {
	c, stop, err := connect(runCommand, func(s *ssh2.Server) { s.AcceptEnv = []string{"LANG", "LC_*"} })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	s, err := c.Session(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Env = []string{"LC_GREETING=hello", "LD_PRELOAD=/tmp/evil.so"} // the second is refused
	out, err := s.Output(context.Background(), `echo "$LC_GREETING[$LD_PRELOAD]"`)
	fmt.Print(string(out), err, "\n")
	// Output:
	// hello[]
	// <nil>
}

// A shell on a terminal that has no echo, grows, and hears of a signal.
func ExampleSession_Shell() {
	c, stop, err := connect(func(ctx context.Context, s *ssh2.ServerSession) {
		echo, _ := s.PTY.Modes.Value(ssh2.ECHO)
		fmt.Fprintf(s, "%s of %d by %d, echo %d\n", s.PTY.Term, s.PTY.Width, s.PTY.Height, echo)
		for {
			e, err := s.Event(ctx)
			switch {
			case err != nil:
				return
			case e.Resize:
				fmt.Fprintf(s, "now %d by %d\n", e.Width, e.Height)
			case e.Signal == ssh2.SIGTERM:
				s.ExitSignal(e.Signal, false, "bye")
				return
			}
		}
	}, func(s *ssh2.Server) { s.AllowPTY = true })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	s, err := c.Session(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	s.PTY = &ssh2.PTY{Term: "xterm", Width: 80, Height: 24, Modes: ssh2.TerminalModes{{Opcode: ssh2.ECHO, Value: 0}}}
	out, err := s.StdoutPipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Shell(ctx); err != nil {
		fmt.Println(err)
		return
	}
	screen := bufio.NewScanner(out)
	screen.Scan()
	fmt.Println(screen.Text())
	_ = s.Resize(ctx, 132, 43)
	screen.Scan()
	fmt.Println(screen.Text())
	_ = s.Signal(ctx, ssh2.SIGTERM)
	fmt.Println(s.Wait(ctx))
	// Output:
	// xterm of 80 by 24, echo 0
	// now 132 by 43
	// ssh2: session: killed by signal "TERM"
}

// A subsystem is a stream to whatever the server has under that name.
func ExampleClient_Subsystem() {
	c, stop, err := connect(func(_ context.Context, s *ssh2.ServerSession) {
		if s.Kind != ssh2.Subsystem || s.Subsystem != "upper" {
			return // refused
		}
		in := bufio.NewScanner(s)
		for in.Scan() {
			fmt.Fprintln(s, strings.ToUpper(in.Text()))
		}
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	ch, err := c.Subsystem(ctx, "upper")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintln(ch, "hello")
	_ = ch.CloseWrite()
	all, err := io.ReadAll(ch)
	fmt.Printf("%q %v\n", all, err)
	_, err = c.Subsystem(ctx, "lower")
	fmt.Println(err)
	// Output:
	// "HELLO\n" <nil>
	// ssh2: request "subsystem": refused by peer
}

// Programs on the server use the display of the client. Here a display that is
// no more than a pipe; without Dial it is that of DISPLAY.
func ExampleSession_x11() {
	c, stop, err := connect(func(ctx context.Context, s *ssh2.ServerSession) {
		l, err := s.ListenX11(ssh2.X11Listen{})
		if err != nil {
			fmt.Fprintln(s.Stderr(), err)
			return
		}
		defer l.Close()
		// A program would find the display by l.Env(). This plays one.
		d := &ssh2.X11Display{Network: "tcp", Address: displayAddress(l.Display())}
		nc, err := d.Dial(ctx)
		if err != nil {
			fmt.Fprintln(s.Stderr(), err)
			return
		}
		defer nc.Close()
		_, _ = nc.Write(x11Hello(s.X11.Protocol, s.X11.Cookie))
		_, _ = io.Copy(s, nc)
	}, func(s *ssh2.Server) { s.AllowX11 = true })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	s, err := c.Session(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	s.X11 = &ssh2.X11{Dial: func(_ context.Context, from ssh2.X11Origin) (net.Conn, error) {
		display, program := net.Pipe()
		go func() {
			_, _ = io.ReadFull(display, make([]byte, 48)) // a program's first message; the cookie was checked before
			fmt.Fprint(display, "shown to a program at "+from.Addr)
			_ = display.Close()
		}()
		return program, nil
	}}
	out, err := s.Output(context.Background(), "xeyes")
	fmt.Printf("%s, %v\n", out, err)
	// Output: shown to a program at 127.0.0.1, <nil>
}

// displayAddress is where "localhost:N.0" listens.
func displayAddress(display string) string {
	var n int
	_, _ = fmt.Sscanf(display, "localhost:%d", &n)
	return fmt.Sprintf("127.0.0.1:%d", 6000+n)
}

// x11Hello is the first message of an X11 program.
func x11Hello(protocol string, cookie []byte) []byte {
	b := []byte{'B', 0, 0, 11, 0, 0, 0, byte(len(protocol)), 0, byte(len(cookie)), 0, 0}
	b = append(b, protocol...)
	b = append(b, make([]byte, -len(protocol)&3)...)
	return append(b, cookie...)
}

// A server uses the keys of the client, who keeps them.
func ExampleClient_ForwardAgent() {
	c, stop, err := connect(func(ctx context.Context, s *ssh2.ServerSession) {
		a, err := s.Agent(ctx) // children find it by the socket of s.ListenAgent
		if err != nil {
			fmt.Fprintln(s.Stderr(), err)
			return
		}
		defer a.Close()
		keys, err := a.List()
		if err != nil {
			return
		}
		for _, k := range keys {
			fmt.Fprintln(s, k.Format, k.Comment)
		}
	}, func(s *ssh2.Server) { s.AllowAgentForwarding = true })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	keyring := sshagent.NewKeyring()
	if err := keyring.Add(sshagent.AddedKey{PrivateKey: private, Comment: "ann's key"}); err != nil {
		fmt.Println(err)
		return
	}
	if err := c.ForwardAgent(keyring); err != nil {
		fmt.Println(err)
		return
	}
	s, err := c.Session(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	s.AgentForward = true
	out, err := s.Output(context.Background(), "ssh-add -l")
	fmt.Print(string(out), err, "\n")
	// Output:
	// ssh-ed25519 ann's key
	// <nil>
}

// A room in which everyone hears what the others say.
type room struct {
	mu     sync.Mutex
	people map[*ssh2.ServerSession]string
}

// enter is a server's handler: one line of input is one thing said.
func (r *room) enter(_ context.Context, s *ssh2.ServerSession) {
	if s.Kind != ssh2.Shell {
		return // refused
	}
	r.mu.Lock()
	r.people[s] = s.User()
	r.mu.Unlock()
	r.say(s, "* "+s.User()+" came")
	in := bufio.NewScanner(s)
	in.Buffer(nil, 1024) // nobody may say more at a time
	for in.Scan() {
		r.say(s, fmt.Sprintf("%s: %q", s.User(), in.Text())) // quoted, as people send control characters
	}
	r.mu.Lock()
	delete(r.people, s)
	r.mu.Unlock()
	r.say(s, "* "+s.User()+" left")
}

// say tells everyone but from.
func (r *room) say(from *ssh2.ServerSession, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.people {
		if s != from {
			fmt.Fprint(s, text, "\r\n") // better with a queue for each: who does not read stops the others
		}
	}
}

// A server with a chat room: each shell is somebody in it.
func ExampleServer_chat() {
	r := &room{people: map[*ssh2.ServerSession]string{}}
	c, stop, err := connect(r.enter, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	enter := func() (io.WriteCloser, *bufio.Scanner, error) {
		s, err := c.Session(ctx)
		if err != nil {
			return nil, nil, err
		}
		in, err1 := s.StdinPipe()
		out, err2 := s.StdoutPipe()
		return in, bufio.NewScanner(out), errors.Join(err1, err2, s.Shell(ctx))
	}
	_, first, err := enter()
	if err != nil {
		fmt.Println(err)
		return
	}
	in, _, err := enter()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintln(in, "hello everyone")
	_ = in.Close()
	for range 3 {
		first.Scan()
		fmt.Println(first.Text())
	}
	// Output:
	// * ann came
	// ann: "hello everyone"
	// * ann left
}
