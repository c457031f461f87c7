package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/agent"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A login knows how to prove to a host who somebody is.
type login struct {
	h     *hostSettings
	term  terminal // nil: nobody can be asked
	notes io.Writer
}

// methods are the ways to log in, in the order of PreferredAuthentications.
func (l *login) methods() []ssh2.AuthMethod {
	var out []ssh2.AuthMethod
	ask := l.term != nil && !l.h.batch
	for _, name := range l.h.methods {
		switch strings.TrimSpace(name) {
		case ssh2.MethodPublicKey:
			if l.h.publicKeys {
				out = append(out, ssh2.PublicKeysFunc(l.signers))
			}
		case ssh2.MethodInteractive:
			// Each try is a method of its own: a wrong answer ends it.
			answered := false
			for range l.h.passwordPrompts {
				if l.h.prompts && ask {
					out = append(out, ssh2.Interactive(l.tries(&answered)))
				}
			}
		case ssh2.MethodPassword:
			if l.h.passwords && ask {
				out = append(out, ssh2.PasswordFunc(l.password))
			}
		}
	}
	return out
}

// who names the login in prompts.
func (l *login) who() string { return plain(l.h.user + "@" + l.h.hostName) }

// password asks for one, or for a new one.
func (l *login) password(ctx context.Context, p *ssh2.PasswordPrompt) (string, error) {
	if !p.Change {
		if p.Try > l.h.passwordPrompts {
			return "", errors.New("too many wrong passwords")
		}
		if p.Try > 1 {
			l.term.tell(again)
		}
		return l.term.ask(ctx, l.who()+"'s password: ", false)
	}
	if p.Text != "" {
		l.term.tell(plainLines(p.Text) + "\n")
	}
	for range l.h.passwordPrompts {
		first, err := l.term.ask(ctx, "New password for "+l.who()+": ", false)
		if err != nil {
			return "", err
		}
		repeated, err := l.term.ask(ctx, "The same again: ", false)
		if err != nil {
			return "", err
		}
		if first == repeated && first != "" {
			return first, nil
		}
		l.term.tell("They are not the same.\n")
	}
	return "", errors.New("no new password was given")
}

// tries is interactive for one of several tries: it says first that answers were wrong.
func (l *login) tries(answered *bool) func(context.Context, *ssh2.Challenge) ([]string, error) {
	first := true
	return func(ctx context.Context, c *ssh2.Challenge) ([]string, error) {
		if first && *answered {
			l.term.tell(again)
		}
		first = false
		answers, err := l.interactive(ctx, c)
		*answered = *answered || err == nil && len(answers) > 0
		return answers, err
	}
}

// again is what is said before a question is put once more.
const again = "Permission denied, please try again.\n"

// interactive answers the questions of a server.
func (l *login) interactive(ctx context.Context, c *ssh2.Challenge) ([]string, error) {
	for _, text := range []string{c.Name, c.Instruction} {
		if text != "" {
			l.term.tell(plainLines(text) + "\n")
		}
	}
	answers := make([]string, len(c.Prompts))
	for i, p := range c.Prompts {
		// The name in front tells the server's question from one of this program's own.
		a, err := l.term.ask(ctx, "("+l.who()+") "+plain(p.Text), p.Echo)
		if err != nil {
			return nil, err
		}
		answers[i] = a
	}
	return answers, nil
}

// An identity is a key that a file has, or that a file says an agent has.
type identity struct {
	file   string
	public gossh.PublicKey
	signer gossh.Signer // nil: the agent has it, if anybody
}

// signers are the keys to offer: what the agent has of the identity files, what else it
// has, and then files that it has not.
func (l *login) signers(ctx context.Context) ([]gossh.Signer, error) {
	held := l.agentSigners()
	files := l.identities(ctx)
	var out []gossh.Signer
	add := func(s gossh.Signer) {
		if !slices.ContainsFunc(out, func(o gossh.Signer) bool { return bytes.Equal(o.PublicKey().Marshal(), s.PublicKey().Marshal()) }) {
			out = append(out, s)
		}
	}
	for _, id := range files {
		for _, s := range held {
			if bytes.Equal(s.PublicKey().Marshal(), id.public.Marshal()) {
				add(s)
			}
		}
	}
	if !l.h.identitiesOnly {
		for _, s := range held {
			add(s)
		}
	}
	for _, id := range files {
		if id.signer != nil {
			add(id.signer)
		}
	}
	return l.certified(out, files), nil
}

// agentSigners are the keys of the agent; none if there is no agent.
func (l *login) agentSigners() []gossh.Signer {
	addr := l.h.identityAgent
	switch {
	case strings.EqualFold(addr, "none"):
		return nil
	case addr == "SSH_AUTH_SOCK":
		addr = ""
	case strings.HasPrefix(addr, "$"):
		if addr = os.Getenv(addr[1:]); addr == "" {
			return nil
		}
	}
	s, err := agent.Open(addr).Signers()
	if err != nil && !errors.Is(err, agent.ErrNoAgent) {
		// Files may do. If not, this is what the person wants to know.
		fmt.Fprintf(l.notes, "fairlead: %s\n", plain(err.Error()))
	}
	return s
}

// identities are the keys of the identity files.
func (l *login) identities(ctx context.Context) []identity {
	var out []identity
	for _, file := range l.h.identityFiles {
		if strings.EqualFold(file, "none") {
			continue
		}
		id, err := l.identity(ctx, file)
		switch {
		case err == nil:
			out = append(out, id)
		case errors.Is(err, fs.ErrNotExist):
		default:
			fmt.Fprintf(l.notes, "fairlead: identity file: %s\n", plain(err.Error()))
		}
	}
	return out
}

// identity reads a file with a key, or, where only FILE.pub is there, what to look for in
// the agent. An encrypted key is asked the passphrase of when it is to sign.
func (l *login) identity(ctx context.Context, file string) (identity, error) {
	id := identity{file: file}
	data, err := readSmall(file)
	if err != nil {
		if pub, e := readPublic(file + ".pub"); e == nil && errors.Is(err, fs.ErrNotExist) {
			id.public = pub
			return id, nil
		}
		return id, err
	}
	if pub, _, _, _, err := gossh.ParseAuthorizedKey(data); err == nil {
		id.public = pub
		return id, nil
	}
	if info, err := os.Stat(file); err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return id, fmt.Errorf("%s: others can read it (%v); it is not used until chmod 600 has been done", file, info.Mode().Perm())
	}
	k, err := keys.Parse(data, nil)
	if err == nil {
		id.public, id.signer = k.Signer.PublicKey(), k.Signer
		return id, nil
	}
	locked, ok := errors.AsType[*keys.PassphraseError](err)
	if !ok {
		return id, fmt.Errorf("%s: %w", file, err)
	}
	if l.term == nil || l.h.batch {
		return id, fmt.Errorf("%s: is encrypted, and there is nobody to ask for the passphrase; an agent could hold it", file)
	}
	if id.public = locked.PublicKey; id.public == nil {
		if id.public, err = readPublic(file + ".pub"); err != nil {
			// Nothing but the passphrase tells which key it is.
			s, err := l.unlock(ctx, file, data)
			if err != nil {
				return id, err
			}
			id.public, id.signer = s.PublicKey(), s
			return id, nil
		}
	}
	id.signer = &lockedSigner{public: id.public, unlock: sync.OnceValues(func() (gossh.Signer, error) { return l.unlock(ctx, file, data) })}
	return id, nil
}

func readPublic(file string) (gossh.PublicKey, error) {
	data, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	pub, _, _, _, err := gossh.ParseAuthorizedKey(data)
	return pub, err
}

// unlock asks for the passphrase of a key file.
func (l *login) unlock(ctx context.Context, file string, data []byte) (gossh.Signer, error) {
	for try := 1; ; try++ {
		pass, err := l.term.ask(ctx, "Passphrase for "+plain(file)+": ", false)
		if err != nil {
			return nil, err
		}
		if pass == "" {
			return nil, fmt.Errorf("%s: no passphrase was given", file)
		}
		k, err := keys.Parse(data, keys.Passphrase(pass))
		if err == nil {
			return k.Signer, nil
		}
		if wrong, ok := errors.AsType[*keys.PassphraseError](err); !ok || !wrong.Wrong || try >= l.h.passwordPrompts {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
}

// certified puts the certificates of keys in front of them.
func (l *login) certified(signers []gossh.Signer, files []identity) []gossh.Signer {
	names := slices.Clone(l.h.certificateFiles)
	for _, id := range files {
		names = append(names, strings.TrimSuffix(id.file, ".pub")+"-cert.pub")
	}
	var out []gossh.Signer
	for _, name := range names {
		pub, err := readPublic(name)
		if err != nil {
			continue
		}
		cert, ok := pub.(*gossh.Certificate)
		if !ok || cert.CertType != gossh.UserCert {
			continue
		}
		for _, s := range signers {
			if bytes.Equal(s.PublicKey().Marshal(), cert.Key.Marshal()) {
				if c, err := gossh.NewCertSigner(cert, s); err == nil {
					out = append(out, c)
				}
			}
		}
	}
	return append(out, signers...)
}

// A lockedSigner is a key whose passphrase is asked for when a server wants it.
type lockedSigner struct {
	public gossh.PublicKey
	unlock func() (gossh.Signer, error)
}

// PublicKey is known without the passphrase.
func (s *lockedSigner) PublicKey() gossh.PublicKey { return s.public }

// Sign asks for the passphrase, the first time.
func (s *lockedSigner) Sign(rand io.Reader, data []byte) (*gossh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm asks for the passphrase, the first time.
func (s *lockedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*gossh.Signature, error) {
	k, err := s.unlock()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.PublicKey().Marshal(), s.public.Marshal()) {
		return nil, errors.New("the file holds another key than its .pub says")
	}
	a, ok := k.(gossh.AlgorithmSigner)
	if !ok || algorithm == "" {
		return k.Sign(rand, data)
	}
	return a.SignWithAlgorithm(rand, data, algorithm)
}
