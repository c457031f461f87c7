package sftpserver

import "github.com/fairlead-ssh/fairlead/settings"

// listenSettings are those of addresses, sockets and who may connect.
var listenSettings = []row{
	{
		Name: "LocalHost", Busy: CodeLocalHost,
		Field: func(s *Server) any { return &s.LocalHost },
		Doc:   "The address to listen on; empty means all addresses of UseIPv6. Prefer addresses to names.",
	},
	{
		Name: "LocalPort", Default: "22", Range: "0..65535", Busy: CodeLocalPort,
		Field: func(s *Server) any { return &s.LocalPort },
		Doc:   "The TCP port to listen on; with 0 the system chooses one.",
	},
	{
		Name: "UseIPv6", Busy: CodeLocalPort, GoName: "IPFamily", Aliases: []string{"IPFamily"}, Default: "0",
		Choices: []settings.Choice{{Value: "0", Word: "IPv4", Doc: "IPv4 only"}, {Value: "1", Word: "IPv6", Doc: "IPv6 only"}, {Value: "2", Word: "both", Doc: "IPv4 and IPv6"}},
		Field:   func(s *Server) any { return (*int)(&s.IPFamily) },
		Doc:     "Which version of IP to listen on.",
	},
	{
		Name: "Listening", Default: "False", When: settings.ReadOnly, Type: "True or False",
		Get: func(s *Server, _ string) (string, error) {
			listening := s.Listening()
			return settings.Print(&listening, settings.NoUnit), nil
		},
		Doc: "Tells whether the server accepts connections. Start and StopListening change it.",
	},
	{
		Name: "ConnectionBacklog", Busy: CodeLocalPort, Default: "0", Range: "0..65535",
		Field: func(s *Server) any { return &s.ConnectionBacklog },
		Doc:   "How many connections the system keeps that are established and not accepted yet; 0 is what the system has. It may take another number.",
	},
	{
		Name: "BindExclusively", Busy: CodeLocalPort, GoName: "ShareAddress", Default: "True", Inverse: true,
		Field: func(s *Server) any { return &s.ShareAddress },
		Doc:   "Keeps other processes from binding the same address and port. False lets those of the same user do it, where the system can.",
	},
	{
		Name: "MaxConnections", Default: "1000", Range: "1..100000", ZeroIsDefault: true, Busy: CodeMaxConnections,
		Field: func(s *Server) any { return &s.MaxConnections },
		Doc:   "The most connections at a time.",
	},
	{
		Name: "MaxStartups", Default: "100", Range: "1..100000", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.MaxStartups },
		Doc:   "The most connections at a time whose users have not logged in. From half of it on, some new ones are refused at random.",
	},
	{
		Name: "AllowedClients", Repeat: true, Default: "*", ZeroIsDefault: true, Valid: validClients("AllowedClients"),
		Field: func(s *Server) any { return &s.AllowedClients },
		Doc:   "Who may connect: addresses, networks such as 10.0.0.0/8, host names, with * for any text. The ConnectionRequest event has the last word. Names cost a reverse look-up for each connection.",
	},
	{
		Name: "BlockedClients", Repeat: true, Valid: validClients("BlockedClients"),
		Field: func(s *Server) any { return &s.BlockedClients },
		Doc:   "Who may not connect, even if AllowedClients has them. A host name does not block a client that has no name or whose look-up fails: block by addresses what must be kept out.",
	},
	{
		Name: "InBufferSize", Default: "0", Range: "0..1G", Unit: settings.Bytes,
		Field: func(s *Server) any { return &s.InBufferSize },
		Doc:   "The size of the receive buffer of each connection's socket; 0 is what the system has, which may also take another number.",
	},
	{
		Name: "OutBufferSize", Default: "0", Range: "0..1G", Unit: settings.Bytes,
		Field: func(s *Server) any { return &s.OutBufferSize },
		Doc:   "The size of the send buffer of each connection's socket; 0 is what the system has, which may also take another number.",
	},
	{
		Name: "TcpNoDelay", GoName: "Nagle", Default: "True", Inverse: true,
		Field: func(s *Server) any { return &s.Nagle },
		Doc:   "Sends small packets at once. False lets TCP gather them.",
	},
	{
		Name: "KeepAliveTime", Default: "0", Range: "0..", Unit: settings.Milliseconds,
		Field: func(s *Server) any { return &s.KeepAliveTime },
		Doc:   "The silence before the first TCP keep-alive probe; 0 is 15 s. Times are rounded up to seconds.",
	},
	{
		Name: "KeepAliveInterval", Default: "0", Range: "0..", Unit: settings.Milliseconds,
		Field: func(s *Server) any { return &s.KeepAliveInterval },
		Doc:   "The time between TCP keep-alive probes; 0 is 15 s. Times are rounded up to seconds.",
	},
	{
		Name: "KeepAliveRetryCount", Default: "0", Range: "0..127",
		Field: func(s *Server) any { return &s.KeepAliveRetryCount },
		Doc:   "How many TCP keep-alive probes go unanswered before the client counts as gone; 0 is 9.",
	},
	{
		Name: "DefaultTimeout", Default: "60", Range: "0..", Unit: settings.Seconds, ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.DefaultTimeout },
		Doc:   "How long a client may keep output waiting without taking any of it, and a packet that it began without sending more of it; 0 is without limit.",
	},
	{
		Name: "DefaultIdleTimeout", Default: "0", Range: "0..", Unit: settings.Seconds,
		Field: func(s *Server) any { return &s.DefaultIdleTimeout },
		Doc:   "A connection on which nothing has passed for so long is ended; 0 is never.",
	},
}

// validClients checks a list of clients.
func validClients(setting string) func(string) error {
	return func(value string) error {
		var list []string
		err := settings.Scan(&list, settings.NoUnit, value)
		if err == nil {
			_, err = parseClients(setting, list)
		}
		return err
	}
}
