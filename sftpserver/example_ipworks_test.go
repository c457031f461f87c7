package sftpserver_test

import (
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The program of docs/coming-from-ipworks.md stands here word for word, and runs (ipworks_test.go).

// portedCert is setSSHCert(new Certificate(cstPFXFile, "host.pfx", "secret", "CN=rsa.example.com")).
func portedCert(s *sftpserver.Server, pfx, password string) error {
	cert, err := certstore.Load(certstore.PFXFile, pfx, []byte(password), "CN=rsa.example.com")
	if err != nil {
		return err
	}
	s.HostKeys, err = cert.Signers()
	return err
}

// portedConfig has calls of config as they are.
func portedConfig(s *sftpserver.Server, ppk, password string) error {
	for _, line := range []string{
		"AltSSHCertCount=1",
		"AltSSHCertStoreType[0]=14", // cstPPKFile
		"AltSSHCertStore[0]=" + ppk,
		"AltSSHCertStorePassword[0]=" + password,
		"AltSSHCertSubject[0]=*", // last: it opens the store
		"MaxConnections=50",
		"MaxAuthAttempts=4",
		"UserAuthBanner=Welcome\n", // a line end is not added
		"KeyboardInteractivePrompts=Password: ,echo=False;Code: ,echo=True",
		"DefaultAuthMethods=password,publickey,keyboard-interactive",
	} {
		if _, err := s.Config(line); err != nil {
			return err // sftpserver.ErrorCode has the number
		}
	}
	return nil
}

// portedLogin is SSHUserAuthRequest. key is what the line of authorized_keys has behind its first word, decoded.
func portedLogin(s *sftpserver.Server, key string) {
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		switch e.Method {
		case "password":
			e.Accept = e.User == "alice" && ssh2.CheckPassword("secret", e.Param)
		case "publickey": // comes before the signature is checked, by the server
			e.Accept = e.User == "alice" && e.Param == key
		case "keyboard-interactive-1":
			e.Accept = ssh2.CheckPassword("secret", e.Param)
		case "keyboard-interactive-2":
			e.Accept = ssh2.CheckPassword("123456", e.Param)
		case "keyboard-interactive": // all answers were accepted
			e.Accept = e.User == "alice"
		}
		if e.Accept {
			_, _ = s.Config("DirListBufferSize[" + e.ConnectionID() + "]=50")
		}
	}
}

// portedFiles has files in memory, in one directory: there is no RootDirectory.
func portedFiles(s *sftpserver.Server, files map[string][]byte) {
	var mu sync.Mutex // connections run at the same time
	s.DirList = func(e *sftpserver.DirListEvent) {
		mu.Lock()
		defer mu.Unlock()
		if e.Before && e.Path == "/" {
			var list strings.Builder
			for name := range files {
				list.WriteString(path.Base(name) + "\r\n")
			}
			_ = s.SetFileList(e.ConnectionID(), list.String()) // GetAttributes is asked about each name
		}
	}
	s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
		mu.Lock()
		defer mu.Unlock()
		data, there := files[e.Path]
		switch {
		case e.Path == "/":
			e.Attrs.SetType(sftp.TypeDirectory)
		case there:
			e.Attrs.SetType(sftp.TypeRegular)
			e.Attrs.SetSize(uint64(len(data)))
		default:
			e.Status = sftp.CodeNoSuchFile
		} // what was filled in makes a success of it
	}
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		mu.Lock()
		defer mu.Unlock()
		_, there := files[e.Path]
		switch {
		case !e.Before:
		case strings.HasSuffix(e.Path, ".exe"):
			e.Status, e.Message = sftp.CodePermissionDenied, "no programs here" // instead of SFTPErrorMessage
		case !there && !e.How.Creates():
			e.Status = sftp.CodeNoSuchFile
		default:
			if !there || e.How.Truncates() {
				files[e.Path] = nil
			}
			e.Handled = true // FileRead and FileWrite have the content; e.Handle is preset, and e.Path comes with them
		}
	}
	s.FileRead = func(e *sftpserver.FileReadEvent) {
		mu.Lock()
		defer mu.Unlock()
		data := files[e.Path]
		if e.Offset >= int64(len(data)) {
			e.Status = sftp.CodeEOF
			return
		}
		data = data[e.Offset:]
		e.Data = slices.Clone(data[:min(len(data), e.Length)])
	}
	s.FileWrite = func(e *sftpserver.FileWriteEvent) {
		mu.Lock()
		defer mu.Unlock()
		data, at := files[e.Path], e.Offset
		if e.Appends {
			at = int64(len(data))
		}
		end := at + int64(len(e.Data))
		switch {
		case !e.Before:
		case end > 1<<20: // the client says where
			e.Status = sftp.CodeQuotaExceeded
		default:
			data = append(data, make([]byte, max(end-int64(len(data)), 0))...)
			copy(data[at:], e.Data)
			files[e.Path], e.Handled = data, true
		}
	}
	s.FileRemove = func(e *sftpserver.FileRemoveEvent) {
		mu.Lock()
		defer mu.Unlock()
		if e.Before {
			delete(files, e.Path)
			e.Handled = true
		}
	}
}
