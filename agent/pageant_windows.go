package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"unsafe" // Windows passes shared memory by its address

	"golang.org/x/sys/windows"
)

// Pageant takes a request in shared memory whose name a window message carries,
// and has left the answer there when the call returns. So every request is one
// call, and a connection is only what this side makes of it.

const (
	// pageantMax is the size of the memory, which bounds request and answer.
	// It is what old versions allow; new ones take more.
	pageantMax = 8192
	// copyDataID is what marks the message as a request to the agent.
	copyDataID = 0x804e50ba
	wmCopyData = 0x004a
)

var (
	user32      = windows.NewLazySystemDLL("user32.dll")
	findWindow  = user32.NewProc("FindWindowW")
	sendMessage = user32.NewProc("SendMessageW")
)

var errNoPageant = errors.New("pageant does not run")

type copyData struct {
	id   uintptr
	size uint32
	data uintptr
}

func pageantWindow() (uintptr, error) {
	name, err := windows.UTF16PtrFromString("Pageant")
	if err != nil {
		return 0, err
	}
	w, _, _ := findWindow.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(name)))
	if w == 0 {
		return 0, errNoPageant
	}
	return w, nil
}

func dialPageant(context.Context) (io.ReadWriteCloser, error) {
	if _, err := pageantWindow(); err != nil {
		return nil, err
	}
	p := &pageant{}
	p.cond.L = &p.mu
	return p, nil
}

// pageant makes a stream of requests and answers. Write asks as soon as a
// request is whole; Read waits for answers.
type pageant struct {
	mu     sync.Mutex
	cond   sync.Cond
	in     []byte // of a request that is not whole
	out    []byte // answers that were not read
	closed bool
}

func (p *pageant) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	p.in = append(p.in, b...)
	for len(p.in) >= 4 {
		n := 4 + uint64(binary.BigEndian.Uint32(p.in))
		if n > pageantMax {
			return 0, fmt.Errorf("agent: pageant: request of %d octets", n)
		}
		if uint64(len(p.in)) < n {
			break
		}
		answer, err := askPageant(p.in[:n])
		if err != nil {
			return 0, fmt.Errorf("agent: pageant: %w", err)
		}
		p.in = p.in[n:]
		p.out = append(p.out, answer...)
		p.cond.Broadcast()
	}
	return len(b), nil
}

func (p *pageant) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.out) == 0 && !p.closed {
		p.cond.Wait()
	}
	if len(p.out) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.out)
	p.out = p.out[n:]
	return n, nil
}

func (p *pageant) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cond.Broadcast()
	return nil
}

// askPageant is one request and its answer, each with its length in front.
func askPageant(request []byte) ([]byte, error) {
	runtime.LockOSThread() // the name of the memory is the thread's
	defer runtime.UnlockOSThread()
	window, err := pageantWindow()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("PageantRequest%08x", windows.GetCurrentThreadId())
	wide, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	mapping, err := windows.CreateFileMapping(windows.InvalidHandle, nil, windows.PAGE_READWRITE, 0, pageantMax, wide)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(mapping)
	view, err := windows.MapViewOfFile(mapping, windows.FILE_MAP_WRITE, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	defer windows.UnmapViewOfFile(view)
	// The view is not Go's memory: its address does not move.
	shared := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&view))), pageantMax)
	copy(shared, request)
	text := append([]byte(name), 0)
	message := copyData{copyDataID, uint32(len(text)), uintptr(unsafe.Pointer(&text[0]))}
	done, _, _ := sendMessage.Call(window, wmCopyData, 0, uintptr(unsafe.Pointer(&message)))
	runtime.KeepAlive(text)
	if done == 0 {
		return nil, errors.New("refused the request")
	}
	n := 4 + uint64(binary.BigEndian.Uint32(shared))
	if n > pageantMax {
		return nil, fmt.Errorf("answer of %d octets", n)
	}
	return append([]byte(nil), shared[:n]...), nil
}
