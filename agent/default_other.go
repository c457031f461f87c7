//go:build !windows

package agent

import (
	"context"
	"io"
)

func dialDefault(context.Context) (io.ReadWriteCloser, error) { return nil, ErrNoAgent }

func dialPageant(context.Context) (io.ReadWriteCloser, error) { return nil, unsupported("pageant") }

func dialPipe(context.Context, string) (io.ReadWriteCloser, error) {
	return nil, unsupported("named pipe")
}
