package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// execute runs the session's command, or a shell, and passes its streams, its signals and its exit status on.
func execute(ctx context.Context, s *ssh2.ServerSession) {
	cmd := exec.CommandContext(ctx, "/bin/sh")
	if s.Kind == ssh2.Exec {
		cmd.Args = append(cmd.Args, "-c", s.Command)
	}
	cmd.Env = append(os.Environ(), s.Env...)
	if err := borrow(s, cmd); err != nil {
		fail(s, err)
		return
	}
	var err error
	if s.PTY != nil {
		err = runOnTerminal(ctx, s, cmd)
	} else {
		err = runOnPipes(ctx, s, cmd)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		s.Exit(0)
	case errors.As(err, &exit) && exit.Exited():
		s.Exit(uint32(exit.ExitCode()))
	case errors.As(err, &exit):
		status, _ := exit.Sys().(syscall.WaitStatus)
		s.ExitSignal(ssh2.SignalOf(status.Signal()), status.CoreDump(), "")
	default:
		fail(s, err)
	}
}

func fail(s *ssh2.ServerSession, err error) {
	fmt.Fprintf(s.Stderr(), "execserver: %v\n", err)
	s.Exit(127)
}

// borrow makes what the client lends reachable for the command. It goes with the session.
func borrow(s *ssh2.ServerSession, cmd *exec.Cmd) error {
	if s.AgentForward {
		l, err := s.ListenAgent("")
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, l.Env()...)
	}
	if s.X11 != nil {
		l, err := s.ListenX11(ssh2.X11Listen{})
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, l.Env()...)
	}
	return nil
}

// runOnPipes runs cmd without a terminal.
func runOnPipes(ctx context.Context, s *ssh2.ServerSession, cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = s, s.Stderr()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// By hand: with cmd.Stdin = s, Wait would wait for the client's end of input, which a client may never send.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(stdin, s) // ends with the session; that the command does not read is no error
		_ = stdin.Close()
	}()
	go passEvents(ctx, s, cmd.Process.Pid, nil)
	return cmd.Wait()
}

// passEvents passes signals on to a process group, and sizes to resize, until the session ends.
func passEvents(ctx context.Context, s *ssh2.ServerSession, group int, resize func(ssh2.SessionEvent)) {
	for {
		e, err := s.Event(ctx)
		if err != nil {
			return
		}
		sig, known := e.Signal.Syscall()
		switch {
		case known:
			_ = syscall.Kill(-group, sig) // it may be gone by now
		case e.Resize && resize != nil:
			resize(e)
		}
	}
}
