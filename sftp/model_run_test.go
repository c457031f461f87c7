//go:build unix

package sftp_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/fxp"
	"github.com/fairlead-ssh/fairlead/internal/invariant"
	"github.com/fairlead-ssh/fairlead/internal/wire"
	"github.com/fairlead-ssh/fairlead/sftp"
	"github.com/fairlead-ssh/fairlead/sftp/internal/fstest"
	"github.com/fairlead-ssh/fairlead/sftp/memfs"
	"github.com/fairlead-ssh/fairlead/sftp/osfs"
)

var (
	modelSeed = flag.Uint64("model.seed", 0, "run the model test with this seed; 0 is the usual one")
	modelOps  = flag.Int("model.ops", 0, "operations per version and file system; 0 is the usual number")
)

// modelSystem is a file system behind a server.
type modelSystem struct {
	name string
	make func(t *testing.T) sftp.FileSystem
	// batch is how many requests are sent before their answers are waited for.
	batch int
	// failing has faults, of which the model is told.
	failing bool
	// bubble runs it under a clock of its own.
	bubble bool
	io     func(*sftp.Server)
}

func modelSystems(t *testing.T) []modelSystem {
	mask := processUmask(t)
	mem := func(*testing.T) sftp.FileSystem {
		return memfs.New(memfs.Options{Umask: mask, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
	}
	host := func(t *testing.T) sftp.FileSystem {
		fsys, err := osfs.New(t.TempDir(), osfs.Options{NumericIDs: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = fsys.Close() })
		return fsys
	}
	return []modelSystem{
		{name: "memfs", make: mem, batch: 8},
		{name: "osfs", make: host, batch: 8},
		// Slow storage: READ and WRITE run beside each other.
		{name: "slow", make: mem, batch: 8, bubble: true, io: func(s *sftp.Server) { s.SetIO(sftp.IOSpawn) }},
		{name: "failing", make: mem, batch: 1, failing: true, bubble: true},
	}
}

// processUmask returns the umask of this process without changing it.
func processUmask(t *testing.T) uint32 {
	name := filepath.Join(t.TempDir(), "x")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o777)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return 0o777 &^ uint32(fi.Mode().Perm())
}

// strike is a fault that a file system was made to have.
type strike struct {
	method string
	err    error
}

// faultLog keeps what the plan of a failing file system did since it was last asked.
type faultLog struct {
	mu      sync.Mutex
	strikes []strike
}

func (l *faultLog) plan(plan fstest.Plan) fstest.Plan {
	return func(method string, n uint64) fstest.Fault {
		f := plan(method, n)
		if f.Err != nil {
			l.mu.Lock()
			l.strikes = append(l.strikes, strike{method, f.Err})
			l.mu.Unlock()
		}
		return f
	}
}

// take returns the first fault in one of the methods.
func (l *faultLog) take(methods ...string) (struck strike, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.strikes {
		if slices.Contains(methods, s.method) {
			return s, true
		}
	}
	return strike{}, false
}

func (l *faultLog) reset() {
	l.mu.Lock()
	l.strikes = l.strikes[:0]
	l.mu.Unlock()
}

// faultsOf are the methods whose faults an operation tells the client of.
var faultsOf = map[string][]string{
	"open": {"Open"}, "close": {"File.Close"}, "read": {"File.ReadAt"}, "write": {"File.WriteAt"}, "fstat": {"File.Stat"},
	"fsetstat": {"File.SetStat"}, "stat": {"Stat"}, "setstat": {"SetStat"}, "mkdir": {"Mkdir"}, "remove": {"Remove"}, "rmdir": {"Rmdir"},
	"rename": {"Rename"}, "posixrename": {"Rename"}, "hardlink": {"Link"}, "symlink": {"Link"}, "readlink": {"ReadLink"}, "realpath": {"RealPath"},
	"list": {"OpenDir"}, "copydata": {"File.Stat", "File.CopyRange", "File.ReadAt", "File.WriteAt"}, "block": {"File.Lock"}, "unblock": {"File.Unlock"},
}

// modelRun is one run of operations against one server.
type modelRun struct {
	*model
	p       *peer
	faults  *faultLog
	pending []pendingOp
	done    map[string]int // operations that succeeded
}

type pendingOp struct {
	i  int
	op *wireOp
	id uint32
}

// runModel sends ops to a new server and compares. It returns the index of the first
// operation that was answered otherwise than the model says, or -1, and how.
func runModel(t *testing.T, sys *modelSystem, v fxp.Version, seed uint64, ops []wireOp) (failed int, report string, done map[string]int) {
	body := func(t *testing.T) {
		fsys := sys.make(t)
		r := &modelRun{model: newModel(v, processUmask(t)), faults: &faultLog{}, done: make(map[string]int)}
		r.can = fsys.Capabilities().Features
		root, err := fsys.Stat(t.Context(), "/", sftp.StatOpt{})
		if err != nil {
			t.Fatal(err)
		}
		r.root.perm = root.Mode & sftp.ModePerm // given, not made
		if sys.bubble {
			failEvery := uint64(0)
			if sys.failing {
				failEvery = 30
			}
			fsys = fstest.Slow(fsys, r.faults.plan(fstest.SeededPlan(seed, 3, 5*time.Millisecond, failEvery)))
		}
		srv := serverOf(fsys)
		if sys.io != nil {
			sys.io(srv)
		}
		r.p = newPeer(t, context.Background(), srv, sftp.SessionInfo{}, 32<<10)
		r.p.init(v)
		r.p.v = v
		failed, report = r.run(sys, ops)
		done = r.done
		_ = r.p.end()
	}
	if sys.bubble {
		synctest.Test(t, body)
	} else {
		body(t)
	}
	return failed, report, done
}

func (r *modelRun) run(sys *modelSystem, ops []wireOp) (int, string) {
	for i := range ops {
		o := &ops[i]
		if r.aliased(o) || o.verb == "list" || o.verb == "copyfile" {
			if at, why := r.flush(); why != "" {
				return at, why
			}
		}
		if r.skips(o) || sys.failing && (o.verb == "copyfile" || o.verb == "hash") {
			continue
		}
		if o.verb == "list" {
			if why := r.list(o); why != "" {
				return i, why
			}
			continue
		}
		if o.verb == "open" && r.files[o.slot] != nil { // which makes room for another
			r.pending = append(r.pending, pendingOp{i: i, op: &wireOp{verb: "close", slot: o.slot}})
			if at, why := r.flush(); why != "" {
				return at, why
			}
		}
		r.pending = append(r.pending, pendingOp{i: i, op: o})
		if len(r.pending) >= sys.batch || o.verb == "open" || o.verb == "close" || o.verb == "copyfile" || o.verb == "hash" {
			if at, why := r.flush(); why != "" {
				return at, why
			}
		}
	}
	if at, why := r.flush(); why != "" {
		return at, why
	}
	if why := r.content(); why != "" {
		return len(ops) - 1, why
	}
	return -1, ""
}

// aliased tells whether o is about a file on which something is under way by another name.
// Servers go by names there.
func (r *modelRun) aliased(o *wireOp) bool {
	if !o.onHandle() {
		return false
	}
	for _, slot := range [...]int{o.slot, o.slot2} {
		h := r.files[slot]
		for _, p := range r.pending {
			if !p.op.onHandle() {
				continue
			}
			for _, slot := range [...]int{p.op.slot, p.op.slot2} {
				if g := r.files[slot]; g != nil && h != nil && g.node == h.node && g.path != h.path {
					return true
				}
			}
		}
	}
	return false
}

// flush sends what is pending in one piece and checks the answers.
func (r *modelRun) flush() (at int, why string) {
	if len(r.pending) == 0 {
		return 0, ""
	}
	var out []byte
	for i := range r.pending {
		p := &r.pending[i]
		r.p.id++
		p.id = r.p.id
		out = fxp.Append(out, p.id, r.message(p.op))
	}
	r.faults.reset()
	r.p.sendRaw(out)
	replies := make(map[uint32]wire.Layouter, len(r.pending))
	for range r.pending {
		id, m := r.p.recv()
		if replies[id] != nil {
			return r.pending[0].i, fmt.Sprintf("request %d was answered twice", id)
		}
		replies[id] = m
	}
	for _, p := range r.pending {
		m := replies[p.id]
		if m == nil {
			return p.i, "no answer"
		}
		if why := r.compare(p.op, m); why != "" {
			return p.i, why
		}
	}
	r.pending = r.pending[:0]
	return 0, ""
}

// compare has the model do o and tells what the server said otherwise.
func (r *modelRun) compare(o *wireOp, got wire.Layouter) string {
	var want answer
	slot := r.files[o.slot]
	if s, ok := r.faults.take(faultsOf[o.verb]...); ok && !r.harmless(o, s.err) {
		want = fails(sftp.CodeOf(s.err))
		if o.verb == "close" {
			r.answer(o) // which is done all the same
		}
	} else if ok {
		want = answer{text: clean(r.composed(o)), dummy: true}
	} else {
		want = r.answer(o)
	}
	if !want.bad() {
		r.done[o.verb]++
	}
	if why := r.describe(o, want, got); why != "" {
		return why
	}
	if h, ok := got.(*fxp.Handle); ok && slot == nil {
		r.files[o.slot].id = bytes.Clone(h.Handle)
	}
	return ""
}

// harmless tells whether a fault is nothing that fails o: REALPATH that looks whether a file
// is there takes what it may not look at for missing.
func (r *modelRun) harmless(o *wireOp, err error) bool {
	return o.verb == "realpath" && r.v >= fxp.V6 && o.control == byte(sftp.RealPathStatIf) && sftp.CodeOf(err) == sftp.CodePermissionDenied
}

func (r *modelRun) composed(o *wireOp) string {
	all := *o
	all.control = byte(sftp.RealPathNoCheck)
	return r.realpath(&all).text
}

// describe tells how got differs from want, or nothing.
func (r *modelRun) describe(o *wireOp, want answer, got wire.Layouter) string {
	differs := func(want string) string { return fmt.Sprintf("answer is %T %s, want %s", got, wire.Print(got), want) }
	if want.bad() {
		code := want.code.In(int(r.v))
		if st, ok := got.(*fxp.Status); !ok || sftp.Code(st.Code) != code {
			return differs(fmt.Sprintf("%d: %v", code, want.code))
		}
		return ""
	}
	switch m := got.(type) {
	case *fxp.Status:
		plain := want.data == nil && want.attrs == nil && want.text == "" && want.hash == nil && o.verb != "open"
		if m.Code != 0 || !plain {
			return differs("success: " + fmt.Sprintf("%+v", want))
		}
	case *fxp.Handle:
		if o.verb != "open" || len(m.Handle) == 0 {
			return differs("something else")
		}
	case *fxp.Data:
		if !bytes.Equal(m.Data, want.data) || m.EOF && !want.isEOF {
			return fmt.Sprintf("%d octets differ from %d", len(m.Data), len(want.data))
		}
	case *fxp.AttrsReply:
		if want.attrs == nil {
			return differs("no attributes")
		}
		if got, want := wireString(&m.Attrs, want.attrs.dated), want.attrs.String(r.v); got != want {
			return fmt.Sprintf("attributes %s, want %s", got, want)
		}
	case *fxp.Name:
		if len(m.Entries) != 1 || m.Entries[0].Name != want.text {
			return differs(fmt.Sprintf("%q", want.text))
		}
		switch a := &m.Entries[0].Attrs; {
		case want.dummy && a.Flags != 0:
			return differs("no attributes")
		case want.attrs != nil && wireString(a, want.attrs.dated) != want.attrs.String(r.v):
			return fmt.Sprintf("attributes %s, want %s", wireString(a, want.attrs.dated), want.attrs.String(r.v))
		}
	case *fxp.ExtendedReply:
		var h fxp.ReplyCheckFile
		if err := wire.Decode(m.Data, &h); err != nil || h.Algorithm != "sha256" || !bytes.Equal(h.Hashes, want.hash) {
			return differs(fmt.Sprintf("sha256 %x", want.hash))
		}
	default:
		return differs("another message")
	}
	return ""
}

// list is OPENDIR, READDIR to the end and CLOSE.
func (r *modelRun) list(o *wireOp) string {
	r.faults.reset()
	got := r.p.call(r.message(o))
	if s, ok := r.faults.take("OpenDir"); ok {
		return r.describe(o, fails(sftp.CodeOf(s.err)), got)
	}
	want := r.answer(o)
	h, ok := got.(*fxp.Handle)
	if !ok || want.bad() {
		return r.describe(o, want, got)
	}
	id := bytes.Clone(h.Handle)
	names := []string{}
	var end sftp.Code
	for end == sftp.CodeOK {
		switch m := r.p.call(&fxp.Handle{T: fxp.TypeReaddir, Handle: id}).(type) {
		case *fxp.Name:
			if len(m.Entries) == 0 {
				return "empty NAME"
			}
			for _, e := range m.Entries {
				if e.Name == "." || e.Name == ".." {
					continue
				}
				names = append(names, e.Name+": "+wireString(&e.Attrs, false))
				if (len(e.LongName) > 0) != (r.v < fxp.V4) {
					return fmt.Sprintf("long name %q in version %d", e.LongName, r.v)
				}
			}
		case *fxp.Status:
			end = sftp.Code(m.Code)
		default:
			return fmt.Sprintf("READDIR answered with %T", m)
		}
	}
	if s, ok := r.faults.take("Dir.Next"); ok {
		if code := sftp.CodeOf(s.err).In(int(r.v)); end != code {
			return fmt.Sprintf("listing ends with %v, want %v", end, code)
		}
	} else {
		slices.Sort(names)
		if end != sftp.CodeEOF || !slices.Equal(names, want.names) {
			return fmt.Sprintf("lists %q, want %q (%v)", names, want.names, end)
		}
		r.done["list"]++
	}
	var closed answer
	got = r.p.call(&fxp.Handle{T: fxp.TypeClose, Handle: id})
	if s, ok := r.faults.take("Dir.Close"); ok {
		closed = fails(sftp.CodeOf(s.err))
	}
	return r.describe(&wireOp{verb: "close"}, closed, got)
}

// content compares all files at the end of a run.
func (r *modelRun) content() string {
	for slot := range r.files {
		if r.files[slot] == nil {
			continue
		}
		o := &wireOp{verb: "close", slot: slot}
		r.faults.reset()
		if why := r.compare(o, r.p.call(r.message(o))); why != "" {
			return why
		}
	}
	todo := []string{"/"}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		p, _ := r.find(dir, false)
		for elem, n := range p.node.kids {
			name := strings.TrimSuffix(dir, "/") + "/" + elem
			if n.typ == sftp.TypeDirectory {
				todo = append(todo, name)
			}
			if n.typ != sftp.TypeRegular {
				continue
			}
			why := ""
			for range 100 { // of a file system that fails now and then
				r.faults.reset()
				o := &wireOp{verb: "hash", name: name}
				got := r.p.call(r.message(o))
				if _, failed := r.faults.take("Open", "File.Stat", "File.ReadAt", "File.Close"); failed {
					continue
				}
				why = r.compare(o, got)
				break
			}
			if why != "" {
				return name + ": " + why
			}
		}
	}
	return ""
}

// minimise takes away from ops, the last of which fails, what is not needed for that.
func minimise(t *testing.T, sys *modelSystem, v fxp.Version, seed uint64, ops []wireOp) []wireOp {
	trials, verb := 400, ops[len(ops)-1].verb
	for size := len(ops) / 2; size > 0 && trials > 0; size /= 2 {
		for at := 0; at+size < len(ops) && trials > 0; {
			trials--
			less := slices.Concat(ops[:at], ops[at+size:])
			if failed, _, _ := runModel(t, sys, v, seed, less); failed >= 0 && less[failed].verb == verb {
				ops = less[:failed+1]
				continue
			}
			at += size
		}
	}
	return ops
}

// TestModelOverTheWire: random requests in every version, to every kind of file system, are
// answered as the model says. It runs 100,000 of them for each where FAIRLEAD_MODEL=full
// asks for that, as ./test does, and some thousand otherwise. A failure names the seed, and
// the fewest operations that show it.
func TestModelOverTheWire(t *testing.T) {
	n := 5_000
	switch {
	case *modelOps > 0:
		n = *modelOps
	case invariant.Enabled || testing.Short():
		n = 2_000
	case os.Getenv("FAIRLEAD_MODEL") == "full":
		n = 100_000
	}
	for v := fxp.V3; v <= fxp.V6; v++ {
		for _, sys := range modelSystems(t) {
			t.Run(fmt.Sprintf("%d/%s", v, sys.name), func(t *testing.T) {
				seed := max(*modelSeed, 1)
				ops := drawOps(seed, v, n)
				failed, report, done := runModel(t, &sys, v, seed, ops)
				if failed >= 0 {
					t.Errorf("seed %d, operation %d: %v\n%s", seed, failed, ops[failed], report)
					few := minimise(t, &sys, v, seed, ops[:failed+1])
					_, report, _ := runModel(t, &sys, v, seed, few)
					var b strings.Builder
					for _, o := range few {
						fmt.Fprintf(&b, "  %v\n", o)
					}
					t.Fatalf("%d operations show it:\n%s%s", len(few), b.String(), report)
				}
				t.Logf("succeeded: %v", done)
				// A model test in which an operation never succeeds tests nothing.
				for _, verb := range modelVerbs {
					if n < 20_000 { // some are rare
						break
					}
					locks := verb == "block" || verb == "unblock"
					if done[verb] == 0 && !(locks && (v < fxp.V6 || !memLocks())) && !(sys.failing && (verb == "copyfile" || verb == "hash")) {
						t.Errorf("%s never succeeded", verb)
					}
				}
			})
		}
	}
}

// memLocks tells whether there are byte-range locks at all.
func memLocks() bool {
	return memfs.New(memfs.Options{}).Capabilities().Features.Has(sftp.FeatureRangeLock | sftp.FeatureRangeLockAdvisory)
}
