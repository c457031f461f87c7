package ssh2

import (
	"crypto/hmac"
	"crypto/sha1" // RFC 6238's default, and all that common authenticators know
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

// totpStep is the time step of RFC 6238 section 4.1.
const totpStep = 30 * time.Second

// CheckTOTP tells whether code is the time-based one-time password of secret:
// RFC 6238 with six digits, 30 seconds and HMAC-SHA-1, as authenticator
// applications make it. Clocks may differ by one step. It compares in constant
// time. An empty secret has no codes.
//
// A code may be used only once (RFC 6238 section 5.2): remember the step that
// CheckTOTP returns, and refuse a code unless its step is larger than that of
// the user's last login.
func CheckTOTP(secret []byte, code string, now time.Time) (step int64, ok bool) {
	at := now.Unix() / int64(totpStep/time.Second)
	for s := at - 1; s <= at+1; s++ {
		if subtle.ConstantTimeCompare([]byte(totp(secret, s)), []byte(code)) == 1 {
			step, ok = s, len(secret) > 0
		}
	}
	return step, ok
}

// totp is the code of one step (RFC 4226 section 5.3).
func totp(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xF
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7FFFFFFF%1_000_000)
}
