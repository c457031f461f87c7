//go:build !unix

package main

import "io/fs"

// othersCanWrite cannot be told from a mode here.
func othersCanWrite(fs.FileInfo) bool { return false }
