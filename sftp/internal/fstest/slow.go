package fstest

import (
	"context"
	"sync"
	"time"

	"github.com/fairlead-ssh/fairlead/sftp"
)

// A Fault is what a plan does to one call: it waits, and then fails instead of doing
// anything, unless Err is nil.
type Fault struct {
	Delay time.Duration
	Err   error
}

// A Plan decides about the n-th call, from 0, of a method such as "Open" or
// "File.ReadAt". It must answer the same for the same arguments, and be safe for
// concurrent use, so that two file systems under one plan fail alike.
type Plan func(method string, n uint64) Fault

// Faults are the errors that SeededPlan draws from.
var Faults = []error{
	sftp.CodeFailure, sftp.CodePermissionDenied, sftp.CodeNoSpace, sftp.CodeQuotaExceeded, sftp.CodeNoMedia,
	sftp.Status(sftp.CodeFailure, "the disk is on fire"), context.DeadlineExceeded,
}

// SeededPlan delays about one call in slowEvery by up to delay, and fails about one in
// failEvery, both decided by seed, method and number alone; 0 is never.
func SeededPlan(seed uint64, slowEvery uint64, delay time.Duration, failEvery uint64) Plan {
	return func(method string, n uint64) (f Fault) {
		h := seed ^ 0xcbf29ce484222325
		for i := range len(method) {
			h = (h ^ uint64(method[i])) * 0x100000001b3
		}
		h = mix(h ^ mix(n))
		if slowEvery > 0 && delay > 0 && h%slowEvery == 0 {
			f.Delay = time.Duration(mix(h) % uint64(delay))
		}
		if h = mix(h + 1); failEvery > 0 && h%failEvery == 0 {
			f.Err = Faults[mix(h)%uint64(len(Faults))]
		}
		return f
	}
}

// mix scatters the bits of x (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Slow is fsys under a plan: what it delays is done late, what it fails is not done at
// all, but for Close, which is always done. The methods without an error of their own
// (Capabilities) are not touched.
func Slow(fsys sftp.FileSystem, plan Plan) sftp.FileSystem {
	return &slow{fsys: fsys, faults: &faults{plan: plan, count: make(map[string]uint64)}}
}

// faults counts the calls of each method.
type faults struct {
	plan  Plan
	mu    sync.Mutex
	count map[string]uint64
}

// strike waits as the plan says and returns its error. An end of ctx cuts the wait short.
func (f *faults) strike(ctx context.Context, method string) error {
	f.mu.Lock()
	n := f.count[method]
	f.count[method]++
	f.mu.Unlock()
	fault := f.plan(method, n)
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fault.Err
}

type slow struct {
	fsys sftp.FileSystem
	*faults
}

func (s *slow) Capabilities() sftp.Capabilities { return s.fsys.Capabilities() }

func (s *slow) Open(ctx context.Context, name string, how *sftp.OpenHow) (sftp.File, error) {
	if err := s.strike(ctx, "Open"); err != nil {
		return nil, err
	}
	f, err := s.fsys.Open(ctx, name, how)
	if err != nil {
		return nil, err
	}
	return &slowFile{file: f, faults: s.faults}, nil
}

func (s *slow) OpenDir(ctx context.Context, name string) (sftp.Dir, error) {
	if err := s.strike(ctx, "OpenDir"); err != nil {
		return nil, err
	}
	d, err := s.fsys.OpenDir(ctx, name)
	if err != nil {
		return nil, err
	}
	return &slowDir{dir: d, faults: s.faults}, nil
}

func (s *slow) Stat(ctx context.Context, name string, opt sftp.StatOpt) (*sftp.Attrs, error) {
	if err := s.strike(ctx, "Stat"); err != nil {
		return nil, err
	}
	return s.fsys.Stat(ctx, name, opt)
}

func (s *slow) SetStat(ctx context.Context, name string, a *sftp.Attrs, follow bool) error {
	if err := s.strike(ctx, "SetStat"); err != nil {
		return err
	}
	return s.fsys.SetStat(ctx, name, a, follow)
}

func (s *slow) Mkdir(ctx context.Context, name string, a *sftp.Attrs) error {
	if err := s.strike(ctx, "Mkdir"); err != nil {
		return err
	}
	return s.fsys.Mkdir(ctx, name, a)
}

func (s *slow) Remove(ctx context.Context, name string) error {
	if err := s.strike(ctx, "Remove"); err != nil {
		return err
	}
	return s.fsys.Remove(ctx, name)
}

func (s *slow) Rmdir(ctx context.Context, name string) error {
	if err := s.strike(ctx, "Rmdir"); err != nil {
		return err
	}
	return s.fsys.Rmdir(ctx, name)
}

func (s *slow) Rename(ctx context.Context, from, to string, flags sftp.RenameFlags) error {
	if err := s.strike(ctx, "Rename"); err != nil {
		return err
	}
	return s.fsys.Rename(ctx, from, to, flags)
}

func (s *slow) Link(ctx context.Context, target, newName string, symbolic bool) error {
	if err := s.strike(ctx, "Link"); err != nil {
		return err
	}
	return s.fsys.Link(ctx, target, newName, symbolic)
}

func (s *slow) ReadLink(ctx context.Context, name string) (string, error) {
	if err := s.strike(ctx, "ReadLink"); err != nil {
		return "", err
	}
	return s.fsys.ReadLink(ctx, name)
}

func (s *slow) RealPath(ctx context.Context, name string, opt sftp.RealPathOpt) (string, *sftp.Attrs, error) {
	if err := s.strike(ctx, "RealPath"); err != nil {
		return "", nil, err
	}
	return s.fsys.RealPath(ctx, name, opt)
}

func (s *slow) StatFS(ctx context.Context, name string) (*sftp.FSInfo, error) {
	if err := s.strike(ctx, "StatFS"); err != nil {
		return nil, err
	}
	return s.fsys.StatFS(ctx, name)
}

func (s *slow) HomeDir(ctx context.Context, user string) (string, error) {
	if err := s.strike(ctx, "HomeDir"); err != nil {
		return "", err
	}
	return s.fsys.HomeDir(ctx, user)
}

func (s *slow) LookupIDs(ctx context.Context, uids, gids []uint32) (users, groups []string, err error) {
	if err := s.strike(ctx, "LookupIDs"); err != nil {
		return nil, nil, err
	}
	return s.fsys.LookupIDs(ctx, uids, gids)
}

func (s *slow) Extended(ctx context.Context, request string, data []byte) ([]byte, error) {
	if err := s.strike(ctx, "Extended"); err != nil {
		return nil, err
	}
	return s.fsys.Extended(ctx, request, data)
}

type slowFile struct {
	file sftp.File
	*faults
}

func (f *slowFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.strike(context.Background(), "File.ReadAt"); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, off)
}

func (f *slowFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.strike(context.Background(), "File.WriteAt"); err != nil {
		return 0, err
	}
	return f.file.WriteAt(p, off)
}

func (f *slowFile) Stat(ctx context.Context, want sftp.AttrMask) (*sftp.Attrs, error) {
	if err := f.strike(ctx, "File.Stat"); err != nil {
		return nil, err
	}
	return f.file.Stat(ctx, want)
}

func (f *slowFile) SetStat(ctx context.Context, a *sftp.Attrs) error {
	if err := f.strike(ctx, "File.SetStat"); err != nil {
		return err
	}
	return f.file.SetStat(ctx, a)
}

func (f *slowFile) StatFS(ctx context.Context) (*sftp.FSInfo, error) {
	if err := f.strike(ctx, "File.StatFS"); err != nil {
		return nil, err
	}
	return f.file.StatFS(ctx)
}

func (f *slowFile) Sync(ctx context.Context) error {
	if err := f.strike(ctx, "File.Sync"); err != nil {
		return err
	}
	return f.file.Sync(ctx)
}

func (f *slowFile) Lock(ctx context.Context, r sftp.Range) error {
	if err := f.strike(ctx, "File.Lock"); err != nil {
		return err
	}
	return f.file.Lock(ctx, r)
}

func (f *slowFile) Unlock(ctx context.Context, r sftp.Range) error {
	if err := f.strike(ctx, "File.Unlock"); err != nil {
		return err
	}
	return f.file.Unlock(ctx, r)
}

func (f *slowFile) CopyRange(ctx context.Context, off int64, src sftp.File, srcOff, n int64) (int64, error) {
	if err := f.strike(ctx, "File.CopyRange"); err != nil {
		return 0, err
	}
	if s, ok := src.(*slowFile); ok {
		src = s.file
	}
	return f.file.CopyRange(ctx, off, src, srcOff, n)
}

func (f *slowFile) Close(cause error) error {
	struck := f.strike(context.Background(), "File.Close")
	if err := f.file.Close(cause); err != nil {
		return err
	}
	return struck
}

type slowDir struct {
	dir sftp.Dir
	*faults
}

func (d *slowDir) Next(ctx context.Context, n int) ([]sftp.Entry, error) {
	if err := d.strike(ctx, "Dir.Next"); err != nil {
		return nil, err
	}
	return d.dir.Next(ctx, n)
}

func (d *slowDir) Close(cause error) error {
	struck := d.strike(context.Background(), "Dir.Close")
	if err := d.dir.Close(cause); err != nil {
		return err
	}
	return struck
}
