//go:build !windows

package sftpserver

import "os"

// place gives a file its name, and never replaces another. Its first name is left to be removed.
func place(temp, name string) error { return os.Link(temp, name) }
