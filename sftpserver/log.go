package sftpserver

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// outlets are who is told of what is reported: the settings as they were at
// Start, so that nobody has to ask whether they are being changed.
type outlets struct {
	status  func(*SSHStatusEvent)
	log     func(*LogEvent)
	error   func(*ErrorEvent)
	logger  *slog.Logger
	level   LogLevel
	secrets bool
}

func newOutlets(s *Server) outlets {
	o := outlets{status: s.SSHStatus, log: s.Log, error: s.Error, logger: s.Logger, level: s.LogLevel, secrets: s.LogSecrets}
	if o.level <= LogNone {
		o.log, o.logger = nil, nil
	}
	if o.log == nil && o.logger == nil {
		o.level = LogNone
	}
	return o
}

// quiet tells whether nobody listens to anything.
func (o *outlets) quiet() bool { return o.status == nil && o.error == nil && o.level == LogNone }

// logs tells whether lines of that level go anywhere.
func (o *outlets) logs(l LogLevel) bool { return l <= o.level }

// packets tells whether packets are logged. A Logger that changes its mind later
// does so for new connections.
func (o *outlets) packets() bool {
	return o.logs(LogVerbose) && (o.log != nil || o.logger.Enabled(context.Background(), slog.LevelDebug))
}

// A line is one thing that is reported: data that belongs to it alone, so that
// it may wait.
type line struct {
	at    time.Time
	conn  *Connection // nil: about none
	level LogLevel    // the least that shows it in the log
	grade slog.Level  // for Logger
	text  string      // what happened: words of ours
	attrs []slog.Attr // with what: see data

	status bool        // for SSHStatus too
	err    error       // for Error too
	skip   outlet      // who is not told
	packet *packetLine // it is about a packet
}

// size is about what a line refers to, in octets.
func (l *line) size() int {
	n := len(l.text)
	for i := range l.attrs {
		n += 32 + len(l.attrs[i].Key)
		if v := l.attrs[i].Value; v.Kind() == slog.KindString {
			n += len(v.String())
		}
	}
	if p := l.packet; p != nil {
		n += len(p.fields) + len(p.octets)
	}
	return n
}

// String is the line for people: what happened, and with what.
func (l *line) String() string {
	if l.packet != nil {
		return l.packet.String()
	}
	var b strings.Builder
	b.WriteString(l.text)
	between := ": "
	for _, a := range l.attrs {
		b.WriteString(between)
		b.WriteString(a.Key)
		b.WriteByte(' ')
		b.WriteString(field(a.Value.String()))
		between = ", "
	}
	return b.String()
}

// field is a value as it stands in a line for people: quoted if it is empty or could be taken
// for several fields, as the name of a file could.
func field(v string) string {
	if v != "" && !strings.Contains(v, ", ") {
		return v
	}
	if _, err := strconv.Unquote(v); err == nil {
		return v
	}
	return strconv.Quote(v)
}

// record writes the line to a logger.
func (l *line) record(log *slog.Logger) {
	ctx, h := context.Background(), log.Handler()
	if h.Enabled(ctx, l.grade) {
		attrs := l.attrs
		if l.packet != nil {
			attrs = l.packet.attrs()
		}
		r := slog.NewRecord(l.at, l.grade, l.text, 0)
		r.AddAttrs(l.whose(attrs)...)
		r.AddAttrs(attrs...)
		if p, ok := errors.AsType[*PanicError](l.err); ok {
			r.AddAttrs(slog.String("stack", string(p.Stack)))
		}
		_ = h.Handle(ctx, r)
	}
	if p := l.packet; p != nil && p.octets != nil && h.Enabled(ctx, levelOctets) {
		r := slog.NewRecord(l.at, levelOctets, "octets", 0)
		r.AddAttrs(l.whose(nil)...)
		r.AddAttrs(p.dump()...)
		_ = h.Handle(ctx, r)
	}
}

// whose says which connection the line is about, except what attrs say.
func (l *line) whose(attrs []slog.Attr) []slog.Attr {
	c := l.conn
	if c == nil {
		return nil
	}
	out := []slog.Attr{slog.String("connection", c.id)}
	says := func(key string) bool {
		for i := range attrs {
			if attrs[i].Key == key {
				return true
			}
		}
		return false
	}
	if user := c.User(); user != "" && !says("user") {
		out = append(out, slog.String("user", clean(user)))
	}
	if a := c.nc.RemoteAddr(); a != nil && !says("remote") {
		out = append(out, slog.String("remote", a.String()))
	}
	return out
}

// maxText bounds each value of a line, in octets.
const maxText = 2 << 10

// clean makes any text a piece of one line that harms no terminal and no log:
// quoted, and cut, where need be.
func clean(s string) string {
	cut := ""
	if len(s) > maxText {
		s, cut = s[:maxText], ".."
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s + cut
	}
	return strconv.Quote(s) + cut
}

// data returns a value that refers to nothing that others may change: values of
// other kinds than the basic ones become the text that they are printed as.
func data(v slog.Value) slog.Value {
	switch v = v.Resolve(); v.Kind() {
	case slog.KindString, slog.KindAny, slog.KindGroup:
		return slog.StringValue(clean(v.String()))
	case slog.KindDuration:
		return slog.StringValue(v.Duration().Round(time.Microsecond).String())
	default:
		return v
	}
}
