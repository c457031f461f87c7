package main

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// remotePaths are the files that a path with wildcards means on a host: the path itself if
// it has none, or if there is a file of exactly that name.
func remotePaths(ctx context.Context, s *sftp.Client, name string) ([]string, error) {
	if !strings.ContainsAny(name, "*?[") {
		return []string{name}, nil
	}
	if _, err := s.Lstat(ctx, name); err == nil {
		return []string{name}, nil
	}
	var out []string
	for match, err := range s.Glob(ctx, name) {
		if err != nil {
			return nil, err
		}
		out = append(out, match)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: nothing there matches: %w", name, fs.ErrNotExist)
	}
	return out, nil
}
