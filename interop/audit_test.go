package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTerrapin reads the offer of the server and checks that it is not open to prefix truncation, CVE-2023-48795.
func TestTerrapin(t *testing.T) {
	s := startServer(t)
	offer, err := readKexinit(s.addr())
	if err != nil {
		t.Fatal(err)
	}
	if why := offer.terrapin(); why != "" {
		if !reference {
			t.Errorf("vulnerable: %s", why)
		}
		addReport("\nTerrapin: VULNERABLE: " + why + "\n")
		return
	}
	addReport("\nTerrapin (CVE-2023-48795): not vulnerable.\n")
}

// TestTerrapinCheck makes sure that the check can say no.
func TestTerrapinCheck(t *testing.T) {
	for _, c := range []struct {
		name              string
		kex, ciphers, mac string
		vulnerable        bool
	}{
		{"strict", "curve25519-sha256,kex-strict-s-v00@openssh.com", "chacha20-poly1305@openssh.com", "hmac-sha2-256", false},
		{"chacha20", "curve25519-sha256", "aes128-ctr,chacha20-poly1305@openssh.com", "hmac-sha2-256", true},
		{"cbc and etm", "curve25519-sha256", "aes128-cbc", "hmac-sha2-256-etm@openssh.com", true},
		{"cbc alone", "curve25519-sha256", "aes128-cbc", "hmac-sha2-256", false},
		{"the client's marker does not count", "kex-strict-c-v00@openssh.com", "chacha20-poly1305@openssh.com", "", true},
		{"gcm", "curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com", false},
	} {
		ciphers, macs := strings.Split(c.ciphers, ","), strings.Split(c.mac, ",")
		for _, k := range []kexinit{
			{kex: strings.Split(c.kex, ","), ciphersIn: ciphers, macsIn: macs},
			{kex: strings.Split(c.kex, ","), ciphersOut: ciphers, macsOut: macs},
		} {
			if got := k.terrapin() != ""; got != c.vulnerable {
				t.Errorf("%s: vulnerable %v, want %v", c.name, got, c.vulnerable)
			}
		}
	}
}

// An auditReport is the part of ssh-audit's JSON that is judged.
type auditReport struct {
	Kex  []auditEntry `json:"kex"`
	Key  []auditEntry `json:"key"`
	Enc  []auditEntry `json:"enc"`
	MAC  []auditEntry `json:"mac"`
	CVEs []struct {
		Name string `json:"name"`
	} `json:"cves"`
	AdditionalNotes []any `json:"additional_notes"`
}

type auditEntry struct {
	Algorithm string `json:"algorithm"`
	Notes     struct {
		Fail []string `json:"fail"`
		Warn []string `json:"warn"`
	} `json:"notes"`
}

// TestAudit runs ssh-audit on the server with a default host key; it may warn, but it may not fail anything.
func TestAudit(t *testing.T) {
	if err := exec.Command(python(), "-c", "import ssh_audit").Run(); err != nil {
		addReport("\nssh-audit: MISSING\n")
		missingPeer(t, "ssh-audit", errMissing)
	}
	s := startServerWith(t, hostKeyKinds[0].name)
	cmd := exec.Command(python(), "-m", "ssh_audit", "--json", "--skip-rate-test", "--port", strconv.Itoa(s.port), s.host)
	cmd.WaitDelay = time.Minute
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // warnings and failures are exit statuses: the report says which
		t.Fatal(err)
	}
	var report auditReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("ssh-audit: %v\n%s", err, out)
	}
	if len(report.Kex) == 0 || len(report.Key) == 0 || len(report.Enc) == 0 || len(report.MAC) == 0 {
		t.Fatalf("ssh-audit reports nothing:\n%s", out)
	}
	var b strings.Builder
	fails, warns := 0, 0
	for _, e := range slices.Concat(report.Kex, report.Key, report.Enc, report.MAC) {
		for _, note := range e.Notes.Fail {
			fails++
			fmt.Fprintf(&b, "- FAIL %s: %s\n", e.Algorithm, note)
		}
		for _, note := range e.Notes.Warn {
			warns++
			fmt.Fprintf(&b, "- warn %s: %s\n", e.Algorithm, note)
		}
	}
	for _, cve := range report.CVEs {
		fails++
		fmt.Fprintf(&b, "- FAIL %s\n", cve.Name)
	}
	if fails > 0 && !reference {
		t.Errorf("ssh-audit fails %d things:\n%s", fails, b.String())
	}
	addReport(fmt.Sprintf("\n### ssh-audit: %d failures, %d warnings\n\n%s", fails, warns, b.String()))
}
