package main

import (
	"runtime"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	for in, want := range map[string]target{
		"file":                                   {path: "file"},
		"./a:b":                                  {path: "./a:b"},
		"/a:b":                                   {path: "/a:b"},
		":b":                                     {path: ":b"},
		"a/b:c":                                  {path: "a/b:c"},
		"host:":                                  {host: "host", path: "."},
		"host:~":                                 {host: "host", path: "."},
		"host:~/":                                {host: "host", path: "."},
		"host:~/x":                               {host: "host", path: "x"},
		"host:~anna/x":                           {host: "host", path: "~anna/x"},
		"host:/srv/x y":                          {host: "host", path: "/srv/x y"},
		"host:a:b":                               {host: "host", path: "a:b"},
		"me@host:x":                              {host: "host", user: "me", path: "x"},
		"me@corp.example@host:x":                 {host: "host", user: "me@corp.example", path: "x"},
		"host:a@b":                               {host: "host", path: "a@b"},
		"[::1]:x":                                {host: "::1", path: "x"},
		"me@[fe80::1%eth0]:/x":                   {host: "fe80::1%eth0", user: "me", path: "/x"},
		"sftp://host":                            {host: "host", path: "/"},
		"SFTP://host/":                           {host: "host", path: "/"},
		"sftp://host/a/b":                        {host: "host", path: "/a/b"},
		"sftp://host/a/b/":                       {host: "host", path: "/a/b/"},
		"sftp://host/~/a":                        {host: "host", path: "a"},
		"sftp://host/~":                          {host: "host", path: "."},
		"sftp://host/../../a/./b":                {host: "host", path: "/a/b"},
		"sftp://me@host:2022/a%20b":              {host: "host", user: "me", port: "2022", path: "/a b"},
		"sftp://a%40b@[::1]:2022/x":              {host: "::1", user: "a@b", port: "2022", path: "/x"},
		"sftp://host/x;type=i":                   {host: "host", path: "/x"},
		"sftp://host/x%3Btype":                   {host: "host", path: "/x;type"},
		"sftp://host/100%25":                     {host: "host", path: "/100%"},
		"sftp://u;x=y,fingerprint=SHA256-abc@h/": {host: "h", user: "u", path: "/", fingerprint: "SHA256:abc"},
	} {
		got, err := parseTarget(in)
		if err != nil || *got != want {
			t.Errorf("%q: %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, say := range map[string]string{
		"":                                      "empty",
		"a\x00b":                                "NUL",
		"@host:x":                               "no user",
		"sftp://":                               "no host",
		"sftp://me:secret@host/x":               "password in a URL",
		"sftp://host:0/":                        "port",
		"sftp://host:70000/":                    "port",
		"sftp://[::1/":                          "[ without ]",
		"sftp://host/%zz":                       "%25",
		"sftp://host/a%00b":                     "NUL",
		"-oProxyCommand=x:y":                    "no name of a host",
		"sftp://u;fingerprint=ssh-dss-c1-b1@h/": "SHA256",
	} {
		if got, err := parseTarget(in); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %+v, %v, want an error with %q", in, got, err, say)
		}
	}
	if runtime.GOOS == "windows" {
		for _, in := range []string{`C:\x`, "C:/x", "C:x", `a\b:c`} {
			if got, err := parseTarget(in); err != nil || got.remote() {
				t.Errorf("%q: %+v, %v", in, got, err)
			}
		}
	}
}

// TestCVE_9_4_NamesAreNoCommands: what would be more than a name in the shell of a
// ProxyCommand, or an option, is refused as the name of a host or user (CVE-2023-51385).
func TestCVE_9_4_NamesAreNoCommands(t *testing.T) {
	for _, name := range []string{"-x", "a;id", "$(id)", "`id`", "a|b", "a&b", "a b", "a\nb", "a\x1bb", "a'b", `a"b`, "a>b", "a\u202eb"} {
		for _, in := range []string{name + ":x", "sftp://" + strings.ReplaceAll(name, "%", "%25") + "/x"} {
			if got, err := parseTarget(in); err == nil && got.remote() {
				t.Errorf("host %q: %+v", in, got)
			}
		}
		if got, err := parseTarget(name + "@h:x"); err == nil && got.remote() {
			t.Errorf("user %q: %+v", name, got)
		}
	}
}

// FuzzTarget: no text makes parseTarget fail other than with an error, and what it
// takes for a host or user is a name.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"a:b", "u@[::1]:x", "sftp://u;fingerprint=SHA256:x@h:1/~/%41;type=d", "./x:y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTarget(s)
		if err != nil {
			return
		}
		if got.remote() && (checkHost(got.host) != nil || checkUser(got.user) != nil) || strings.IndexByte(got.path, 0) >= 0 {
			t.Errorf("%q: %+v", s, got)
		}
	})
}
