package sftpserver

import (
	"strconv"

	"github.com/fairlead-ssh/fairlead/settings"
	"github.com/fairlead-ssh/fairlead/sftp"
)

// fileSettings are those of what clients see and do.
var fileSettings = []row{
	{
		Name:  "RootDirectory",
		Field: func(s *Server) any { return &s.RootDirectory },
		Doc:   "The local directory that clients see as /. Empty: the handlers of events supply everything.",
	},
	{
		Name: "RestrictUserToHomeDir", Default: "False",
		Field: func(s *Server) any { return &s.RestrictUserToHomeDir },
		Doc:   "Confines users to their home directory and what is below. Paths stay as seen from the root.",
	},
	{
		Name: "ReadOnly", Default: "False",
		Field: func(s *Server) any { return &s.ReadOnly },
		Doc:   "Refuses every request that would change anything.",
	},
	{
		Name: "ProtocolVersion", Default: "3", Range: "3..6", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.ProtocolVersion },
		Doc:   "The highest version of SFTP that is spoken. With a client that supports less, its highest version is used.",
	},
	{
		Name: "ServerEOL", Default: "LF", ZeroIsDefault: true,
		Choices: []settings.Choice{{Value: "LF", Word: "\n"}, {Value: "CRLF", Word: "\r\n"}, {Value: "CR", Word: "\r"}},
		Field:   func(s *Server) any { return &s.ServerEOL },
		Doc:     "The line end of text files here, announced from version 4 of SFTP on. The characters themselves are taken, too.",
	},
	{
		Name: "DirListBufferSize", Default: "100", Range: "1..65536", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.DirListBufferSize },
		Doc:   "How many entries the answer to one READDIR has at most.",
	},
	{
		Name: "UnixStyleDateFormat", GoName: "PlainDates", Default: "True", Inverse: true,
		Field: func(s *Server) any { return &s.PlainDates },
		Doc:   "Writes dates of long names as ls does; False writes 2006-01-02 15:04. For version 3 of SFTP.",
	},
	{
		Name: "ListDotEntries", GoName: "NoDotEntries", Default: "True", Inverse: true,
		Field: func(s *Server) any { return &s.NoDotEntries },
		Doc:   "Includes . and .. in listings that the server makes.",
	},
	{
		Name: "CodePage", Default: "0", Range: "0..",
		Valid: func(value string) error {
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil || n == 0 {
				return nil // the parser says it better
			}
			_, err = sftp.CodePage(uint32(n))
			return err
		},
		Field: func(s *Server) any { return &s.CodePage },
		Doc:   "The Windows number of the code page of file names and messages; 0 is UTF-8. For version 3 of SFTP: later ones always have UTF-8.",
	},
	{
		Name: "MaxHandles", GoName: "Limits.Handles", Default: "1024", Range: "1..65536", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.Limits.Handles },
		Doc:   "How many files and directories one session may have open.",
	},
	{
		Name: "Concurrency", GoName: "Limits.Concurrency", Default: "8", Range: "1..1024", ZeroIsDefault: true,
		Field: func(s *Server) any { return &s.Limits.Concurrency },
		Doc:   "How many READ and WRITE requests of one session run at a time.",
	},
	{
		Name: "UploadRate", Default: "0", Range: "0..", Unit: settings.Bytes,
		Field: func(s *Server) any { return &s.UploadRate },
		Doc:   "How many bytes a second a connection may send to the server; 0 is without limit.",
	},
	{
		Name: "DownloadRate", Default: "0", Range: "0..", Unit: settings.Bytes,
		Field: func(s *Server) any { return &s.DownloadRate },
		Doc:   "How many bytes a second the server sends on a connection; 0 is without limit.",
	},
	{
		Name: "TotalUploadRate", Default: "0", Range: "0..", Unit: settings.Bytes,
		Field: func(s *Server) any { return &s.TotalUploadRate },
		Doc:   "How many bytes a second all connections together may send to the server, which they share evenly; 0 is without limit.",
	},
	{
		Name: "TotalDownloadRate", Default: "0", Range: "0..", Unit: settings.Bytes,
		Field: func(s *Server) any { return &s.TotalDownloadRate },
		Doc:   "How many bytes a second the server sends on all connections together, which share them evenly; 0 is without limit.",
	},
	{
		Name: "Extensions", Repeat: true,
		Field: func(s *Server) any { return &s.Extensions },
		Doc:   "The extended requests offered; empty is all.",
	},
	{
		Name: "ConcurrentEvents", Default: "False",
		Field: func(s *Server) any { return &s.ConcurrentEvents },
		Doc:   "Lets events of one connection be delivered at the same time. Handlers then need locks.",
	},
}

// logSettings are those of the log.
var logSettings = []row{
	{
		Name: "LogLevel", Default: "1",
		Choices: []settings.Choice{
			{Value: "0", Word: "None"},
			{Value: "1", Word: "Info", Doc: "what happens"},
			{Value: "2", Word: "Verbose", Doc: "each packet"},
			{Value: "3", Word: "Debug", Doc: "what is in them"},
		},
		Field: func(s *Server) any { return (*int)(&s.LogLevel) },
		Doc:   "How much is logged; each level has what those before it have.",
	},
	{
		Name: "MaskSensitiveData", GoName: "LogSecrets", Aliases: []string{"MaskSensitive"}, Default: "True", Inverse: true,
		Field: func(s *Server) any { return &s.LogSecrets },
		Doc:   "Keeps passwords out of the log. Leave it on.",
	},
}

// otherSettings tell something, or are known because other platforms have them.
var otherSettings = []row{
	{
		Name: "BuildInfo", When: settings.ReadOnly, Type: "text",
		Get: func(*Server, string) (string, error) { return buildInfo(), nil },
		Doc: "What was built: version of the library, of Go, and the platform.",
	},
	{
		Name: "LicenseInfo", When: settings.ReadOnly, Type: "text",
		Get: func(*Server, string) (string, error) { return "", nil },
		Doc: "Empty: there are no license keys.",
	},
	{
		Name: "UseInternalSecurityAPI", Default: "False",
		Field: func(s *Server) any { return &s.stash.internalAPI },
		Doc:   "Has no effect: there is only one implementation of cryptography, that of Go.",
	},
	{
		Name: "SelectWaitMillis", Default: "20", Range: "0..", Unit: settings.Milliseconds,
		ZeroIsDefault: true, Field: func(s *Server) any { return &s.stash.selectWait },
		Doc: "Has no effect: programs do not have to wait for events here.",
	},
	{
		Name: "UseIOCP", Default: "False", Unsupported: &settings.Unsupported{Platform: "Windows", Hint: "Go waits for sockets by itself, with completion ports where there are some."},
		Doc: "Asks for completion ports.",
	},
	{
		Name: "UseWindowsMessages", Default: "False", Unsupported: &settings.Unsupported{Platform: "Windows", Hint: "Handlers run on goroutines and need no window."},
		Doc: "Asks for events as window messages.",
	},
	{
		Name: "ProcessIdleEvents", Default: "True", Unsupported: &settings.Unsupported{Platform: "Windows with a message loop", Hint: "There is no loop to pause: handlers run on goroutines."},
		Doc: "Whether events are handled while the main thread is idle.",
	},
}
