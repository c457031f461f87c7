package gssapi

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// maxReplays bounds the authenticators that are remembered: 100 logins a second
// for ten minutes. Only who has a ticket can have one added.
const maxReplays = 60_000

// A replayCache remembers the authenticators that were accepted until they are
// too old to be accepted (RFC 4120 section 3.2.3).
type replayCache struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]time.Time // until when
	next time.Time                       // when to look for old ones
}

var errReplay = errors.New("gssapi: authenticator was used before")

// add notes an encrypted authenticator that is good until end, or says that it
// is not new. A full cache accepts nothing: it could not notice a replay.
func (r *replayCache) add(cipher []byte, now, end time.Time) error {
	id := sha256.Sum256(cipher)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[[sha256.Size]byte]time.Time{}
	}
	if until, ok := r.seen[id]; ok && !now.After(until) {
		return errReplay
	}
	if now.After(r.next) || len(r.seen) >= maxReplays {
		r.next = now.Add(time.Minute)
		for id, until := range r.seen {
			if now.After(until) {
				delete(r.seen, id)
			}
		}
	}
	if len(r.seen) >= maxReplays {
		return errors.New("gssapi: too many logins to tell replays from them")
	}
	r.seen[id] = end
	return nil
}
