//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// apart gives a program a process group of its own: an interrupt typed at the server's terminal does not reach it,
// and its end takes along what it has started.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
