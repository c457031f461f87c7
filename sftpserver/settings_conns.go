package sftpserver

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/settings"
)

// connectionSettings are those of connections that there are. Their index is the connection's id.
var connectionSettings = []row{
	{
		Name: "Connections", When: settings.ReadOnly, Type: "list",
		Get: func(s *Server, _ string) (string, error) {
			var ids []string
			for c := range s.Connections() {
				ids = append(ids, c.ID())
			}
			return strings.Join(ids, ","), nil
		},
		Doc: "The ids of the current connections, in the order in which they were accepted.",
	},
	{
		Name: "SFTPConnectionCount", Default: "0", When: settings.ReadOnly, Type: "number",
		Get: func(s *Server, _ string) (string, error) {
			return strconv.Itoa(len(slices.Collect(s.Connections()))), nil
		},
		Doc: "How many connections there are.",
	},
	{
		Name: "ConnectionUID", Index: "number", When: settings.ReadOnly, Type: "text",
		Get: func(s *Server, index string) (string, error) {
			c, err := item(slices.Collect(s.Connections()), index, "")
			if err != nil {
				return "", ErrUnknownConnection
			}
			return (*c).ID(), nil
		},
		Doc: "The id of the connection at a place, counted from 0, among those there are.",
	},
	connectionRow(row{Name: "SFTPConnectionConnected", Type: "True or False", Doc: "Whether the connection is up. False disconnects it."},
		func(c *Connection) string { return printBool(c.Connected()) },
		func(c *Connection, value string) error {
			var up bool
			if err := settings.Scan(&up, settings.NoUnit, value); err != nil || up {
				return err
			}
			return c.Disconnect()
		}),
	connectionRow(row{Name: "SFTPConnectionLocalAddress", Type: "text", Doc: "The IP address here."}, func(c *Connection) string {
		host, _ := splitAddr(c.LocalAddr())
		return host
	}, nil),
	connectionRow(row{Name: "SFTPConnectionRemoteHost", Type: "text", Doc: "The client's IP address."}, (*Connection).RemoteHost, nil),
	connectionRow(row{Name: "SFTPConnectionRemotePort", Type: "number", Doc: "The client's TCP port."},
		func(c *Connection) string { return strconv.Itoa(c.RemotePort()) }, nil),
	connectionRow(row{Name: "SFTPConnectionProtocolVersion", Type: "number", Doc: "The version of SFTP agreed on; 0 before."},
		func(c *Connection) string { return strconv.Itoa(c.ProtocolVersion()) }, nil),
	connectionRow(row{Name: "SFTPConnectionTimeout", Type: "seconds", Unit: settings.Seconds, Range: "0..", Doc: "DefaultTimeout of this connection; 0 is without limit."},
		func(c *Connection) string {
			d := max(c.Timeout(), 0)
			return settings.Print(&d, settings.Seconds)
		},
		func(c *Connection, value string) error {
			var d time.Duration
			if err := settings.Scan(&d, settings.Seconds, value); err != nil {
				return err
			}
			if d == 0 {
				d = -1
			}
			c.SetTimeout(d)
			return nil
		}),
	connectionRow(row{Name: "ClientSSHVersionString", Type: "text", Doc: "What the client calls itself."}, (*Connection).ClientVersion, nil),
	connectionRow(row{Name: "NegotiatedStrictKex", Type: "True or False", Doc: "Whether strict key exchange is in force."},
		func(c *Connection) string { return printBool(c.StrictKex()) }, nil),
	connectionRow(row{Name: "DirListBufferSize", Type: "number", Range: "1..65536", Doc: "How many entries the answer to one READDIR has at most on this connection."},
		func(c *Connection) string { return strconv.Itoa(c.listEntries()) },
		func(c *Connection, value string) error {
			var n int
			err := settings.Scan(&n, settings.NoUnit, value)
			if err == nil {
				c.SetDirListBufferSize(n)
			}
			return err
		}),
	connectionRow(row{Name: "SFTPErrorMessage", Aliases: []string{"SFTPConnectionErrorMessage"}, Type: "text", Doc: "The text sent with the next status other than success and end of file; empty leaves it to the server."},
		(*Connection).ErrorMessage,
		func(c *Connection, value string) error {
			c.SetErrorMessage(value)
			return nil
		}),
	connectionRow(row{Name: "SFTPConnectionFileData", Type: "text", Doc: "The data of the FileRead or FileWrite event that is being delivered, for its handler; empty at other times."},
		func(c *Connection) string {
			if data := c.fileData.Load(); data != nil {
				return string(*data)
			}
			return ""
		},
		func(c *Connection, value string) error {
			data := c.fileData.Load()
			if data == nil {
				return errNoData
			}
			*data = []byte(value)
			return nil
		}),
	loginRow(row{Name: "KeyboardInteractivePrompts", Type: "text", Doc: "What keyboard-interactive asks on this connection: " + promptDoc},
		func(c *Connection) promptList {
			if p := c.KeyboardInteractivePrompts(); p != nil {
				return p
			}
			return c.engine.KeyboardInteractivePrompts
		},
		func(c *Connection, p promptList) error { return c.SetKeyboardInteractivePrompts(p) }),
	loginRow(row{Name: "UserAuthBanner", Type: "text", Doc: "Shown to this client with the answer to the attempt whose UserAuth event sets it; set outside of that event it is an error."},
		(*Connection).UserAuthBanner, (*Connection).SetUserAuthBanner),
	loginRow(row{Name: "UserRootDirectory", Type: "text", Doc: "The local directory that this user sees as /."},
		func(c *Connection) string { return or(c.UserRootDirectory(), c.engine.RootDirectory) }, (*Connection).SetUserRootDirectory),
	loginRow(row{Name: "RestrictUserToHomeDir", Type: "True or False", Doc: "Confines this user to the home directory and what is below."},
		(*Connection).RestrictUserToHomeDir, (*Connection).SetRestrictUserToHomeDir),
}

var errNoData = errors.New("sftpserver: no FileRead or FileWrite event is being delivered on the connection")

func printBool(b bool) string { return settings.Print(&b, settings.NoUnit) }

// connectionRow completes a row of connections that can be read and set at any time; without set it can only be read.
func connectionRow(r row, get func(*Connection) string, set func(c *Connection, value string) error) row {
	r.Index, r.When = "connection", settings.ReadOnly
	r.Get = func(s *Server, id string) (string, error) {
		c, ok := s.Connection(id)
		if !ok {
			return "", ErrUnknownConnection
		}
		return get(c), nil
	}
	if set != nil {
		r.When = settings.Runtime
		r.Set = func(s *Server, id, value string) error {
			c, ok := s.Connection(id)
			if !ok {
				return ErrUnknownConnection
			}
			return set(c, value)
		}
	}
	return r
}

// loginRow completes a row of a login that has not succeeded yet.
func loginRow[V any](r row, get func(*Connection) V, set func(*Connection, V) error) row {
	r.Doc += " For the UserAuth event: once the user is logged in it cannot be set."
	return connectionRow(r,
		func(c *Connection) string {
			v := get(c)
			return settings.Print(&v, settings.NoUnit)
		},
		func(c *Connection, value string) error {
			var v V
			if err := settings.Scan(&v, settings.NoUnit, value); err != nil {
				return err
			}
			return set(c, v)
		})
}
