package interop

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Erlang/OTP's ssh application, by an escript.

func findErlang() (string, error) {
	if _, err := exec.LookPath("escript"); err != nil {
		return "", errMissing
	}
	const code = `ok = application:load(ssh), {ok, V} = application:get_key(ssh, vsn), io:format("OTP ~s, ssh ~s", [erlang:system_info(otp_release), V]), halt().`
	out, err := exec.Command("erl", "-noshell", "-eval", code).Output()
	if err != nil {
		return "", errMissing
	}
	return strings.TrimSpace(string(out)), nil
}

func erlangMatrix(args ...string) *exec.Cmd { return erlang("matrix", args...) }

const erlangPeer = "testdata/erlang_peer.escript"

func erlang(part string, args ...string) *exec.Cmd {
	return exec.Command("escript", append([]string{erlangPeer, part}, args...)...)
}

func erlangPlace(t *testing.T) *place {
	t.Helper()
	p := newPlace(t, "erlang")
	program, err := os.ReadFile(erlangPeer)
	if err == nil {
		err = os.WriteFile(p.own("erlang_peer.escript"), program, 0o644) // where an ordinary user can read it
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := ordinarily(exec.Command("escript", p.own("erlang_peer.escript"), "sftp", "server", p.root, p.hostKeyFiles[0], userName, p.keys.password))
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8") // or its names are octets
	return p.run(t, cmd, matrixListening)
}
