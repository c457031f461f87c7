//go:build unix

package main

import (
	"fmt"
	"io"
	"log/syslog"
	"strings"
	"syscall"
)

// setUmask sets that of the process.
func setUmask(mask int) error {
	syscall.Umask(mask)
	return nil
}

// facilities are those of sftp-server(8).
var facilities = map[string]syslog.Priority{
	"DAEMON": syslog.LOG_DAEMON, "USER": syslog.LOG_USER, "AUTH": syslog.LOG_AUTH, "AUTHPRIV": syslog.LOG_AUTHPRIV,
	"LOCAL0": syslog.LOG_LOCAL0, "LOCAL1": syslog.LOG_LOCAL1, "LOCAL2": syslog.LOG_LOCAL2, "LOCAL3": syslog.LOG_LOCAL3,
	"LOCAL4": syslog.LOG_LOCAL4, "LOCAL5": syslog.LOG_LOCAL5, "LOCAL6": syslog.LOG_LOCAL6, "LOCAL7": syslog.LOG_LOCAL7,
}

func openSyslog(facility string) (io.Writer, error) {
	p, ok := facilities[strings.ToUpper(facility)]
	if !ok {
		return nil, fmt.Errorf("%q is no facility of syslog that is known here", facility)
	}
	return syslog.New(p|syslog.LOG_INFO, "fairlead")
}
