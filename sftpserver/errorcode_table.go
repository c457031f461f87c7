package sftpserver

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A codeRow is one number.
type codeRow struct {
	code int
	name string // Winsock's, without WSA; or the constant
	text string
	// errno has the names of the errors of the system that it stands for, in errnos.
	errno []string
	// is and match find errors of Go.
	is    []error
	match func(error) bool
	// from says in the documentation which those are; never why there are none.
	from, never string
}

const (
	neverClient  = "components that connect"
	neverWinsock = "Winsock itself"
)

// codeTable has every number, in order.
var codeTable = []codeRow{
	{code: CodeRemotePort, name: "CodeRemotePort", text: "RemotePort cannot change while connected", never: neverClient},
	{code: CodeRemoteHost, name: "CodeRemoteHost", text: "RemoteHost cannot change while connected", never: neverClient},
	{code: CodeRemoteHostZero, name: "CodeRemoteHostZero", text: "RemoteHost cannot be 0.0.0.0", never: neverClient},
	{code: CodeAlreadyListening, name: "CodeAlreadyListening", text: "listening already", from: "`ErrAlreadyListening`, from Start"},
	{code: CodeLocalPort, name: "CodeLocalPort", text: "LocalPort cannot change while listening", from: "`ErrListening`"},
	{code: CodeLocalHost, name: "CodeLocalHost", text: "LocalHost cannot change while listening", from: "`ErrListening`"},
	{code: CodeMaxConnections, name: "CodeMaxConnections", text: "MaxConnections cannot change while listening", from: "`ErrListening`"},
	{code: CodeMaxLineLength, name: "CodeMaxLineLength", text: "MaxLineLength cannot change while connected", never: "components that read lines"},
	{code: CodeRemotePortZero, name: "CodeRemotePortZero", text: "RemotePort cannot be 0", never: neverClient},
	{code: CodeFirewall, name: "CodeFirewall", text: "firewall error", never: neverClient},
	{code: CodeUnknownConnection, name: "CodeUnknownConnection", text: "no connection of that id", from: "`ErrUnknownConnection`"},
	{code: CodeWouldBlock, name: "CodeWouldBlock", text: "operation would block", never: "calls that do not wait, which Go does not have; a deadline that passed is 10060"},

	{
		code: CodeForward, name: "CodeForward", text: "connection could not be forwarded", from: "`*ssh2.OpenError`",
		match: func(err error) bool { _, ok := err.(*ssh2.OpenError); return ok },
	},
	{
		code: CodeForwardData, name: "CodeForwardData", text: "data of a channel could not be passed on",
		from:  "`ssh2.ErrChannelClosed`, `ssh2.ErrWriteClosed`, `*ssh2.RequestError`",
		is:    []error{ssh2.ErrChannelClosed, ssh2.ErrWriteClosed},
		match: func(err error) bool { _, ok := err.(*ssh2.RequestError); return ok },
	},
	{
		code: CodeAuth, name: "CodeAuth", text: "client could not be authenticated", from: "`*ssh2.AuthError`",
		match: func(err error) bool { _, ok := err.(*ssh2.AuthError); return ok },
	},
	{
		code: CodeNoHostKey, name: "CodeNoHostKey", text: "no host key, or none with its private key",
		from: "`ErrNoHostKey`, from Start; of stores `*certstore.PasswordError`, `*certstore.FormatError`, `certstore.ErrNoMatch`, and of key files `*keys.PassphraseError`, `*keys.FormatError`",
		is:   []error{certstore.ErrNoMatch},
		match: func(err error) bool {
			switch err.(type) {
			case *certstore.PasswordError, *certstore.FormatError, *keys.PassphraseError, *keys.FormatError:
				return true
			}
			return false
		},
	},

	{
		code: CodeInvalidPath, name: "CodeInvalidPath", text: "invalid path",
		from:  "`*fs.PathError`, `*os.LinkError` and `*sftp.StatusError` of a name that does not exist or cannot be one",
		match: func(err error) bool { return fileCode(err) == CodeInvalidPath },
	},
	{
		code: CodeIO, name: "CodeIO", text: "input/output error",
		from:  "the same of anything else",
		match: func(err error) bool { return fileCode(err) == CodeIO },
	},
	{
		code: CodeSetAttributes, name: "CodeSetAttributes", text: "attributes could not be set",
		from:  "the same of chmod, chown, chtimes and truncate, and of owners and groups",
		match: func(err error) bool { return fileCode(err) == CodeSetAttributes },
	},

	{code: 10004, name: "EINTR", text: "interrupted system call", errno: []string{"EINTR"}},
	{code: 10009, name: "EBADF", text: "bad file number", errno: []string{"EBADF"}},
	{code: 10013, name: "EACCES", text: "access denied", errno: []string{"EACCES", "EPERM"}},
	{code: 10014, name: "EFAULT", text: "bad address", errno: []string{"EFAULT"}},
	{
		code: 10022, name: "EINVAL", text: "invalid argument", errno: []string{"EINVAL"}, from: "`*ssh2.ConfigError`, and of settings `*settings.NameError`, `*settings.IndexError`, `*settings.ValueError`, `*settings.ReadOnlyError`, `*settings.SyntaxError`, unless what is wrong with the value has a number",
		match: func(err error) bool { _, ok := err.(*ssh2.ConfigError); return ok },
	},
	{code: 10024, name: "EMFILE", text: "too many open files", errno: []string{"EMFILE", "ENFILE"}},
	{code: 10035, name: "EWOULDBLOCK", text: "would block", errno: []string{"EWOULDBLOCK", "EAGAIN"}},
	{code: 10036, name: "EINPROGRESS", text: "now in progress", errno: []string{"EINPROGRESS"}},
	{code: 10037, name: "EALREADY", text: "already in progress", errno: []string{"EALREADY"}},
	{code: 10038, name: "ENOTSOCK", text: "not a socket", errno: []string{"ENOTSOCK"}},
	{code: 10039, name: "EDESTADDRREQ", text: "destination address required", errno: []string{"EDESTADDRREQ"}},
	{code: 10040, name: "EMSGSIZE", text: "message too long", errno: []string{"EMSGSIZE"}},
	{code: 10041, name: "EPROTOTYPE", text: "wrong protocol for the socket", errno: []string{"EPROTOTYPE"}},
	{code: 10042, name: "ENOPROTOOPT", text: "bad protocol option", errno: []string{"ENOPROTOOPT"}},
	{code: 10043, name: "EPROTONOSUPPORT", text: "protocol not supported", errno: []string{"EPROTONOSUPPORT"}},
	{code: 10044, name: "ESOCKTNOSUPPORT", text: "socket type not supported", errno: []string{"ESOCKTNOSUPPORT"}},
	{
		code: 10045, name: "EOPNOTSUPP", text: "operation not supported", errno: []string{"EOPNOTSUPP"}, from: "`errors.ErrUnsupported`, such as `*settings.PlatformError`",
		is: []error{errors.ErrUnsupported},
	},
	{code: 10046, name: "EPFNOSUPPORT", text: "protocol family not supported", errno: []string{"EPFNOSUPPORT"}},
	{code: 10047, name: "EAFNOSUPPORT", text: "address family not supported", errno: []string{"EAFNOSUPPORT"}},
	{code: 10048, name: "EADDRINUSE", text: "address in use", errno: []string{"EADDRINUSE"}},
	{code: 10049, name: "EADDRNOTAVAIL", text: "address cannot be assigned", errno: []string{"EADDRNOTAVAIL"}},
	{code: 10050, name: "ENETDOWN", text: "network is down", errno: []string{"ENETDOWN"}},
	{code: 10051, name: "ENETUNREACH", text: "network is unreachable", errno: []string{"ENETUNREACH"}},
	{code: 10052, name: "ENETRESET", text: "network dropped the connection", errno: []string{"ENETRESET"}},
	{
		code: codeAborted, name: "ECONNABORTED", text: "connection broken off by this side", errno: []string{"ECONNABORTED"},
		from: "`net.ErrClosed`, `ssh2.ErrServerClosed`, `*ssh2.ProtocolError`, `*ssh2.NegotiationError`, `*ssh2.IdentError`, `*ssh2.StrictKexError`, " +
			"`*ssh2.PanicError`, `*PanicError`, our own `*ssh2.DisconnectError`, and whatever else ends a connection and has no number",
		is:    []error{net.ErrClosed, ssh2.ErrClosed, ssh2.ErrServerClosed, context.Canceled},
		match: abortedByUs,
	},
	{
		code: codeReset, name: "ECONNRESET", text: "connection broken off by the client", errno: []string{"ECONNRESET"},
		from:  "`io.EOF`, `io.ErrUnexpectedEOF`, a client's `*ssh2.DisconnectError`",
		is:    []error{io.EOF, io.ErrUnexpectedEOF},
		match: func(err error) bool { d, ok := err.(*ssh2.DisconnectError); return ok && d.Remote },
	},
	{code: 10055, name: "ENOBUFS", text: "no buffer space", errno: []string{"ENOBUFS"}},
	{code: 10056, name: "EISCONN", text: "already connected", errno: []string{"EISCONN"}},
	{code: 10057, name: "ENOTCONN", text: "not connected", errno: []string{"ENOTCONN"}},
	{
		code: 10058, name: "ESHUTDOWN", text: "cannot send after shutdown", errno: []string{"ESHUTDOWN", "EPIPE"}, from: "`io.ErrClosedPipe`",
		is: []error{io.ErrClosedPipe},
	},
	{code: 10059, name: "ETOOMANYREFS", text: "too many references", errno: []string{"ETOOMANYREFS"}},
	{
		code: codeTimedOut, name: "ETIMEDOUT", text: "timed out", errno: []string{"ETIMEDOUT"},
		from: "`os.ErrDeadlineExceeded`, `context.DeadlineExceeded`, `*ssh2.TimeoutError`, `*ssh2.DeadPeerError`, `*ssh2.ShutdownError`, and whatever says so by Timeout",
		is:   []error{os.ErrDeadlineExceeded, context.DeadlineExceeded},
		match: func(err error) bool {
			switch err.(type) {
			case *ssh2.TimeoutError, *ssh2.DeadPeerError, *ssh2.ShutdownError:
				return true
			}
			return false
		},
	},
	{code: 10061, name: "ECONNREFUSED", text: "connection refused", errno: []string{"ECONNREFUSED"}},
	{code: 10062, name: "ELOOP", text: "too many symbolic links", errno: []string{"ELOOP"}},
	{code: 10063, name: "ENAMETOOLONG", text: "name too long", errno: []string{"ENAMETOOLONG"}},
	{code: 10064, name: "EHOSTDOWN", text: "host is down", errno: []string{"EHOSTDOWN"}},
	{code: 10065, name: "EHOSTUNREACH", text: "no route to host", errno: []string{"EHOSTUNREACH"}},
	{code: 10066, name: "ENOTEMPTY", text: "directory not empty", errno: []string{"ENOTEMPTY"}},
	{code: 10067, name: "EPROCLIM", text: "too many processes", never: neverWinsock},
	{code: 10068, name: "EUSERS", text: "too many users", errno: []string{"EUSERS"}},
	{code: 10069, name: "EDQUOT", text: "disk quota exceeded", errno: []string{"EDQUOT"}},
	{code: 10070, name: "ESTALE", text: "stale NFS handle", errno: []string{"ESTALE"}},
	{code: 10071, name: "EREMOTE", text: "too many remote hops in a path", errno: []string{"EREMOTE"}},
	{code: 10091, name: "SYSNOTREADY", text: "network subsystem unavailable", never: neverWinsock},
	{code: 10092, name: "VERNOTSUPPORTED", text: "version of Winsock out of range", never: neverWinsock},
	{code: 10093, name: "NOTINITIALISED", text: "Winsock not loaded", never: neverWinsock},

	{
		code: codeNotFound, name: "HOST_NOT_FOUND", text: "host not found", from: "`*net.DNSError` with IsNotFound",
		match: func(err error) bool { return dnsCode(err) == codeNotFound },
	},
	{
		code: codeTryAgain, name: "TRY_AGAIN", text: "host not found; try again", from: "`*net.DNSError` with IsTemporary or IsTimeout",
		match: func(err error) bool { return dnsCode(err) == codeTryAgain },
	},
	{
		code: codeResolver, name: "NO_RECOVERY", text: "unrecoverable error of the resolver", from: "any other `*net.DNSError`",
		match: func(err error) bool { return dnsCode(err) == codeResolver },
	},
	{
		code: codeNoData, name: "NO_DATA", text: "the name has no address of that kind", from: "`*net.AddrError` of a name that has only addresses of the other family",
		match: func(err error) bool { return dnsCode(err) == codeNoData },
	},
}

// abortedByUs tells what ends connections because we find fault with the client, or with ourselves.
func abortedByUs(err error) bool {
	switch e := err.(type) {
	case *ssh2.DisconnectError:
		return !e.Remote
	case *ssh2.ProtocolError, *ssh2.NegotiationError, *ssh2.IdentError, *ssh2.StrictKexError, *ssh2.PanicError, *PanicError:
		return true
	}
	return false
}

// fileCode sorts errors of file systems into the three numbers there are for them; 0 is for other errors.
func fileCode(err error) int {
	op, why := "", err
	switch e := err.(type) {
	case *fs.PathError:
		op, why = e.Op, e.Err
	case *os.LinkError:
		op, why = e.Op, e.Err
	case *sftp.StatusError, sftp.Code:
	default:
		return 0
	}
	switch {
	case setsAttributes(op) || isAny(why, sftp.CodeOwnerInvalid, sftp.CodeGroupInvalid, sftp.CodeUnknownPrincipal):
		return CodeSetAttributes
	case isAny(why, fs.ErrNotExist, fs.ErrInvalid, sftp.CodeNotADirectory, sftp.CodeInvalidFilename, sftp.CodeLinkLoop):
		return CodeInvalidPath
	}
	return CodeIO
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// dnsCode is the number of an error of a look-up, 0 for other errors.
func dnsCode(err error) int {
	switch e := err.(type) {
	case *net.DNSError:
		switch {
		case e.IsNotFound:
			return codeNotFound
		case e.IsTemporary || e.IsTimeout:
			return codeTryAgain
		}
		return codeResolver
	case *net.AddrError:
		if strings.Contains(e.Err, "no suitable address") { // net has no error value for it
			return codeNoData
		}
	}
	return 0
}
