package ssh2

import (
	"slices"
	"time"
)

// authProgress is what was achieved for one user and service. RFC 4252 section
// 5: it is lost when either changes.
type authProgress struct {
	user, service string
	userErr       error      // the name is not one
	sets          [][]string // what is enough, each to be completed
	done          []string
	keys          [][]byte // that succeeded: the same key is not two factors
	limits        Limits
	identity      any
}

// flush forgets everything, for a new user or service.
func (s *authServer) flush(user, service string) {
	s.progress = authProgress{user: user, service: service, userErr: checkUser(user)}
	pr := &s.progress
	if s.auth.Require == nil || pr.userErr != nil {
		for _, m := range serverMethods {
			if s.offers(&m) {
				pr.sets = append(pr.sets, []string{m.name})
			}
		}
		return
	}
	for _, set := range s.auth.Require(user) {
		// A set that names nothing would be complete at once, and one that
		// names what is not configured never.
		if len(set) > 0 && !slices.ContainsFunc(set, func(n string) bool { return s.method(n) == nil }) {
			pr.sets = append(pr.sets, slices.Clone(set))
		}
	}
	if len(pr.sets) == 0 {
		s.log.Warn("authentication: no set of methods can let this user in", "user", plainAuth(user), "remote", s.remote())
	}
}

// open returns the methods that lead on from what is done, in table order, and
// whether nothing more is needed.
func (pr *authProgress) open() (methods []string, complete bool) {
	var wanted []string
	for _, set := range pr.sets {
		left, fits := slices.Clone(set), true
		for _, d := range pr.done {
			i := slices.Index(left, d)
			if i < 0 {
				fits = false
				break
			}
			left = slices.Delete(left, i, i+1)
		}
		if !fits {
			continue
		}
		if len(left) == 0 {
			complete = true
		}
		wanted = append(wanted, left...)
	}
	for _, m := range serverMethods {
		if slices.Contains(wanted, m.name) {
			methods = append(methods, m.name)
		}
	}
	return methods, complete
}

// admit is the one place where limits keep someone out, whatever the method:
// it returns those that apply if v is added to what is done already.
func (s *authServer) admit(l Limits) (Limits, error) {
	l, err := s.progress.limits.merge(l)
	if err != nil {
		return Limits{}, err
	}
	return l, l.admits(s.meta.RemoteAddr, time.Now())
}
