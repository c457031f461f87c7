package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/fairlead-ssh/fairlead/internal/pwhash"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// passwd is "fairlead passwd".
func (p *process) passwd(args []string) error {
	f := newFlagSet("passwd")
	help, check := false, ""
	f.text(&check, "check", "HASH", "tell whether the password is that of this hash, by the exit status")
	f.on(&help, "h,help", "print this")
	rest, err := f.parse(args)
	if err != nil {
		return usageError{fmt.Errorf("passwd: %w", err)}
	}
	if help {
		fmt.Fprint(p.stdout, "usage: fairlead passwd [flags]\n\nAsks for a password, twice, and prints the line that stands for it in a User block of\na configuration. Where standard input is no terminal its first line is the password.\n\n")
		f.help(p.stdout)
		return nil
	}
	if len(rest) > 0 {
		// Not quoted: it may be a password, which is no business of the screen.
		return usageError{errors.New("passwd: takes no arguments: a password on the command line could be seen by others")}
	}
	return p.untilSignal(func(ctx context.Context) error {
		password, err := p.newPassword(ctx, check == "")
		if err != nil {
			return fmt.Errorf("passwd: %w", err)
		}
		if check != "" {
			return checkHash(ctx, check, password)
		}
		h, err := pwhash.New(ctx, password)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, "PasswordHash", h)
		return err
	})
}

// untilSignal runs f until a signal comes, which ends its context. What f does then is given a
// moment, in which a terminal is set right; what waits for a file or a pipe cannot be
// ended and is left behind, as the process ends.
func (p *process) untilSignal(f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case s := <-p.signals:
		cancel(signalError{s})
		select {
		case <-done: //nolint:errcheck // the signal is what ended it
		case <-time.After(time.Second):
		}
		return signalError{s}
	}
}

func checkHash(ctx context.Context, line, password string) error {
	h, err := pwhash.Parse(strings.TrimPrefix(line, "PasswordHash "))
	if err != nil {
		return usageError{fmt.Errorf("passwd: --check: %w", own(err))}
	}
	ok, err := h.Check(ctx, password)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("passwd: it is another password")
	}
	return nil
}

// newPassword asks for a password, or reads it where there is nobody to ask.
func (p *process) newPassword(ctx context.Context, twice bool) (string, error) {
	if in, ok := p.stdin.(*os.File); p.stdin != nil && (!ok || !term.IsTerminal(int(in.Fd()))) {
		return readPassword(p.stdin)
	}
	t := p.terminal()
	if t == nil {
		return "", errNobody
	}
	password, err := t.ask(ctx, "Password: ", false)
	if err != nil {
		return "", err
	}
	if err := goodPassword(password); err != nil || !twice {
		return password, err
	}
	again, err := t.ask(ctx, "Once more: ", false)
	if err != nil {
		return "", err
	}
	if !ssh2.CheckPassword(password, again) {
		return "", errors.New("the two are different")
	}
	return password, nil
}

// readPassword reads the first line.
func readPassword(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxAnswer)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(line, byteOrderMark), "\n"), "\r")
	return line, goodPassword(line)
}

// goodPassword refuses what could not be given when logging in.
func goodPassword(password string) error {
	switch {
	case password == "":
		return errors.New("an empty password is none")
	case len(password) > ssh2.MaxSecret:
		return fmt.Errorf("the password is longer than %d octets", ssh2.MaxSecret)
	case strings.ContainsRune(password, 0):
		return errors.New("the password has an octet 0 in it")
	}
	return nil
}
