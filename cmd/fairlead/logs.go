package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// newLog makes the log of the process.
func newLog(format string, level slog.Leveler, w io.Writer) *slog.Logger {
	h := &slog.HandlerOptions{Level: level, ReplaceAttr: addrText}
	w = escaper{w}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}

// notes keeps what is logged before it is known how and where.
type notes struct{ records []slog.Record }

// Enabled implements slog.Handler: everything is kept.
func (n *notes) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (n *notes) Handle(_ context.Context, r slog.Record) error {
	n.records = append(n.records, r.Clone())
	return nil
}

// WithAttrs and WithGroup implement slog.Handler; nobody uses them.
func (n *notes) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements slog.Handler.
func (n *notes) WithGroup(string) slog.Handler { return n }

// to logs what was kept.
func (n *notes) to(log *slog.Logger) {
	ctx := context.Background()
	for _, r := range n.records {
		if log.Enabled(ctx, r.Level) {
			_ = log.Handler().Handle(ctx, r)
		}
	}
	n.records = nil
}

// addrText makes the text of a network address its value in the log, which in
// JSON would be an object with parts.
func addrText(_ []string, a slog.Attr) slog.Attr {
	if addr, ok := a.Value.Any().(net.Addr); ok {
		a.Value = slog.StringValue(addr.String())
	}
	return a
}

// An escaper passes lines of a log on with everything escaped that is not for
// printing. In JSON slog escapes little but what is below U+0020, and in text it
// leaves DEL; a terminal that shows the log obeys U+009B as it does ESC [, or turns
// the text round (cves 9.1). JSON means the same as before.
type escaper struct{ w io.Writer }

// Write takes whole lines, as a slog.Handler writes them.
func (e escaper) Write(line []byte) (int, error) {
	var out []byte // nil as long as all is plain
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		switch {
		case r == '\n' || unicode.IsPrint(r):
			if out != nil {
				out = append(out, line[i:i+n]...)
			}
		default:
			if out == nil {
				out = append(make([]byte, 0, len(line)+16), line[:i]...)
			}
			if r1, r2 := utf16.EncodeRune(r); r1 != unicode.ReplacementChar {
				out = fmt.Appendf(out, `\u%04x\u%04x`, r1, r2)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
		}
		i += n
	}
	if out == nil {
		return e.w.Write(line)
	}
	if _, err := e.w.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}
