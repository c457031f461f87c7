package certstore

import (
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// maxBERDepth bounds the nesting of elements; the forms read here have half of
// it.
const maxBERDepth = 32

var errBER = errors.New("not in BER, or cut short")

// berFrame is a constructed element that is being read.
type berFrame struct {
	head   []byte // its identifier
	start  int    // of its contents in the output
	end    int    // in the input; -1 for the indefinite form
	string bool   // an octet string in parts, which becomes one
}

// toDER rewrites BER so far as to make the forms of stores readable that are
// specified in BER: lengths become definite and minimal, octet strings in
// parts become one. What is DER stays as it is. Nothing here calls itself; the
// nesting has a bound.
func toDER(ber []byte) ([]byte, error) {
	out := make([]byte, 0, len(ber))
	var stack []berFrame
	pos := 0
	for {
		for len(stack) > 0 { // what ends here
			top := &stack[len(stack)-1]
			switch {
			case top.end == pos:
			case top.end < 0 && len(ber)-pos >= 2 && ber[pos] == 0 && ber[pos+1] == 0:
				pos += 2
			default:
				top = nil
			}
			if top == nil {
				break
			}
			f := *top
			stack = stack[:len(stack)-1]
			if f.string {
				if len(stack) > 0 && stack[len(stack)-1].string {
					continue // a part of a part
				}
				f.head[0] &^= 0x20
			}
			out = slices.Insert(out, f.start, derHead(f.head, len(out)-f.start)...)
		}
		if len(stack) == 0 && pos > 0 {
			break
		}
		limit := len(ber)
		part := false
		for i := range stack {
			if stack[i].end >= 0 {
				limit = stack[i].end
			}
			part = stack[i].string
		}
		if pos > limit { // an end of contents that reached over the end of its parent
			return nil, errBER
		}
		head, length, n, err := berHead(ber[pos:limit])
		if err != nil {
			return nil, err
		}
		pos += n
		octets := head[0] == byte(asn1.OCTET_STRING) || head[0] == byte(asn1.OCTET_STRING)|0x20
		switch {
		case head[0] == 0 || part && !octets:
			return nil, errBER
		case length > limit-pos:
			return nil, errBER
		case head[0]&0x20 != 0:
			if len(stack) == maxBERDepth {
				return nil, errBER
			}
			f := berFrame{slices.Clone(head), len(out), -1, octets}
			if length >= 0 {
				f.end = pos + length
			}
			stack = append(stack, f)
			continue
		case length < 0: // an indefinite length is for constructed elements
			return nil, errBER
		case part:
			out = append(out, ber[pos:pos+length]...)
		default:
			out = append(append(out, derHead(head, length)...), ber[pos:pos+length]...)
		}
		pos += length
		if len(stack) == 0 {
			break
		}
	}
	if pos != len(ber) {
		return nil, errors.New("octets after the end")
	}
	return out, nil
}

// berHead reads identifier and length, -1 for the indefinite form, and how many
// octets they take.
func berHead(p []byte) (head []byte, length, n int, err error) {
	n = 1
	if len(p) > 0 && p[0]&0x1f == 0x1f { // a number of several octets
		const most = 4
		for n < len(p) && p[n]&0x80 != 0 {
			if n++; n > most {
				return nil, 0, 0, errBER
			}
		}
		n++
	}
	if n >= len(p) {
		return nil, 0, 0, errBER
	}
	head, length = p[:n], int(p[n])
	n++
	switch {
	case length < 0x80:
		return head, length, n, nil
	case length == 0x80:
		return head, -1, n, nil
	}
	size := length & 0x7f
	if size > 8 || size > len(p)-n {
		return nil, 0, 0, errBER
	}
	length = 0
	for _, b := range p[n : n+size] {
		if length > maxStore {
			return nil, 0, 0, errBER
		}
		length = length<<8 | int(b)
	}
	return head, length, n + size, nil
}

// derHead is an identifier with a length in the form of DER.
func derHead(head []byte, length int) []byte {
	out := slices.Clone(head)
	if length < 0x80 {
		return append(out, byte(length))
	}
	size := 1
	for length>>(8*size) != 0 {
		size++
	}
	out = append(out, 0x80|byte(size))
	for i := size - 1; i >= 0; i-- {
		out = append(out, byte(length>>(8*i)))
	}
	return out
}

// inside returns the contents of the sequence that data begins with, as far as
// they are there, whatever form its length has. It is for recognising a form.
func inside(data []byte) []byte {
	if len(data) < 2 || data[0] != byte(asn1.SEQUENCE) {
		return nil
	}
	_, _, n, err := berHead(data)
	if err != nil {
		return nil
	}
	return data[n:]
}

// sequence reads one sequence in BER or DER that is all of data.
func sequence(data []byte) (cryptobyte.String, error) {
	der, err := toDER(data)
	if err != nil {
		return nil, err
	}
	s := cryptobyte.String(der)
	var body cryptobyte.String
	if !s.ReadASN1(&body, asn1.SEQUENCE) || !s.Empty() {
		return nil, errors.New("not a sequence")
	}
	return body, nil
}
