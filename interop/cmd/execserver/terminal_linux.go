package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// runOnTerminal runs cmd on a pseudo-terminal as the client describes it.
func runOnTerminal(ctx context.Context, s *ssh2.ServerSession, cmd *exec.Cmd) error {
	ours, theirs, err := openTerminal()
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := apply(theirs, s.PTY); err != nil {
		_ = theirs.Close()
		return err
	}
	cmd.Env = append(cmd.Env, "TERM="+s.PTY.Term)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(ours, s) }() // ends with the session
	go passEvents(ctx, s, cmd.Process.Pid, func(e ssh2.SessionEvent) {
		_ = setSize(ours, e.Width, e.Height, e.WidthPx, e.HeightPx) // the terminal may be gone by now
	})
	_, _ = io.Copy(s, ours) // the end of a terminal is an error, EIO, and comes with that of its last program
	return cmd.Wait()
}

// openTerminal makes a pseudo-terminal: our end and that of programs.
func openTerminal() (ours, theirs *os.File, err error) {
	ours, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		theirs, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		_ = ours.Close()
		return nil, nil, fmt.Errorf("terminal: %w", err)
	}
	return ours, theirs, nil
}

func setSize(f *os.File, width, height, widthPx, heightPx uint32) error {
	return unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{
		Col: uint16(width), Row: uint16(height), Xpixel: uint16(widthPx), Ypixel: uint16(heightPx),
	})
}

// flags has the modes that are bits of a terminal's settings here.
var flags = map[ssh2.TerminalOpcode]struct {
	field func(*unix.Termios) *uint32
	bit   uint32
}{
	ssh2.IGNPAR: {iflag, unix.IGNPAR}, ssh2.PARMRK: {iflag, unix.PARMRK}, ssh2.INPCK: {iflag, unix.INPCK},
	ssh2.ISTRIP: {iflag, unix.ISTRIP}, ssh2.INLCR: {iflag, unix.INLCR}, ssh2.IGNCR: {iflag, unix.IGNCR},
	ssh2.ICRNL: {iflag, unix.ICRNL}, ssh2.IUCLC: {iflag, unix.IUCLC}, ssh2.IXON: {iflag, unix.IXON},
	ssh2.IXANY: {iflag, unix.IXANY}, ssh2.IXOFF: {iflag, unix.IXOFF}, ssh2.IMAXBEL: {iflag, unix.IMAXBEL},
	ssh2.IUTF8: {iflag, unix.IUTF8},
	ssh2.ISIG:  {lflag, unix.ISIG}, ssh2.ICANON: {lflag, unix.ICANON}, ssh2.XCASE: {lflag, unix.XCASE},
	ssh2.ECHO: {lflag, unix.ECHO}, ssh2.ECHOE: {lflag, unix.ECHOE}, ssh2.ECHOK: {lflag, unix.ECHOK},
	ssh2.ECHONL: {lflag, unix.ECHONL}, ssh2.NOFLSH: {lflag, unix.NOFLSH}, ssh2.TOSTOP: {lflag, unix.TOSTOP},
	ssh2.IEXTEN: {lflag, unix.IEXTEN}, ssh2.ECHOCTL: {lflag, unix.ECHOCTL}, ssh2.ECHOKE: {lflag, unix.ECHOKE},
	ssh2.PENDIN: {lflag, unix.PENDIN},
	ssh2.OPOST:  {oflag, unix.OPOST}, ssh2.OLCUC: {oflag, unix.OLCUC}, ssh2.ONLCR: {oflag, unix.ONLCR},
	ssh2.OCRNL: {oflag, unix.OCRNL}, ssh2.ONOCR: {oflag, unix.ONOCR}, ssh2.ONLRET: {oflag, unix.ONLRET},
	ssh2.CS7: {cflag, unix.CS7}, ssh2.CS8: {cflag, unix.CS8}, ssh2.PARENB: {cflag, unix.PARENB}, ssh2.PARODD: {cflag, unix.PARODD},
}

func iflag(t *unix.Termios) *uint32 { return &t.Iflag }
func oflag(t *unix.Termios) *uint32 { return &t.Oflag }
func cflag(t *unix.Termios) *uint32 { return &t.Cflag }
func lflag(t *unix.Termios) *uint32 { return &t.Lflag }

// characters has the modes that are control characters here.
var characters = map[ssh2.TerminalOpcode]int{
	ssh2.VINTR: unix.VINTR, ssh2.VQUIT: unix.VQUIT, ssh2.VERASE: unix.VERASE, ssh2.VKILL: unix.VKILL,
	ssh2.VEOF: unix.VEOF, ssh2.VEOL: unix.VEOL, ssh2.VEOL2: unix.VEOL2, ssh2.VSTART: unix.VSTART,
	ssh2.VSTOP: unix.VSTOP, ssh2.VSUSP: unix.VSUSP, ssh2.VREPRINT: unix.VREPRINT, ssh2.VWERASE: unix.VWERASE,
	ssh2.VLNEXT: unix.VLNEXT, ssh2.VSWTCH: unix.VSWTC, ssh2.VDISCARD: unix.VDISCARD,
}

// apply sets a terminal up as the client describes it. Modes that it does not know here are left out.
func apply(f *os.File, p *ssh2.PTY) error {
	if err := setSize(f, p.Width, p.Height, p.WidthPx, p.HeightPx); err != nil {
		return fmt.Errorf("terminal: size: %w", err)
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return fmt.Errorf("terminal: modes: %w", err)
	}
	for _, m := range p.Modes {
		if c, ok := characters[m.Opcode]; ok {
			t.Cc[c] = uint8(m.Value)
			if m.Value == 255 { // none
				t.Cc[c] = 0
			}
		}
		if flag, ok := flags[m.Opcode]; ok {
			if field := flag.field(t); m.Value != 0 {
				*field |= flag.bit
			} else if m.Opcode != ssh2.CS7 && m.Opcode != ssh2.CS8 { // these two are a choice, not bits
				*field &^= flag.bit
			}
		}
	}
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return fmt.Errorf("terminal: modes: %w", err)
	}
	return nil
}
