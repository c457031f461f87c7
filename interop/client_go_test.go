package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pkg/sftp"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// goClient is x/crypto/ssh with pkg/sftp, in this process.
var goClient = &client{
	name: "x/crypto + pkg/sftp",
	find: func() (string, error) {
		// A test binary has no list of its dependencies in it.
		text, err := os.ReadFile("go.mod")
		if err != nil {
			return "", err
		}
		var versions []string
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) >= 2 && (f[0] == "golang.org/x/crypto" || f[0] == "github.com/pkg/sftp") {
				versions = append(versions, path.Base(f[0])+" "+f[1])
			}
		}
		if len(versions) != 2 {
			return "", errors.New("go.mod does not name them")
		}
		return strings.Join(versions, " "), nil
	},
	run: runGo,
}

func runGo(ctx context.Context, j job) (result outcome, err error) {
	var exchanges atomic.Int64
	config, err := goConfig(j, &exchanges)
	if err != nil {
		return result, err
	}
	addr := net.JoinHostPort(j.Host, strconv.Itoa(j.Port))
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return result, err
	}
	defer context.AfterFunc(ctx, func() { tcp.Close() })()
	conn, channels, requests, err := gossh.NewClientConn(tcp, addr, config)
	if err != nil {
		tcp.Close()
		return result, err
	}
	client := gossh.NewClient(conn, channels, requests)
	defer func() {
		result.Rekeys = max(0, int(exchanges.Load())-1)
		err = errors.Join(err, client.Close())
	}()
	var files *sftp.Client
	for _, s := range j.Steps {
		if s.Verb == vExec {
			err = goExec(client, s, &result)
		} else {
			if files == nil {
				if files, err = sftp.NewClient(client, sftp.UseConcurrentReads(true), sftp.UseConcurrentWrites(true)); err != nil {
					return result, err
				}
				defer files.Close()
			}
			err = goStep(files, s, &result)
		}
		if err != nil {
			return result, fmt.Errorf("go: %s: %w", s.Verb, err)
		}
	}
	return result, nil
}

// goConfig counts key exchanges by the one thing that happens once in each: the check of the host key.
func goConfig(j job, exchanges *atomic.Int64) (*gossh.ClientConfig, error) {
	known, err := knownhosts.New(j.KnownHosts)
	if err != nil {
		return nil, err
	}
	config := &gossh.ClientConfig{
		User: j.User,
		HostKeyCallback: func(host string, remote net.Addr, key gossh.PublicKey) error {
			exchanges.Add(1)
			return known(host, remote, key)
		},
	}
	config.RekeyThreshold = uint64(j.RekeyBytes)
	for _, set := range []struct {
		value string
		field *[]string
	}{
		{j.Algorithms.Kex, &config.KeyExchanges},
		{j.Algorithms.Cipher, &config.Ciphers},
		{j.Algorithms.MAC, &config.MACs},
		{j.Algorithms.HostKey, &config.HostKeyAlgorithms},
	} {
		if set.value != "" {
			*set.field = []string{set.value}
		}
	}
	if j.Password != "" {
		config.Auth = []gossh.AuthMethod{gossh.Password(j.Password)}
		return config, nil
	}
	pem, err := os.ReadFile(j.Key)
	if err != nil {
		return nil, err
	}
	signer, err := gossh.ParsePrivateKey(pem)
	if err != nil {
		return nil, err
	}
	config.Auth = []gossh.AuthMethod{gossh.PublicKeys(signer)}
	return config, nil
}

func goStep(files *sftp.Client, s step, result *outcome) error {
	switch s.Verb {
	case vList:
		entries, err := files.ReadDir(s.Remote)
		for _, entry := range entries {
			result.Listed = append(result.Listed, entry.Name())
		}
		return err
	case vPut, vReput, vPutKeep:
		if err := goPut(files, s.Local, s.Remote, s.Verb == vReput); err != nil || s.Verb != vPutKeep {
			return err
		}
		info, err := os.Stat(s.Local)
		if err != nil {
			return err
		}
		return files.Chtimes(s.Remote, info.ModTime(), info.ModTime())
	case vGet, vReget, vGetKeep:
		if err := goGet(files, s.Remote, s.Local, s.Verb == vReget); err != nil || s.Verb != vGetKeep {
			return err
		}
		info, err := files.Stat(s.Remote)
		if err != nil {
			return err
		}
		return os.Chtimes(s.Local, info.ModTime(), info.ModTime())
	case vRename:
		return files.Rename(s.Remote, s.To)
	case vRemove:
		return files.Remove(s.Remote)
	case vMkdir:
		return files.Mkdir(s.Remote)
	case vRmdir:
		return files.RemoveDirectory(s.Remote)
	case vChmod:
		return files.Chmod(s.Remote, os.FileMode(s.Mode))
	case vSymlink:
		return files.Symlink(s.To, s.Remote)
	default:
		return fmt.Errorf("no verb %s", s.Verb)
	}
}

func goPut(files *sftp.Client, local, remote string, rest bool) error {
	source, err := os.Open(local)
	if err != nil {
		return err
	}
	defer source.Close()
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if rest {
		flags = os.O_WRONLY
	}
	target, err := files.OpenFile(remote, flags)
	if err != nil {
		return err
	}
	if rest {
		info, err := target.Stat()
		if err == nil {
			_, err = target.Seek(info.Size(), io.SeekStart)
		}
		if err == nil {
			_, err = source.Seek(info.Size(), io.SeekStart)
		}
		if err != nil {
			return errors.Join(err, target.Close())
		}
	}
	_, err = target.ReadFrom(source)
	return errors.Join(err, target.Close())
}

func goGet(files *sftp.Client, remote, local string, rest bool) error {
	source, err := files.Open(remote)
	if err != nil {
		return err
	}
	defer source.Close()
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if rest {
		flags = os.O_WRONLY
	}
	target, err := os.OpenFile(local, flags, 0o644)
	if err != nil {
		return err
	}
	if rest {
		offset, err := target.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = source.Seek(offset, io.SeekStart)
		}
		if err != nil {
			return errors.Join(err, target.Close())
		}
	}
	_, err = source.WriteTo(target)
	return errors.Join(err, target.Close())
}

func goExec(client *gossh.Client, s step, result *outcome) error {
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	if s.Local != "" {
		data, err := os.ReadFile(s.Local)
		if err != nil {
			return err
		}
		session.Stdin = bytes.NewReader(data)
	}
	if s.To != "" {
		target, err := os.Create(s.To)
		if err != nil {
			return err
		}
		defer target.Close()
		session.Stdout = target
	}
	err = session.Run(s.Command)
	if exit, ok := errors.AsType[*gossh.ExitError](err); ok {
		result.Status = exit.ExitStatus()
		return nil
	}
	if errors.Is(err, io.EOF) {
		return nil // the status was 0, but the command left before it had read all of its input
	}
	return err
}
