package packet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/fairlead-ssh/fairlead/packet"
)

// A message whose content is read straight into the buffer that is sent. Its header goes into
// the room in front, so that nothing is copied.
func Example() {
	here, there := net.Pipe()
	out, in := packet.Pipe(here), packet.Pipe(there)
	defer in.Close()

	go func() {
		defer out.Close()
		b := packet.Get(5)
		copy(b.Bytes(), "hello") // or file.ReadAt(b.Bytes(), offset)
		binary.BigEndian.PutUint32(b.Prepend(4), uint32(b.Len()-4))
		_ = out.WritePacket(b) // b is not ours any more
	}()

	var message []byte
	for {
		b, err := in.ReadPacket() // packets need not arrive as they were written
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		message = append(message, b.Bytes()...)
		b.Release()
	}
	fmt.Printf("%q\n", message)
	// Output:
	// "\x00\x00\x00\x05hello"
}
