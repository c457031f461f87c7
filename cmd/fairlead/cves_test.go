package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
)

// evil is text that would move a cursor, forge a line or turn one around.
const evil = "x\x1b[2J\r\n{\"level\":\"ERROR\"}\u202eevil\u2066\u009b\x7f%s%n"

// password is the one that r made up and printed.
func (r *running) password(t *testing.T) string {
	t.Helper()
	return r.stdout.await(t, `password   (\S+)`)[1]
}

// request is one SFTP request of version 3: a type, an id and strings.
func request(typ byte, strs ...string) []byte {
	b := []byte{0, 0, 0, 0, typ, 0, 0, 0, 7}
	for _, s := range strs {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// TestCVE_9_1_LogLinesStayLines: nothing that a peer sends gets into the log
// other than quoted: one event is one line of what prints, in both formats.
func TestCVE_9_1_LogLinesStayLines(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			home(t)
			r := launch(t, "--log-format", format, "--log-level", "debug")
			for _, ident := range []string{"SSH-2.0-" + evil + "\r\n", "SSH-1.5-\x1b[2J\r\n", evil + "\r\n", "SSH-2.0-\u202e\r\n"} {
				nc, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = nc.Write([]byte(ident + "and then nothing that is a packet"))
				_, _ = io.Copy(io.Discard, nc)
				_ = nc.Close()
			}
			if _, err := dial(t, r, evil, ssh2.Password(evil)); err == nil {
				t.Error("logged in")
			}
			c, err := dial(t, r, defaultUser, ssh2.Password(r.password(t)))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Open(t.Context(), evil, []byte(evil), nil)
			_, _ = c.Request(t.Context(), evil, true, []byte(evil))
			if _, err := c.Subsystem(t.Context(), evil); err == nil {
				t.Error("subsystem granted")
			}
			ch, err := c.Subsystem(t.Context(), "sftp")
			if err != nil {
				t.Fatal(err)
			}
			open := append(request(3, evil), 0, 0, 0, 0x0A, 0, 0, 0, 0) // to write and create, without attributes
			binary.BigEndian.PutUint32(open, uint32(len(open)-4))
			in := bufio.NewReader(ch)
			for _, m := range [][]byte{
				{0, 0, 0, 5, 1, 0, 0, 0, 3},
				open,
				request(17, evil),               // STAT
				request(18, evil+"a", evil+"b"), // RENAME
				request(200, evil, evil),        // an extension that nobody has
				request(200, "posix-rename@openssh.com", evil, evil+"c"),
				request(20, evil, evil), // SYMLINK
			} {
				if _, err := ch.Write(m); err != nil {
					t.Fatal(err)
				}
				var n [4]byte
				if _, err := io.ReadFull(in, n[:]); err != nil {
					t.Fatal(err)
				}
				if _, err := in.Discard(int(binary.BigEndian.Uint32(n[:]))); err != nil {
					t.Fatal(err)
				}
			}
			_ = c.Disconnect(ssh2.DisconnectProtocolError, evil)
			r.stderr.await(t, "connection ended")
			r.stop(t)
			log := r.stderr.String()
			if !strings.Contains(log, "evil") {
				t.Error("nothing of what was sent is in the log")
			}
			for line := range strings.SplitSeq(strings.TrimSuffix(log, "\n"), "\n") {
				var event map[string]any
				if format == "json" {
					if err := json.Unmarshal([]byte(line), &event); err != nil {
						t.Errorf("%v: %q", err, line)
					}
				} else if !strings.HasPrefix(line, "time=") {
					t.Errorf("a line of its own: %q", line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return !strconv.IsPrint(r) }) {
					t.Errorf("not quoted: %q", line)
				}
			}
		})
	}
}

// TestCVE_11_3_ServeRunsNothing: files are what is served, and nothing else.
func TestCVE_11_3_ServeRunsNothing(t *testing.T) {
	home(t)
	r := launch(t)
	c, err := dial(t, r, defaultUser, ssh2.Password(r.password(t)))
	if err != nil {
		t.Fatal(err)
	}
	for what, start := range map[string]func(*ssh2.Session) error{
		"exec":             func(s *ssh2.Session) error { return s.Start(t.Context(), "id") },
		"exec of a server": func(s *ssh2.Session) error { return s.Start(t.Context(), "scp -t .") },
		"shell":            func(s *ssh2.Session) error { return s.Shell(t.Context()) },
	} {
		s, err := c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if start(s) == nil {
			t.Errorf("%s is granted", what)
		}
		_ = s.Close()
	}
	for _, name := range []string{"", "SFTP", "sftp ", "netconf"} {
		if _, err := c.Subsystem(t.Context(), name); err == nil {
			t.Errorf("subsystem %q is granted", name)
		}
	}
	for _, typ := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", "x11", "forwarded-tcpip"} {
		var no *ssh2.OpenError
		if _, err := c.Open(t.Context(), typ, nil, nil); !errors.As(err, &no) {
			t.Errorf("%s: %v", typ, err)
		}
	}
	for _, name := range []string{"tcpip-forward", "streamlocal-forward@openssh.com"} {
		var no *ssh2.RequestError
		if _, err := c.Request(t.Context(), name, true, []byte{0, 0, 0, 0, 0, 0, 0, 0}); !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = c.Close()
	r.stop(t)
}

// TestCVE_2_26_UserNamesAreNoPaths: a name that looks like one lets nobody in
// and leads nowhere, whether a password or a key comes with it.
func TestCVE_2_26_UserNamesAreNoPaths(t *testing.T) {
	dir := home(t)
	key := filepath.Join(dir, "uk")
	if err := makeHostKey(key); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, gossh.MarshalAuthorizedKey(signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	pw := filepath.Join(dir, "pw")
	if err := os.WriteFile(pw, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := launch(t, "--user", "alice", "--authorized-keys", keys, "--password-file", pw)
	before := names(t, dir)
	for _, user := range []string{"../alice", "./alice", "alice/", "a/b", "..", ".", "a\\b", "%h", "%u", "~", "alice\x00", "alice ", "Alice", "", "*", "keys", keys} {
		for _, auth := range []ssh2.AuthMethod{ssh2.Password("secret"), ssh2.PublicKeys(signer)} {
			if c, err := dial(t, r, user, auth); err == nil {
				t.Errorf("%q is let in", user)
				_ = c.Close()
			}
		}
	}
	if after := names(t, dir); after != before {
		t.Errorf("files\n%s\nwere\n%s", after, before)
	}
	for _, auth := range []ssh2.AuthMethod{ssh2.Password("secret"), ssh2.PublicKeys(signer)} {
		c, err := dial(t, r, "alice", auth)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	r.stop(t)
}

// names are all files below dir, with times.
func names(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		b.WriteString(p + " " + info.ModTime().String() + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
