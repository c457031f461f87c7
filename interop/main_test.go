package interop

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// askpassEnv makes the test binary print a password and leave: programs that take none on the command line
// run it as their SSH_ASKPASS.
const askpassEnv = "FAIRLEAD_INTEROP_ASKPASS"

// scratch is the directory all tests work in; it is removed at the end.
var scratch string

// report collects the finished tables, in the order the tests ended.
var report struct {
	sync.Mutex
	tables []string
}

func addReport(table string) {
	report.Lock()
	defer report.Unlock()
	report.tables = append(report.tables, table)
}

func TestMain(m *testing.M) {
	if password := os.Getenv(askpassEnv); password != "" {
		fmt.Println(password)
		return
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if scratch, err = makeScratch(); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	code := m.Run()
	quitLibraries()
	text := strings.Join(report.tables, "\n")
	fmt.Print(text)
	if name := os.Getenv("FAIRLEAD_MATRIX_OUT"); name != "" && text != "" {
		if err := appendFile(name, text); err != nil {
			fmt.Fprintln(os.Stderr, "interop:", err)
			return 1
		}
	}
	return code
}

func appendFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// makeScratch prefers memory over disk: the disk of a shared machine would be what the large files measure.
func makeScratch() (string, error) {
	parent := os.Getenv("FAIRLEAD_INTEROP_TMP")
	if parent == "" && freeBytes("/dev/shm") > 5<<30 {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "fairlead-interop-")
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}
