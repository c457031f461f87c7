package ssh2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-ssh/fairlead/internal/msg"
	"github.com/fairlead-ssh/fairlead/internal/wire"
)

// interactive is RFC 4256 on a server: the handler asks, on this goroutine, and
// its questions and answers go over the connection while it waits.
func (s *authServer) interactive(ctx context.Context, at *AuthAttempt, fields []byte) (Verdict, msg.Message, error) {
	var f msg.InteractiveFields
	if err := wire.Decode(fields, &f); err != nil {
		return refused("malformed"), nil, nil
	}
	at.Language, at.Submethods = f.Language, f.Submethods
	c := *at
	q := &questions{s: s, ctx: ctx, turn: make(chan struct{}, 1)}
	q.turn <- struct{}{}
	v := s.auth.Interactive(ctx, &c, q.ask)
	select {
	case <-q.turn: // not given back: no question from now on
	default:
		// Another goroutine is in the middle of a question, so nobody knows
		// whose the next message is. Two readers cannot be, so wait for it.
		_ = s.t.Disconnect(uint32(DisconnectByApplication), "internal error")
		<-q.turn
		return Verdict{}, nil, errors.New("ssh2: authentication: interactive handler returned while its question was open")
	}
	switch {
	case q.fatal != nil:
		return Verdict{}, nil, q.fatal
	case q.err != nil:
		return Verdict{Reason: q.err}, nil, nil
	}
	return v, nil, nil
}

// questions is one attempt's Asker. Whoever holds its turn may use the
// connection: one caller at a time, and none after the handler has returned.
type questions struct {
	s     *authServer
	ctx   context.Context // of the connection
	turn  chan struct{}   // holds the turn while nobody asks
	err   error           // lost the attempt
	fatal error           // lost the connection, or the attempt without an answer
}

func (q *questions) ask(ctx context.Context, c *Challenge) ([]string, error) {
	select {
	case <-q.turn:
	default:
		return nil, errors.New("ssh2: authentication: question outside of its attempt")
	}
	defer func() { q.turn <- struct{}{} }()
	if q.fatal != nil {
		return nil, q.fatal
	}
	if q.err != nil {
		return nil, q.err
	}
	answers, err := q.round(ctx, c)
	if err != nil && q.fatal == nil {
		q.err = err
	}
	return answers, err
}

// round is one INFO_REQUEST and its answer.
func (q *questions) round(ctx context.Context, c *Challenge) ([]string, error) {
	s := q.s
	if len(c.Prompts) > msg.MaxPrompts {
		return nil, fmt.Errorf("%d prompts are too many", len(c.Prompts))
	}
	m := msg.InfoRequest{Name: c.Name, Instruction: c.Instruction, Language: c.Language}
	for _, p := range c.Prompts {
		if p.Text == "" {
			return nil, errors.New("empty prompt") // RFC 4256 section 3.2
		}
		m.Prompts = append(m.Prompts, msg.Prompt{Text: p.Text, Echo: p.Echo})
	}
	if err := s.t.PostMessage(&m); err != nil {
		q.fatal = err
		return nil, err
	}

	stop := context.AfterFunc(ctx, func() { _ = s.t.Disconnect(uint32(DisconnectNoMoreAuthMethods), "no answer in time") })
	p, err := s.next(q.ctx)
	stop()
	s.heard = time.Now() // the user's time does not count as ours
	if err != nil {
		q.fatal = err
		return nil, err
	}
	switch p[0] {
	case msg.NumInfoResponse:
	case msg.NumUserauthRequest:
		// The client has given this attempt up for another (RFC 4252 section
		// 5.1). The message stays valid: nothing is read before it is handled.
		s.pending = p
		q.fatal = errAborted
		return nil, errAborted
	default:
		q.fatal = s.t.Violation("authentication: %s instead of an answer", msg.Name(p[0]))
		return nil, q.fatal
	}
	defer clear(p[1:]) // the answers are secrets
	var r msg.InfoResponse
	if err := msg.Decode(p, &r); err != nil {
		return nil, errors.New("malformed answer")
	}
	if len(r.Answers) != len(c.Prompts) {
		return nil, errors.New("number of answers is not that of the questions")
	}
	answers := make([]string, len(r.Answers))
	for i, a := range r.Answers {
		if err := checkSecret(a, "answer"); err != nil {
			return nil, err
		}
		answers[i] = string(a)
	}
	return answers, nil
}

// Interactive logs in by answering the server's questions (RFC 4256). answer is
// called for each round, even for one without prompts that only carries text;
// it must return one answer for each prompt. An error ends this method; the
// next one is tried then.
func Interactive(answer func(context.Context, *Challenge) ([]string, error)) AuthMethod {
	return &interactiveMethod{answer}
}

type interactiveMethod struct {
	answer func(context.Context, *Challenge) ([]string, error)
}

func (*interactiveMethod) name() string { return MethodInteractive }

func (m *interactiveMethod) try(ctx context.Context, c *authClient) (authOutcome, error) {
	if err := c.request(MethodInteractive, &msg.InteractiveFields{}); err != nil {
		return authFailed, err
	}
	for {
		p, err := c.reply(ctx)
		if err != nil {
			return authFailed, err
		}
		if p[0] != msg.NumInfoRequest {
			return c.outcome(p)
		}
		var r msg.InfoRequest
		if err := msg.Decode(p, &r); err != nil {
			return authFailed, c.t.Violation("authentication: %v", err)
		}
		ch := &Challenge{Name: r.Name, Instruction: r.Instruction, Language: r.Language}
		for _, p := range r.Prompts {
			ch.Prompts = append(ch.Prompts, Prompt{Text: p.Text, Echo: p.Echo})
		}
		var answers []string
		if len(ch.Prompts) > 0 || ch.Name != "" || ch.Instruction != "" {
			if answers, err = m.answer(ctx, ch); err != nil {
				return authFailed, c.local("keyboard-interactive", err)
			}
		}
		if len(answers) != len(r.Prompts) {
			return authFailed, c.local("keyboard-interactive", fmt.Errorf("%d answers to %d prompts", len(answers), len(r.Prompts)))
		}
		var a msg.InfoResponse
		for _, s := range answers {
			a.Answers = append(a.Answers, []byte(s))
		}
		if err := c.post(&a); err != nil {
			return authFailed, err
		}
		c.proof = c.proof || len(answers) > 0
	}
}
