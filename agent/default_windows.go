package agent

import (
	"context"
	"io"
	"os"
)

// servicePipe is where the agent of Windows' own OpenSSH listens.
const servicePipe = `\\.\pipe\openssh-ssh-agent`

func dialDefault(ctx context.Context) (io.ReadWriteCloser, error) {
	if conn, err := dialPipe(servicePipe); err == nil {
		return conn, nil
	}
	conn, err := dialPageant(ctx)
	if err != nil {
		return nil, ErrNoAgent
	}
	return conn, nil
}

// dialPipe opens a named pipe: it reads and writes like a file.
func dialPipe(name string) (io.ReadWriteCloser, error) {
	return os.OpenFile(name, os.O_RDWR, 0)
}
