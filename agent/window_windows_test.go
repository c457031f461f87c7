package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe" // Windows passes messages and shared memory by their address

	sshagent "golang.org/x/crypto/ssh/agent"
	"golang.org/x/sys/windows"
)

var (
	kernel32        = windows.NewLazySystemDLL("kernel32.dll")
	openFileMapping = kernel32.NewProc("OpenFileMappingW")
	registerClass   = user32.NewProc("RegisterClassW")
	unregisterClass = user32.NewProc("UnregisterClassW")
	createWindow    = user32.NewProc("CreateWindowExW")
	destroyWindow   = user32.NewProc("DestroyWindow")
	defWindow       = user32.NewProc("DefWindowProcW")
	getMessage      = user32.NewProc("GetMessageW")
	dispatchMessage = user32.NewProc("DispatchMessageW")
	postMessage     = user32.NewProc("PostThreadMessageW")
)

type windowClass struct { // WNDCLASSW
	style        uint32
	proc         uintptr
	extra, wnd   int32
	instance     uintptr
	icon, cursor uintptr
	background   uintptr
	menu, name   *uint16
}

// playPageant has a window as PuTTY's agent has one, until the test ends. before is called with every request.
func playPageant(t *testing.T, before func()) {
	t.Helper()
	ring := sshagent.NewKeyring()
	answer := func(cd *copyData) bool {
		if cd.id != copyDataID || cd.size == 0 {
			return false
		}
		name := string(unsafe.Slice(cd.data, cd.size))
		wide, err := windows.UTF16PtrFromString(strings.TrimSuffix(name, "\x00"))
		if err != nil || !strings.HasSuffix(name, "\x00") {
			return false
		}
		h, _, _ := openFileMapping.Call(windows.FILE_MAP_WRITE, 0, uintptr(unsafe.Pointer(wide)))
		if h == 0 {
			return false
		}
		defer windows.CloseHandle(windows.Handle(h))
		view, err := windows.MapViewOfFile(windows.Handle(h), windows.FILE_MAP_WRITE, 0, 0, 0)
		if err != nil {
			return false
		}
		defer windows.UnmapViewOfFile(view)
		var info windows.MemoryBasicInformation
		if err := windows.VirtualQuery(view, &info, unsafe.Sizeof(info)); err != nil {
			return false
		}
		shared := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&view))), info.RegionSize)
		if before != nil {
			before()
		}
		n := 4 + int(binary.BigEndian.Uint32(shared))
		if n > len(shared) {
			return false
		}
		conn := &scripted{in: bytes.NewReader(bytes.Clone(shared[:n]))}
		if err := Serve(context.Background(), conn, ring, Options{Manage: true}); err != nil || conn.out.Len() > len(shared) {
			return false
		}
		copy(shared, conn.out.Bytes())
		return true
	}
	proc := func(window, message, w, l uintptr) uintptr {
		if message == wmCopyData {
			if answer((*copyData)(*(*unsafe.Pointer)(unsafe.Pointer(&l)))) {
				return 1
			}
			return 0
		}
		r, _, _ := defWindow.Call(window, message, w, l)
		return r
	}
	started := make(chan error)
	ended := make(chan struct{})
	var thread uint32
	go func() {
		defer close(ended)
		runtime.LockOSThread() // a window is its thread's
		defer runtime.UnlockOSThread()
		thread = windows.GetCurrentThreadId()
		name, err := windows.UTF16PtrFromString("Pageant")
		if err != nil {
			started <- err
			return
		}
		class := windowClass{proc: windows.NewCallback(proc), name: name}
		if r, _, err := registerClass.Call(uintptr(unsafe.Pointer(&class))); r == 0 {
			started <- err
			return
		}
		defer unregisterClass.Call(uintptr(unsafe.Pointer(name)), 0)
		window, _, err := createWindow.Call(0, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(name)), 0, 0, 0, 0, 0, 0, 0, 0, 0)
		if window == 0 {
			started <- fmt.Errorf("no window: %w", err)
			return
		}
		defer destroyWindow.Call(window)
		started <- nil
		var message [64]byte // MSG
		for {
			if r, _, _ := getMessage.Call(uintptr(unsafe.Pointer(&message)), 0, 0, 0); int32(r) <= 0 {
				return
			}
			dispatchMessage.Call(uintptr(unsafe.Pointer(&message)))
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		const wmQuit = 0x12
		postMessage.Call(uintptr(thread), wmQuit, 0, 0)
		<-ended
	})
}
