package ssh2http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/fairlead-ssh/fairlead/ssh2"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2http"
	"github.com/fairlead-ssh/fairlead/ssh2/ssh2test"
)

// hello answers with what it was asked for.
var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s over %s", r.Host, r.URL.Path, r.Proto)
})

// gateway is an SSH server that forwards to this machine and notes for whom.
func gateway(origins chan<- ssh2.HostPort) *ssh2.Server {
	s := ssh2test.NewServer(nil)
	s.Forward = ssh2.ForwardPolicy{
		DialTCP: func(ctx context.Context, _ *ssh2.Conn, to, from ssh2.HostPort) (net.Conn, error) {
			origins <- from
			return new(net.Dialer).DialContext(ctx, "tcp", to.String())
		},
		DialUnix: func(ctx context.Context, _ *ssh2.Conn, path string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}
	return s
}

func get(t *testing.T, tr *http.Transport, url string) string {
	t.Helper()
	resp, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTransport(t *testing.T) {
	origins := make(chan ssh2.HostPort, 16)
	c := ssh2test.Connect(t, gateway(origins), nil)
	web := httptest.NewServer(hello)
	defer web.Close()
	host := web.Listener.Addr().String()

	tr := ssh2http.Transport(c, ssh2http.Options{})
	for range 3 {
		if got, want := get(t, tr, web.URL+"/x"), host+" /x over HTTP/1.1"; got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	if n := len(origins); n != 1 {
		t.Errorf("%d connections for three requests", n)
	}
	if from := <-origins; from.Host != "127.0.0.1" || from.Port != 0 {
		t.Errorf("origin %v", from)
	}
	tr.CloseIdleConnections()

	other := ssh2http.Transport(c, ssh2http.Options{Origin: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}})
	get(t, other, web.URL)
	if from := <-origins; from.Host != "192.0.2.1" || from.Port != 4711 {
		t.Errorf("origin %v", from)
	}
	other.CloseIdleConnections()
}

func TestTransportTLS(t *testing.T) {
	origins := make(chan ssh2.HostPort, 16)
	c := ssh2test.Connect(t, gateway(origins), nil)
	for _, http2 := range []bool{false, true} {
		web := httptest.NewUnstartedServer(hello)
		web.EnableHTTP2 = http2
		web.StartTLS()
		tr := ssh2http.Transport(c, ssh2http.Options{})
		tr.TLSClientConfig = web.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		proto := "HTTP/1.1"
		if http2 {
			proto = "HTTP/2.0"
		}
		if got, want := get(t, tr, web.URL+"/x"), web.Listener.Addr().String()+" /x over "+proto; got != want {
			t.Errorf("%q instead of %q", got, want)
		}
		tr.CloseIdleConnections()
		web.Close()
	}
}

func TestUnixTransport(t *testing.T) {
	c := ssh2test.Connect(t, gateway(make(chan ssh2.HostPort, 16)), nil)
	path := filepath.Join(t.TempDir(), "web")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: l, Config: &http.Server{Handler: hello}}
	web.Start()
	defer web.Close()
	tr := ssh2http.UnixTransport(c, path)
	if got, want := get(t, tr, "http://docker/info"), "docker /info over HTTP/1.1"; got != want {
		t.Errorf("%q instead of %q", got, want)
	}
	tr.CloseIdleConnections()
}

// TestDialTransport: an SSH connection per HTTP connection, which ends with it.
func TestDialTransport(t *testing.T) {
	origins := make(chan ssh2.HostPort, 16)
	s := gateway(origins)
	web := httptest.NewServer(hello)
	defer web.Close()
	var dialled atomic.Int64
	var last *ssh2.Client
	tr := ssh2http.DialTransport(func(context.Context) (*ssh2.Client, error) {
		dialled.Add(1)
		last = ssh2test.Connect(t, s, nil)
		return last, nil
	}, ssh2http.Options{})
	get(t, tr, web.URL)
	get(t, tr, web.URL)
	if n := dialled.Load(); n != 1 {
		t.Errorf("%d SSH connections for one HTTP connection", n)
	}
	tr.CloseIdleConnections()
	_ = last.Wait() // returns, since it was closed
	get(t, tr, web.URL)
	if n := dialled.Load(); n != 2 {
		t.Errorf("%d SSH connections for two HTTP connections", n)
	}
	tr.CloseIdleConnections()

	refused := errors.New("on purpose")
	tr = ssh2http.DialTransport(func(context.Context) (*ssh2.Client, error) { return nil, refused }, ssh2http.Options{})
	if _, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, web.URL, nil)); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
}

// TestTransportRefused: a server that does not forward gives a typed error, and DialTransport leaves no connection.
func TestTransportRefused(t *testing.T) {
	s := ssh2test.NewServer(nil)
	c := ssh2test.Connect(t, s, nil)
	var no *ssh2.OpenError
	for _, tr := range []*http.Transport{
		ssh2http.Transport(c, ssh2http.Options{}),
		ssh2http.DialTransport(func(context.Context) (*ssh2.Client, error) { return c, nil }, ssh2http.Options{}),
	} {
		if _, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://127.0.0.1:1/", nil)); !errors.As(err, &no) {
			t.Errorf("%v", err)
		}
	}
	_ = c.Wait() // the second has closed it
}

func ExampleTransport() {
	web := httptest.NewServer(hello)
	defer web.Close()
	gateway := ssh2test.NewServer(nil)
	gateway.Forward.PermitOpen = []string{"127.0.0.1:*"}
	near, far := ssh2test.Pipe(ssh2test.Link{}, ssh2test.Link{}) // elsewhere ssh2.Dial makes the connection
	go gateway.ServeConn(context.Background(), far)
	c, err := ssh2.NewClient(context.Background(), near, "gateway:22", &ssh2.ClientConfig{
		User: ssh2test.User, Auth: []ssh2.AuthMethod{ssh2.Password(ssh2test.Password)}, HostKey: gossh.FixedHostKey(ssh2test.HostKey()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	client := &http.Client{Transport: ssh2http.Transport(c, ssh2http.Options{})}
	resp, err := client.Get(web.URL + "/status")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// TestTransportHasNoOtherWay: what a program did to the default transport must
// not lead around the SSH connection.
func TestTransportHasNoOtherWay(t *testing.T) {
	was := http.DefaultTransport
	defer func() { http.DefaultTransport = was }()
	elsewhere := errors.New("around the connection")
	past := func(string, string) (net.Conn, error) { return nil, elsewhere }
	http.DefaultTransport = &http.Transport{
		Dial: past, DialTLS: past, //nolint:staticcheck // this is what it is about
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, elsewhere },
	}
	through := errors.New("through the connection")
	tr := ssh2http.DialTransport(func(context.Context) (*ssh2.Client, error) { return nil, through }, ssh2http.Options{})
	for _, url := range []string{"http://intranet/", "https://intranet/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, through) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
