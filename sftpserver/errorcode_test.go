package sftpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// TestErrorsDocument: docs/errors.md has every number, and nothing else.
func TestErrorsDocument(t *testing.T) {
	sameDocument(t, filepath.FromSlash("../docs/errors.md"), errorsMarkdown())
}

func errorsMarkdown() string {
	var b strings.Builder
	b.WriteString("# Numbers of errors\n\nWritten by `go test ./sftpserver -run ErrorsDocument -update`.\n\n" +
		"`sftpserver.ErrorCode` gives an error its number; the events Connected, Disconnected and Error carry it. Numbers from 10004 on are those of Winsock,\n" +
		"on every platform: on Windows as the system has them, elsewhere translated from the error of the system that the third column names. Numbers below\n" +
		"are the component's own, and have constants of the name in the second column. The outermost error of a chain that has a number counts.\n\n" +
		"| number | name | error of the system | errors of Go | meaning |\n|---:|---|---|---|---|\n")
	for _, r := range codeTable {
		from := r.from
		if r.never != "" {
			from = "never raised here; reserved for " + r.never
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", r.code, r.name, strings.Join(r.errno, ", "), from, r.text)
	}
	return b.String()
}

// codeCases has errors for each number that can be raised without an error of the system.
var codeCases = []struct {
	code int
	err  error
}{
	{0, nil},
	{0, errors.New("no number")},
	{0, ErrNotLoggedIn},
	{CodeNoHostKey, &certstore.PasswordError{Format: "PFX", Wrong: true}},
	{CodeNoHostKey, fmt.Errorf("settings: SSHCertSubject: %w", &certstore.FormatError{Format: "PFX", Err: errors.ErrUnsupported})},
	{CodeNoHostKey, fmt.Errorf("certstore: find: %w", certstore.ErrNoMatch)},
	{CodeNoHostKey, &keys.PassphraseError{}},
	{CodeAlreadyListening, ErrAlreadyListening},
	{CodeLocalPort, ErrListening},
	{CodeLocalHost, &Error{Code: CodeLocalHost, Op: "set LocalHost", Err: ErrListening}},
	{CodeMaxConnections, &Error{Code: CodeMaxConnections, Op: "set MaxConnections", Err: ErrListening}},
	{CodeUnknownConnection, ErrUnknownConnection},
	{CodeForward, &ssh2.OpenError{Reason: ssh2.OpenConnectFailed}},
	{CodeForwardData, ssh2.ErrChannelClosed},
	{CodeForwardData, fmt.Errorf("relay: %w", ssh2.ErrWriteClosed)},
	{CodeForwardData, &ssh2.RequestError{Name: "exec"}},
	{CodeAuth, &ssh2.AuthError{User: "eve", Err: &ssh2.DisconnectError{}}},
	{CodeNoHostKey, ErrNoHostKey},
	{CodeInvalidPath, &fs.PathError{Op: "open", Err: fs.ErrNotExist}},
	{CodeInvalidPath, &fs.PathError{Op: "open", Err: syscall.ENOENT}},
	{CodeInvalidPath, &os.LinkError{Op: "rename", Err: fs.ErrInvalid}},
	{CodeInvalidPath, &sftp.StatusError{Code: sftp.CodeInvalidFilename}},
	{CodeInvalidPath, sftp.CodeNoSuchFile},
	{CodeIO, &fs.PathError{Op: "read", Err: syscall.EIO}},
	{CodeIO, &fs.PathError{Op: "open", Err: fs.ErrPermission}},
	{CodeIO, &sftp.StatusError{Code: sftp.CodeNoSpace}},
	{CodeSetAttributes, &fs.PathError{Op: "chmod", Err: fs.ErrPermission}},
	{CodeSetAttributes, &fs.PathError{Op: "fchownat", Err: fs.ErrNotExist}},
	{CodeSetAttributes, &sftp.StatusError{Code: sftp.CodeOwnerInvalid}},
	{10022, &ssh2.ConfigError{Setting: "macs", Err: errors.New("unknown")}},
	{10045, errors.ErrUnsupported},
	{10053, net.ErrClosed},
	{10053, ssh2.ErrClosed},
	{10053, ssh2.ErrServerClosed},
	{10053, context.Canceled},
	{10053, ErrTooManyConnections},
	{10053, &ssh2.ProtocolError{Text: "x"}},
	{10053, &ssh2.NegotiationError{}},
	{10053, &ssh2.IdentError{Err: errors.New("x")}},
	{10053, &ssh2.StrictKexError{}},
	{10053, &ssh2.PanicError{}},
	{10053, &PanicError{}},
	{10053, &ssh2.DisconnectError{Reason: 2}},
	{10054, &ssh2.DisconnectError{Reason: 2, Remote: true}},
	{10054, io.EOF},
	{10054, fmt.Errorf("ssh2: connection: %w", io.ErrUnexpectedEOF)},
	{10058, io.ErrClosedPipe},
	{10060, os.ErrDeadlineExceeded},
	{10060, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}},
	{10060, context.DeadlineExceeded},
	{10060, &ssh2.TimeoutError{What: "ident"}},
	{10060, &ssh2.DeadPeerError{}},
	{10060, &ssh2.ShutdownError{Err: errors.New("x")}},
	{10060, timeoutError{}},
	{11001, &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}},
	{11002, &net.DNSError{IsTemporary: true}},
	{11002, &net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}},
	{11003, &net.DNSError{Err: "server misbehaving"}},
	{11004, &net.OpError{Op: "dial", Err: &net.AddrError{Err: "no suitable address found"}}},
	{10061, errors.Join(errors.New("x"), fmt.Errorf("y: %w", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}))},
	{CodeUnknownConnection, fmt.Errorf("disconnect: %w", ErrUnknownConnection)},
}

type timeoutError struct{}

func (timeoutError) Error() string { return "late" }
func (timeoutError) Timeout() bool { return true }

// TestErrorCodes: each number has a text, is unique, and is reached by the errors it stands for.
func TestErrorCodes(t *testing.T) {
	for _, c := range codeCases {
		if got := ErrorCode(c.err); got != c.code {
			t.Errorf("ErrorCode(%v) = %d, want %d", c.err, got, c.code)
		}
	}
	for i, row := range codeTable {
		t.Run(strconv.Itoa(row.code), func(t *testing.T) {
			if i > 0 && codeTable[i-1].code >= row.code {
				t.Error("out of order")
			}
			if row.text == "" || row.name == "" || CodeText(row.code) != row.text {
				t.Errorf("name %q, text %q, CodeText %q", row.name, row.text, CodeText(row.code))
			}
			for _, name := range row.errno {
				if e, ok := errnos[name]; !ok || ErrorCode(&net.OpError{Op: "read", Err: os.NewSyscallError("read", e)}) != row.code {
					t.Errorf("%s is %d, %v; its number %d", name, e, ok, ErrorCode(e))
				}
			}
			raised := slices.ContainsFunc(codeCases, func(c struct {
				code int
				err  error
			},
			) bool {
				return c.code == row.code
			})
			switch {
			case row.never != "" && (raised || row.errno != nil || row.is != nil || row.match != nil):
				t.Error("raised, though it is reserved")
			case row.never == "" && !raised && row.errno == nil:
				t.Error("never raised, and it does not say why")
			case (row.is != nil || row.match != nil || raised && row.errno == nil) && row.from == "":
				t.Error("errors of Go have the number, and the documentation does not say which")
			}
		})
	}
	distinct := map[error]bool{} // EWOULDBLOCK is EAGAIN, but on Windows
	for _, e := range errnos {
		distinct[e] = true
	}
	if n := len(distinct); n != len(codeOfErrno) {
		t.Errorf("%d errors of the system, %d of them with a number", n, len(codeOfErrno))
	}
	if got := CodeText(1); got != "unknown error" {
		t.Errorf("CodeText(1) = %q", got)
	}
}

func TestErrorIs(t *testing.T) {
	port, host := error(&Error{Code: CodeLocalPort, Op: "set LocalPort"}), error(&Error{Code: CodeLocalHost, Op: "set LocalHost", Err: ErrListening})
	if !errors.Is(port, ErrListening) || !errors.Is(host, ErrListening) {
		t.Error("what cannot change while listening is no ErrListening")
	}
	if errors.Is(port, ErrAlreadyListening) || errors.Is(&Error{}, &Error{}) {
		t.Error("errors of different numbers, or of none, are the same")
	}
	if got, want := (&Error{Code: CodeFirewall}).Error(), "sftpserver: firewall error"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := ErrUnknownConnection.Error(), "sftpserver: connection: no connection of that id"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	cause := errors.New("cause")
	if err := error(&Error{Code: 10048, Op: "listen", Err: cause}); !errors.Is(err, cause) || err.Error() != "sftpserver: listen: cause" {
		t.Errorf("%v", err)
	}
}
