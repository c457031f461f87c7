package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// maxKeyFile bounds what is read of a key file: the largest legal key is far
// smaller, and a wrong path may name a device.
const maxKeyFile = 1 << 20

// loadHostKeys reads the host keys, or the kept one when none is named.
func loadHostKeys(files []string, log *slog.Logger) ([]gossh.Signer, error) {
	if len(files) == 0 {
		s, err := keptHostKey(log)
		if err != nil {
			return nil, err
		}
		return []gossh.Signer{s}, nil
	}
	var signers []gossh.Signer
	for _, name := range files {
		s, err := loadHostKey(name, log)
		if err != nil {
			return nil, err
		}
		// A certificate comes first, as a client that understands it prefers it.
		if cert, err := hostCertificate(name+"-cert.pub", s); err != nil {
			return nil, err
		} else if cert != nil {
			signers = append(signers, cert)
		}
		signers = append(signers, s)
	}
	return signers, nil
}

func loadHostKey(name string, log *slog.Logger) (gossh.Signer, error) {
	data, err := readSmall(name)
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	s, err := gossh.ParsePrivateKey(data)
	if missing := (*gossh.PassphraseMissingError)(nil); errors.As(err, &missing) {
		return nil, fmt.Errorf("host key: %s: is encrypted; a host key must not have a passphrase", name)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %s: %w; a private Ed25519, ECDSA or RSA key is needed", name, err)
	}
	if err := checkKey(s.PublicKey()); err != nil {
		return nil, fmt.Errorf("host key: %s: %w", name, err)
	}
	if info, err := os.Stat(name); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		log.Warn("host key can be read by others", "file", name, "mode", info.Mode().Perm())
	}
	return s, nil
}

// minRSABits is the smallest RSA key that is of use to either side: the clients
// of today refuse less, as the server does for users.
const minRSABits = 2048

// checkKey refuses keys with which no login would ever succeed, so that this is
// said at the start and not to every client.
func checkKey(key gossh.PublicKey) error {
	if key.Type() == gossh.InsecureKeyAlgoDSA { //nolint:staticcheck // deprecated, and refused here
		return errors.New("DSA keys are not supported any more")
	}
	if k, ok := key.(gossh.CryptoPublicKey); ok {
		if k, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
			return fmt.Errorf("RSA key of %d bits; at least %d are needed", k.N.BitLen(), minRSABits)
		}
	}
	return nil
}

// hostCertificate returns a signer with the certificate in file, or nil if
// there is no such file.
func hostCertificate(file string, s gossh.Signer) (gossh.Signer, error) {
	data, err := readSmall(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no certificate is no error
	}
	if err != nil {
		return nil, fmt.Errorf("host certificate: %w", err)
	}
	key, _, _, _, err := gossh.ParseAuthorizedKey(data)
	if err != nil {
		return nil, fmt.Errorf("host certificate: %s: %w", file, err)
	}
	cert, ok := key.(*gossh.Certificate)
	if !ok || cert.CertType != gossh.HostCert {
		return nil, fmt.Errorf("host certificate: %s: is not a host certificate", file)
	}
	signer, err := gossh.NewCertSigner(cert, s)
	if err != nil {
		return nil, fmt.Errorf("host certificate: %s: %w", file, err)
	}
	return signer, nil
}

// keptHostKeyFile is where the host key is that was not named.
func keptHostKeyFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = "." // no home directory, as in a bare container
	}
	return filepath.Join(dir, "fairlead", "ssh_host_ed25519_key")
}

// keptHostKey returns the host key that stays the same from start to start, so
// that clients recognise the server. It is made when first needed.
func keptHostKey(log *slog.Logger) (gossh.Signer, error) {
	name := keptHostKeyFile()
	if _, err := os.Stat(name); err == nil {
		return loadHostKey(name, log)
	}
	if err := makeHostKey(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("host key: %w", err)
	}
	log.Info("made a host key", "file", name)
	return loadHostKey(name, log)
}

// makeHostKey writes a new key. It never replaces a file, and nobody else can
// read it at any moment.
func makeHostKey(name string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := gossh.MarshalPrivateKey(key, "fairlead host key")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	// Written beside and linked into place, so that a second server starting
	// now sees all of it or nothing.
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(pem.EncodeToMemory(block))
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return os.Rename(f.Name(), name) // a file system without hard links
	}
	return nil
}

// readSmall reads a file that is never large.
func readSmall(name string) ([]byte, error) { return readUpTo(name, maxKeyFile) }

// readUpTo reads a file of at most so many octets.
func readUpTo(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0 {
		return nil, fmt.Errorf("%s: is not a file", name)
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if n > most {
		return nil, fmt.Errorf("%s: is larger than %d octets", name, most)
	}
	return b.Bytes(), nil
}

// fingerprints returns a line for each host key that is not a certificate.
func fingerprints(signers []gossh.Signer) string {
	var b strings.Builder
	for _, s := range signers {
		if _, ok := s.PublicKey().(*gossh.Certificate); !ok {
			fmt.Fprintf(&b, "host key   %s %s\n", s.PublicKey().Type(), gossh.FingerprintSHA256(s.PublicKey()))
		}
	}
	return b.String()
}
