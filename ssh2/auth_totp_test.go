package ssh2

import (
	"testing"
	"time"
)

func TestW30_TOTP(t *testing.T) {
	secret := []byte("12345678901234567890")
	// RFC 6238 appendix B, SHA-1, the last six of its eight digits.
	for unix, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		now := time.Unix(unix, 0)
		for d, want := range map[time.Duration]bool{0: true, totpStep: true, -totpStep: true, 2 * totpStep: false, -2 * totpStep: false} {
			if now.Add(d).Unix() < 0 {
				continue // there were no codes
			}
			step, ok := CheckTOTP(secret, code, now.Add(d))
			if ok != want || ok && step != unix/30 {
				t.Errorf("%d, %v later: %v, step %d", unix, d, ok, step)
			}
		}
		for _, wrong := range []string{"", code[:5], code + "0", "0" + code, "999999"} {
			if _, ok := CheckTOTP(secret, wrong, now); ok {
				t.Errorf("%d: %q is taken", unix, wrong)
			}
		}
	}
	if _, ok := CheckTOTP(nil, totp(nil, 0), time.Unix(0, 0)); ok {
		t.Error("an empty secret has codes")
	}
}
