package main

import (
	"io"
	"net"
	"os"
	"testing"
)

// TestMain lets tests start this program as a process of its own, as the command of a
// ProxyCommand that connects its standard input and output, and as the program of OnUpload, which has nothing but
// what the server tells it in its environment.
func TestMain(m *testing.M) {
	if os.Getenv("FAIRLEAD_TEST_MAIN") != "" {
		main()
	}
	if addr := os.Getenv("FAIRLEAD_TEST_CONNECT"); addr != "" {
		os.Exit(connectStdio(addr))
	}
	if os.Getenv("FAIRLEAD_EVENT") != "" {
		os.Exit(uploadProgram())
	}
	os.Exit(m.Run())
}

func connectStdio(addr string) int {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.Close()
	}()
	_, _ = io.Copy(os.Stdout, c)
	return 0
}
