//go:build !windows

package main

import "syscall"

// pipeErrors are what writing to a pipe says that nobody reads.
var pipeErrors = [...]error{syscall.EPIPE}
