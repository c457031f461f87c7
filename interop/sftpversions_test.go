package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An sftpClient is a client that can be pinned to versions of SFTP.
type sftpClient struct {
	name     string
	versions []int
	find     func() (string, error)
	start    func(t *testing.T) (driver, error)
	cannot   map[string]string // as in foreign
	deviates map[string]string // as in foreign
	// seconds: times without fractions; coarse: attributes are shown in part, and directories get no modes.
	seconds, coarse bool
	verifies        bool // it compares what is there before it resumes
}

var allVersions = []int{3, 4, 5, 6}

// sftpClients are clients by others that speak more than version 3.
var sftpClients = []*sftpClient{
	{
		name: "AsyncSSH", versions: allVersions, find: findPython("asyncssh"),
		start: func(*testing.T) (driver, error) {
			return newProgramDriver(exec.Command(python(), filepath.Join("testdata", "asyncssh_sftp.py"), "client"))
		},
	},
	{
		name: "MINA SSHD", versions: allVersions, find: findMinaSFTP,
		start: func(t *testing.T) (driver, error) { return newProgramDriver(minaSFTP(t, "client")) },
		deviates: map[string]string{
			"utimes 4": "MINA's client sends times without fractions",
			"utimes 5": "MINA's client sends times without fractions",
			"utimes 6": "MINA's client sends times without fractions",
		},
	},
	lftpSFTP,
	rubyNet.sftpClient(allVersions, nil, nil),
	phpseclib.sftpClient(allVersions, nil, map[string]string{
		"utimes 4": phpseclibTimes, "utimes 5": phpseclibTimes, "utimes 6": phpseclibTimes,
		"stat 6": phpseclibCount, "lstat 6": phpseclibCount,
	}),
	perlSSH2.sftpClient([]int{3}, nil, nil),
	jsch.sftpClient([]int{3}, nil, nil),
	sshj.sftpClient([]int{3}, nil, nil),
	{
		// It asks for version 6 and is given 3, the one that it can read.
		name: "Erlang", versions: []int{3}, find: findErlang,
		start:    func(*testing.T) (driver, error) { return newProgramDriver(erlang("sftp", "client")) },
		deviates: map[string]string{"rename": "ssh_sftp renames with posix-rename@openssh.com where the server has it"},
	},
	{
		name: "Conch", versions: []int{3}, find: findConch,
		start: func(*testing.T) (driver, error) { return newProgramDriver(conch("sftp", "client")) },
	},
	{
		name: "libssh", versions: []int{3}, find: findPython("ssh"),
		start: func(*testing.T) (driver, error) { return newProgramDriver(libsshPeer("libssh", "sftp", "client")) },
		deviates: map[string]string{
			"rename": "libssh renames with posix-rename@openssh.com where the server has it",
			"exists": "libssh looks why MKDIR has failed, and says so with a code of its own",
		},
	},
	{
		name: "libssh2", versions: []int{3}, find: findPython("ssh2"),
		start: func(*testing.T) (driver, error) { return newProgramDriver(libsshPeer("libssh2", "sftp", "client")) },
	},
}

const (
	phpseclibTimes = "phpseclib sends times without fractions"
	phpseclibCount = "phpseclib reads the fields of version 6 by the order of their flags, which is not their own"
)

// An sftpCell is one operation of one client in one version.
type sftpCell struct {
	ctx     context.Context
	driver  driver
	version int
	remote  string // directory for this cell, as the client names it
	there   string // the same directory, in the server's file system
	here    string // local directory for this cell
	many    string // the large directory, as the client names it
	note    string // shown in the table in place of "ok"
	root    bool   // the server's user is root
	code    int    // what the server answers in place of the draft's code, 0 if it is that

	login                    string // who owns the files of the user who logged in, where it is not the system's name
	numeric, seconds, coarse bool
	tellsSeconds             bool // the server keeps fractions, but does not tell them
	verifies                 bool
	gone, lost               bool // the client is, its connection may be
}

// try has the client do o.
func (x *sftpCell) try(o op) (answer, error) {
	a, err := x.driver.do(x.ctx, o)
	switch {
	case err != nil:
		x.gone = true
		return nil, err
	case a.has("na"):
		return nil, &notApplicableError{a.text("na")}
	}
	x.lost = x.lost || lostCode(a.code())
	return a, nil
}

// lostCode says that a code comes from the client itself, so that its connection may be lost.
func lostCode(code int) bool {
	return code == -1 || code == codeNoConnection || code == codeConnectionLost
}

// A pairing is one client at one server in one version, with what is known of both.
type pairing struct {
	row     string
	client  *sftpClient
	place   *place
	version int
	cannot  []map[string]string
	against []map[string]string // deviates
	codes   map[string]int

	login                          string
	numeric, seconds, tellsSeconds bool
}

// reason returns the first that the tables have for a column.
func (p *pairing) reason(tables []map[string]string, column string) string {
	for _, t := range tables {
		for _, key := range []string{fmt.Sprint(column, " ", p.version), column} {
			if why := t[key]; why != "" {
				return why
			}
		}
	}
	return ""
}

// code returns the status code that the server has in a column in place of the draft's.
func (p *pairing) code(column string) int {
	if c, ok := p.codes[fmt.Sprint(column, " ", p.version)]; ok {
		return c
	}
	return p.codes[column]
}

// run fills the pairing's row. d is the client's program, which the next version can use too; it returns the one
// that runs at the end.
func (p *pairing) run(t *testing.T, table *table, d driver) driver {
	here, there := filepath.Join(filepath.Dir(p.place.root), "here "+p.row), filepath.Join(p.place.root, p.row)
	if err := errors.Join(os.Mkdir(here, 0o755), os.Mkdir(there, 0o755), giveOrdinary(there)); err != nil {
		t.Fatal(err)
	}
	connected := false
	var never error // why there is no connection in this version
	for _, col := range sftpColumns {
		t.Run(col.name, func(t *testing.T) {
			table.set(p.row, col.name, resultFail, "the test did not end")
			if why := p.reason(p.cannot, col.name); why != "" {
				table.set(p.row, col.name, resultNA, why)
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			x := &sftpCell{
				ctx: ctx, driver: d, version: p.version, here: filepath.Join(here, col.name), there: filepath.Join(there, col.name),
				remote: path.Join(p.place.prefix, p.row, col.name), many: path.Join(p.place.prefix, "many"), root: p.place.asRoot && os.Getuid() == 0, code: p.code(col.name),
				login: p.login, numeric: p.numeric, seconds: p.seconds || p.client.seconds, coarse: p.client.coarse, verifies: p.client.verifies, tellsSeconds: p.tellsSeconds,
			}
			err := never
			if err == nil {
				err = errors.Join(os.Mkdir(x.here, 0o755), os.Mkdir(x.there, 0o755), giveOrdinary(x.there))
			}
			if err == nil && !connected {
				if err = p.connect(x); err != nil {
					never = err
				}
				connected = err == nil
			}
			if err == nil {
				err = col.run(x)
			}
			if x.gone {
				d.quit()
				connected = false
				var again error
				if d, again = p.client.start(t); again != nil {
					t.Fatal(again)
				}
			}
			if x.lost && !x.gone { // the client is there, the connection is not: the next column gets a new one
				if _, err := d.do(ctx, op{verb: "close"}); err != nil {
					t.Logf("close: %v", err)
				}
				connected = false
			}
			p.judge(t, table, col.name, x, err)
		})
	}
	if connected {
		if _, err := d.do(t.Context(), op{verb: "close"}); err != nil {
			t.Errorf("%s: close: %v", p.row, err)
		}
	}
	return d
}

// judge enters what a column came to.
func (p *pairing) judge(t *testing.T, table *table, column string, x *sftpCell, err error) {
	t.Helper()
	var na *notApplicableError
	deviates := p.reason(p.against, column)
	switch {
	case errors.As(err, &na):
		table.set(p.row, column, resultNA, na.why)
	case x.gone: // which no peer's ways excuse
		table.set(p.row, column, resultFail, lastLine(err.Error()))
		t.Error(err)
	case err == nil && deviates != "":
		table.set(p.row, column, resultFail, "passes, for all that: "+deviates)
		t.Errorf("passes, for all that: %s", deviates)
	case err == nil:
		table.set(p.row, column, resultOK, x.note)
	case deviates != "":
		table.set(p.row, column, resultNA, deviates)
		t.Logf("as known: %v", err)
	default:
		table.set(p.row, column, resultFail, strings.ReplaceAll(lastLine(err.Error()), x.remote+"/", ""))
		t.Error(err)
	}
}

// connect logs in and sees that the version is the one that was asked for.
func (p *pairing) connect(x *sftpCell) error {
	a, err := x.do(p.place.connect(p.version))
	if err != nil {
		return err
	}
	if got := a.numbers(); len(got) != 1 || got[0] != p.version {
		return fmt.Errorf("connected in version %v, want %d", got, p.version)
	}
	return nil
}

// newVersionsTable makes a table with the columns of this file.
func newVersionsTable(title string) *table {
	var names []string
	for _, col := range sftpColumns {
		names = append(names, col.name)
	}
	table := newTable(title, names)
	table.upright = true
	return table
}

// TestSFTPClients puts the clients that speak more than version 3 through every operation in every version, against
// `fairlead serve`.
func TestSFTPClients(t *testing.T) {
	p := fairleadPlace(t)
	ident, err := p.ident()
	if err != nil {
		t.Fatal(err)
	}
	runSFTPClients(t, p, "SFTP clients by version: "+ident, nil)
}

// runSFTPClients fills a table with all clients at one server. deviates has more reasons, by client.
func runSFTPClients(t *testing.T, p *place, title string, deviates map[string]map[string]string) {
	t.Helper()
	table := newVersionsTable(title)
	start := time.Now()
	for _, c := range sftpClients { // in parallel they would end in any order: fix the order of the rows
		for _, v := range c.versions {
			table.row(c.row(v))
		}
	}
	t.Run("clients", func(t *testing.T) { // returns when its parallel subtests have ended
		for _, c := range sftpClients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				version, err := c.find()
				if err != nil {
					for _, v := range c.versions {
						table.missing(c.row(v), err)
					}
					missingPeer(t, c.name, err)
				}
				d, err := c.start(t)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { d.quit() }()
				for _, v := range c.versions {
					t.Run(fmt.Sprint("version ", v), func(t *testing.T) {
						table.version(c.row(v), version)
						q := &pairing{
							row: c.row(v), client: c, place: p, version: v,
							cannot: []map[string]string{c.cannot}, against: []map[string]string{c.deviates, deviates[c.name]},
						}
						d = q.run(t, table, d)
					})
				}
			})
		}
	})
	table.note("%d cells in %s", table.cells(), time.Since(start).Round(time.Second))
	addReport(table.String())
}

func (c *sftpClient) row(version int) string {
	return fmt.Sprintf("%s v%d", strings.ReplaceAll(c.name, " ", "-"), version)
}
