//go:build !unix

package main

import (
	"errors"
	"io"
	"os"
)

func setUmask(int) error { return errors.ErrUnsupported }

func openSyslog(string) (io.Writer, error) { return nil, errors.ErrUnsupported }

func pollable(f *os.File) (g *os.File, ok bool, undo func()) { return f, false, func() {} }
