//go:build !linux

package main

import (
	"context"
	"errors"
	"os/exec"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// runOnTerminal is for Linux only.
func runOnTerminal(context.Context, *ssh2.ServerSession, *exec.Cmd) error {
	return errors.ErrUnsupported
}
