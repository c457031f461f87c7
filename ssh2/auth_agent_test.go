package ssh2

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/internal/netsim"
)

// muteAgent answers when told to, and may be slow to list or to sign.
type muteAgent struct {
	agent.Agent
	answer  chan struct{}
	listing bool // lists its keys, and is silent when it is to sign
}

func (a *muteAgent) Signers() ([]gossh.Signer, error) {
	if a.listing {
		s, err := a.Agent.Signers()
		for i := range s {
			s[i] = &muteSigner{s[i], a.answer}
		}
		return s, err
	}
	<-a.answer
	return nil, errors.New("too late")
}

type muteSigner struct {
	gossh.Signer
	answer chan struct{}
}

func (s *muteSigner) Sign(io.Reader, []byte) (*gossh.Signature, error) {
	<-s.answer
	return nil, errors.New("too late")
}

// TestW36_MuteAgent holds that Dial's context ends a login that waits for an
// agent.
func TestW36_MuteAgent(t *testing.T) {
	for name, listing := range map[string]bool{"listing": false, "signing": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ring := agent.NewKeyring()
				_, key, err := ed25519.GenerateKey(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
					t.Fatal(err)
				}
				mute := &muteAgent{Agent: ring, answer: make(chan struct{}), listing: listing}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				start := time.Now()
				s := testServer(nil)
				s.Auth = ServerAuth{PublicKey: func(context.Context, *AuthAttempt, gossh.PublicKey) Verdict { return Verdict{OK: true} }}
				cfg := testClient()
				cfg.Auth = []AuthMethod{Agent(mute)}
				a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
				served := make(chan error, 1)
				go func() { served <- s.ServeConn(context.Background(), b) }()
				_, err = NewClient(ctx, a, "", cfg)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 20*time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				<-served
				close(mute.answer)
				synctest.Wait()
			})
		})
	}
}
