package sftpserver

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Bounds of settings.
const (
	maxPort        = 1<<16 - 1
	maxConnections = 100_000
)

// checkListening says what of the settings for listening cannot be meant.
func (o *Options) checkListening() error {
	for _, r := range []struct {
		name        string
		value, most int
	}{
		{"LocalPort", o.LocalPort, maxPort},
		{"IPFamily", int(o.IPFamily), int(IPv4And6)},
		{"ConnectionBacklog", o.ConnectionBacklog, 1<<31 - 1},
		{"MaxConnections", o.MaxConnections, maxConnections},
		{"MaxStartups", o.MaxStartups, maxConnections},
		{"InBufferSize", o.InBufferSize, 1<<31 - 1},
		{"OutBufferSize", o.OutBufferSize, 1<<31 - 1},
	} {
		if r.value < 0 || r.value > r.most {
			return &Error{Code: codeInvalid, Op: "start", Err: fmt.Errorf("%s %d: must be 0 to %d", r.name, r.value, r.most)}
		}
	}
	return nil
}

// listen opens the listener that the settings describe.
func (o *Options) listen(ctx context.Context) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd uintptr) error { return shareAddress(fd, o.ShareAddress) })
	}}
	l, err := lc.Listen(ctx, o.IPFamily.network(), net.JoinHostPort(o.LocalHost, strconv.Itoa(o.LocalPort)))
	if err != nil || o.ConnectionBacklog == 0 {
		return l, err
	}
	// Package net asks for the longest queue there is. To listen once more changes that.
	c, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = control(c, func(fd uintptr) error { return listenBacklog(fd, o.ConnectionBacklog) })
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// control runs f on the socket.
func control(c syscall.RawConn, f func(fd uintptr) error) error {
	var err error
	if bad := c.Control(func(fd uintptr) { err = f(fd) }); bad != nil {
		return bad
	}
	return err
}

// A socket has the options of TCP; *net.TCPConn is one.
type socket interface {
	SetNoDelay(bool) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
}

// setUp gives the connection the options of TCP that the settings name, unless it is something else than TCP.
func (o *Options) setUp(nc net.Conn) error {
	s, ok := nc.(socket)
	if !ok {
		return nil
	}
	if o.Nagle { // package net has it off
		if err := s.SetNoDelay(false); err != nil {
			return err
		}
	}
	if o.InBufferSize > 0 {
		if err := s.SetReadBuffer(o.InBufferSize); err != nil {
			return err
		}
	}
	if o.OutBufferSize > 0 {
		if err := s.SetWriteBuffer(o.OutBufferSize); err != nil {
			return err
		}
	}
	if o.KeepAliveTime == 0 && o.KeepAliveInterval == 0 && o.KeepAliveRetryCount == 0 {
		return nil // as package net, or the caller's listener, has set it
	}
	return s.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: o.KeepAliveTime, Interval: o.KeepAliveInterval, Count: o.KeepAliveRetryCount})
}
