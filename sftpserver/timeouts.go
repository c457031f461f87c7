package sftpserver

import (
	"time"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// kexTime is how long keys may take to be exchanged, unless logins may take longer.
const kexTime = time.Minute

// timeouts are the limits of all connections.
func (o *Options) timeouts() ssh2.Timeouts {
	t := ssh2.Timeouts{Idle: max(o.DefaultIdleTimeout, 0)}
	if login := o.LoginTimeout; login > 0 {
		t.Login, t.Ident, t.Auth = login, login, login
		t.Kex = max(login, kexTime) // of later key exchanges too, which have nothing to do with logins
	}
	return t
}

// Timeout returns the limit that is in force, as explained at [Connection.SetTimeout]: DefaultIOTimeout if nothing else
// was set, negative for none.
func (c *Connection) Timeout() time.Duration {
	switch d := time.Duration(c.timeout.Load()); {
	case d == 0:
		return DefaultIOTimeout
	case d < 0:
		return -1
	default:
		return d
	}
}

// SetTimeout changes Options.DefaultTimeout for this connection: for how long the client may accept no output that
// waits for it, or send nothing more of a packet that it began. 0 means the server's setting, negative no limit. Set in
// the Connected event, it applies to the whole connection; set between that event and the login, it takes effect at the
// login.
func (c *Connection) SetTimeout(d time.Duration) {
	if d == 0 {
		d = c.engine.DefaultTimeout
	}
	c.timeout.Store(int64(d))
	if conn := c.conn(); conn != nil {
		conn.SetStallTimeout(c.stallTimeout())
	}
}

// stallTimeout is Timeout as ssh2 has it: 0 for none.
func (c *Connection) stallTimeout() time.Duration { return max(c.Timeout(), 0) }
