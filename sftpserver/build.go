package sftpserver

import (
	"runtime"
	"runtime/debug"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// buildInfo tells what was built.
func buildInfo() string {
	text := ssh2.Version
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		text += " (" + info.Main.Path + " " + info.Main.Version + ")"
	}
	return text + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
