package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// A proxyConn is a connection through the standard input and output of a command
// (ssh_config(5), ProxyCommand).
type proxyConn struct {
	r, w *os.File
	cmd  *exec.Cmd
	addr proxyAddr
	once sync.Once
	gone chan struct{}
}

// startProxy runs a command, whose errors a person sees.
func startProxy(command, addr string, notes io.Writer) (net.Conn, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("ProxyCommand: %w", err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		_, _ = inR.Close(), inW.Close()
		return nil, fmt.Errorf("ProxyCommand: %w", err)
	}
	cmd := shell(command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, notes
	if f, ok := notes.(*os.File); ok {
		cmd.Stderr = f
	}
	err = cmd.Start()
	_, _ = inR.Close(), outW.Close()
	if err != nil {
		_, _ = inW.Close(), outR.Close()
		return nil, fmt.Errorf("ProxyCommand: %w", err)
	}
	p := &proxyConn{r: outR, w: inW, cmd: cmd, addr: proxyAddr(addr), gone: make(chan struct{})}
	go func() {
		defer close(p.gone)
		_ = cmd.Wait()
	}()
	return p, nil
}

// proxyGrace is how long a command may take to end when its connection is over.
const proxyGrace = time.Second

func (p *proxyConn) Read(b []byte) (int, error)  { return p.r.Read(b) }
func (p *proxyConn) Write(b []byte) (int, error) { return p.w.Write(b) }

// Close ends the command, which usually ends by itself when its input does.
func (p *proxyConn) Close() error {
	p.once.Do(func() {
		_, _ = p.w.Close(), p.r.Close()
		t := time.NewTimer(proxyGrace)
		defer t.Stop()
		select {
		case <-p.gone:
		case <-t.C:
			_ = p.cmd.Process.Kill()
		}
	})
	return nil
}

func (p *proxyConn) LocalAddr() net.Addr  { return proxyAddr("ProxyCommand") }
func (p *proxyConn) RemoteAddr() net.Addr { return p.addr }

func (p *proxyConn) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}
func (p *proxyConn) SetReadDeadline(t time.Time) error  { return p.r.SetReadDeadline(t) }
func (p *proxyConn) SetWriteDeadline(t time.Time) error { return p.w.SetWriteDeadline(t) }

// proxyAddr is the address that a command was asked to connect to.
type proxyAddr string

// Network is not one that could be dialled.
func (proxyAddr) Network() string  { return "proxy" }
func (a proxyAddr) String() string { return string(a) }
