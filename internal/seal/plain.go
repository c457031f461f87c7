package seal

// Plain is the Sealer and the Opener before the first NEWKEYS: packets travel
// in clear, are a multiple of 8 octets long and carry no MAC (RFC 4253 §6).
// The zero value is ready and safe for concurrent use.
type Plain struct{}

var plainFrame = frame{block: 8}

// Padding implements Sealer.
func (Plain) Padding(n int) int { return plainFrame.Padding(n) }

// Overhead implements Sealer: it is 0.
func (Plain) Overhead() int { return 0 }

// Seal implements Sealer: it does nothing.
func (Plain) Seal(uint64, uint32, []byte) {}

// Ordered implements Sealer: it is false.
func (Plain) Ordered() bool { return false }

// Head implements Opener: it is 4.
func (Plain) Head() int { return lengthSize }

// Length implements Opener.
func (Plain) Length(_ uint64, _ uint32, head []byte) (int, error) {
	return plainFrame.clearLength(head)
}

// Open implements Opener: it checks the padding and nothing else.
func (Plain) Open(_ uint64, _ uint32, pkt []byte) ([]byte, error) {
	end, err := plainFrame.split(pkt)
	if err != nil {
		return nil, err
	}
	return payload(pkt[lengthSize:end])
}
