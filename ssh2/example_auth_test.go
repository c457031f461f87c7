package ssh2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A key from a file that may be encrypted, with the certificate beside it if
// there is one.
func ExamplePublicKeys() {
	login := func(file string, ask func(fingerprint string) (string, error)) (ssh2.AuthMethod, error) {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		key, err := keys.Parse(data, nil)
		if locked, ok := errors.AsType[*keys.PassphraseError](err); ok {
			name := file
			if locked.PublicKey != nil {
				name = gossh.FingerprintSHA256(locked.PublicKey)
			}
			var pass string
			if pass, err = ask(name); err != nil {
				return nil, err
			}
			key, err = keys.Parse(data, keys.Passphrase(pass))
		}
		if err != nil {
			return nil, err
		}
		data, err = os.ReadFile(file + "-cert.pub")
		if errors.Is(err, os.ErrNotExist) {
			return ssh2.PublicKeys(key.Signer), nil
		} else if err != nil {
			return nil, err
		}
		public, err := keys.ParsePublic(data)
		if err != nil {
			return nil, err
		}
		cert, ok := public.Key.(*gossh.Certificate)
		if !ok {
			return nil, fmt.Errorf("%s-cert.pub is no certificate", file)
		}
		signer, err := gossh.NewCertSigner(cert, key.Signer)
		if err != nil {
			return nil, err
		}
		return ssh2.PublicKeys(signer, key.Signer), nil
	}
	_ = login
}

// A client that asks about servers it has never met, and remembers them. A
// server whose key has changed is refused without asking.
func ExampleKnownHosts() {
	connect := func(ctx context.Context, addr string, auth ssh2.AuthMethod, ask func(question string) bool) (*ssh2.Client, error) {
		known, err := ssh2.ReadKnownHosts()
		if err != nil {
			return nil, err
		}
		known.Unknown = func(_ context.Context, k *ssh2.HostKeyInfo) error {
			if !ask(fmt.Sprintf("%s has the key %s %s. Trust it?", k.Addr, k.Key.Type(), k.Fingerprint())) {
				return ssh2.ErrHostUnknown
			}
			return known.Add(k.Addr, k.Key, true)
		}
		c, err := ssh2.Dial(ctx, "tcp", addr, &ssh2.ClientConfig{User: "me", Auth: []ssh2.AuthMethod{auth}, HostKeyPolicy: known})
		if errors.Is(err, ssh2.ErrHostKeyChanged) {
			fmt.Println("this may be an attack:", err) // the old lines are in a *KnownHostsError
		}
		return c, err
	}
	_ = connect
}

// A server that lets users in with a key or, in two rounds, with a password and
// a code.
func ExampleServerAuth() {
	var authorized []byte // a file in the format of authorized_keys
	auth := ssh2.ServerAuth{
		PublicKey: func(_ context.Context, a *ssh2.AuthAttempt, key gossh.PublicKey) ssh2.Verdict {
			for rest := authorized; a.User == "ann"; {
				k, comment, _, more, err := gossh.ParseAuthorizedKey(rest) // its options are for you to heed
				if err != nil {
					break // the end
				}
				if bytes.Equal(k.Marshal(), key.Marshal()) {
					return ssh2.Verdict{OK: true, Identity: comment}
				}
				rest = more
			}
			return ssh2.Verdict{}
		},
		Interactive: func(ctx context.Context, a *ssh2.AuthAttempt, ask ssh2.Asker) ssh2.Verdict {
			password, err := ask(ctx, &ssh2.Challenge{Prompts: []ssh2.Prompt{{Text: "Password: "}}})
			if err != nil {
				return ssh2.Verdict{Reason: err}
			}
			code, err := ask(ctx, &ssh2.Challenge{Prompts: []ssh2.Prompt{{Text: "Code: ", Echo: true}}})
			if err != nil {
				return ssh2.Verdict{Reason: err}
			}
			right := ssh2.CheckPassword("secret", password[0])
			return ssh2.Verdict{OK: ssh2.CheckPassword("123456", code[0]) && right && a.User == "ann"} // CheckTOTP for real codes
		},
	}
	s := &ssh2.Server{Auth: auth}
	_ = s.ListenAndServe // (ctx, "tcp", ":22"), once it has host keys
}

// The client's side of a conversation: each round is a call.
func ExampleInteractive() {
	login := func(ask func(question string, echo bool) (string, error)) ssh2.AuthMethod {
		return ssh2.Interactive(func(_ context.Context, c *ssh2.Challenge) ([]string, error) {
			if c.Name+c.Instruction != "" {
				fmt.Printf("%q %q\n", c.Name, c.Instruction) // quoted, since it is the server's
			}
			answers := make([]string, len(c.Prompts))
			for i, p := range c.Prompts {
				var err error
				if answers[i], err = ask(p.Text, p.Echo); err != nil {
					return nil, err
				}
			}
			return answers, nil
		})
	}
	_ = login
}

// A server for an old device among new clients.
func ExampleServer_oldDevice() {
	s := &ssh2.Server{
		AlgorithmsFor: func(c ssh2.ConnMeta) (*ssh2.AlgorithmLists, error) {
			if c.ClientIdent == "SSH-2.0-OldSwitch_1.2" { // or by c.RemoteAddr
				return &ssh2.AlgorithmLists{Profile: ssh2.Legacy}, nil
			}
			return &ssh2.AlgorithmLists{}, nil // Modern
		},
		HostKeys: nil,                                              // an RSA key besides others: ssh-rsa may be all that it knows
		Auth:     ssh2.ServerAuth{PublicKeyAlgorithms: "+ssh-rsa"}, // keys of users are not in AlgorithmLists
	}
	_ = s.ListenAndServe // (ctx, "tcp", ":22")
}
