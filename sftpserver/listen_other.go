//go:build !unix && !windows

package sftpserver

import "errors"

func shareAddress(_ uintptr, share bool) error {
	if share {
		return errors.ErrUnsupported
	}
	return nil
}

// listenBacklog does nothing: the length of the queue is a hint.
func listenBacklog(uintptr, int) error { return nil }
