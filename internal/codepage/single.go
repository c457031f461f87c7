package codepage

import (
	"errors"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// single is an encoding of one octet per character by a table: the characters of all 256
// octets, of those from 0x80 up, the rest being ASCII, or none: ASCII alone.
type single struct{ table string }

var errRepertoire = errors.New("codepage: character is not in the code page")

// NewDecoder implements encoding.Encoding. Octets without a character become U+FFFD.
func (s single) NewDecoder() *encoding.Decoder {
	d := &singleDecoder{}
	s.fill(&d.runes)
	return &encoding.Decoder{Transformer: d}
}

// NewEncoder implements encoding.Encoding. A character without an octet is an error.
func (s single) NewEncoder() *encoding.Encoder {
	var runes [256]rune
	s.fill(&runes)
	e := &singleEncoder{octets: make(map[rune]byte, len(runes))}
	for i := len(runes) - 1; i >= 0; i-- { // the first of two wins
		if runes[i] != utf8.RuneError {
			e.octets[runes[i]] = byte(i)
		}
	}
	return &encoding.Encoder{Transformer: e}
}

func (s single) fill(runes *[256]rune) {
	at := 0
	if n := utf8.RuneCountInString(s.table); n < len(runes) {
		for i := range runes {
			runes[i] = utf8.RuneError
			if i < utf8.RuneSelf {
				runes[i] = rune(i)
			}
		}
		at = utf8.RuneSelf
	}
	for _, r := range s.table {
		runes[at] = r
		at++
	}
}

type singleDecoder struct {
	transform.NopResetter
	runes [256]rune
}

// Transform implements transform.Transformer.
func (d *singleDecoder) Transform(dst, src []byte, _ bool) (nDst, nSrc int, err error) {
	for _, b := range src {
		r := d.runes[b]
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc++
	}
	return nDst, nSrc, nil
}

type singleEncoder struct {
	transform.NopResetter
	octets map[rune]byte
}

// Transform implements transform.Transformer.
func (e *singleEncoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		b, ok := e.octets[r]
		switch {
		case !ok || r == utf8.RuneError:
			return nDst, nSrc, errRepertoire
		case nDst == len(dst):
			return nDst, nSrc, transform.ErrShortDst
		}
		dst[nDst] = b
		nDst++
		nSrc += size
	}
	return nDst, nSrc, nil
}
