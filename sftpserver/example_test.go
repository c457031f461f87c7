package sftpserver_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/certstore"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// The code of docs/embedding.md stands here word for word, and runs.

// logToFile has a server write lines of JSON, with a trail of files among them.
func logToFile(s *sftpserver.Server, w io.Writer) {
	s.LogLevel = sftpserver.LogInfo
	s.Logger = slog.New(slog.NewJSONHandler(w, nil))
}

// serveDirectory lets ann use a directory until ctx ends.
func serveDirectory(ctx context.Context, dir string) error {
	hostKey, err := sftpserver.HostKeyFile("host_key") // made if there is none
	if err != nil {
		return err
	}
	s := sftpserver.New()
	s.LocalPort = 2022
	s.RootDirectory = dir
	s.HostKeys = []gossh.Signer{hostKey}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		e.Accept = e.Method == "password" && e.User == "ann" && ssh2.CheckPassword("secret", e.Param)
	}
	return s.ListenAndServe(ctx) // transfers that run when ctx ends may finish
}

// virtual serves texts that are in no directory.
func virtual(s *sftpserver.Server, texts map[string]string) {
	attrs := func(text string) sftp.Attrs {
		return sftp.Attrs{Valid: sftp.AttrMode | sftp.AttrSize, Mode: sftp.ModeRegular | 0o444, Size: uint64(len(text))}
	}
	s.DirList = func(e *sftpserver.DirListEvent) {
		if !e.Before || e.Path != "/" {
			return
		}
		e.Entries = []sftp.Entry{}
		for name, text := range texts {
			e.Entries = append(e.Entries, sftp.Entry{Name: strings.TrimPrefix(name, "/"), Attrs: attrs(text)})
		}
	}
	s.GetAttributes = func(e *sftpserver.GetAttributesEvent) {
		if e.Path == "/" {
			e.Attrs = sftp.Attrs{Valid: sftp.AttrMode, Mode: sftp.ModeDir | 0o555}
			e.Status = sftp.CodeOK
		} else if text, ok := texts[e.Path]; ok {
			e.Attrs = attrs(text)
			e.Status = sftp.CodeOK
		} else {
			e.Status = sftp.CodeNoSuchFile
		}
	}
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if !e.Before {
			return
		}
		text, ok := texts[e.Path]
		switch {
		case !ok:
			e.Status = sftp.CodeNoSuchFile
		case e.How.Modifies():
			e.Status, e.Message = sftp.CodePermissionDenied, "these files are to be read"
		default:
			e.File = sftp.Stream(e.Context(), strings.NewReader(text), nil, 0)
		}
	}
}

// twoFactors wants a key that is known and then a code.
func twoFactors(s *sftpserver.Server, keys map[string]gossh.PublicKey, code func(user string) string) {
	s.AuthMethods = []string{"publickey"}
	s.KeyboardInteractivePrompts = []ssh2.Prompt{{Text: "Code: "}}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		switch key := keys[e.User]; {
		case e.Method == "publickey" && key != nil && e.Param == string(key.Marshal()):
			e.PartialSuccess = true // the server verifies the signature itself
			e.AvailableMethods = []string{"keyboard-interactive"}
		case e.Method == "keyboard-interactive-1":
			e.Accept = ssh2.CheckPassword(code(e.User), e.Param)
		case e.Method == "keyboard-interactive": // once all answers were accepted
			e.Accept = true
		}
	}
}

// renewal lets in whose password is right, and makes those choose another whose is old.
func renewal(s *sftpserver.Server, check func(user, password string) (right, old bool), store func(user, password string) error) {
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		right, old := check(e.User, e.Param)
		switch {
		case !right:
		case e.Method == "password" && old:
			e.ChangePassword = &ssh2.ChangeRequest{Prompt: "Your password is too old."}
		case e.Method == "password":
			e.Accept = true
		case e.Method == sftpserver.MethodPasswordChange && len(e.NewPassword) < 12:
			e.ChangePassword = &ssh2.ChangeRequest{Prompt: "Twelve characters at least."}
		case e.Method == sftpserver.MethodPasswordChange:
			e.Accept = store(e.User, e.NewPassword) == nil
		}
	}
}

// rotate gives clients that come from now on another host key, and other rules.
func rotate(s *sftpserver.Server, key gossh.Signer, rules *sftp.Policy) error {
	return s.Update(func(o *sftpserver.Options) {
		o.HostKeys = []gossh.Signer{key}
		o.Policy = rules
	})
}

// certificates lets in whom an authority has certified, unless the serial is on a list.
func certificates(s *sftpserver.Server, authority gossh.PublicKey, blocked map[uint64]bool) {
	s.TrustedUserCAKeys = []gossh.PublicKey{authority}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		if c := e.Certificate; e.Method == "publickey" && c != nil {
			e.Accept = !blocked[c.Serial] // and c.KeyId, c.ValidPrincipals
		}
	}
}

// ownRoots gives each user the directory of that name below base.
func ownRoots(s *sftpserver.Server, base string, passwords map[string]string) {
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		password, known := passwords[e.User]
		if e.Method == "password" && ssh2.CheckPassword(password, e.Param) && known && filepath.IsLocal(e.User) {
			e.RootDirectory = filepath.Join(base, e.User)
			e.Accept = true
		}
	}
}

// uploads calls done for each file that a client has written and closed, and never for one that was cut off.
func uploads(s *sftpserver.Server, done func(user, path string, octets int64)) {
	s.FileClose = func(e *sftpserver.FileCloseEvent) {
		if e.Writes && e.Complete { // also if nothing was written: a new, empty file
			done(e.User, e.Path, e.Written)
		}
	}
}

// noPrograms refuses to make files of some kinds, and to give others such names.
func noPrograms(s *sftpserver.Server) {
	refused := func(name string) bool {
		return strings.EqualFold(path.Ext(name), ".exe")
	}
	s.FileOpen = func(e *sftpserver.FileOpenEvent) {
		if e.Before && e.How.Modifies() && refused(e.Path) {
			e.Status, e.Message = sftp.CodePermissionDenied, "no programs here"
		}
	}
	s.FileRename = func(e *sftpserver.FileRenameEvent) {
		if e.Before && refused(e.NewPath) {
			e.Status, e.Message = sftp.CodePermissionDenied, "no programs here"
		}
	}
}

// fromStores has host keys of a PFX and of a Java key store.
func fromStores(s *sftpserver.Server, pfx, jks string, password []byte) error {
	for _, file := range []string{pfx, jks} {
		c, err := certstore.Load(certstore.Auto, file, password, "*") // or "CN=sftp.example.com", or an alias
		if err != nil {
			return err // which store, and what is wrong with it
		}
		signers, err := c.Signers()
		if err != nil {
			return err
		}
		s.HostKeys = append(s.HostKeys, signers...)
	}
	return nil
}

// fromFile reads settings from a file, and one that the file must not change.
func fromFile(s *sftpserver.Server, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.LoadSettings(f, name); err != nil {
		return err // all faults, with their lines
	}
	_, err = s.Config("MaxConnections=50")
	return err
}

// readers lets some users look and read, and no more.
func readers(s *sftpserver.Server, names ...string) {
	login := s.UserAuth
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		login(e)
		if slices.Contains(names, e.User) {
			e.Policy = &sftp.Policy{Allow: []string{"readonly"}}
		}
	}
}

// limited lets each user's directory hold so many octets.
func limited(s *sftpserver.Server, octets int64) {
	var mu sync.Mutex
	quotas := map[string]*sftp.Quota{} // sessions in the same directory share one
	s.WrapFileSystem = func(ctx context.Context, c *sftpserver.Connection, tree sftp.FileSystem) (sftp.FileSystem, error) {
		mu.Lock()
		defer mu.Unlock()
		dir := cmp.Or(c.UserRootDirectory(), s.RootDirectory)
		if quotas[dir] == nil {
			quota, err := sftp.NewQuota("/", sftp.Usage{Bytes: octets}, nil)
			if err != nil {
				return nil, err
			}
			if err := quota.Scan(ctx, tree, 0); err != nil { // what is there already
				return nil, err
			}
			quotas[dir] = quota
		}
		return quotas[dir].Wrap(tree), nil
	}
}

// Example serves a directory that must not hold programs and tells what was uploaded.
func Example() {
	dir, err := os.MkdirTemp("", "files")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	hostKey, err := keys.Generate(context.Background(), keys.Ed25519, keys.GenerateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	s := sftpserver.New()
	s.LocalHost, s.LocalPort = "127.0.0.1", 0
	s.RootDirectory = dir
	s.HostKeys = []gossh.Signer{hostKey.Signer}
	s.UserAuth = func(e *sftpserver.UserAuthEvent) {
		e.Accept = e.Method == "password" && e.User == "ann" && ssh2.CheckPassword("secret", e.Param)
	}
	noPrograms(s)
	uploads(s, func(user, path string, octets int64) { fmt.Println(user, "has sent", path, octets) })
	if err := s.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	// A client.
	ctx := context.Background()
	conn, err := ssh2.Dial(ctx, "tcp", s.Addr().String(), &ssh2.ClientConfig{
		User: "ann", Auth: []ssh2.AuthMethod{ssh2.Password("secret")}, HostKey: gossh.FixedHostKey(hostKey.PublicKey()),
	})
	if err != nil {
		log.Fatal(err)
	}
	ch, err := conn.Subsystem(ctx, "sftp")
	if err != nil {
		log.Fatal(err)
	}
	c, err := sftp.NewClient(ctx, ch, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Put(ctx, "/report.txt", strings.NewReader("all is well"), sftp.TransferOptions{}); err != nil {
		log.Fatal(err)
	}
	_, err = c.Put(ctx, "/game.exe", io.LimitReader(strings.NewReader("MZ"), 2), sftp.TransferOptions{})
	fmt.Println(err)
	_ = conn.Close()
	_ = s.Shutdown(ctx)
	// Output:
	// ann has sent /report.txt 11
	// sftp: put "/game.exe": open: open /game.exe: sftp: no programs here
}
