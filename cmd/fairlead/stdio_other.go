//go:build !unix

package main

import (
	"errors"
	"io"
)

func setUmask(int) error { return errors.ErrUnsupported }

func openSyslog(string) (io.Writer, error) { return nil, errors.ErrUnsupported }
