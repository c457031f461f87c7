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
	all           []string   // methods that can be used on this connection
	sets          [][]string // what is enough, each to be completed
	done          []string
	partial       bool     // a handler asked for more than was done
	methods       []string // those that handlers restrict it to; nil if they do not
	keys          [][]byte // that succeeded: the same key is not two factors
	limits        Limits
	identity      any
}

// flush forgets everything, for a new user or service.
func (s *authServer) flush(user, service string) {
	s.progress = authProgress{user: user, service: service, userErr: checkUser(user)}
	pr := &s.progress
	if s.auth.Methods != nil {
		pr.methods = append(slices.Clone(s.auth.Methods), MethodNone)
	}
	for _, m := range serverMethods {
		if s.offers(&m) {
			pr.all = append(pr.all, m.name)
		}
	}
	if s.auth.Require == nil || pr.userErr != nil {
		for _, m := range pr.all {
			pr.sets = append(pr.sets, []string{m})
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

// restrict notes what a Verdict says of the methods that lead on.
func (pr *authProgress) restrict(methods []string) {
	if len(methods) > 0 {
		pr.methods = slices.Clone(methods)
	}
}

// open returns the methods that lead on from what is done, in table order, and
// whether nothing more is needed but a Verdict that is not partial. Once a
// handler has asked for more, what was done may be more than a set has.
func (pr *authProgress) open() (methods []string, complete bool) {
	var wanted []string
	for _, set := range pr.sets {
		left, fits := slices.Clone(set), true
		for _, d := range pr.done {
			i := slices.Index(left, d)
			if i >= 0 {
				left = slices.Delete(left, i, i+1)
			} else if !pr.partial {
				fits = false
				break
			}
		}
		if !fits {
			continue
		}
		if len(left) == 0 {
			complete = true
		}
		wanted = append(wanted, left...)
	}
	if complete { // and a handler wants more: which it is, only handlers know
		wanted = pr.all
	}
	for _, m := range pr.all {
		if slices.Contains(wanted, m) && (pr.methods == nil || slices.Contains(pr.methods, m)) {
			methods = append(methods, m)
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
