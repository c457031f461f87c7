package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/fairlead-ssh/fairlead/settings"
)

// configTable has the settings that stand before the first User block: the command's
// own, and those of the component as far as the command has none of that name.
var configTable = settings.New(nil, withComponent(commandRows)...)

const (
	groupCommand = "The command"
	groupUser    = "Settings of a user"
	since        = "0.5"
)

// commandRows are the command's own settings.
var commandRows = rowsOf(groupCommand, settings.Start, []settings.Row[config]{
	{
		Name: "RootDirectory", When: settings.Runtime, Type: "directory",
		Doc: "What users see as `/` who have no RootDirectory of their own.",
		Get: func(c *config, _ string) (string, error) { return c.component().RootDirectory, nil },
		Set: func(c *config, _, v string) (err error) {
			c.component().RootDirectory, err = c.directory(v)
			return err
		},
	},
	{
		Name: "HostKeyFile", When: settings.Runtime, Aliases: []string{"SSHCert", "HostKey"}, Repeat: true, Type: "file",
		Doc: "A private host key, without passphrase, with `FILE-cert.pub` if that is there. Without any, one is made and kept in the configuration directory of the user that the server runs as.",
		Get: func(c *config, _ string) (string, error) { return strings.Join(c.hostKeyFiles, ", "), nil },
		Set: func(c *config, _, v string) error { return c.addHostKey(c.path(v)) },
	},
	{
		Name: "TrustedUserCAKeys", When: settings.Runtime, Repeat: true, Type: "file",
		Doc: "A file with the public keys of authorities, a line each, whose OpenSSH certificates let users in who have a block. Without any, certificates are refused.",
		Set: func(c *config, _, v string) error { return c.addKeyList(&c.component().TrustedUserCAKeys, v) },
	},
	{
		Name: "RevokedKeys", When: settings.Runtime, Repeat: true, Type: "file",
		Doc: "A file with public keys that let nobody in any more, a line each: of users, of authorities, or whole certificates.",
		Set: func(c *config, _, v string) error { return c.addKeyList(&c.component().RevokedKeys, v) },
	},
	{
		Name: "LogFormat", Default: "text", Choices: []settings.Choice{{Value: "text"}, {Value: "json"}},
		Doc: "How the log is written to standard error.", Type: "text",
		Get: func(c *config, _ string) (string, error) { return c.logFormat, nil },
		Set: func(c *config, _, v string) error { c.logFormat = v; return nil },
	},
	{
		Name: "LogLevel", Default: "INFO", When: settings.Runtime,
		Doc:   "From which level up lines are logged: debug, info, warn or error.",
		Field: func(c *config) any { return (*logLevel)(&c.logLevel) },
	},
	{
		Name: "OnUpload", When: settings.Runtime, Type: "program",
		Doc: "A program to run when an upload is complete, and when a file is renamed, for users whose block names none. It gets no arguments, and all that it needs in its environment: see operating.md.",
		Get: func(c *config, _ string) (string, error) { return c.onUpload, nil },
		Set: func(c *config, _, v string) (err error) {
			c.onUpload, err = c.program(v)
			return err
		},
	},
	{
		Name: "OnUploadTimeout", Default: "300", When: settings.Runtime, Unit: settings.Seconds, Range: "1..86400",
		Doc:   "How long such a program may run before it is killed.",
		Field: func(c *config) any { return &c.uploadTimeout },
	},
	{
		Name: "OnUploadJobs", Default: "4", When: settings.Runtime, Range: "1..1000",
		Doc:   "How many such programs run at a time. Up to 1000 more wait, 250 of one user.",
		Field: func(c *config) any { return &c.uploadJobs },
	},
	{
		Name: "DisconnectRemovedUsers", Default: "False", When: settings.Runtime,
		Doc:   "Whether connections of users who are no longer in the file, or are disabled, are ended when it is read anew. Otherwise they go on until their clients leave; sessions that begin later are refused in any case.",
		Field: func(c *config) any { return &c.disconnectRemoved },
	},
})

// rowsOf gives rows what they have in common. A row for Start may say that it is for
// another time.
func rowsOf[T any](group string, when settings.When, rows []settings.Row[T]) []settings.Row[T] {
	for i := range rows {
		rows[i].Group, rows[i].Since = group, since
		if rows[i].When == settings.Start {
			rows[i].When = when
		}
	}
	return rows
}

// logLevel is a level as settings know it.
type logLevel slog.Level

// MarshalText is slog's.
func (l logLevel) MarshalText() ([]byte, error) { return slog.Level(l).MarshalText() }

// UnmarshalText takes the four words, without slog's "INFO+1".
func (l *logLevel) UnmarshalText(text []byte) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(known.String(), strings.TrimSpace(string(text))) {
			*l = logLevel(known)
			return nil
		}
	}
	return fmt.Errorf("%q is none of debug, info, warn and error", text)
}

// withComponent adds the component's settings that have no namesake among rows.
func withComponent(rows []settings.Row[config]) []settings.Row[config] {
	own := slices.Clone(rows)
	for _, r := range componentRows() {
		if !slices.ContainsFunc(rows, func(o settings.Row[config]) bool { return strings.EqualFold(o.Name, r.Name) }) {
			own = append(own, r)
		}
	}
	return own
}
