package sftpserver

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

const (
	// DumpLimit is how many octets of a packet LogDebug shows.
	DumpLimit = 256
	// dumpRow is how many of them are in one line.
	dumpRow = 32

	// levelOctets is the level, for Logger, of what LogDebug adds.
	levelOctets = slog.LevelDebug - 4
)

// A packetLine is what is reported of a packet.
type packetLine struct {
	out      bool
	number   byte
	sequence uint32
	channel  uint32 // of data
	fields   string // the message with its fields; empty for data
	length   int    // octets; -1: not told
	octets   []byte // the first of those that may be shown
	secret   bool   // not all may
}

// packet is Config.PacketLog of a connection.
func (c *Connection) packet(e *ssh2.PacketEvent) {
	o := &c.engine.out
	shown := e.Payload()
	if !o.secrets {
		shown = e.Public()
	}
	p := &packetLine{out: e.Out, number: e.Number, sequence: e.Sequence, length: e.Length, secret: len(shown) < e.Length}
	if p.secret {
		p.length = -1 // or it would tell the length of a password
	}
	if at := e.Payload()[1:]; p.isData() && len(at) >= 4 {
		p.channel = binary.BigEndian.Uint32(at)
	} else {
		p.fields = strings.TrimSpace(e.String())
	}
	if o.logs(LogDebug) {
		p.octets = append([]byte{}, shown[:min(len(shown), DumpLimit)]...)
	}
	c.lines.push(line{at: time.Now(), conn: c, level: LogVerbose, grade: slog.LevelDebug, text: "packet", packet: p})
}

// isData tells whether it is data of a channel, whose content is for LogDebug only.
func (p *packetLine) isData() bool {
	return p.number == msg.NumChannelData || p.number == msg.NumChannelExtData
}

func (p *packetLine) way() string {
	if p.out {
		return "sent"
	}
	return "received"
}

func (p *packetLine) message() string {
	if p.fields == "" {
		return fmt.Sprintf("%s %d", msg.Name(p.number), p.channel)
	}
	return p.fields
}

// String is the packet as one line.
func (p *packetLine) String() string {
	s := fmt.Sprintf("%s %d: %s", p.way(), p.sequence, clean(p.message()))
	if p.length >= 0 {
		s += fmt.Sprintf(", %d octets", p.length)
	}
	return s
}

// attrs are the same for Logger.
func (p *packetLine) attrs() []slog.Attr {
	a := []slog.Attr{slog.String("way", p.way()), slog.Uint64("sequence", uint64(p.sequence)), slog.String("message", clean(p.message()))}
	if p.length >= 0 {
		a = append(a, slog.Int("octets", p.length))
	}
	return a
}

// rest says what of the packet is not in octets; empty: nothing.
func (p *packetLine) rest() string {
	switch more := p.length - len(p.octets); {
	case p.secret:
		return "(not shown)"
	case more > 0:
		return fmt.Sprintf("(%d more)", more)
	}
	return ""
}

// rows are the octets, as lines of places in the packet, hexadecimal digits and
// characters.
func (p *packetLine) rows() iter.Seq[string] {
	return func(yield func(string) bool) {
		if p == nil || p.octets == nil {
			return
		}
		for at := 0; at < len(p.octets); at += dumpRow {
			row := p.octets[at:min(at+dumpRow, len(p.octets))]
			text := make([]byte, len(row))
			for i, b := range row {
				if text[i] = b; b < ' ' || b > '~' {
					text[i] = '.'
				}
			}
			if !yield(fmt.Sprintf("%04x  %-*x  %s", at, 2*dumpRow, row, text)) {
				return
			}
		}
		if rest := p.rest(); rest != "" {
			yield(fmt.Sprintf("%04x  %s", len(p.octets), rest))
		}
	}
}

// dump is the same for Logger.
func (p *packetLine) dump() []slog.Attr {
	a := []slog.Attr{slog.String("way", p.way()), slog.Uint64("sequence", uint64(p.sequence)), slog.String("octets", hex.EncodeToString(p.octets))}
	if rest := p.rest(); rest != "" {
		a = append(a, slog.String("rest", rest))
	}
	return a
}
