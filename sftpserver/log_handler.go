package sftpserver

import (
	"context"
	"log/slog"
	"slices"
)

// A lineHandler takes what ssh2 and sftp log by themselves into the queue of the
// connection that it is about.
type lineHandler struct {
	engine *engine
	conn   *Connection // nil: that of the context, if there is one
	attrs  []slog.Attr
	group  string // in front of keys; empty, or ends in "."
}

// retold are lines of ssh2 that are more, or less, to us than their level says.
var retold = map[string]struct {
	level   LogLevel
	status  bool // a step of the secure connection
	refusal bool // a login failed, if the line is of level Info
}{
	"authentication success":   {level: LogInfo, status: true},
	"authentication partial":   {level: LogInfo, status: true},
	"authentication failure":   {level: LogInfo, status: true, refusal: true},
	"authentication abandoned": {level: LogInfo, status: true, refusal: true},
	// These have lines of ours: see engine.over.
	"connection refused": {level: LogVerbose},
	"login failed":       {level: LogVerbose},
	"connection ended":   {level: LogVerbose},
}

// levelOf is the level of the log for a level of slog.
func levelOf(l slog.Level) LogLevel {
	switch {
	case l >= slog.LevelInfo:
		return LogInfo
	case l >= slog.LevelDebug:
		return LogVerbose
	}
	return LogDebug
}

// Enabled implements slog.Handler.
func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool {
	// On a connection, what is of level Info may be a status, or a refusal to note.
	return h.engine.out.logs(levelOf(l)) || h.conn != nil && l >= slog.LevelInfo
}

// Handle implements slog.Handler.
func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	c := h.conn
	if c == nil {
		c = connectionOf(ctx)
	}
	o := &h.engine.out
	l := line{at: r.Time, conn: c, level: levelOf(r.Level), grade: r.Level, text: clean(r.Message)}
	if as, ok := retold[r.Message]; ok {
		if r.Level >= slog.LevelInfo { // else a probe, with which every client begins
			l.level, l.status = as.level, as.status
		}
		if l.level > LogInfo {
			l.grade = slog.LevelDebug
		}
		if as.refusal && r.Level >= slog.LevelInfo && c != nil {
			c.refusals.Add(1)
		}
	}
	if !o.logs(l.level) && (!l.status || o.status == nil) {
		return nil
	}
	l.attrs = slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		l.attrs = h.add(l.attrs, c, a)
		return true
	})
	h.engine.queueOf(c).push(l)
	return nil
}

// add adds an attribute as data, unless it says nothing: that there is no error,
// or where a line comes from that is about a connection.
func (h *lineHandler) add(to []slog.Attr, c *Connection, a slog.Attr) []slog.Attr {
	if c != nil && h.group == "" && a.Key == "remote" {
		return to
	}
	if a.Value.Kind() == slog.KindAny && a.Value.Any() == nil {
		return to
	}
	return append(to, slog.Attr{Key: h.group + a.Key, Value: data(a.Value)})
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		n.attrs = h.add(n.attrs, h.conn, a)
	}
	return &n
}

// WithGroup implements slog.Handler.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	n := *h
	if name != "" {
		n.group += name + "."
	}
	return &n
}
