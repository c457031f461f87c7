package sftpserver

import "errors"

// reusePort: there is no SO_REUSEPORT here that package unix knows.
func reusePort(int) error { return errors.ErrUnsupported }
