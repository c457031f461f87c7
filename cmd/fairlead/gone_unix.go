//go:build unix

package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// whenGone calls gone once nobody reads out any more: the other end of the pipe or socket is
// closed. It takes no end of the input for that: who has only stopped to ask waits for
// answers. stop ends the watching, and must be called before out is closed. Nothing is
// watched if out is no file.
func whenGone(out io.Writer, gone func()) (stop func()) {
	f, ok := out.(*os.File)
	if !ok {
		return func() {}
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return func() {}
	}
	wake, end, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.Control(func(fd uintptr) {
			for {
				// With no events asked for, poll waits for POLLERR (a pipe without readers)
				// and POLLHUP (a socket whose peer is closed) alone.
				list := []unix.PollFd{{Fd: int32(fd)}, {Fd: int32(wake.Fd()), Events: unix.POLLIN}}
				if _, err := unix.Poll(list, -1); errors.Is(err, unix.EINTR) {
					continue
				}
				if list[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 && list[1].Revents == 0 {
					gone()
				}
				return
			}
		})
	}()
	return func() {
		_ = end.Close()
		<-done
		_ = wake.Close()
	}
}
