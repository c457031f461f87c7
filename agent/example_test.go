package agent_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"net"

	gossh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/fairlead-ssh/fairlead/agent"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// A client that logs in with the keys of the user's agent.
func ExampleOpen() {
	known, err := ssh2.ReadKnownHosts()
	if err != nil {
		log.Fatal(err)
	}
	client, err := ssh2.Dial(context.Background(), "tcp", "host.example:22", &ssh2.ClientConfig{
		User:          "ann",
		HostKeyPolicy: known,
		Auth:          []ssh2.AuthMethod{ssh2.Agent(agent.Open(""))}, // what SSH_AUTH_SOCK names
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
}

// An agent of one's own: it offers one key and signs with no other.
func ExampleServe() {
	signer, err := gossh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		log.Fatal(err)
	}
	public := signer.PublicKey()
	own := &agent.Funcs{
		Keys: func() ([]*sshagent.Key, error) {
			return []*sshagent.Key{{Format: public.Type(), Blob: public.Marshal(), Comment: "deploy"}}, nil
		},
		SignFunc: func(key gossh.PublicKey, data []byte, _ sshagent.SignatureFlags) (*gossh.Signature, error) {
			if string(key.Marshal()) != string(public.Marshal()) {
				return nil, fmt.Errorf("no such key")
			}
			return signer.Sign(nil, data)
		},
	}

	here, there := net.Pipe() // or a Unix socket, with agent.Listen
	defer here.Close()
	go func() { _ = agent.Serve(context.Background(), there, own, agent.Options{}) }()
	keys, err := sshagent.NewClient(here).List()
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range keys {
		fmt.Println(k.Format, k.Comment)
	}
	// Output:
	// ssh-ed25519 deploy
}
