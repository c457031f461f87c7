package agent

import (
	"fmt"
	"io"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"
)

// signersOf returns a signer for each key that a holds. Keys of types that
// x/crypto cannot read are left out: one strange key must not hide the others.
func signersOf(a sshagent.ExtendedAgent) ([]gossh.Signer, error) {
	keys, err := a.List()
	if err != nil {
		return nil, err
	}
	var out []gossh.Signer
	for _, k := range keys {
		if pub, err := gossh.ParsePublicKey(k.Blob); err == nil {
			out = append(out, &signer{a, pub})
		}
	}
	return out, nil
}

// signer signs with a key of an agent.
type signer struct {
	agent sshagent.ExtendedAgent
	key   gossh.PublicKey
}

func (s *signer) PublicKey() gossh.PublicKey { return s.key }

func (s *signer) Sign(_ io.Reader, data []byte) (*gossh.Signature, error) {
	return s.agent.SignWithFlags(s.key, data, 0)
}

// flagOf has the flags that ask for another hash than the key type's own.
var flagOf = map[string]sshagent.SignatureFlags{
	gossh.KeyAlgoRSASHA256: sshagent.SignatureFlagRsaSha256,
	gossh.KeyAlgoRSASHA512: sshagent.SignatureFlagRsaSha512,
}

// SignWithAlgorithm asks for a signature of the given format, and refuses
// another: old agents ignore the flags.
func (s *signer) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*gossh.Signature, error) {
	sig, err := s.agent.SignWithFlags(s.key, data, flagOf[algorithm])
	if err == nil && algorithm != "" && sig.Format != algorithm {
		return nil, fmt.Errorf("agent: sign: signature is %+q instead of %+q", sig.Format, algorithm)
	}
	return sig, err
}
