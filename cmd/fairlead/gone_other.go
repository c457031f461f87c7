//go:build !unix

package main

import "io"

// whenGone watches nothing: such a pipe tells that its reader is gone to who writes only.
func whenGone(io.Writer, func()) (stop func()) { return func() {} }
