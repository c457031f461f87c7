package sftp

import "testing"

// TestHandlesOfTwoServers: servers that go by what the process may have open share that, so that one that takes the place of
// another has no room of its own; those with a number have it for themselves.
func TestHandlesOfTwoServers(t *testing.T) {
	if openFiles() == 0 {
		return // the system does not tell
	}
	table := func(s *Server) *handles {
		h := &handles{max: maxHandles}
		h.total, h.most = s.maxOpen()
		return h
	}
	var a, b Server
	one, two := table(&a), table(&b)
	room := two.most - two.total.Load()
	var h handle
	one.add(&h)
	if now := two.most - two.total.Load(); now != room-1 {
		t.Errorf("room for %d and then for %d", room, now)
	}
	one.remove(&h)
	if now := two.most - two.total.Load(); now != room {
		t.Errorf("room for %d and in the end for %d", room, now)
	}
	c, d := Server{MaxHandles: 1}, Server{MaxHandles: 1}
	one, two = table(&c), table(&d)
	one.add(&h)
	if one.room() == nil || two.room() != nil {
		t.Error("servers with a number of their own share it")
	}
}
