package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	realmName = "FAIRLEAD.TEST"
	// gssHost is the server's name in the realm. Nothing resolves it.
	gssHost = "server.fairlead.test"
)

// A kdc is MIT Kerberos for one realm with two users, userName and "stranger", and the service host/gssHost.
type kdc struct {
	dir         string
	conf        string // krb5.conf
	hostKeytab  string
	userKeytab  string
	password    string // of userName
	environment []string
}

// krbPrograms are what a kdc needs, and Debian's name of the package.
var krbPrograms = []struct{ name, pkg string }{
	{"krb5kdc", "krb5-kdc"}, {"kdb5_util", "krb5-kdc"}, {"kadmin.local", "krb5-admin-server"}, {"kinit", "krb5-user"},
}

// lookProgram finds a program that may be in sbin.
func lookProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// startKDC makes a realm and serves it until the test ends.
func startKDC(t *testing.T) *kdc {
	t.Helper()
	program := map[string]string{}
	for _, p := range krbPrograms {
		path, err := lookProgram(p.name)
		if err != nil {
			missingPeer(t, "MIT Kerberos ("+p.pkg+")", errMissing)
		}
		program[p.name] = path
	}
	dir, err := os.MkdirTemp(scratch, "kdc-") //nolint:usetesting // not where TempDir is
	if err != nil {
		t.Fatal(err)
	}
	k := &kdc{dir: dir, hostKeytab: filepath.Join(dir, "host.keytab"), userKeytab: filepath.Join(dir, "user.keytab"), password: "pass of the user"}
	port := freePort(t)
	k.conf = k.write(t, "krb5.conf", fmt.Sprintf(`[libdefaults]
	default_realm = %[1]s
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	udp_preference_limit = 1
	forwardable = true
[realms]
	%[1]s = {
		kdc = 127.0.0.1:%[2]d
	}
[domain_realm]
	.fairlead.test = %[1]s
`, realmName, port))
	profile := k.write(t, "kdc.conf", fmt.Sprintf(`[kdcdefaults]
	kdc_listen = 127.0.0.1:%[2]d
	kdc_tcp_listen = 127.0.0.1:%[2]d
[realms]
	%[1]s = {
		database_name = %[3]s/principal
		key_stash_file = %[3]s/stash
		acl_file = %[3]s/acl
		supported_enctypes = aes256-cts-hmac-sha384-192:normal aes128-cts-hmac-sha256-128:normal aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
	}
`, realmName, port, dir))
	k.environment = []string{"KRB5_CONFIG=" + k.conf, "KRB5_KDC_PROFILE=" + profile, "KRB5CCNAME=FILE:" + filepath.Join(dir, "none")}
	run := func(name string, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := (command{program[name], args, k.environment, nil}).run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	admin := func(query string) { t.Helper(); run("kadmin.local", "-r", realmName, "-q", query) }
	run("kdb5_util", "-r", realmName, "create", "-s", "-P", "master password")
	admin("addprinc -randkey host/" + gssHost)
	admin("ktadd -k " + k.hostKeytab + " host/" + gssHost)
	admin(fmt.Sprintf("addprinc -pw %q %s", k.password, userName))
	admin("ktadd -norandkey -k " + k.userKeytab + " " + userName)
	admin("addprinc -randkey stranger")
	admin("ktadd -norandkey -k " + k.userKeytab + " stranger")

	server := exec.Command(program["krb5kdc"], "-n")
	server.Env = append(os.Environ(), k.environment...)
	log := new(lockedBuffer)
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
		if t.Failed() {
			t.Logf("KDC:\n%s", log.String())
		}
		os.RemoveAll(dir)
	})
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			c.Close()
			return k
		}
		if time.Now().After(deadline) {
			t.Fatalf("KDC does not answer: %v\n%s", err, log.String())
		}
		<-time.After(20 * time.Millisecond) // polling another process: there is nothing to wait on
	}
}

func (k *kdc) write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(k.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// kinit returns the environment of somebody who has a ticket, with keys of one encryption type, or any if it is empty.
func (k *kdc) kinit(t *testing.T, user, enctype string) (env []string, cache string) {
	t.Helper()
	conf := k.conf
	if enctype != "" {
		text, err := os.ReadFile(k.conf)
		if err != nil {
			t.Fatal(err)
		}
		conf = k.write(t, "krb5.conf."+enctype, strings.Replace(string(text), "[libdefaults]\n", "[libdefaults]\n\tpermitted_enctypes = "+enctype+"\n", 1))
	}
	cache = filepath.Join(k.dir, "cc_"+user+enctype)
	env = []string{"KRB5_CONFIG=" + conf, "KRB5CCNAME=FILE:" + cache}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := (command{"kinit", []string{"-k", "-t", k.userKeytab, user}, env, nil}).run(ctx); err != nil {
		t.Fatal(err)
	}
	return env, cache
}
