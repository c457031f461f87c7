package main

import (
	"fmt"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// requestRows are the requests that sftp-server(8) takes in -p and -P, in the order of its
// -Q, and what each is in a policy. What is denied is denied under every name that it has:
// -P rename takes posix-rename along, and -P write the making of files, which OPEN does.
var requestRows = []struct {
	name        string
	allow, deny []string
}{
	{"open", nil, []string{"OPEN"}}, // what for is said by read and write
	{"close", nil, nil},             // a session is none without it
	{"read", []string{"READ"}, []string{"read"}},
	{"write", []string{"WRITE"}, []string{"write", "create"}},
	{"lstat", []string{"LSTAT"}, []string{"LSTAT"}},
	{"fstat", []string{"FSTAT"}, []string{"FSTAT"}},
	{"setstat", []string{"SETSTAT"}, []string{"SETSTAT"}},
	{"fsetstat", []string{"FSETSTAT"}, []string{"FSETSTAT"}},
	{"opendir", []string{"OPENDIR"}, []string{"OPENDIR"}},
	{"readdir", []string{"READDIR"}, []string{"READDIR"}},
	{"remove", []string{"REMOVE"}, []string{"remove"}},
	{"mkdir", []string{"MKDIR"}, []string{"mkdir"}},
	{"rmdir", []string{"RMDIR"}, []string{"rmdir"}},
	{"realpath", []string{"REALPATH"}, []string{"REALPATH"}},
	{"stat", []string{"STAT"}, []string{"STAT"}},
	{"rename", []string{"RENAME"}, []string{"rename"}},
	{"readlink", []string{"READLINK"}, []string{"READLINK"}},
	{"symlink", []string{"SYMLINK"}, []string{"symlink"}},
	{"posix-rename", []string{"posix-rename@openssh.com"}, []string{"posix-rename@openssh.com"}},
	{"statvfs", []string{"statvfs@openssh.com"}, []string{"statvfs@openssh.com"}},
	{"fstatvfs", []string{"fstatvfs@openssh.com"}, []string{"fstatvfs@openssh.com"}},
	{"hardlink", []string{"hardlink@openssh.com"}, []string{"hardlink"}},
	{"fsync", []string{"fsync@openssh.com"}, []string{"fsync@openssh.com"}},
	{"lsetstat", []string{"lsetstat@openssh.com"}, []string{"lsetstat@openssh.com"}},
	{"limits", []string{"limits@openssh.com"}, []string{"limits@openssh.com"}},
	{"expand-path", []string{"expand-path@openssh.com"}, []string{"expand-path@openssh.com"}},
	{"copy-data", []string{"copy-data"}, []string{"copy-data"}},
	{"home-directory", []string{"home-directory"}, []string{"home-directory"}},
	{"users-groups-by-id", []string{"users-groups-by-id@openssh.com"}, []string{"users-groups-by-id@openssh.com"}},
}

// policy is what -p and -P ask for, nil if nothing.
func (o *stdioOptions) policy() (*sftp.Policy, error) {
	if o.allow == "" && o.deny == "" {
		return nil, nil //nolint:nilnil // no policy is no error
	}
	p := &sftp.Policy{}
	if o.allow != "" {
		p.Allow = []string{}
		opens := false
		for name := range strings.SplitSeq(o.allow, ",") {
			row, err := requestRow(name)
			if err != nil {
				return nil, fmt.Errorf("-p: %w", err)
			}
			opens = opens || name == "open"
			p.Allow = append(p.Allow, requestRows[row].allow...)
		}
		if !opens {
			p.Deny = append(p.Deny, "OPEN")
		}
	}
	if o.deny != "" {
		for name := range strings.SplitSeq(o.deny, ",") {
			row, err := requestRow(name)
			if err == nil && requestRows[row].deny == nil {
				err = fmt.Errorf("%q cannot be denied", name)
			}
			if err != nil {
				return nil, fmt.Errorf("-P: %w", err)
			}
			p.Deny = append(p.Deny, requestRows[row].deny...)
		}
	}
	return p, p.Check()
}

func requestRow(name string) (int, error) {
	for i := range requestRows {
		if requestRows[i].name == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%q is no request that is known; -Q requests lists them", name)
}

// requests is what -Q requests prints.
func requests() string {
	var b strings.Builder
	for i := range requestRows {
		b.WriteString(requestRows[i].name + "\n")
	}
	return b.String()
}
