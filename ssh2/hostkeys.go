package ssh2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// Names of the requests by which clients learn of new host keys while an old
// one is still trusted (OpenSSH PROTOCOL 2.5, draft-miller-sshm-hostkey-update).
const (
	hostKeysName      = "hostkeys-00@openssh.com"
	hostKeysProveName = "hostkeys-prove-00@openssh.com"
)

const (
	// maxHostKeys bounds the keys that a client looks at.
	maxHostKeys = 64
	// maxHostKeyRounds bounds how often on one connection a client listens to
	// an announcement, or a server signs for one: signing is work.
	maxHostKeyRounds = 16
	// maxHostKeyOctets bounds an announcement, which has to fit a packet.
	maxHostKeyOctets = 24 << 10
)

// A HostKeyUpdate is all host keys that a server has, after it has proven to
// hold each of them. [KnownHosts.Update] takes them over.
type HostKeyUpdate struct {
	Addr string // as given to Dial or NewClient
	// Keys are never certificates. The one that the connection was made with is
	// among them only if the server still has it. Keys of types that the client
	// does not offer are left out.
	Keys []gossh.PublicKey
}

// proofData is what a server signs to prove that it holds a host key. It begins
// with a name that no other data that host keys sign begins with.
func proofData(sessionID, blob []byte) []byte {
	b := wire.AppendString(make([]byte, 0, 64+len(sessionID)+len(blob)), hostKeysProveName)
	b = wire.AppendBytes(b, sessionID)
	return wire.AppendBytes(b, blob)
}

// keyRow returns the algorithm among names by which a bare key of that type
// signs, the first that pick accepts; nil if there is none.
func keyRow(typ string, names []string, pick func(*keyAlg) bool) *keyAlg {
	for i := range keyAlgs {
		row := &keyAlgs[i]
		if row.blob == typ && !row.isCert() && slices.Contains(names, row.Name) && pick(row) {
			return row
		}
	}
	return nil
}

// hostKeyProofs is what a server has told one client.
type hostKeyProofs struct {
	keys   []provenKey
	rounds atomic.Int32
}

type provenKey struct {
	signer gossh.Signer
	row    *keyAlg
	blob   []byte
}

// SetHostKeys replaces the host keys of a server, which may be running.
// Existing connections keep the key they were made with, and their clients are
// told of the new ones. Keep an old key in the list until the clients have
// learned the new ones, since it is the one that they trust.
func (s *Server) SetHostKeys(keys ...gossh.Signer) error {
	if err := checkHostKeys(keys); err != nil {
		return err
	}
	keys = slices.Clone(keys)
	s.hostKeys.Store(&keys)
	s.mu.Lock()
	var told []*Conn
	for sv := range s.conns {
		if sv.conn != nil && (sv.prepared == nil || sv.prepared.HostKeys == nil) {
			told = append(told, sv.conn)
		}
	}
	s.mu.Unlock()
	for _, c := range told {
		c.announceHostKeys()
	}
	return nil
}

func checkHostKeys(keys []gossh.Signer) error {
	if len(keys) == 0 {
		return &ConfigError{"host keys", errors.New("none")}
	}
	if slices.Contains(keys, nil) {
		return &ConfigError{"host keys", errors.New("one is nil")}
	}
	return nil
}

// currentHostKeys are those for connections that come now.
func (s *Server) currentHostKeys() []gossh.Signer {
	if keys := s.hostKeys.Load(); keys != nil {
		return *keys
	}
	return s.HostKeys
}

// announceHostKeys tells the client which host keys the server has.
func (c *Conn) announceHostKeys() {
	s := c.server
	if s == nil || s.NoHostKeyUpdates {
		return
	}
	signers, names := c.hostKeys()
	// An RSA key signs as in the key exchange, if that was with one: then the
	// client is known to understand it.
	negotiated := findKeyAlg(c.t.Info().HostKeyAlgorithm)
	var data []byte
	p := &hostKeyProofs{}
	for _, signer := range signers {
		if isX509(signer.PublicKey().Type()) {
			continue // which cannot sign by the name of its bare key
		}
		key := bareKey(signer.PublicKey())
		k := provenKey{signer: signer, blob: key.Marshal()}
		if negotiated != nil && bareType(negotiated.blob) == key.Type() {
			k.row = keyRow(key.Type(), names, func(r *keyAlg) bool { return r.sig == negotiated.sig && canSign(signer, r.sig) })
		}
		if k.row == nil {
			k.row = keyRow(key.Type(), names, func(r *keyAlg) bool { return canSign(signer, r.sig) })
		}
		if k.row == nil || p.find(k.blob) != nil || len(data)+len(k.blob) > maxHostKeyOctets {
			continue
		}
		p.keys = append(p.keys, k)
		data = wire.AppendBytes(data, k.blob)
	}
	if len(p.keys) == 0 {
		return
	}
	if old := c.proofs.Load(); old != nil { // what was asked for counts on
		p.rounds.Store(old.rounds.Load())
	}
	c.proofs.Store(p)
	_ = c.t.PostMessage(&msg.GlobalRequest{Name: hostKeysName, Data: data}) // an error ends the connection, and so this
}

// bareType is the type of the key in a certificate of type typ, or typ itself.
func bareType(typ string) string { return strings.TrimSuffix(typ, "-cert-v01@openssh.com") }

func (p *hostKeyProofs) find(blob []byte) *provenKey {
	i := slices.IndexFunc(p.keys, func(k provenKey) bool { return bytes.Equal(k.blob, blob) })
	if i < 0 {
		return nil
	}
	return &p.keys[i]
}

// serveProve answers a client that wants proof of host keys.
func (c *Conn) serveProve(r *Request) verdict {
	p := c.proofs.Load()
	if p == nil || p.rounds.Add(1) > maxHostKeyRounds {
		return refuse
	}
	blobs, err := splitStrings(r.Data, len(p.keys))
	if err != nil || len(blobs) == 0 {
		return refuse
	}
	c.goHandler(func() {
		reply, err := p.prove(c.t.Info().SessionID, blobs)
		if err != nil {
			c.log.Warn("host keys: no proof", "remote", c.t.NetConn().RemoteAddr(), "err", err)
		}
		c.line.settle(r, err == nil, reply)
	})
	return pending
}

// prove signs for each of the keys, all of which must be ours, once.
func (p *hostKeyProofs) prove(sessionID []byte, blobs [][]byte) (reply []byte, err error) {
	for i, blob := range blobs {
		k := p.find(blob)
		if k == nil || slices.ContainsFunc(blobs[:i], func(b []byte) bool { return bytes.Equal(b, blob) }) {
			return nil, errors.New("asked for a key that was not announced, or twice")
		}
		sig, err := sign(k.signer, k.row, proofData(sessionID, blob))
		if err != nil {
			return nil, err
		}
		reply = wire.AppendBytes(reply, sig)
	}
	return reply, nil
}

// splitStrings reads the strings that data consists of, at most limit.
func splitStrings(data []byte, limit int) (out [][]byte, err error) {
	d := wire.Decoder(data)
	for n := 0; n < len(data); {
		if len(out) == limit {
			return nil, errors.New("too many")
		}
		var s []byte
		d.Bytes(&s)
		if d.Err() != nil {
			return nil, d.Err()
		}
		out = append(out, s)
		n += 4 + len(s)
	}
	return out, nil
}

// A hostKeyWatch is a client that wants to know of host keys.
type hostKeyWatch struct {
	tell    func(context.Context, *HostKeyUpdate)
	addr    string
	offered []string // host key algorithms
	minRSA  int
	rounds  int // of whoever owns the line of requests
	busy    atomic.Bool
}

// serveHostKeys handles an announcement. It is never answered, and of several
// only what comes while none is being handled counts.
func (c *Conn) serveHostKeys(r *Request) {
	w := c.watch
	if w.rounds++; w.rounds > maxHostKeyRounds || !w.busy.CompareAndSwap(false, true) {
		return
	}
	c.goHandler(func() {
		defer w.busy.Store(false)
		keys, err := c.provenHostKeys(r.Data)
		if err != nil {
			// Nothing of it is believed, and the connection is as good as before.
			c.log.Warn("host keys: not taken over", "remote", c.t.NetConn().RemoteAddr(), "err", err)
			return
		}
		w.tell(c.ctx, &HostKeyUpdate{Addr: w.addr, Keys: keys})
	})
}

// provenHostKeys has the server prove that it holds the keys it announced. One
// proof that fails spoils them all.
func (c *Conn) provenHostKeys(data []byte) ([]gossh.PublicKey, error) {
	blobs, err := splitStrings(data, maxHostKeys)
	if err != nil {
		return nil, fmt.Errorf("announcement: %w", err)
	}
	info := c.t.Info()
	var inUse []byte // proven by the key exchange, unless the GSS-API only vouched for it
	if info.HostKey != nil && !strings.HasPrefix(info.Kex, "gss-") {
		inUse = bareKey(info.HostKey).Marshal()
	}
	var keys, asked []gossh.PublicKey
	var ask []byte
	for i, blob := range blobs {
		if slices.ContainsFunc(blobs[:i], func(b []byte) bool { return bytes.Equal(b, blob) }) {
			return nil, errors.New("announcement: a key twice")
		}
		key := c.watch.usable(blob)
		if key == nil {
			continue
		}
		keys = append(keys, key)
		if !bytes.Equal(blob, inUse) {
			asked, ask = append(asked, key), wire.AppendBytes(ask, blob)
		}
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("announcement: no key that is known here")
	case len(asked) == 0:
		return keys, nil
	}
	reply, err := c.Request(c.ctx, hostKeysProveName, true, ask)
	if err != nil {
		return nil, err
	}
	proofs, err := splitStrings(reply, len(asked))
	if err != nil || len(proofs) != len(asked) {
		return nil, fmt.Errorf("%d proofs for %d keys", len(proofs), len(asked))
	}
	for i, key := range asked {
		signed := proofData(info.SessionID, key.Marshal())
		row := keyRow(key.Type(), c.watch.offered, func(r *keyAlg) bool {
			_, err := r.verify(key, signed, proofs[i])
			return err == nil
		})
		if row == nil {
			return nil, fmt.Errorf("proof for %s is wrong", gossh.FingerprintSHA256(key))
		}
	}
	return keys, nil
}

// usable returns the key of a blob if it is bare, and one that the client would
// have taken in a key exchange.
func (w *hostKeyWatch) usable(blob []byte) gossh.PublicKey {
	var typ string
	d := wire.Decoder(blob)
	d.String(&typ)
	row := keyRow(typ, w.offered, func(*keyAlg) bool { return true })
	if d.Err() != nil || row == nil || row.isX509() {
		return nil
	}
	key, err := row.parse(blob, w.minRSA)
	if err != nil {
		return nil
	}
	return key
}
