package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY returns both ends of a pseudo-terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	return master, slave
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// readUntil reads what the terminal shows up to a text.
func readUntil(t *testing.T, f *os.File, text string) string {
	t.Helper()
	var seen strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(seen.String(), text) {
		if _, err := f.Read(b); err != nil {
			t.Fatalf("%v after %q", err, seen.String())
		}
		seen.Write(b)
	}
	return seen.String()
}

// TestCVE_9_6_TerminalHidesSecrets: on a real terminal a password is not shown, an answer
// to a question is, and the terminal is afterwards as it was, also when it is interrupted.
func TestCVE_9_6_TerminalHidesSecrets(t *testing.T) {
	master, slave := openPTY(t)
	person := &tty{in: slave, out: slave}
	type answer struct {
		text string
		err  error
	}
	ask := func(ctx context.Context, prompt string, echo bool) chan answer {
		done := make(chan answer, 1)
		go func() {
			text, err := person.ask(ctx, prompt, echo)
			done <- answer{text, err}
		}()
		readUntil(t, master, prompt)
		return done
	}
	done := ask(t.Context(), "Code: ", true)
	_, _ = master.WriteString("123\n")
	if a := <-done; a.text != "123" || a.err != nil {
		t.Errorf("%+v", a)
	}
	if shown := readUntil(t, master, "\n"); !strings.Contains(shown, "123") {
		t.Errorf("shows %q", shown)
	}

	done = ask(t.Context(), "Password: ", false)
	if echoes(t, slave) {
		t.Error("the prompt is there, and what is typed would be shown")
	}
	_, _ = master.WriteString("secret word\n")
	if a := <-done; a.text != "secret word" || a.err != nil {
		t.Errorf("%+v", a)
	}
	if shown := readUntil(t, master, "\n"); strings.Contains(shown, "secret") || !echoes(t, slave) {
		t.Errorf("shows %q, echoes: %v", shown, echoes(t, slave))
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	done = ask(ctx, "Again: ", false)
	cancel(stop)
	if a := <-done; !errors.Is(a.err, stop) {
		t.Errorf("%+v", a)
	}
	if !echoes(t, slave) {
		t.Error("the terminal stays without echo")
	}
	_, _ = master.WriteString("\n") // ends the read that was left
}
