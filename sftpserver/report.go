package sftpserver

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// report tells the Error event and the log of an error that no caller is told.
// It never waits: see queue. c may be nil.
func (e *engine) report(c *Connection, err error) {
	if e.out.error == nil && !e.out.logs(LogInfo) {
		return
	}
	e.queueOf(c).push(errorLine(c, err))
}

// errorLine is the line of an error.
func errorLine(c *Connection, err error) line {
	l := line{at: time.Now(), conn: c, level: LogInfo, grade: slog.LevelError, text: clean(err.Error()), err: err}
	if code := ErrorCode(err); code != 0 {
		l.attrs = []slog.Attr{slog.Int("code", code)}
	}
	if _, lost := errors.AsType[*LostLinesError](err); lost || clientsDoing(err) {
		l.grade = slog.LevelWarn // the client's fault, or ours by half
	}
	return l
}

// clientsDoing tells errors that anybody brings about who can connect, scanners of ports among them: a login that fails, an end
// of the connection by either side, a time that is up. Errors of our own code are not.
func clientsDoing(err error) bool {
	_, ours := errors.AsType[*PanicError](err)
	_, ssh := errors.AsType[*ssh2.PanicError](err)
	if ours || ssh {
		return false
	}
	switch ErrorCode(err) {
	case CodeAuth, codeAborted, codeReset, codeTimedOut:
		return true
	}
	return false
}

// note writes a line of level Info to the log.
func (e *engine) note(c *Connection, text string, attrs ...slog.Attr) {
	if e.out.logs(LogInfo) {
		e.tell(c, false, text, attrs)
	}
}

// step tells SSHStatus and the log of a step of the secure connection. attrs
// are data, or text of the client.
func (c *Connection) step(text string, attrs ...slog.Attr) {
	if e := c.engine; e.out.status != nil || e.out.logs(LogInfo) {
		e.tell(c, true, text, attrs)
	}
}

func (e *engine) tell(c *Connection, status bool, text string, attrs []slog.Attr) {
	for i := range attrs {
		attrs[i].Value = data(attrs[i].Value)
	}
	e.queueOf(c).push(line{at: time.Now(), conn: c, level: LogInfo, grade: slog.LevelInfo, text: text, attrs: attrs, status: status})
}

// queueOf is where lines about c wait; c may be nil.
func (e *engine) queueOf(c *Connection) *queue {
	if c == nil {
		return &e.lines
	}
	return &c.lines
}

// logger is what ssh2 and sftp write to that is not about one connection, or has
// it in the context; nil if nobody reads it.
func (e *engine) logger() *slog.Logger {
	if !e.out.logs(LogInfo) {
		return nil
	}
	return slog.New(&lineHandler{engine: e})
}

// observe has ssh2 tell what happens on the connection. Who listens to nothing
// pays for nothing.
func (c *Connection) observe(cfg *ssh2.Config) {
	o := &c.engine.out
	cfg.Log = slog.New(&lineHandler{engine: c.engine, conn: c})
	if o.status != nil || o.logs(LogInfo) {
		cfg.OnIdent = func(ident string) { c.step("ident received", slog.String("ident", ident)) }
		cfg.OnKex = c.kexDone
	}
	if o.packets() {
		cfg.PacketLog = c.packet
	}
}

// kexDone tells of a key exchange.
func (c *Connection) kexDone(k ssh2.KexInfo) {
	text := "keys exchanged"
	if k.Number > 1 {
		text = "keys exchanged again"
	}
	attrs := []slog.Attr{slog.Int("number", k.Number), slog.String("reason", k.Reason.String()), slog.String("kex", k.Kex), slog.String("hostkey", k.HostKeyAlgorithm)}
	for _, d := range []struct {
		way string
		ssh2.Direction
	}{{"in", k.In}, {"out", k.Out}} {
		attrs = append(attrs, slog.String("cipher-"+d.way, d.Cipher))
		if d.MAC != "" {
			attrs = append(attrs, slog.String("mac-"+d.way, d.MAC))
		}
		attrs = append(attrs, slog.String("compression-"+d.way, d.Compression))
	}
	c.step(text, append(attrs, slog.Bool("strict", k.Strict), slog.Duration("time", k.Duration))...)
}

// over tells of the end of a connection: err is what ServeConn returned, after
// start, and why what Disconnected is going to be told.
func (e *engine) over(c *Connection, start time.Time, err, why error) {
	var attrs []slog.Attr
	conn := c.conn()
	if conn != nil {
		i := conn.Info()
		attrs = append(attrs, slog.String("user", i.User), slog.Uint64("in", i.BytesIn), slog.Uint64("out", i.BytesOut))
		err = conn.Wait() // has ended; ServeConn keeps some reasons to itself
	}
	if why != nil {
		err = why
	}
	c.step("disconnected", append(attrs, slog.Duration("time", time.Since(start)), slog.String("reason", reason(err)))...)
	if why != nil && (ErrorCode(why) == CodeAuth || !plainEnd(why)) {
		if code, _ := statusOf(why); code != ErrorCode(why) { // as Disconnected has it
			why = &Error{Code: code, Op: "connection", Err: why}
		}
		e.report(c, why)
	}
}

// reason says why a connection ended.
func reason(err error) string {
	_, refused := errors.AsType[*ssh2.AuthError](err)
	switch {
	case refused: // more to say than that the client then left
		return err.Error()
	case err == nil, errors.Is(err, ssh2.ErrClosed):
		return "closed"
	case errors.Is(err, io.EOF), saysGoodbye(err):
		return "the client left"
	}
	if d, ok := errors.AsType[*ssh2.DisconnectError](err); ok && d.Remote && d.Reason == uint32(ssh2.DisconnectByApplication) {
		return "the client left" // and said so
	}
	return err.Error()
}

// saysGoodbye tells whether the client said that it leaves, as OpenSSH always does.
func saysGoodbye(err error) bool {
	d, ok := errors.AsType[*ssh2.DisconnectError](err)
	return ok && d.Remote && d.Reason == uint32(ssh2.DisconnectByApplication)
}

// plainEnd tells whether a connection ended as they do, even before a login:
// one side left, or the network failed.
func plainEnd(err error) bool {
	_, said := errors.AsType[*ssh2.DisconnectError](err)
	_, told := errors.AsType[*PanicError](err) // where it happened
	return said || told || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, ssh2.ErrServerClosed) || slices.ContainsFunc(goneErrors[:], func(gone error) bool { return errors.Is(err, gone) })
}
