package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/internal/pwhash"
	"github.com/fairlead-ssh/fairlead/keys"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftpserver"
	"github.com/fairlead-ssh/fairlead/ssh2"
)

// accounts is who may log in, as one reading of the configuration has it. It never
// changes: a connection goes by the one that was in force when its client first tried
// to log in, so that no login is judged half by one and half by another (cves 13.5).
type accounts struct {
	config   *config
	byName   map[string]*userConfig
	standIns []pwhash.Hash // one for each hash there is
	plain    *userConfig   // the user of the flags, where there are no hashes; not nil
	// Keys by their identity.
	authorities, revoked map[string]bool
	// Of who has none: copies, for the server of the first reading has the settings of later ones, too.
	root             string
	upRate, downRate int64
}

func newAccounts(c *config) *accounts {
	a := &accounts{config: c, byName: make(map[string]*userConfig, len(c.users)), plain: new(userConfig)}
	a.root, a.upRate, a.downRate = c.server.RootDirectory, c.server.UploadRate, c.server.DownloadRate
	a.authorities, a.revoked = blobs(c.server.TrustedUserCAKeys), blobs(c.server.RevokedKeys)
	for _, u := range c.users {
		a.byName[u.name] = u
		if u.password != "" {
			a.plain = u
		}
		if !u.hash.IsZero() {
			a.standIns = append(a.standIns, u.hash.StandIn())
		}
	}
	return a
}

// admits tells whether a user is known and not disabled.
func (a *accounts) admits(name string) bool {
	u := a.byName[name]
	return u != nil && !u.disabled
}

// seed makes the choice of stand-ins one that nobody outside can foresee.
var seed = maphash.MakeSeed()

// hashTimeout is how long a password waits to be checked while others are.
const hashTimeout = time.Minute

// password tells whether a password is that of a user. Whatever the name is, a hash is
// computed: for one that has none that of another user's kind, and for a name always of the same, so
// that time does not tell which names exist (cves 7.2).
func (a *accounts) password(ctx context.Context, name, password string) bool {
	u := a.byName[name]
	if len(a.standIns) == 0 {
		// Both comparisons are made for every name, as below.
		right := ssh2.CheckPassword(a.plain.password, password)
		return right && u == a.plain
	}
	ctx, cancel := context.WithTimeout(ctx, hashTimeout)
	defer cancel()
	ok, err := a.hashOf(name).Check(ctx, password)
	return ok && err == nil && a.admits(name) && !u.hash.IsZero()
}

// hashOf is the hash of a user's password, or what stands in for it.
func (a *accounts) hashOf(name string) pwhash.Hash {
	if u := a.byName[name]; u != nil && !u.hash.IsZero() {
		return u.hash
	}
	return a.standIns[maphash.String(seed, name)%uint64(len(a.standIns))]
}

// principals are those of a user, for the component; nobody's for who may not log in.
func (a *accounts) principals(name string) []string {
	u := a.byName[name]
	switch {
	case !a.admits(name):
		return nil
	case u.principals == nil:
		return []string{name}
	}
	return u.principals
}

// certificate tells whether these accounts, too, take a certificate that the component found good: it went by what was
// there when the client connected, and both must agree.
func (a *accounts) certificate(name string, cert *gossh.Certificate) bool {
	authority := keys.Identity(cert.SignatureKey)
	return a.authorities[authority] && !a.revoked[authority] && !a.revoked[keys.Identity(cert)] && !a.revoked[keys.Identity(cert.Key)] &&
		slices.ContainsFunc(a.principals(name), func(p string) bool { return slices.Contains(cert.ValidPrincipals, p) })
}

// blobs are keys by their identity, which is the wire form of a bare one.
func blobs(list []gossh.PublicKey) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, key := range list {
		m[keys.Identity(key)] = true
	}
	return m
}

// key finds a key of a user, nil if it is none.
func (a *accounts) key(name, blob string) *authorizedKey {
	if !a.admits(name) || a.revoked[blob] {
		return nil
	}
	own := a.byName[name].keys
	i := slices.IndexFunc(own, func(k authorizedKey) bool { return bytes.Equal(k.blob, []byte(blob)) })
	if i < 0 {
		return nil
	}
	return &own[i]
}

// next says what a factor that is good leads to: the login, or that the methods left
// are to follow. Neither means that it is not the turn of that method.
func (u *userConfig) next(done []string, method string) (enough bool, left []string) {
	if u.require == nil {
		return true, nil
	}
	passed := append(slices.Clone(done), method)
	for i, m := range passed {
		if m == "keyboard-interactive" {
			passed[i] = "password" // it is the password that is asked for
		}
	}
	for _, set := range u.require {
		if len(passed) > len(set) || !slices.Equal(passed, set[:len(passed)]) {
			continue
		}
		if len(passed) == len(set) {
			return true, nil
		}
		left = append(left, set[len(passed)])
		if set[len(passed)] == "password" {
			left = append(left, "keyboard-interactive")
		}
	}
	return false, left
}

// Attempts are what is remembered of a connection on which somebody logs in.
type attempts struct {
	*accounts
	answered string // the user whose password was the first answer of keyboard-interactive
}

// attemptsOn are those of a connection, judged by the accounts of now.
func (d *daemon) attemptsOn(c *sftpserver.Connection) *attempts {
	l, ok := c.Value().(*attempts)
	if !ok {
		l = &attempts{accounts: d.accounts.Load()}
		c.SetValue(l)
	}
	return l
}

// userAuth is the component's event.
func (d *daemon) userAuth(e *sftpserver.UserAuthEvent) {
	l := d.attemptsOn(e.Conn)
	var limits ssh2.Limits
	good := false
	switch e.Method {
	case "password":
		good = l.password(e.Context(), e.User, e.Param)
	case "keyboard-interactive-1":
		l.answered = ""
		if l.password(e.Context(), e.User, e.Param) {
			l.answered, e.Accept = e.User, true
		}
		return // the closing call decides
	case "keyboard-interactive":
		good, l.answered = l.answered != "" && l.answered == e.User, ""
	case "publickey":
		if e.Certificate != nil {
			good = l.certificate(e.User, e.Certificate)
		} else if k := l.key(e.User, e.Param); k != nil {
			good, limits.SourceAddress = true, k.from
		}
	}
	if !good {
		return
	}
	u := l.byName[e.User]
	enough, left := u.next(e.Done, e.Method)
	if !enough && left == nil {
		return
	}
	if u.sources != nil {
		from := limits.SourceAddress
		limits.SourceAddress = u.sources
		if from != nil {
			limits.SourceAddress = within(u.sources, from)
		}
	}
	e.Limits, e.Policy = limits, u.limited
	// The component's is that of the reading by which the client connected; the block goes with this reading's.
	if root := cmp.Or(u.root, l.root); root != d.rootOn(e.Conn) {
		e.RootDirectory = root
	}
	if u.home != "" {
		e.HomeDir = u.home
	}
	e.RestrictToHomeDir = e.RestrictToHomeDir || u.restrict
	// Always, and not from what the connection has: that may be of another user, whose key was merely shown.
	e.Conn.SetRates(cmp.Or(u.upRate, l.upRate), cmp.Or(u.downRate, l.downRate))
	e.Accept, e.PartialSuccess = enough, !enough
	if !enough {
		e.AvailableMethods = left
	}
}

// rootOn is the directory that is served on a connection.
func (d *daemon) rootOn(c *sftpserver.Connection) string {
	root, err := d.server.Config("UserRootDirectory[" + c.ID() + "]")
	if err != nil {
		return "" // it has ended
	}
	return root
}

// wrap is the component's hook round the file system of a session.
func (d *daemon) wrap(ctx context.Context, c *sftpserver.Connection, fsys sftp.FileSystem) (sftp.FileSystem, error) {
	name := c.User()
	now := d.accounts.Load()
	if !now.admits(name) {
		return nil, errors.New("fairlead: the user may not log in any more")
	}
	leave, err := d.sessions.enter(name, now.byName[name].maxSessions)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, leave)
	l := d.attemptsOn(c)
	u := l.byName[name]
	if u != nil && u.quota != (sftp.Usage{}) {
		tree := "/"
		if u.restrict {
			tree = u.home
		}
		if fsys, err = d.quotas.wrap(ctx, d.rootOn(c), tree, u.quota, fsys); err != nil {
			return nil, err
		}
	}
	return d.watchUploads(ctx, c, l.config, u, fsys), nil
}

// watchUploads puts round the file system of a session what has a program run for its uploads, if there is one.
func (d *daemon) watchUploads(ctx context.Context, c *sftpserver.Connection, conf *config, u *userConfig, fsys sftp.FileSystem) sftp.FileSystem {
	program := conf.programFor(u)
	if program == "" {
		return fsys
	}
	user, remote, id := c.User(), c.RemoteHost(), c.ID()
	return &uploadFS{FileSystem: fsys, ctx: ctx, root: d.rootOn(c), tell: func(up upload) {
		k := newHook(program, conf, user, remote, id, &up)
		if up.err != nil {
			d.hooks.notRun(k, "the file cannot be found any more: "+up.err.Error())
			return
		}
		d.hooks.add(k)
	}}
}

// sessions counts those of each user.
type sessions struct {
	mu sync.Mutex
	of map[string]int
}

// codeAborted is the component's number for what it broke off (docs/errors.md).
const codeAborted = 10053

// enter counts a session unless there are as many as there may be, 0 for any number.
// One step: no two get the last place (cves 13.7).
func (s *sessions) enter(name string, most int) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if most > 0 && s.of[name] >= most {
		// With this number the log has a warning: nobody but the user can do anything about it.
		err := fmt.Errorf("the user has %s already, which is all that MaxSessions allows", count(s.of[name], "session"))
		return nil, &sftpserver.Error{Code: codeAborted, Op: "MaxSessions", Err: err}
	}
	if s.of == nil {
		s.of = make(map[string]int)
	}
	s.of[name]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.of[name]--; s.of[name] == 0 {
			delete(s.of, name)
		}
	}), nil
}

// quotas are those of the trees there are. What is counted stays through readings of the
// configuration that change a limit.
type quotas struct {
	mu sync.Mutex
	of map[quotaTree]*treeUsage
}

type quotaTree struct{ root, tree string }

// maxQuotaNames bounds what is counted when a tree is first used.
const maxQuotaNames = 100_000_000

// wrap returns fsys within the limit. The first to come counts what is there.
func (q *quotas) wrap(ctx context.Context, root, tree string, limit sftp.Usage, fsys sftp.FileSystem) (sftp.FileSystem, error) {
	q.mu.Lock()
	if q.of == nil {
		q.of = make(map[quotaTree]*treeUsage)
	}
	key := quotaTree{root, tree}
	t := q.of[key]
	if t == nil {
		t = &treeUsage{counting: make(chan struct{}, 1), limits: make(map[sftp.Usage]*sftp.Quota)}
		q.of[key] = t
	}
	q.mu.Unlock()
	quota, err := t.quota(ctx, tree, limit, fsys)
	if err != nil {
		return nil, fmt.Errorf("fairlead: quota: %w", err)
	}
	return quota.Wrap(fsys), nil
}

// treeUsage counts what is in a tree, for quotas with different limits. It is their
// sftp.QuotaStore.
type treeUsage struct {
	counting chan struct{} // holds a place while somebody counts, or looks
	counted  bool
	limits   map[sftp.Usage]*sftp.Quota

	mu   sync.Mutex
	used sftp.Usage
}

func (t *treeUsage) quota(ctx context.Context, tree string, limit sftp.Usage, fsys sftp.FileSystem) (*sftp.Quota, error) {
	select {
	case t.counting <- struct{}{}:
		defer func() { <-t.counting }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	q := t.limits[limit]
	if q == nil {
		var err error
		if q, err = sftp.NewQuota(tree, limit, t); err != nil {
			return nil, err
		}
		// A limit that nobody has any more is of those that the file had before.
		if len(t.limits) >= 64 {
			clear(t.limits)
		}
		t.limits[limit] = q
	}
	if !t.counted {
		if err := q.Scan(ctx, fsys, maxQuotaNames); err != nil {
			return nil, err
		}
		t.counted = true
	}
	return q, nil
}

// Charge implements sftp.QuotaStore.
func (t *treeUsage) Charge(delta, most sftp.Usage) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, part := range [...]struct{ used, delta, most int64 }{{t.used.Bytes, delta.Bytes, most.Bytes}, {t.used.Files, delta.Files, most.Files}} {
		if part.most > 0 && part.delta > 0 && (part.used >= part.most || part.delta > part.most-part.used) {
			return sftp.CodeQuotaExceeded
		}
	}
	t.used.Bytes = max(0, t.used.Bytes+delta.Bytes)
	t.used.Files = max(0, t.used.Files+delta.Files)
	return nil
}

// Usage implements sftp.QuotaStore.
func (t *treeUsage) Usage() (sftp.Usage, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used, nil
}

// within are the networks that both lists have.
func within(a, b []netip.Prefix) []netip.Prefix {
	out := []netip.Prefix{} // not nil: an empty list is nowhere
	for _, p := range a {
		for _, q := range b {
			switch {
			case !p.Overlaps(q):
			case p.Bits() > q.Bits():
				out = append(out, p)
			default:
				out = append(out, q)
			}
		}
	}
	return out
}
