package main

import "golang.org/x/sys/windows"

// pipeErrors are what writing to a pipe says that nobody reads.
var pipeErrors = [...]error{windows.ERROR_BROKEN_PIPE, windows.ERROR_NO_DATA}
