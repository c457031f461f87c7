package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/alg"
	"github.com/fairlead-ssh/fairlead/internal/kex"
	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/netsim"
	"github.com/fairlead-ssh/fairlead/internal/seal"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/packet"
)

// A peer is the other end of a Conn under test, played by a script: it sends
// any packet at any time, in clear or under the keys it negotiated, and keeps
// to the protocol only as far as the script does.
type peer struct {
	t  *testing.T
	c  *Conn // under test
	nc *netsim.Conn
	r  *bufio.Reader

	role   msg.Role // the peer's own
	ident  string
	init   msg.KexInit // what KexInit sends; scripts change it
	signer gossh.Signer
	strict bool // reset sequence numbers at NEWKEYS
	// forge changes the reply of a server before it goes out.
	forge func(*msg.KexReply)
	// deflate and inflate change payloads on their way out and in.
	deflate, inflate func([]byte) []byte

	opener   seal.Opener
	sealer   seal.Sealer
	inSeq    uint32
	outSeq   uint32
	inNonce  uint64
	outNonce uint64

	theirIdent          string
	ourInit, theirInit  []byte
	nextOut             seal.Sealer
	nextIn              seal.Opener
	sessionID, lastHash []byte

	ended chan struct{} // the reader of c has ended
	err   error         // of Handshake or Next; valid then
	ready chan struct{} // Handshake has succeeded

	mu  sync.Mutex
	got []byte // numbers of the messages handed to the layers above
}

// script runs f against a Conn with cfg, in a bubble of its own, and checks
// that the Conn ends without leaving anything.
func script(t *testing.T, cfg *Config, f func(*peer)) {
	t.Helper()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		bufs := packet.Live()
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		p := &peer{
			t: t, c: New(a, cfg), nc: b, r: bufio.NewReader(b),
			role: cfg.Role.Other(), ident: "SSH-2.0-peer", strict: true, signer: testKeys()[0],
			opener: seal.Plain{}, sealer: seal.Plain{},
			ended: make(chan struct{}), ready: make(chan struct{}),
		}
		p.init = msg.KexInit{
			Kex: []string{"curve25519-sha256"}, HostKeys: []string{p.signer.PublicKey().Type()},
			CiphersOut: cfg.Ciphers[:1], CiphersIn: cfg.Ciphers[:1],
			MACsOut: cfg.MACs[:1], MACsIn: cfg.MACs[:1],
			CompressOut: []string{"none"}, CompressIn: []string{"none"},
		}
		go p.read()
		f(p)
		_ = p.nc.Close()
		<-p.ended
		if n := packet.Live() - bufs; n != 0 {
			t.Errorf("CVE 13.2: %d Bufs left", n)
		}
	})
}

// read is the reader of the Conn under test. It stands for the layers above:
// any USERAUTH_REQUEST or USERAUTH_SUCCESS ends authentication.
func (p *peer) read() {
	defer close(p.ended)
	p.err = p.c.Handshake(p.t.Context())
	if p.err != nil {
		return // closed already
	}
	close(p.ready)
	for {
		payload, err := p.c.Next()
		if err != nil {
			p.err = err
			break
		}
		p.mu.Lock()
		p.got = append(p.got, payload[0])
		p.mu.Unlock()
		switch payload[0] {
		case msg.NumUserauthRequest:
			_ = p.c.PostMessage(&msg.UserauthSuccess{})
			p.c.SetPhase(msg.Open)
		case msg.NumUserauthSuccess:
			p.c.SetPhase(msg.Open)
		}
	}
	_ = p.c.Close()
	p.c.ReleaseReader()
}

// delivered returns the numbers that the layers above have seen.
func (p *peer) delivered() []byte {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// Idents exchanges them.
func (p *peer) Idents() {
	p.t.Helper()
	p.Write([]byte(p.ident + "\r\n"))
	line, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatalf("ident: %v", err)
	}
	p.theirIdent = line[:len(line)-2]
}

// Write sends octets as they are. That the other end is gone is no error yet.
func (p *peer) Write(b []byte) { _, _ = p.nc.Write(b) }

// WriteWrong sends a packet that will not open, and as much after it as a Conn
// wants that does not show at once that it did not (cves 7.6).
func (p *peer) WriteWrong(pkt []byte) {
	p.Write(pkt)
	if _, ok := p.nextIn.(seal.Discarder); ok {
		p.Write(make([]byte, seal.MaxPacket+100))
	}
}

// suites calls f with every row of the tables of ciphers and MACs: each cipher
// with a MAC of either order, each MAC with a cipher of either kind, some MAC
// with an AEAD. All their pairs are package seal's to test.
func suites(f func(c *seal.Cipher, m *seal.MAC)) {
	for c := range seal.Ciphers() {
		for m := range seal.MACs() {
			usual := m.Name == "hmac-sha2-256-etm@openssh.com" || m.Name == "hmac-sha2-256"
			if usual && (!c.AEAD || !m.EtM) || !c.AEAD && (c.Name == "aes128-ctr" || c.Name == "aes128-cbc") {
				f(c, m)
			}
		}
	}
}

// Send sends a message in a proper packet.
func (p *peer) Send(m msg.Message) { p.SendPayload(msg.Append(nil, m)) }

// SendPayload sends a payload in a proper packet.
func (p *peer) SendPayload(payload []byte) {
	if p.deflate != nil {
		payload = p.deflate(payload)
	}
	p.Write(p.pack(payload))
}

// pack returns payload sealed as the next packet.
func (p *peer) pack(payload []byte) []byte {
	pad := p.sealer.Padding(len(payload))
	return p.packAs(uint32(1+len(payload)+pad), byte(pad), append(slices.Clone(payload), make([]byte, pad)...))
}

// packAs seals whatever it is told as the next packet: length and padding need
// not fit the body.
func (p *peer) packAs(length uint32, pad byte, body []byte) []byte {
	pkt := binary.BigEndian.AppendUint32(nil, length)
	pkt = append(append(pkt, pad), body...)
	pkt = append(pkt, make([]byte, p.sealer.Overhead())...)
	p.sealer.Seal(p.outNonce, p.outSeq, pkt)
	p.outNonce++
	p.outSeq++
	return pkt
}

// Read returns the next payload of the Conn under test.
func (p *peer) Read() ([]byte, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(10 * time.Minute)) // of the bubble's clock
	head := make([]byte, p.opener.Head())
	if _, err := io.ReadFull(p.r, head); err != nil {
		return nil, err
	}
	n, err := p.opener.Length(p.inNonce, p.inSeq, head)
	if err != nil {
		return nil, err
	}
	pkt := append(head, make([]byte, n-len(head))...)
	if _, err := io.ReadFull(p.r, pkt[len(head):]); err != nil {
		return nil, err
	}
	payload, err := p.opener.Open(p.inNonce, p.inSeq, pkt)
	p.inNonce++
	p.inSeq++
	if err == nil && p.inflate != nil {
		payload = p.inflate(payload)
	}
	if err == nil && payload[0] == msg.NumNewKeys {
		p.opener, p.inNonce = p.nextIn, 0
		if p.strict {
			p.inSeq = 0
		}
	}
	return payload, err
}

// Want reads the next message, which must have the given number.
func (p *peer) Want(why string, number byte) []byte {
	p.t.Helper()
	payload, err := p.Read()
	if err != nil {
		synctest.Wait()
		p.t.Fatalf("%s: want %s: %v; connection: %v", why, msg.Name(number), err, p.c.Err())
	}
	if payload[0] != number {
		p.t.Fatalf("%s: want %s, got %s %+q", why, msg.Name(number), msg.Name(payload[0]), clip(string(payload), 200))
	}
	return payload
}

// WantDisconnect reads until DISCONNECT with that reason, or any if it is 0.
// Nothing that grants anything may come before, and after it nothing at all,
// even if the peer goes on: the socket is closed (cves 1.13).
func (p *peer) WantDisconnect(why string, reason uint32) {
	p.t.Helper()
	for {
		payload, err := p.Read()
		if err != nil {
			synctest.Wait()
			p.t.Errorf("%s: want DISCONNECT: %v; connection: %v", why, err, p.c.Err())
			break
		}
		switch n := payload[0]; n {
		case msg.NumDisconnect:
			var m msg.Disconnect
			if err := msg.Decode(payload, &m); err != nil || reason != 0 && m.Reason != reason {
				p.t.Errorf("%s: DISCONNECT with reason %d (%v), want %d", why, m.Reason, err, reason)
			}
			p.WantClosed(why)
			return
		case msg.NumUserauthSuccess, msg.NumRequestSuccess, msg.NumRequestFailure, msg.NumChannelOpenOK, msg.NumChannelSuccess, msg.NumPong:
			p.t.Errorf("%s: %s before the end", why, msg.Name(n))
		}
	}
}

// WantClosed sends one more valid packet and expects nothing but the end.
func (p *peer) WantClosed(why string) {
	p.t.Helper()
	before := p.delivered()
	p.Send(&msg.Ignore{})
	p.Send(&msg.ServiceRequest{Service: "ssh-userauth"})
	_ = p.nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := p.r.ReadByte(); !errors.Is(err, io.EOF) {
		p.t.Errorf("CVE 1.13: %s: octet %d, %v after the end", why, n, err)
	}
	<-p.ended
	if after := p.delivered(); !bytes.Equal(before, after) {
		p.t.Errorf("CVE 1.13: %s: %v delivered after the end", why, after[len(before):])
	}
}

// KexInit sends KEXINIT, with the marker of strict key exchange if p.strict.
func (p *peer) KexInit() {
	m := p.init
	if p.strict && p.sessionID == nil {
		marker := strictClient
		if p.role == msg.Server {
			marker = strictServer
		}
		m.Kex = append(slices.Clone(m.Kex), marker)
	}
	_, _ = rand.Read(m.Cookie[:])
	p.ourInit = msg.Append(nil, &m)
	p.SendPayload(p.ourInit)
}

// Exchange sends our KEXINIT unless that was done, and does a key exchange up
// to the point where both ends have the keys and NEWKEYS is due.
func (p *peer) Exchange() {
	p.t.Helper()
	if p.ourInit == nil {
		p.KexInit()
	}
	if p.theirInit == nil {
		p.theirInit = p.Want("key exchange", msg.NumKexInit)
	}
	chosen, row := p.negotiate()
	method, err := row.New()
	p.check(err)
	var public, reply, secret, blob []byte
	if p.role == msg.Client {
		public, err = method.Init()
		p.check(err)
		p.Send(&msg.KexInitial{Public: public})
		var m msg.KexReply
		p.check(msg.Decode(p.Want("key exchange", msg.NumKexECDHReply), &m))
		secret, err = method.Finish(m.Public)
		p.check(err)
		blob, reply = m.HostKey, m.Public
		p.derive(chosen, row, public, reply, secret, blob)
	} else {
		var m msg.KexInitial
		p.check(msg.Decode(p.Want("key exchange", msg.NumKexECDHInit), &m))
		public = m.Public
		reply, secret, err = method.Reply(public)
		p.check(err)
		blob = p.signer.PublicKey().Marshal()
		p.derive(chosen, row, public, reply, secret, blob)
		a, _ := findHostAlgorithm(chosen.HostKey)
		signature, err := (&hostSigner{p.signer, a}).sign(p.lastHash)
		p.check(err)
		r := &msg.KexReply{HostKey: blob, Public: reply, Signature: signature}
		if p.forge != nil {
			p.forge(r)
		}
		p.Send(r)
	}
}

func (p *peer) check(err error) {
	if err != nil {
		p.t.Helper()
		p.t.Fatal(err)
	}
}

func (p *peer) negotiate() (*alg.Chosen, *kex.Row) {
	p.t.Helper()
	var ours, theirs msg.KexInit
	p.check(msg.Decode(p.ourInit, &ours))
	p.check(msg.Decode(p.theirInit, &theirs))
	client, server := offer(&ours), offer(&theirs)
	if p.role == msg.Server {
		client, server = server, client
	}
	chosen, err := alg.Agree(client, server, alg.Rules{AEAD: isAEAD})
	p.check(err)
	row, ok := kex.Find(chosen.KEX)
	if !ok {
		p.t.Fatalf("no %s", chosen.KEX)
	}
	return chosen, row
}

// derive computes exchange hash and keys, written down once more and not with
// the code under test.
func (p *peer) derive(chosen *alg.Chosen, row *kex.Row, clientPublic, serverPublic, secret, blob []byte) {
	idents := []string{p.ident, p.theirIdent}
	inits := [][]byte{p.ourInit, p.theirInit}
	if p.role == msg.Server {
		slices.Reverse(idents)
		slices.Reverse(inits)
	}
	h := row.Hash.New()
	for _, field := range [][]byte{[]byte(idents[0]), []byte(idents[1]), inits[0], inits[1], blob, clientPublic, serverPublic, secret} {
		h.Write(wire.AppendBytes(nil, field))
	}
	p.lastHash = h.Sum(nil)
	if p.sessionID == nil {
		p.sessionID = p.lastHash
	}
	keys := func(d alg.Direction, letters string) (cipher, mac string, key, iv, macKey []byte) {
		c, _ := seal.FindCipher(d.Cipher)
		get := func(i, n int) []byte {
			return kex.DeriveKey(row.Hash, secret, p.lastHash, p.sessionID, letters[i], n)
		}
		if m, ok := seal.FindMAC(d.MAC); ok {
			macKey = get(2, m.KeyLen)
		}
		return d.Cipher, d.MAC, get(1, c.KeyLen), get(0, c.IVLen), macKey
	}
	out, in, outLetters, inLetters := chosen.C2S, chosen.S2C, "ACE", "BDF"
	if p.role == msg.Server {
		out, in, outLetters, inLetters = in, out, inLetters, outLetters
	}
	var err error
	p.nextOut, err = seal.NewSealer(keys(out, outLetters))
	p.check(err)
	p.nextIn, err = seal.NewOpener(keys(in, inLetters))
	p.check(err)
}

// NewKeys sends NEWKEYS and puts our direction on the new keys.
func (p *peer) NewKeys() {
	p.Send(&msg.NewKeys{})
	p.sealer, p.outNonce = p.nextOut, 0
	if p.strict {
		p.outSeq = 0
	}
}

// WantNewKeys expects NEWKEYS, at which Read changes to the new keys.
func (p *peer) WantNewKeys() {
	p.t.Helper()
	p.Want("end of the key exchange", msg.NumNewKeys)
	p.ourInit, p.theirInit = nil, nil
}

// Kex does a whole key exchange.
func (p *peer) Kex() {
	p.t.Helper()
	p.Exchange()
	p.NewKeys()
	p.WantNewKeys()
}

// Handshake does what comes before authentication.
func (p *peer) Handshake() {
	p.t.Helper()
	p.Idents()
	p.Kex()
	<-p.ready
}

// Open does everything until the connection protocol may begin.
func (p *peer) Open() {
	p.t.Helper()
	p.Handshake()
	p.login()
}

// login goes from a handshake done to the connection protocol.
func (p *peer) login() {
	p.t.Helper()
	if p.role == msg.Client {
		p.Send(&msg.UserauthRequest{User: "u", Service: "ssh-connection", Method: "none"})
		p.Want("authentication", msg.NumUserauthSuccess)
	} else {
		p.Send(&msg.UserauthSuccess{})
	}
	p.delivered()
}

// bothRoles runs a script against a client and a server.
func bothRoles(t *testing.T, change func(*Config), f func(*peer)) {
	t.Helper()
	cc, sc := testConfigs()
	for _, cfg := range []*Config{cc, sc} {
		if change != nil {
			change(cfg)
		}
		t.Run(cfg.Role.String(), func(t *testing.T) { script(t, cfg, f) })
	}
}

// lastError returns how the Conn under test ended, after its end.
func (p *peer) lastError() error {
	<-p.ended
	return p.c.Err()
}

// asProtocol tells whether err is a violation by the peer.
func asProtocol(err error) bool {
	var e *ProtocolError
	return errors.As(err, &e)
}

func TestPeerHandshake(t *testing.T) {
	bothRoles(t, nil, func(p *peer) {
		p.Open()
		p.Send(&msg.GlobalRequest{Name: "x"})
		if got := p.delivered(); got[len(got)-1] != msg.NumGlobalRequest {
			p.t.Errorf("delivered %v", got)
		}
		if !bytes.Equal(p.c.SessionID(), p.sessionID) {
			p.t.Error("another session id")
		}
		p.KexInit()
		p.Kex()
		p.Send(&msg.Ping{Data: []byte("x")})
		p.Want("echo", msg.NumPong)
		p.Send(&msg.Disconnect{Reason: ReasonByApplication, Text: "bye"})
		var d *DisconnectError
		if err := p.lastError(); !errors.As(err, &d) || !d.Remote {
			p.t.Errorf("ended with %v", err)
		}
	})
}

// TestHandshakeContext ends the handshake from outside.
func TestHandshakeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc, _ := testConfigs()
		a, b := netsim.Pipe(netsim.Link{}, netsim.Link{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := New(a, cc)
		if err := c.Handshake(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := io.ReadAll(b); err != nil {
			t.Error(err)
		}
	})
}
