//go:build !linux && !darwin && !freebsd && !windows

package osfs

import (
	"errors"
	"os"
	"strings"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// hostFeatures are what the host's calls add: no statvfs here.
const hostFeatures = sftp.Features(0)

func timesFile(*os.File, *sftp.Attrs) error { return errors.ErrUnsupported }

func checkTimes(*sftp.Attrs) error { return nil }

func statfsFile(*os.File, *sftp.FSInfo) error { return errors.ErrUnsupported }

func (s *FS) statfs(string, *sftp.FSInfo) error { return errors.ErrUnsupported }

// checkHostName accepts every clean path.
func checkHostName(string) error { return nil }

// checkLinkText accepts every text.
func checkLinkText(string) error { return nil }

// cutRoot cuts the directory root off path.
func cutRoot(path, root string) (rest string, ok bool) { return strings.CutPrefix(path, root) }

// spelled answers rel: a name has one spelling.
func (s *FS) spelled(rel string) (string, error) { return rel, nil }
