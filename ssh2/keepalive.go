package ssh2

import (
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
)

// keepAliveName is OpenSSH's request whose only use is its answer.
const keepAliveName = "keepalive@openssh.com"

// A keepAlive finds out when a peer is dead. It has no goroutine: one timer
// looks, once per interval, at when the last packet arrived, and is set to the
// rest of the interval if that was recently. So packets cost it nothing.
type keepAlive struct {
	mu      sync.Mutex
	conn    *Conn
	set     KeepAlive
	timer   *time.Timer
	over    bool
	asked   int       // keepalives sent since something arrived
	heardAt time.Time // what LastReceived was then
	written uint64    // octets that had left when we looked last
}

func (k *keepAlive) start(c *Conn) {
	k.conn, k.set = c, c.cfg.KeepAlive.withDefaults()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(k.set.Interval, k.look)
}

// look runs when the timer fires.
func (k *keepAlive) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over {
		return
	}
	heard := k.conn.t.LastReceived()
	if k.asked > 0 && heard.After(k.heardAt) {
		k.asked = 0
	}
	silence := time.Since(heard)
	if rest := k.set.Interval - silence; k.asked == 0 && rest > 0 {
		k.timer.Reset(rest)
		return
	}
	// Over a slow link a question waits its turn for minutes, and the answer
	// with it. But who takes what we send is not dead.
	written, more := k.conn.t.Output()
	moves := more && written > k.written
	k.written = written
	if moves {
		k.asked = 0
		k.timer.Reset(k.set.Interval)
		return
	}
	if k.asked >= k.set.Count {
		k.over = true
		k.conn.fail(&DeadPeerError{silence}, DisconnectConnectionLost, "connection lost")
		return
	}
	k.asked++
	k.heardAt = heard
	k.conn.askAlive()
	k.timer.Reset(k.set.Interval)
}

// end stops the timer for good.
func (k *keepAlive) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	if k.timer != nil {
		k.timer.Stop()
	}
}

// askAlive sends a keepalive request. Nobody waits for the answer: that
// anything arrives is what counts. It also shows how long a round trip takes.
func (c *Conn) askAlive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.t.PostMessage(&msg.GlobalRequest{Name: keepAliveName, WantReply: true}) == nil {
		c.waiters = append(c.waiters, &waiter{sent: time.Now()})
	}
}
