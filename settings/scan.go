package settings

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Unit is the unit of a number that is written without one.
type Unit uint8

// The units. Numbers of bytes take the suffixes k, M, G and T, also written KB or
// KiB, which all count in steps of 1024. Durations take Go's form ("1m30s")
// whatever their unit is; without a unit they take nothing else.
const (
	NoUnit Unit = iota
	Bytes
	Seconds
	Milliseconds
)

// String returns the name of the unit, "" for NoUnit.
func (u Unit) String() string { return [...]string{"", "bytes", "seconds", "milliseconds"}[u&3] }

// duration is what one of the unit lasts, 0 if it is none of time.
func (u Unit) duration() time.Duration {
	switch u {
	case Seconds:
		return time.Second
	case Milliseconds:
		return time.Millisecond
	default:
		return 0
	}
}

// Text is implemented by values of other types, so that [Scan] and [Print] can handle them.
type Text interface {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

// Scan parses value and stores the result where p points. The type of p selects the format:
//
//	*bool            True or False, 1 or 0, Yes or No, On or Off, in any case
//	*int ... *uint64 a decimal number
//	*time.Duration   a number of units, or Go's form such as 1m30s
//	*string          the text as it is
//	*[]string        a list separated by commas; blanks around elements are ignored
//	[Text]           what its UnmarshalText takes
//
// Convert a pointer to a named type first, as in (*string)(&o.Name). After an
// error, which is a [*ValueError] without a name, the value is unchanged.
func Scan(p any, unit Unit, value string) error { return spec{unit: unit}.scan(p, value) }

// Print returns the value that p points at as text: the form from which [Scan] makes the same
// value. It returns "" for types that Scan does not know.
func Print(p any, unit Unit) string {
	text, err := spec{unit: unit}.text(p)
	if err != nil {
		return ""
	}
	return text
}

// A spec is how the values of a row are spelled.
type spec struct {
	unit    Unit
	bounds  string
	choices []Choice
	not     bool   // a bool means the opposite
	zero    bool   // the zero value means def
	def     string // what Get says of a field that nobody set
}

// scan is Scan with the row's own rules.
func (s spec) scan(p any, value string) error {
	switch p := p.(type) {
	case *bool:
		b, err := parseBool(value)
		if err != nil {
			return err
		}
		*p = b != s.not
		return nil
	case *int:
		return scanInt(s, p, value)
	case *int8:
		return scanInt(s, p, value)
	case *int16:
		return scanInt(s, p, value)
	case *int32:
		return scanInt(s, p, value)
	case *int64:
		return scanInt(s, p, value)
	case *uint:
		return scanInt(s, p, value)
	case *uint8:
		return scanInt(s, p, value)
	case *uint16:
		return scanInt(s, p, value)
	case *uint32:
		return scanInt(s, p, value)
	case *uint64:
		return scanInt(s, p, value)
	case *time.Duration:
		d, err := s.parseDuration(value)
		if err != nil {
			return err
		}
		if err := s.within(int64(d), value, func(b string) (int64, error) {
			d, err := s.parseDuration(b)
			return int64(d), err
		}); err != nil {
			return err
		}
		n, err := s.orNone(int64(d), value)
		if err != nil {
			return err
		}
		*p = time.Duration(n)
		return nil
	case *string:
		text, err := s.choose(value)
		if err != nil {
			return err
		}
		*p = text
		return nil
	case *[]string:
		list := splitList(value)
		for i, e := range list {
			text, err := s.choose(e)
			if err != nil {
				return err
			}
			list[i] = text
		}
		*p = list
		return nil
	case Text:
		text, err := s.choose(value)
		if err != nil {
			return err
		}
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return &ValueError{Value: value, Want: s.want(), Err: err}
		}
		return nil
	default:
		return fmt.Errorf("settings: values of type %T have no parser", p)
	}
}

// text is Print with the row's own rules.
func (s spec) text(p any) (string, error) {
	switch p := p.(type) {
	case *bool:
		if *p != s.not {
			return "True", nil
		}
		return "False", nil
	case *int:
		return s.number(int64(*p)), nil
	case *int8:
		return s.number(int64(*p)), nil
	case *int16:
		return s.number(int64(*p)), nil
	case *int32:
		return s.number(int64(*p)), nil
	case *int64:
		return s.number(*p), nil
	case *uint:
		return s.unsigned(uint64(*p)), nil
	case *uint8:
		return s.unsigned(uint64(*p)), nil
	case *uint16:
		return s.unsigned(uint64(*p)), nil
	case *uint32:
		return s.unsigned(uint64(*p)), nil
	case *uint64:
		return s.unsigned(*p), nil
	case *time.Duration:
		return s.duration(*p), nil
	case *string:
		if *p == "" && s.zero {
			return s.def, nil
		}
		return s.spell(*p), nil
	case *[]string:
		if len(*p) == 0 && s.zero {
			return s.def, nil
		}
		words := make([]string, len(*p))
		for i, w := range *p {
			words[i] = s.spell(w)
		}
		return strings.Join(words, ","), nil
	case Text:
		text, err := p.MarshalText()
		if err != nil {
			return "", fmt.Errorf("settings: %w", err)
		}
		if len(text) == 0 && s.zero {
			return s.def, nil
		}
		return s.spell(string(text)), nil
	default:
		return "", fmt.Errorf("settings: values of type %T cannot be printed", p)
	}
}

// kind is what the manual calls the values of p.
func (s spec) kind(p any) string {
	switch p.(type) {
	case *bool:
		return "True or False"
	case *time.Duration:
		if s.unit == NoUnit {
			return "duration"
		}
		return s.unit.String()
	case *[]string:
		return "list"
	case *string, Text:
		if len(s.choices) > 0 {
			return "choice"
		}
		return "text"
	default:
		switch {
		case len(s.choices) > 0:
			return "choice"
		case s.unit != NoUnit:
			return s.unit.String()
		default:
			return "number"
		}
	}
}

type integer interface {
	int | int8 | int16 | int32 | int64 | uint | uint8 | uint16 | uint32 | uint64
}

func scanInt[I integer](s spec, p *I, value string) error {
	digits := value
	if len(s.choices) > 0 {
		c, ok := s.choice(value)
		if !ok {
			return &ValueError{Value: value, Want: s.want()}
		}
		digits = c.Value
	}
	n, err := s.parseInt(digits)
	if err != nil {
		return err
	}
	if err := s.within(n, value, s.parseInt); err != nil {
		return err
	}
	if n, err = s.orNone(n, value); err != nil {
		return err
	}
	if int64(I(n)) != n || (I(n) < 0) != (n < 0) {
		return &ValueError{Value: value, Want: "a number that fits"}
	}
	*p = I(n)
	return nil
}

func (s spec) unsigned(n uint64) string {
	if n > math.MaxInt64 { // no text gives such a number: scanInt goes through int64
		return strconv.FormatUint(n, 10)
	}
	return s.number(int64(n))
}

// number prints n, with -1 for "none" and 0 for the default if the row says so.
func (s spec) number(n int64) string {
	if s.zero && n == 0 {
		return s.def
	}
	if s.zero && n < 0 {
		n = 0
	}
	return strconv.FormatInt(n, 10)
}

// duration prints d in the row's unit where that is exact.
func (s spec) duration(d time.Duration) string {
	if s.zero && d == 0 {
		return s.def
	}
	if s.zero && d < 0 {
		d = 0
	}
	unit := s.unit.duration()
	switch {
	case d == 0:
		return "0"
	case unit != 0 && d%unit == 0:
		return strconv.FormatInt(int64(d/unit), 10)
	default:
		return d.String()
	}
}

// orNone turns 0 into -1 where the zero value means the default. Less than 0 would
// mean the same and is refused.
func (s spec) orNone(n int64, value string) (int64, error) {
	switch {
	case !s.zero || n > 0:
		return n, nil
	case n == 0:
		return -1, nil
	default:
		return 0, &ValueError{Value: value, Want: "no negative number"}
	}
}

// within checks n against the row's range.
func (s spec) within(n int64, value string, parse func(string) (int64, error)) error {
	if s.bounds == "" {
		return nil
	}
	low, high, err := s.limits(parse)
	if err != nil {
		return err
	}
	if n < low || n > high {
		return &ValueError{Value: value, Want: s.want()}
	}
	return nil
}

// limits parses the range; an end that is left out is open.
func (s spec) limits(parse func(string) (int64, error)) (low, high int64, err error) {
	from, to, ok := strings.Cut(s.bounds, "..")
	if !ok {
		return 0, 0, fmt.Errorf("settings: range %q is not FROM..TO", s.bounds)
	}
	low, high = math.MinInt64, math.MaxInt64
	if from != "" {
		if low, err = parse(from); err != nil {
			return 0, 0, err
		}
	}
	if to != "" {
		if high, err = parse(to); err != nil {
			return 0, 0, err
		}
	}
	return low, high, nil
}

// choice finds the choice that is spelled so, in any case.
func (s spec) choice(value string) (Choice, bool) {
	for _, value := range []string{value, strings.TrimSpace(value)} { // a word may be a line end
		for _, c := range s.choices {
			if strings.EqualFold(c.Value, value) || (c.Word != "" && strings.EqualFold(c.Word, value)) {
				return c, true
			}
		}
	}
	return Choice{}, false
}

// choose turns a value into the text that the field takes.
func (s spec) choose(value string) (string, error) {
	if len(s.choices) == 0 {
		return value, nil
	}
	c, ok := s.choice(value)
	switch {
	case !ok:
		return "", &ValueError{Value: value, Want: s.want()}
	case c.Word != "":
		return c.Word, nil
	default:
		return c.Value, nil
	}
}

// spell turns the field's text into the value that is printed.
func (s spec) spell(text string) string {
	for _, c := range s.choices {
		if c.Word != "" && c.Word == text {
			return c.Value
		}
	}
	return text
}

// want says which values are allowed, "" if it cannot tell.
func (s spec) want() string {
	if len(s.choices) > 0 {
		words := make([]string, len(s.choices))
		for i, c := range s.choices {
			words[i] = c.Value
			if c.readable() {
				words[i] += " (" + c.Word + ")"
			}
		}
		return "one of " + strings.Join(words, ", ")
	}
	if s.bounds == "" {
		return ""
	}
	from, to, _ := strings.Cut(s.bounds, "..")
	unit := ""
	if s.unit != NoUnit {
		unit = " " + s.unit.String()
	}
	switch {
	case to == "":
		return "at least " + from + unit
	case from == "":
		return "at most " + to + unit
	default:
		return from + " to " + to + unit
	}
}

// parseBool reads a truth value.
func parseBool(value string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, &ValueError{Value: value, Want: "True or False, 1 or 0, Yes or No, On or Off"}
}

// sizes are the suffixes of numbers of bytes, as shifts.
var sizes = map[byte]uint{'k': 10, 'm': 20, 'g': 30, 't': 40}

// parseInt reads a whole number, in bytes also one like 4k or 1 GiB.
func (s spec) parseInt(value string) (int64, error) {
	text := strings.TrimSpace(value)
	bad := &ValueError{Value: value, Want: "a whole number"}
	shift := uint(0)
	if s.unit == Bytes {
		bad.Want = "a number of bytes, such as 65536, 64k or 1 GiB"
		end := strings.LastIndexAny(text, "0123456789") + 1
		suffix := strings.ToLower(strings.TrimSpace(text[end:]))
		text = text[:end]
		if suffix != "" && suffix != "b" {
			var ok bool
			if shift, ok = sizes[suffix[0]]; !ok || (suffix[1:] != "" && suffix[1:] != "b" && suffix[1:] != "ib") {
				return 0, bad
			}
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		bad.Want = "a number that fits"
	}
	if err != nil || text[0] == '+' {
		return 0, bad
	}
	if n > math.MaxInt64>>shift || n < math.MinInt64>>shift {
		bad.Want = "a number that fits"
		return 0, bad
	}
	return n << shift, nil
}

// parseDuration reads a number of units, or Go's form.
func (s spec) parseDuration(value string) (time.Duration, error) {
	text := strings.TrimSpace(value)
	unit := s.unit.duration()
	bad := &ValueError{Value: value, Want: "a duration, such as 90s or 1m30s"}
	if unit != 0 {
		bad.Want = "a number of " + s.unit.String() + ", or a duration such as 90s or 1m30s"
	}
	if strings.HasPrefix(text, "+") {
		return 0, bad
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n == 0 || unit != 0) {
		d := time.Duration(n) * unit
		if n != 0 && d/unit != time.Duration(n) {
			bad.Want = "a duration that fits"
			return 0, bad
		}
		return d, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, bad
	}
	return d, nil
}

// splitList reads a list with commas. Empty elements are left out, as a comma at
// the end of a list is no element.
func splitList(value string) []string {
	var list []string
	for e := range strings.SplitSeq(value, ",") {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	return list
}
