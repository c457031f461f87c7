package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// servicePipe is where the agent of Windows' own OpenSSH listens.
const servicePipe = `\\.\pipe\openssh-ssh-agent`

func dialDefault(ctx context.Context) (io.ReadWriteCloser, error) {
	if conn, err := dialPipe(ctx, servicePipe); err == nil || ctx.Err() != nil {
		return conn, err
	}
	conn, err := dialPageant(ctx)
	if err != nil {
		return nil, ErrNoAgent
	}
	return conn, nil
}

// pipeRetry is how long a busy server of pipes is left alone.
const pipeRetry = 10 * time.Millisecond

// dialPipe opens a named pipe: it reads and writes like a file. Overlapped, since on other
// handles a write waits for a read that waits for what the write would bring about.
func dialPipe(ctx context.Context, name string) (io.ReadWriteCloser, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|windows.FILE_FLAG_OVERLAPPED, 0)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, windows.ERROR_PIPE_BUSY) { // all its instances are taken for now
			return nil, err
		}
		select {
		case <-time.After(pipeRetry):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
