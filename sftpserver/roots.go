package sftpserver

import (
	"context"
	"fmt"
	"sync"

	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

// roots are the local directories that are served: opened once, shared by sessions.
type roots struct {
	s  *Server
	mu sync.Mutex
	by map[string]*osfs.FS
}

func newRoots(s *Server) (*roots, error) {
	r := &roots{s: s, by: make(map[string]*osfs.FS)}
	if s.RootDirectory != "" {
		if _, err := r.open(s.RootDirectory); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *roots) open(dir string) (*osfs.FS, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.by[dir]; f != nil {
		return f, nil
	}
	f, err := osfs.New(dir, osfs.Options{ReadOnly: r.s.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("sftpserver: root directory: %w", err)
	}
	r.by[dir] = f
	return f, nil
}

func (r *roots) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.by {
		f.Close()
	}
	clear(r.by)
}

// fileSystem is what the user of c sees.
func (e *engine) fileSystem(ctx context.Context, c *Connection) (sftp.FileSystem, error) {
	switch {
	case e.FileSystem != nil:
		return e.FileSystem(ctx, c)
	case e.RootDirectory != "":
		return e.roots.open(e.RootDirectory)
	}
	return sftp.Unsupported{}, nil
}
