//go:build unix

package sftp

import "syscall"

// openNonblock keeps the opening of a pipe from waiting for its other end. It changes
// nothing about regular files.
const openNonblock = syscall.O_NONBLOCK

// openNoFollow refuses a symlink.
const openNoFollow = syscall.O_NOFOLLOW
