package ssh2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// A TerminalOpcode says which mode of a terminal is meant (RFC 4254 section 8).
// 1 to 159 can be used, whether they have a name here or not.
type TerminalOpcode byte

// The terminal modes of RFC 4254 section 8, and of RFC 8160. Those that begin
// with V have a character as their value, 255 for none; the two speeds have bits
// per second, and all others 0 or 1.
const (
	VINTR    TerminalOpcode = 1 // interrupts the program
	VQUIT    TerminalOpcode = 2 // ends the program
	VERASE   TerminalOpcode = 3 // erases the character to the left
	VKILL    TerminalOpcode = 4 // erases the line
	VEOF     TerminalOpcode = 5 // end of file
	VEOL     TerminalOpcode = 6 // ends a line besides carriage return and line feed
	VEOL2    TerminalOpcode = 7 // a further one of these
	VSTART   TerminalOpcode = 8 // goes on with paused output
	VSTOP    TerminalOpcode = 9 // pauses output
	VSUSP    TerminalOpcode = 10
	VDSUSP   TerminalOpcode = 11 // suspends the program when it reads it
	VREPRINT TerminalOpcode = 12 // prints the line again
	VWERASE  TerminalOpcode = 13 // erases a word
	VLNEXT   TerminalOpcode = 14 // takes the next character literally
	VFLUSH   TerminalOpcode = 15
	VSWTCH   TerminalOpcode = 16 // switches to another layer of the shell
	VSTATUS  TerminalOpcode = 17 // prints a line about the system
	VDISCARD TerminalOpcode = 18 // toggles dropping of output

	IGNPAR  TerminalOpcode = 30 // ignore parity errors
	PARMRK  TerminalOpcode = 31 // mark parity errors
	INPCK   TerminalOpcode = 32 // check parity
	ISTRIP  TerminalOpcode = 33 // strip the eighth bit
	INLCR   TerminalOpcode = 34 // NL becomes CR on input
	IGNCR   TerminalOpcode = 35 // CR is ignored on input
	ICRNL   TerminalOpcode = 36 // CR becomes NL on input
	IUCLC   TerminalOpcode = 37 // upper case becomes lower case on input
	IXON    TerminalOpcode = 38 // flow control of output
	IXANY   TerminalOpcode = 39 // any character goes on with output
	IXOFF   TerminalOpcode = 40 // flow control of input
	IMAXBEL TerminalOpcode = 41 // bell when the input queue is full
	IUTF8   TerminalOpcode = 42 // input is UTF-8 (RFC 8160)

	ISIG    TerminalOpcode = 50 // characters make signals
	ICANON  TerminalOpcode = 51 // input comes in lines
	XCASE   TerminalOpcode = 52 // a backslash stands before what is upper case
	ECHO    TerminalOpcode = 53
	ECHOE   TerminalOpcode = 54 // erase visibly
	ECHOK   TerminalOpcode = 55 // VKILL discards the line
	ECHONL  TerminalOpcode = 56 // echo NL even if ECHO is off
	NOFLSH  TerminalOpcode = 57 // no flush after an interrupt
	TOSTOP  TerminalOpcode = 58 // stop background jobs that write
	IEXTEN  TerminalOpcode = 59 // extensions
	ECHOCTL TerminalOpcode = 60 // echo control characters as ^X
	ECHOKE  TerminalOpcode = 61 // VKILL erases visibly
	PENDIN  TerminalOpcode = 62 // print pending input again

	OPOST  TerminalOpcode = 70 // process output
	OLCUC  TerminalOpcode = 71 // lower case becomes upper case on output
	ONLCR  TerminalOpcode = 72 // NL becomes CR NL on output
	OCRNL  TerminalOpcode = 73 // CR becomes NL on output
	ONOCR  TerminalOpcode = 74 // no CR in column 0 in POSIX; the RFC's words are those of ONLCR
	ONLRET TerminalOpcode = 75 // NL does what CR does

	CS7    TerminalOpcode = 90 // 7 bits
	CS8    TerminalOpcode = 91 // 8 bits
	PARENB TerminalOpcode = 92 // parity
	PARODD TerminalOpcode = 93 // odd parity, else even

	TTY_OP_ISPEED TerminalOpcode = 128
	TTY_OP_OSPEED TerminalOpcode = 129
)

const (
	ttyOpEnd       TerminalOpcode = 0   // TTY_OP_END ends a list
	firstUndefined TerminalOpcode = 160 // has no argument of known size, and so ends a list too
)

// terminalModes names the modes.
var terminalModes = map[TerminalOpcode]string{
	VINTR: "VINTR", VQUIT: "VQUIT", VERASE: "VERASE", VKILL: "VKILL", VEOF: "VEOF", VEOL: "VEOL",
	VEOL2: "VEOL2", VSTART: "VSTART", VSTOP: "VSTOP", VSUSP: "VSUSP", VDSUSP: "VDSUSP",
	VREPRINT: "VREPRINT", VWERASE: "VWERASE", VLNEXT: "VLNEXT", VFLUSH: "VFLUSH", VSWTCH: "VSWTCH",
	VSTATUS: "VSTATUS", VDISCARD: "VDISCARD",
	IGNPAR: "IGNPAR", PARMRK: "PARMRK", INPCK: "INPCK", ISTRIP: "ISTRIP", INLCR: "INLCR", IGNCR: "IGNCR",
	ICRNL: "ICRNL", IUCLC: "IUCLC", IXON: "IXON", IXANY: "IXANY", IXOFF: "IXOFF", IMAXBEL: "IMAXBEL",
	IUTF8: "IUTF8",
	ISIG:  "ISIG", ICANON: "ICANON", XCASE: "XCASE", ECHO: "ECHO", ECHOE: "ECHOE", ECHOK: "ECHOK",
	ECHONL: "ECHONL", NOFLSH: "NOFLSH", TOSTOP: "TOSTOP", IEXTEN: "IEXTEN", ECHOCTL: "ECHOCTL",
	ECHOKE: "ECHOKE", PENDIN: "PENDIN",
	OPOST: "OPOST", OLCUC: "OLCUC", ONLCR: "ONLCR", OCRNL: "OCRNL", ONOCR: "ONOCR", ONLRET: "ONLRET",
	CS7: "CS7", CS8: "CS8", PARENB: "PARENB", PARODD: "PARODD",
	TTY_OP_ISPEED: "TTY_OP_ISPEED", TTY_OP_OSPEED: "TTY_OP_OSPEED",
}

// terminalOpcodes is terminalModes the other way round.
var terminalOpcodes = func() map[string]TerminalOpcode {
	m := make(map[string]TerminalOpcode, len(terminalModes))
	for op, name := range terminalModes {
		m[name] = op
	}
	return m
}()

// String returns the RFC's name, or "mode N" for what has none.
func (o TerminalOpcode) String() string {
	if name := terminalModes[o]; name != "" {
		return name
	}
	return "mode " + strconv.Itoa(int(o))
}

// UnmarshalText sets o from a name such as "ECHO", or a number from 1 to 159.
func (o *TerminalOpcode) UnmarshalText(text []byte) error {
	name := string(text)
	if op, ok := terminalOpcodes[name]; ok {
		*o = op
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(name, "mode "), 10, 8)
	if op := TerminalOpcode(n); err == nil && op.usable() {
		*o = op
		return nil
	}
	return fmt.Errorf("ssh2: terminal modes: %+q: unknown", clip(name))
}

// MarshalText returns what String does.
func (o TerminalOpcode) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// usable tells whether the opcode has an argument of known size.
func (o TerminalOpcode) usable() bool { return o > ttyOpEnd && o < firstUndefined }

// A TerminalMode is one mode of a terminal (RFC 4254 section 8).
type TerminalMode struct {
	Opcode TerminalOpcode // 1 to 159
	Value  uint32         // its argument
}

// String returns the name and the value, such as "ECHO=1".
func (m TerminalMode) String() string {
	return m.Opcode.String() + "=" + strconv.FormatUint(uint64(m.Value), 10)
}

// TerminalModes are modes of a terminal in the order in which they are to be
// applied. Modes that are not in the list stay as they are.
type TerminalModes []TerminalMode

// Value returns what a mode is set to, and whether it is set. If it is set more
// than once, the last one counts.
func (m TerminalModes) Value(o TerminalOpcode) (uint32, bool) {
	for _, mode := range slices.Backward(m) {
		if mode.Opcode == o {
			return mode.Value, true
		}
	}
	return 0, false
}

// Set sets a mode: in its place if it is in the list, otherwise at the end.
func (m *TerminalModes) Set(o TerminalOpcode, value uint32) {
	for i := range slices.Backward(*m) {
		if (*m)[i].Opcode == o {
			(*m)[i].Value = value
			return
		}
	}
	*m = append(*m, TerminalMode{o, value})
}

// String returns the modes between commas, such as "ECHO=0,VINTR=3".
func (m TerminalModes) String() string {
	var b strings.Builder
	for i, mode := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(mode.String())
	}
	return b.String()
}

// MarshalText returns what String does.
func (m TerminalModes) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText sets m from what String returns.
func (m *TerminalModes) UnmarshalText(text []byte) error {
	*m = nil
	if len(text) == 0 {
		return nil
	}
	for elem := range strings.SplitSeq(string(text), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(elem), "=")
		if !ok || len(*m) == maxPTYModes {
			return fmt.Errorf("ssh2: terminal modes: %+q: want NAME=VALUE, at most %d times", clip(elem), maxPTYModes)
		}
		var mode TerminalMode
		if err := mode.Opcode.UnmarshalText([]byte(name)); err != nil {
			return err
		}
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return fmt.Errorf("ssh2: terminal modes: %+q: no number of 32 bits", clip(elem))
		}
		mode.Value = uint32(n)
		*m = append(*m, mode)
	}
	return nil
}

// maxPTYModes is more than there are modes.
const maxPTYModes = 256

var errTerminalModes = errors.New("ssh2: terminal modes: cut off, or too many")

// AppendBinary appends the encoding of RFC 4254 section 8, TTY_OP_END included.
// Opcodes out of range are an error, and so are more than 256 modes.
func (m TerminalModes) AppendBinary(b []byte) ([]byte, error) {
	if len(m) > maxPTYModes {
		return b, errTerminalModes
	}
	for _, mode := range m {
		if !mode.Opcode.usable() {
			return b, fmt.Errorf("ssh2: terminal modes: opcode %d: not from 1 to 159", mode.Opcode)
		}
		b = wire.AppendUint32(append(b, byte(mode.Opcode)), mode.Value)
	}
	return append(b, byte(ttyOpEnd)), nil
}

// MarshalBinary is AppendBinary to nothing.
func (m TerminalModes) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary reads encoded terminal modes (RFC 4254 section 8). Opcodes
// from 160 on are not defined and end the list, and so does the end of the
// data: peers forget TTY_OP_END. What is cut in the middle of a value is an
// error, and so are more than 256 modes.
func (m *TerminalModes) UnmarshalBinary(p []byte) error {
	var modes TerminalModes
	for len(p) > 0 && TerminalOpcode(p[0]).usable() {
		if len(p) < 5 || len(modes) == maxPTYModes {
			return errTerminalModes
		}
		modes = append(modes, TerminalMode{TerminalOpcode(p[0]), binary.BigEndian.Uint32(p[1:])})
		p = p[5:]
	}
	*m = modes
	return nil
}
