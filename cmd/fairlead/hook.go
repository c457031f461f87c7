package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A hook is a program to be run when a file has arrived.
type hook struct {
	program string
	dir     string // where it runs
	limit   time.Duration
	env     []string
	attrs   []any // for the log
	user    string
}

const (
	// maxHooks is how many programs may wait, and maxUserHooks for the files of one user: who uploads thousands of
	// files at once is not to push out what others upload.
	maxHooks     = 1000
	maxUserHooks = 250
	// maxHookOutput is how many octets of what a program writes are logged.
	maxHookOutput = 2000
	// hookGrace is how long the output of a program is waited for that has ended, or was killed: others may have it open.
	hookGrace = 2 * time.Second
)

// hooks runs programs, some at a time. Nobody waits for it but drain.
type hooks struct {
	log *slog.Logger

	mu      sync.Mutex
	most    int // at a time
	queue   []*hook
	waiting map[string]int // how many of the queue are a user's
	running int
	over    bool          // nothing is taken any more
	idle    chan struct{} // closed when over and nothing runs
	ctx     context.Context
	kill    context.CancelFunc
}

func newHooks(log *slog.Logger) *hooks {
	h := &hooks{log: log, most: 1, waiting: make(map[string]int), idle: make(chan struct{})}
	h.ctx, h.kill = context.WithCancel(context.Background())
	return h
}

// atATime sets how many programs may run at a time. Those that run go on.
func (h *hooks) atATime(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = n
	h.more()
}

// add has a program run as soon as there is room. It never waits: what is too much is told, and not run.
func (h *hooks) add(k *hook) {
	h.mu.Lock()
	why := ""
	switch {
	case h.over:
		why = "the server stops"
	case len(h.queue) >= maxHooks:
		why = fmt.Sprintf("%d others wait", len(h.queue))
	case h.waiting[k.user] >= maxUserHooks:
		why = fmt.Sprintf("%d others of the user wait", h.waiting[k.user])
	default:
		h.queue = append(h.queue, k)
		h.waiting[k.user]++
		h.more()
	}
	h.mu.Unlock()
	if why != "" {
		h.notRun(k, why)
	}
}

func (h *hooks) notRun(k *hook, why string) {
	h.log.Warn("upload program not run", append(k.attrs, "err", why)...)
}

// more starts what there is room for; it is called with h.mu held.
func (h *hooks) more() {
	for len(h.queue) > 0 && h.running < h.most {
		k := h.queue[0]
		h.queue[0] = nil // not kept by what is behind it
		h.queue = h.queue[1:]
		if h.waiting[k.user]--; h.waiting[k.user] == 0 {
			delete(h.waiting, k.user)
		}
		h.running++
		go func() { // ends with the program, which its time limit and drain end
			h.run(k)
			h.mu.Lock()
			defer h.mu.Unlock()
			h.running--
			h.more()
			h.done()
		}()
	}
}

// done tells drain that nothing is left; it is called with h.mu held.
func (h *hooks) done() {
	if h.over && h.running == 0 && len(h.queue) == 0 {
		close(h.idle)
	}
}

// drain takes nothing any more, and waits until the programs have ended that run or wait. When ctx ends, those that run are killed,
// and the others not run.
func (h *hooks) drain(ctx context.Context) {
	h.mu.Lock()
	h.over = true
	if n := h.running + len(h.queue); n > 0 && ctx.Err() == nil {
		h.log.Info("waiting for upload programs", "programs", n)
	}
	h.done()
	h.mu.Unlock()
	select {
	case <-h.idle:
	case <-ctx.Done():
		h.mu.Lock()
		left := h.queue
		h.queue = nil
		h.kill()
		h.mu.Unlock()
		for _, k := range left {
			h.notRun(k, "the server stops at once")
		}
		<-h.idle
	}
	h.kill()
}

// errHookTime is why a program was killed that ran for too long.
var errHookTime = errors.New("took longer than OnUploadTimeout, and was killed")

// run runs a program to its end, and tells how it went.
func (h *hooks) run(k *hook) {
	ctx, cancel := context.WithTimeoutCause(h.ctx, k.limit, errHookTime)
	defer cancel()
	var out headWriter
	cmd := exec.CommandContext(ctx, k.program) // no shell, and no argument of anybody's
	cmd.Env, cmd.Dir = k.env, k.dir
	cmd.Stdout, cmd.Stderr = &out, &out // Stdin is os.DevNull
	cmd.WaitDelay = hookGrace
	apart(cmd)
	start := time.Now()
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well, and what it left behind has its output
	}
	if ctx.Err() != nil && err != nil {
		if err = context.Cause(ctx); errors.Is(err, context.Canceled) {
			err = errors.New("killed, since the server stops")
		}
	}
	attrs := append(k.attrs, "time", time.Since(start).Round(time.Millisecond))
	if text := out.String(); text != "" {
		attrs = append(attrs, "output", text)
	}
	if err != nil {
		h.log.Warn("upload program failed", append(attrs, "err", err.Error())...)
		return
	}
	h.log.Info("upload program ended", attrs...)
}

// headWriter keeps the beginning of what is written, and takes all of it. It is for one goroutine, and os/exec has one for an output that is
// both.
type headWriter struct {
	buf  bytes.Buffer
	lost int64
}

// Write implements io.Writer.
func (w *headWriter) Write(p []byte) (int, error) {
	n := min(len(p), maxHookOutput-w.buf.Len())
	w.buf.Write(p[:n])
	w.lost += int64(len(p) - n)
	return len(p), nil
}

// String is what was written, fit for a log.
func (w *headWriter) String() string {
	text := plainLines(string(bytes.TrimRight(w.buf.Bytes(), "\r\n")))
	if w.lost > 0 {
		text += fmt.Sprintf(" ... and %d octets more", w.lost)
	}
	return text
}

// newHook is what is to be run for an upload. All that comes from the client is in the environment, octet for octet, where nothing interprets it.
func newHook(program string, c *config, user, remote, connection string, u *upload) *hook {
	k := &hook{program: program, dir: c.dir, limit: c.uploadTimeout, user: user}
	if path, ok := os.LookupEnv("PATH"); ok {
		k.env = append(k.env, "PATH="+path)
	}
	k.env = append(k.env,
		"FAIRLEAD_EVENT="+u.event, "FAIRLEAD_USER="+user, "FAIRLEAD_PATH="+u.path, "FAIRLEAD_FILE="+u.file,
		"FAIRLEAD_SIZE="+strconv.FormatInt(u.size, 10), "FAIRLEAD_REMOTE="+remote, "FAIRLEAD_CONNECTION="+connection)
	k.attrs = []any{"program", program, "event", u.event, "user", plain(user), "path", plain(u.path), "connection", connection}
	if u.event == eventRename {
		k.env = append(k.env, "FAIRLEAD_FROM="+u.from)
		k.attrs = append(k.attrs, "from", plain(u.from))
	}
	k.attrs = slices.Clip(k.attrs) // lines append to it
	return k
}
