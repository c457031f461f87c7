package sftp

import (
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	idNamesMax  = 4096             // entries per map; a directory rarely has ten owners
	idNamesLife = 10 * time.Minute // so that a renamed account is seen at last
)

// IDNames remembers the names of user and group ids and the other way round, since
// asking the system once per directory entry is what makes listings slow. It is
// bounded, forgets everything after ten minutes, and is safe for concurrent use.
// The zero value asks os/user.
type IDNames struct {
	// LookupUser and LookupGroup return the name of an id, "" for none; nil asks os/user. Set them
	// before first use.
	LookupUser, LookupGroup func(id uint32) string
	// UserID and GroupID return the id of a name; nil asks os/user.
	UserID, GroupID func(name string) (uint32, bool)

	mu            sync.RWMutex
	born          time.Time
	users, groups map[uint32]string
	uids, gids    map[string]idFound
}

type idFound struct {
	id uint32
	ok bool
}

// SystemNames is the [IDNames] of this host, shared by everything that is not given another one.
var SystemNames = &IDNames{}

// User returns the name of a user id, "" if it has none.
func (n *IDNames) User(uid uint32) string {
	look := n.LookupUser
	if look == nil {
		look = func(id uint32) string {
			u, err := user.LookupId(strconv.FormatUint(uint64(id), 10))
			if err != nil {
				return ""
			}
			return u.Username
		}
	}
	return remember(n, &n.users, uid, look)
}

// Group returns the name of a group id, "" if it has none.
func (n *IDNames) Group(gid uint32) string {
	look := n.LookupGroup
	if look == nil {
		look = func(id uint32) string {
			g, err := user.LookupGroupId(strconv.FormatUint(uint64(id), 10))
			if err != nil {
				return ""
			}
			return g.Name
		}
	}
	return remember(n, &n.groups, gid, look)
}

// UID returns the id of a user name or of a number in text. Of "user@domain", unless that
// is a name as a whole, the part before the last "@" counts (filexfer-13 §7.5).
func (n *IDNames) UID(name string) (uint32, bool) {
	look := n.UserID
	if look == nil {
		look = func(name string) (uint32, bool) {
			u, err := user.Lookup(name)
			if err != nil {
				return 0, false
			}
			return parseID(u.Uid)
		}
	}
	return withoutDomain(name, func(name string) (uint32, bool) {
		f := remember(n, &n.uids, name, func(name string) (f idFound) { f.id, f.ok = look(name); return f })
		if !f.ok {
			return parseID(name)
		}
		return f.id, true
	})
}

// GID returns the id of a group name or of a number in text. It treats "group@domain" as UID treats
// users.
func (n *IDNames) GID(name string) (uint32, bool) {
	look := n.GroupID
	if look == nil {
		look = func(name string) (uint32, bool) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return 0, false
			}
			return parseID(g.Gid)
		}
	}
	return withoutDomain(name, func(name string) (uint32, bool) {
		f := remember(n, &n.gids, name, func(name string) (f idFound) { f.id, f.ok = look(name); return f })
		if !f.ok {
			return parseID(name)
		}
		return f.id, true
	})
}

// withoutDomain returns find of name, or else of its part before the domain.
func withoutDomain(name string, find func(string) (uint32, bool)) (uint32, bool) {
	id, ok := find(name)
	if i := strings.LastIndexByte(name, '@'); !ok && i > 0 {
		return find(name[:i])
	}
	return id, ok
}

func parseID(s string) (uint32, bool) {
	id, err := strconv.ParseUint(s, 10, 32)
	return uint32(id), err == nil
}

// remember answers from the map m or asks look, outside the lock: a directory
// service may take seconds, and others must not wait for it.
func remember[K comparable, V any](n *IDNames, m *map[K]V, key K, look func(K) V) V {
	now := time.Now()
	n.mu.RLock()
	v, ok := (*m)[key]
	old := now.Sub(n.born) > idNamesLife
	n.mu.RUnlock()
	if ok && !old {
		return v
	}
	v = look(key)
	n.mu.Lock()
	defer n.mu.Unlock()
	if old {
		n.users, n.groups, n.uids, n.gids = nil, nil, nil, nil
		n.born = now
	}
	if *m == nil || len(*m) >= idNamesMax {
		*m = make(map[K]V)
	}
	(*m)[key] = v
	return v
}
