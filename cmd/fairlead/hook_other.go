//go:build !unix

package main

import "os/exec"

// apart does nothing here: there are no process groups, and the end of a program is its own only.
func apart(*exec.Cmd) {}
