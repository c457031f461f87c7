package main

import (
	"slices"
	"strconv"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftpserver"
)

// Settings of the component that a file does not have: what the command decides by
// itself, and what is about single connections.
var (
	withoutGroups = []string{"Host keys", "Connections"}
	without       = []string{
		"DefaultAuthMethods", "FireAuthRequestAfterSig", "KeyboardInteractivePrompts", "KeyboardInteractivePromptCount",
		"KeyboardInteractivePromptPrompt", "KeyboardInteractivePromptEcho", "ConcurrentEvents", "MaskSensitiveData",
		"BuildInfo", "LicenseInfo", "Listening",
	}
)

// commandDefaults are the defaults of the command where they are not those of the component:
// useful on one's own machine, and with all that clients can make use of.
var commandDefaults = map[string]string{
	"LocalHost":            defaultHost,
	"LocalPort":            strconv.Itoa(defaultPort),
	"ProtocolVersion":      "6",
	"DirListBufferSize":    "10000", // as many as fit
	"SSHKeepAliveInterval": "15",
	"SSHKeepAliveCountMax": "3",
}

// componentRows are the component's settings, as settings of the command.
func componentRows() (out []settings.Row[config]) {
	for _, r := range settings.Lift(sftpserver.Settings(), (*config).component) {
		if slices.Contains(withoutGroups, r.Group) || slices.Contains(without, r.Name) {
			continue
		}
		if d, ok := commandDefaults[r.Name]; ok {
			r.Default, r.ZeroIsDefault = d, false
		}
		r.GoName, r.Busy = "", 0 // of programs
		out = append(out, r)
	}
	return out
}

// component is the server, also of a config that nobody made: the manual asks those
// for types.
func (c *config) component() *sftpserver.Server {
	if c.server == nil {
		c.server = sftpserver.New()
	}
	return c.server
}
