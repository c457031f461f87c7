package sftpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
)

// maxKeyFile is the most that a file with a host key may have, in octets.
const maxKeyFile = 1 << 20

// HostKeyFile reads a private key without passphrase from a file, in any format of package keys, for Options.HostKeys.
// If the file does not exist, HostKeyFile creates an Ed25519 key and saves it there, readable only by its owner, so
// that the server keeps the same key and clients recognise it. The directory must exist. Two processes that start at
// the same time get the same key.
func HostKeyFile(name string) (gossh.Signer, error) {
	for {
		key, err := readHostKey(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return key, err
		}
		err = makeHostKey(name)
		if err != nil && !errors.Is(err, fs.ErrExist) { // another process was faster: its key counts
			return nil, fmt.Errorf("sftpserver: host key: %w", err)
		}
	}
}

func readHostKey(name string) (gossh.Signer, error) {
	data, err := readKeyFile(name, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("sftpserver: host key: %w", err)
	}
	key, err := keys.Parse(data, nil)
	if err != nil {
		return nil, fmt.Errorf("sftpserver: host key: %s: %w", name, err)
	}
	return key.Signer, nil
}

// readKeyFile reads a file of at most so many octets.
func readKeyFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = errors.New("is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// makeHostKey makes the file as a whole or not at all, and never replaces one.
func makeHostKey(name string) error {
	key, err := keys.Generate(context.Background(), keys.Ed25519, keys.GenerateOptions{})
	if err != nil {
		return err
	}
	data, err := key.Marshal(keys.OpenSSH, keys.MarshalOptions{})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".hostkey-") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(f.Name(), name)
}
