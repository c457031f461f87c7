package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/term"
)

// A terminal is a person who can be asked. Prompts come ready to be shown: whoever calls
// has made text of a server plain.
type terminal interface {
	// ask returns a line, without its end. What is typed is shown only with echo.
	ask(ctx context.Context, prompt string, echo bool) (string, error)
	// tell shows lines.
	tell(text string)
}

// errNobody means that a question got no answer.
var errNobody = errors.New("no answer was given")

// maxAnswer bounds a line that is read.
const maxAnswer = 16 << 10

// tty is the terminal of the process, whatever its standard input and output are.
type tty struct {
	in, out *os.File
	mu      sync.Mutex // one question at a time
}

// openTerminal returns the terminal of the process, nil if it has none.
func openTerminal() *tty {
	in, out := "/dev/tty", ""
	if runtime.GOOS == "windows" {
		in, out = "CONIN$", "CONOUT$"
	}
	r, err := os.OpenFile(in, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	w := r
	if out != "" {
		if w, err = os.OpenFile(out, os.O_RDWR, 0); err != nil {
			_ = r.Close()
			return nil
		}
	}
	if !term.IsTerminal(int(r.Fd())) {
		return nil
	}
	return &tty{in: r, out: w}
}

func (t *tty) tell(text string) { _, _ = io.WriteString(t.out, text) }

func (t *tty) ask(ctx context.Context, prompt string, echo bool) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if !echo {
		// Before the prompt is seen, so that nothing that is typed then is.
		show, err := hideTyping(int(t.in.Fd()))
		if err != nil {
			return "", fmt.Errorf("terminal: %w", err)
		}
		defer func() {
			show()
			t.tell("\n") // that of the person was not shown either
		}()
	}
	t.tell(prompt)
	type answer struct {
		line string
		err  error
	}
	done := make(chan answer, 1)
	// A read of a terminal has no deadline. When ctx ends, so does the process soon, and
	// this goroutine with it.
	go func() {
		line, err := readLine(t.in)
		done <- answer{line, err}
	}()
	select {
	case a := <-done:
		if errors.Is(a.err, io.EOF) {
			a.err = errNobody
		}
		return a.line, a.err
	case <-ctx.Done():
		if echo {
			t.tell("\n")
		}
		return "", context.Cause(ctx)
	}
}

// readLine reads up to the end of a line and not a byte further.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < maxAnswer {
		n, err := r.Read(b[:])
		if n == 1 {
			if b[0] == '\n' {
				return strings.TrimSuffix(string(line), "\r"), nil
			}
			line = append(line, b[0])
		}
		if err != nil {
			if len(line) > 0 && errors.Is(err, io.EOF) {
				return string(line), nil
			}
			return "", err
		}
	}
	return "", errors.New("terminal: line is too long")
}
