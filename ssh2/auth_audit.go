package ssh2

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// audit writes one line about an attempt; no secret is ever at hand here.
func (s *authServer) audit(ctx context.Context, level slog.Level, what string, at *AuthAttempt, why error) {
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("user", plainAuth(at.User)),
		slog.String("method", plainAuth(at.Method)),
		slog.String("remote", s.remote()),
		slog.Int("failures", s.failures),
	}
	if at.Algorithm != "" {
		attrs = append(attrs, slog.String("algorithm", plainAuth(at.Algorithm)))
	}
	if s.key != nil {
		attrs = append(attrs, slog.String("key", gossh.FingerprintSHA256(s.key)))
	}
	if c, ok := s.key.(*gossh.Certificate); ok {
		attrs = append(attrs, slog.String("certificate", plainAuth(c.KeyId)), slog.Uint64("serial", c.Serial),
			slog.String("authority", gossh.FingerprintSHA256(c.SignatureKey)))
	}
	if len(s.progress.done) > 0 {
		attrs = append(attrs, slog.String("passed", strings.Join(s.progress.done, ",")))
	}
	if why != nil {
		attrs = append(attrs, slog.String("reason", quoteAuth(why.Error())))
	}
	s.log.LogAttrs(ctx, level, what, attrs...)
}

func (s *authServer) remote() string {
	if s.meta.RemoteAddr == nil {
		return ""
	}
	return s.meta.RemoteAddr.String()
}

// quoteAuth makes text of a peer fit for a log: cut, and quoted if there is
// anything in it but printable ASCII (cves 9.1).
func quoteAuth(s string) string {
	const limit = 256
	cut := ""
	if len(s) > limit {
		s, cut = s[:limit], ".."
	}
	return fmt.Sprintf("%+q", s) + cut
}

// plainAuth is quoteAuth for attributes of a log line: what is plain already
// stays as it is, since a handler may quote once more.
func plainAuth(s string) string {
	if len(s) > 256 || s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return quoteAuth(s)
	}
	return s
}
