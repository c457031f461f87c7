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
	// pageantMax is the size of the memory, which bounds request and answer: what
	// Pageant takes since 0.71. Versions before look at the first 8192 octets only.
	pageantMax = 256 << 10
	// pageantQueue bounds what waits for Pageant, which may be asking its user.
	pageantQueue = 4 * pageantMax
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

// copyData is COPYDATASTRUCT. What it points to must not be on a stack, which may
// move: a pointer takes care of that, as a number would not.
type copyData struct {
	id   uintptr
	size uint32
	data *byte
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

// pageant makes a stream of requests and answers. Write only notes requests: Pageant
// answers when its user has decided, and Close must not wait for that. The goroutine
// that asks is there while something is to be asked, and ends with the answer.
type pageant struct {
	mu     sync.Mutex
	cond   sync.Cond
	in     []byte // requests, the last one maybe not whole
	out    []byte // answers that were not read
	asking bool
	err    error // ends the stream behind out
	closed bool
}

func (p *pageant) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, io.ErrClosedPipe
	case p.err != nil:
		return 0, p.err
	case len(b) > pageantQueue-len(p.in):
		return 0, fmt.Errorf("agent: pageant: more than %d octets of requests", pageantQueue)
	}
	p.in = append(p.in, b...)
	if !p.asking {
		p.asking = true
		go p.ask()
	}
	return len(b), nil
}

// ask puts the requests that are whole to Pageant, one after the other.
func (p *pageant) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.asking = false }()
	for len(p.in) >= 4 && !p.closed && p.err == nil {
		n := 4 + uint64(binary.BigEndian.Uint32(p.in))
		if n > pageantMax {
			p.fail(fmt.Errorf("request of %d octets", n))
			return
		}
		if uint64(len(p.in)) < n {
			return
		}
		request := p.in[:n:n]
		p.in = p.in[n:]
		p.mu.Unlock()
		answer, err := askPageant(request)
		p.mu.Lock()
		if err != nil {
			p.fail(err)
			return
		}
		p.out = append(p.out, answer...)
		p.cond.Broadcast()
	}
}

func (p *pageant) fail(err error) {
	p.err = fmt.Errorf("agent: pageant: %w", err)
	p.cond.Broadcast()
}

func (p *pageant) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.out) == 0 && !p.closed && p.err == nil {
		p.cond.Wait()
	}
	switch {
	case p.closed:
		return 0, io.EOF
	case len(p.out) == 0:
		return 0, p.err
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
	mine, err := owned()
	if err != nil {
		return nil, err
	}
	mapping, err := windows.CreateFileMapping(windows.InvalidHandle, mine, windows.PAGE_READWRITE, 0, pageantMax, wide)
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
	message := copyData{copyDataID, uint32(len(text)), &text[0]}
	done, _, _ := sendMessage.Call(window, wmCopyData, 0, uintptr(unsafe.Pointer(&message)))
	if done == 0 {
		return nil, errors.New("refused the request")
	}
	n := 4 + uint64(binary.BigEndian.Uint32(shared))
	if n > pageantMax {
		return nil, fmt.Errorf("answer of %d octets", n)
	}
	return append([]byte(nil), shared[:n]...), nil
}

// owned makes what is created belong to the user. What an administrator makes belongs to
// all of them otherwise, and Pageant serves only its own user.
func owned() (*windows.SecurityAttributes, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, err
	}
	sd, err := windows.SecurityDescriptorFromString("O:" + user.User.Sid.String())
	if err != nil {
		return nil, err
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	return sa, nil
}
