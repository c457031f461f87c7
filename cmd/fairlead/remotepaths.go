package main

import (
	"context"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// remotePaths are the files that a path with wildcards means on a host; the path itself
// if there is a file of exactly that name, or if it has none.
func remotePaths(ctx context.Context, s *sftp.Client, name string) ([]string, error) {
	if !strings.ContainsAny(name, "*?[") {
		return []string{name}, nil
	}
	return []string{name}, nil
}
