package transport

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// Names in the list of key exchange methods that are not methods.
const (
	extInfoClient = "ext-info-c" // RFC 8308 section 2.1
	extInfoServer = "ext-info-s"
	strictClient  = "kex-strict-c-v00@openssh.com" // OpenSSH PROTOCOL 1.10
	strictServer  = "kex-strict-s-v00@openssh.com"
)

// newKexInit returns our KEXINIT. What speaks of the whole connection stands
// in the first one only.
func (c *Conn) newKexInit(first bool) *msg.KexInit {
	methods, hostKeys := c.forRekey(c.kexMethods()), c.hostKeyAlgorithms()
	if slices.ContainsFunc(methods, isGSS) {
		hostKeys = append(slices.Clone(hostKeys), nullHostKey)
	}
	if first {
		ext, strict := extInfoServer, strictServer
		if c.cfg.Role == msg.Client {
			ext, strict = extInfoClient, strictClient
		}
		methods = append(slices.Clone(methods), ext)
		if c.cfg.Strict != StrictOff {
			methods = append(methods, strict)
		}
	}
	compress := c.cfg.Compress
	if len(compress) == 0 {
		compress = []string{"none"}
	}
	m := &msg.KexInit{
		Kex:         methods,
		HostKeys:    hostKeys,
		CiphersOut:  c.cfg.Ciphers,
		CiphersIn:   c.cfg.Ciphers,
		MACsOut:     c.cfg.MACs,
		MACsIn:      c.cfg.MACs,
		CompressOut: compress,
		CompressIn:  compress,
	}
	_, _ = rand.Read(m.Cookie[:])
	return m
}

// kexMethods returns the methods to offer. A client knows the server's ident
// by then, and a peer that has nothing else gets what we have.
func (c *Conn) kexMethods() []string {
	if !c.Quirks().Has(BadDHGEX) {
		return c.cfg.Kex
	}
	methods := slices.DeleteFunc(slices.Clone(c.cfg.Kex), func(name string) bool {
		row, ok := kex.Find(name)
		return ok && row.GEX
	})
	if len(methods) == 0 {
		return c.cfg.Kex
	}
	return methods
}

// firstExchange is the key exchange that begins a connection.
func (c *Conn) firstExchange(ctx context.Context) error {
	c.inLimit = noLimit
	c.startKex(KexFirst)
	p, err := c.readKex(msg.NumKexInit)
	if err != nil {
		return err
	}
	if err := c.exchange(ctx, p); err != nil {
		return err
	}
	c.first = false
	c.phase = msg.Auth
	c.extNow = true
	return nil
}

// lastWords reads to the end of a connection that can no longer be written to, for a
// DISCONNECT that says why: it may stand behind the KEXINIT of a peer that has closed.
// writeFailed bounds the time that takes.
func (c *Conn) lastWords() error {
	for {
		p, err := c.readPacket()
		if err != nil {
			return err
		}
		if p[0] == msg.NumDisconnect {
			return c.generic(p)
		}
	}
}

// readKex returns the next message of the key exchange, which must have one of
// the given numbers. The messages that may come at any time may come between.
func (c *Conn) readKex(numbers ...byte) ([]byte, error) {
	for {
		p, err := c.readPacket()
		if err != nil {
			return nil, err
		}
		if err := c.gate(p[0], c.phase); err != nil {
			return nil, err
		}
		if slices.Contains(numbers, p[0]) {
			return p, nil
		}
		if p[0] > msg.NumDebug {
			return nil, c.Violation("%s instead of %s", msg.Name(p[0]), msg.Name(numbers[0]))
		}
		if err := c.generic(p); err != nil {
			return nil, err
		}
	}
}

// exchange is one key exchange (RFC 4253 sections 7 and 8), beginning with the
// peer's KEXINIT and ending with both NEWKEYS. It runs on the reader, since the
// peer may send nothing else meanwhile.
func (c *Conn) exchange(ctx context.Context, peerInit []byte) error {
	client := c.cfg.Role == msg.Client

	// 7.1: both KEXINITs, whoever came first.
	var theirs msg.KexInit
	if err := msg.Decode(peerInit, &theirs); err != nil {
		return c.Violation("%v", err)
	}
	peerInit = bytes.Clone(peerInit)
	c.startKex(KexPeer)
	c.out.mu.Lock()
	ours, ourInit, broken := c.out.kexOurs, c.out.kexInit, c.out.err
	c.out.mu.Unlock()
	if broken != nil { // no exchange without a way out, whatever can still be read
		return c.lastWords()
	}
	if c.first {
		if err := c.firstInit(&theirs); err != nil {
			return err
		}
	}
	clientInit, serverInit := ours, &theirs
	if !client {
		clientInit, serverInit = &theirs, ours
	}
	clientOffer, serverOffer := offer(clientInit), offer(serverInit)
	chosen, err := alg.Agree(clientOffer, serverOffer, alg.Rules{AEAD: isAEAD, HostKeyFits: hostKeyFits})
	if err != nil {
		c.end(err, ReasonKexFailed, "no common algorithm")
		return err
	}
	if err := c.checkStrict(chosen); err != nil {
		return err
	}
	row, gss, ok := c.findMethod(chosen.KEX)
	if !ok {
		return c.kexFailed(fmt.Errorf("ssh2: key exchange: %q is not implemented", chosen.KEX))
	}
	if theirs.Follows && !alg.GuessedRight(clientOffer, serverOffer) {
		// 7: exactly one packet was sent on a wrong guess. Ignore it.
		p, err := c.readPacket()
		if err != nil {
			return err
		}
		if p[0] < 30 || p[0] > 49 {
			return c.Violation("%s instead of a guessed key exchange packet", msg.Name(p[0]))
		}
	}

	// 8: the exchange proper.
	x := &run{c: c, chosen: chosen, row: row, gss: gss, gex: row.GEX}
	if client {
		x.hashed = wire.AppendString(wire.AppendString(nil, c.info.LocalIdent), c.info.RemoteIdent)
		x.hashed = wire.AppendBytes(wire.AppendBytes(x.hashed, ourInit), peerInit)
		if gss != nil {
			err = x.gssClient(ctx)
		} else {
			err = x.client(ctx)
		}
	} else {
		x.hashed = wire.AppendString(wire.AppendString(nil, c.info.RemoteIdent), c.info.LocalIdent)
		x.hashed = wire.AppendBytes(wire.AppendBytes(x.hashed, peerInit), ourInit)
		if gss != nil {
			err = x.gssServer(ctx)
		} else {
			err = x.server()
		}
	}
	if err != nil {
		return err
	}

	// 7.2, 7.3: keys, and NEWKEYS both ways.
	return c.newKeys(x)
}

// firstInit looks at what the peer's first KEXINIT says of the whole connection.
func (c *Conn) firstInit(theirs *msg.KexInit) error {
	ext, strict := extInfoClient, strictClient
	if c.cfg.Role == msg.Client {
		ext, strict = extInfoServer, strictServer
	}
	c.peerExt = slices.Contains(theirs.Kex, ext)
	c.strict = c.cfg.Strict != StrictOff && slices.Contains(theirs.Kex, strict)
	if c.strict {
		if c.inSeq != 1 {
			return c.Violation("strict key exchange: KEXINIT is not the first packet")
		}
		c.phase = msg.StrictKex
	}
	return nil
}

func offer(m *msg.KexInit) *alg.Offer {
	return &alg.Offer{
		KEX: m.Kex, HostKey: m.HostKeys,
		C2S: alg.DirectionOffer{Cipher: m.CiphersOut, MAC: m.MACsOut, Compression: m.CompressOut},
		S2C: alg.DirectionOffer{Cipher: m.CiphersIn, MAC: m.MACsIn, Compression: m.CompressIn},
	}
}

func isAEAD(cipher string) bool {
	row, ok := seal.FindCipher(cipher)
	return ok && row.AEAD
}

// A run is the state of one key exchange.
type run struct {
	c      *Conn
	chosen *alg.Chosen
	row    *kex.Row
	gss    *GSSMechanism // of the gss- methods, nil for others
	gex    bool
	hashed []byte // what goes into the exchange hash, in order
	// groupHash is what group exchange puts into it further on.
	groupHash []byte
	reply     msg.Message // the server's, to go out with NEWKEYS
	secret    []byte
	hash      []byte
	hostKey   gossh.PublicKey
	blob      []byte
}

// client is the client's half.
func (x *run) client(ctx context.Context) error {
	c := x.c
	method, err := x.clientMethod()
	if err != nil {
		return err
	}
	mine, err := method.Init()
	if err != nil {
		return c.kexFailed(err)
	}
	sent := time.Now()
	c.out.sendUrgent(urgent{buf: encode(&msg.KexInitial{GEX: x.gex, Public: mine})})
	reply := &msg.KexReply{GEX: x.gex}
	p, err := c.readKex(reply.Number())
	if err != nil {
		return err
	}
	c.sampleRTT(sent)
	if err := msg.Decode(p, reply); err != nil {
		return c.Violation("%v", err)
	}
	x.blob = bytes.Clone(reply.HostKey)
	x.secret, err = method.Finish(reply.Public)
	if err != nil {
		return c.kexFailed(err)
	}
	x.finishHash(mine, reply.Public)
	x.hostKey, err = c.verifyHostKey(x.chosen.HostKey, x.blob, x.hash, reply.Signature)
	if err == nil {
		err = c.judgeHostKey(ctx, x)
	}
	if err != nil {
		err = &HostKeyError{x.chosen.HostKey, err}
		c.end(err, ReasonHostKeyNotVerifiable, "host key not accepted")
		return err
	}
	return nil
}

// clientMethod returns the method to run; for group exchange it first asks
// for the group (RFC 4419 section 3).
func (x *run) clientMethod() (kex.Method, error) {
	c := x.c
	if !x.gex {
		m, err := x.row.New()
		if err != nil {
			return nil, c.kexFailed(err)
		}
		return m, nil
	}
	ask := &msg.KexGEXRequest{Min: kex.MinGroupBits, Preferred: kex.PreferredGroupBits, Max: kex.MaxGroupBits, GSS: x.gss != nil}
	if c.Quirks().Has(DHGEXLarge) {
		ask.Max = 4096
	}
	c.out.sendUrgent(urgent{buf: encode(ask)})
	m := &msg.KexGEXGroup{GSS: x.gss != nil}
	p, err := c.readKex(m.Number())
	if err != nil {
		return nil, err
	}
	if err := msg.Decode(p, m); err != nil {
		return nil, c.Violation("%v", err)
	}
	group, err := kex.ParseGroup(m.P, m.G)
	if err != nil {
		return nil, c.kexFailed(err)
	}
	x.groupHash = gexHash(ask, group)
	return group.Method(), nil
}

// server is the server's half.
func (x *run) server() error {
	c := x.c
	signer, err := c.signerFor(x.chosen.HostKey)
	if err != nil {
		return c.kexFailed(err)
	}
	x.hostKey = signer.PublicKey()
	x.blob = x.hostKey.Marshal()
	method, err := x.serverMethod()
	if err != nil {
		return err
	}
	initial := &msg.KexInitial{GEX: x.gex}
	p, err := c.readKex(initial.Number())
	if err != nil {
		return err
	}
	if err := msg.Decode(p, initial); err != nil {
		return c.Violation("%v", err)
	}
	mine, secret, err := method.Reply(initial.Public)
	if err != nil {
		return c.kexFailed(err)
	}
	x.secret = secret
	x.finishHash(initial.Public, mine)
	signature, err := signer.sign(x.hash)
	if err != nil {
		return c.kexFailed(err)
	}
	x.reply = &msg.KexReply{GEX: x.gex, HostKey: x.blob, Public: mine, Signature: signature}
	return nil
}

// serverMethod returns the method to run; for group exchange it first hands
// out a group.
func (x *run) serverMethod() (kex.Method, error) {
	c := x.c
	if !x.gex {
		m, err := x.row.New()
		if err != nil {
			return nil, c.kexFailed(err)
		}
		return m, nil
	}
	ask := &msg.KexGEXRequest{GSS: x.gss != nil}
	p, err := c.readKex(ask.Number())
	if err != nil {
		return nil, err
	}
	if err := msg.Decode(p, ask); err != nil {
		return nil, c.Violation("%v", err)
	}
	group, err := c.cfg.Moduli.Choose(ask.Min, ask.Preferred, ask.Max)
	if err != nil {
		return nil, c.kexFailed(err)
	}
	prime, gen := group.Octets()
	c.out.sendUrgent(urgent{buf: encode(&msg.KexGEXGroup{P: prime, G: gen, GSS: x.gss != nil})})
	x.groupHash = gexHash(ask, group)
	return group.Method(), nil
}

// gexHash is what group exchange adds to the exchange hash (RFC 4419 section 3).
func gexHash(ask *msg.KexGEXRequest, g *kex.Group) []byte {
	prime, gen := g.Octets()
	h := wire.Append(nil, ask)
	return wire.AppendBytes(wire.AppendBytes(h, prime), gen)
}

// finishHash completes the exchange hash H (RFC 4253 section 8).
func (x *run) finishHash(clientPublic, serverPublic []byte) {
	h := wire.AppendBytes(x.hashed, x.blob)
	h = append(h, x.groupHash...)
	h = wire.AppendBytes(h, clientPublic)
	h = wire.AppendBytes(h, serverPublic)
	h = wire.AppendBytes(h, x.secret)
	hash := x.row.Hash.New()
	hash.Write(h)
	x.hash = hash.Sum(nil)
}

// newKeys derives keys, sends NEWKEYS, waits for the peer's, and puts both
// directions on the new keys.
func (c *Conn) newKeys(x *run) error {
	sessionID := c.SessionID()
	if c.first {
		sessionID = x.hash
	}
	outDir, inDir := x.chosen.S2C, x.chosen.C2S
	outLetters, inLetters := "BDF", "ACE"
	if c.cfg.Role == msg.Client {
		outDir, inDir, outLetters, inLetters = inDir, outDir, inLetters, outLetters
	}
	derive := func(letter byte, n int) []byte {
		return kex.DeriveKey(x.row.Hash, x.secret, x.hash, sessionID, letter, n)
	}
	out, err := c.newEpoch(outDir, outLetters, derive, true)
	if err != nil {
		return c.kexFailed(err)
	}
	in, err := c.newEpoch(inDir, inLetters, derive, false)
	if err != nil {
		return c.kexFailed(err)
	}

	c.mu.Lock()
	c.info.SessionID = sessionID
	c.info.Kex, c.info.HostKeyAlgorithm, c.info.HostKey = x.chosen.KEX, x.chosen.HostKey, x.hostKey
	c.info.Out, c.info.In, c.info.Strict = outDir, inDir, c.strict
	c.mu.Unlock()
	c.hostBlob = x.blob
	c.keyKnown.Store(x.blob != nil)

	// The server's last words go out together: one system call, one segment.
	var words []urgent
	if x.reply != nil {
		words = append(words, urgent{buf: encode(x.reply)})
	}
	words = append(words, urgent{buf: encode(&msg.NewKeys{}), next: out})
	if c.first && c.peerExt && len(c.cfg.Extensions) > 0 {
		words = append(words, urgent{buf: encode(&msg.ExtInfo{Extensions: c.cfg.Extensions})})
	}
	sent := time.Now()
	c.out.sendUrgent(words...)

	p, err := c.readKex(msg.NumNewKeys)
	if err != nil {
		return err
	}
	if c.cfg.Role == msg.Server {
		c.sampleRTT(sent)
	}
	if len(p) != 1 {
		return c.Violation("NEWKEYS with %d octets", len(p))
	}
	c.opener, c.inLimit = in.opener, in.limit
	c.inNonce, c.inBytes = 0, 0
	c.zlib.begin(&in.zlib)
	if c.strict {
		c.inSeq = 0
	}
	c.mu.Lock()
	c.info.KeyExchanges++
	c.mu.Unlock()
	c.tellKex(c.endKex())
	return nil
}

// sampleRTT notes the time since sent as a first idea of the round trip, which
// windows grow by. It has the peer's computing in it, so a LAN looks slower
// than it is, until better samples come. Later exchanges wait in line with
// data and tell nothing.
func (c *Conn) sampleRTT(sent time.Time) {
	if c.first {
		c.mu.Lock()
		c.info.RTT = time.Since(sent)
		c.mu.Unlock()
	}
}

// newEpoch makes the keys of one direction (RFC 4253 section 7.2). letters are
// those for IV, encryption and integrity key.
func (c *Conn) newEpoch(d alg.Direction, letters string, derive func(byte, int) []byte, out bool) (*epoch, error) {
	cipher, ok := seal.FindCipher(d.Cipher)
	if !ok {
		return nil, fmt.Errorf("ssh2: key exchange: cipher %q is not implemented", d.Cipher)
	}
	iv, key := derive(letters[0], cipher.IVLen), derive(letters[1], cipher.KeyLen)
	var macKey []byte
	if mac, ok := seal.FindMAC(d.MAC); ok && !cipher.AEAD {
		macKey = derive(letters[2], mac.KeyLen)
	}
	compression, ok := findCompression(d.Compression)
	if !ok {
		return nil, fmt.Errorf("ssh2: key exchange: compression %q is not implemented", d.Compression)
	}
	e := &epoch{limit: c.limitOf(cipher.RekeyBytes), strict: c.strict, zlib: compression}
	var err error
	if out {
		e.sealer, err = seal.NewSealer(d.Cipher, d.MAC, key, iv, macKey)
	} else {
		e.opener, err = seal.NewOpener(d.Cipher, d.MAC, key, iv, macKey)
	}
	return e, err
}

// kexFailed ends the connection because a key exchange cannot go on.
func (c *Conn) kexFailed(err error) error {
	if e := (*ProtocolError)(nil); errors.As(err, &e) {
		return err
	}
	if e := (*kex.PeerError)(nil); errors.As(err, &e) {
		return c.violation(ReasonKexFailed, "%v", err)
	}
	err = fmt.Errorf("ssh2: key exchange: %w", err)
	c.end(err, ReasonKexFailed, "key exchange failed")
	return err
}

// bufOf returns a copy of p in a Buf.
func bufOf(p []byte) *packet.Buf {
	b := packet.Get(len(p))
	copy(b.Bytes(), p)
	return b
}
