package certstore

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fairlead-ssh/fairlead/internal/pbe"
	"github.com/fairlead-ssh/fairlead/keys"
)

// typed wants an error of this package.
func typed(t testing.TB, what string, err error) {
	t.Helper()
	_, format := errors.AsType[*FormatError](err)
	_, pass := errors.AsType[*PasswordError](err)
	if !format && !pass {
		t.Errorf("%s: error of type %T: %v", what, err, err)
	}
}

// Every truncation of a store is an error, and so is anything behind it.
func TestTruncatedStores(t *testing.T) {
	for _, r := range []struct{ name, pass string }{
		{"pfx/modern-ec.p12", "testing"},
		{"pfx/in-clear.p12", ""},
		{"pfx/bouncy-castle.p12", "testing"},
		{"pfx/nss.p12", "testing"},
		{"p7b/certs.p7b", ""},
		{"p7b/signed-ber.p7b", ""},
		{"jks/two-keys.jks", "testing"},
		{"jks/two-keys.jceks", "testing"},
		{"bcfks/fips.bcfks", "testing"},
	} {
		data := storeFile(t, r.name)
		o := Options{Password: keys.Passphrase(r.pass)}
		for n := range data {
			if s, err := OpenBytes(Auto, data[:n], o); err == nil {
				t.Fatalf("%s: %d of %d octets: %d entries", r.name, n, len(data), s.Len())
			} else {
				typed(t, r.name, err)
			}
		}
		_, err := OpenBytes(Auto, append(slices.Clone(data), 0), o)
		typed(t, r.name+" and an octet", err)
	}
}

// A store in which one octet is another is refused, or says the same: what
// protects it covers all but parameters that are not used.
func TestChangedStores(t *testing.T) {
	for _, name := range []string{"pfx/mac-sha224.p12", "jks/certificate-only.jks", "jks/certificate-only.jceks"} {
		data := storeFile(t, name)
		open := func(p []byte) (*Store, error) { return OpenBytes(Auto, p, Options{Password: testPass}) }
		s, err := open(data)
		if err != nil {
			t.Fatal(err)
		}
		want := contents(t, s)
		same := 0
		for i := range data {
			p := slices.Clone(data)
			p[i] ^= 1 << (i % 8)
			s, err := open(p)
			switch {
			case err != nil:
				typed(t, name, err)
			case !slices.Equal(contents(t, s), want):
				t.Errorf("%s: octet %d: %q", name, i, contents(t, s))
			default:
				same++
			}
		}
		if same > 8 {
			t.Errorf("%s: %d octets may be anything", name, same)
		}
	}
}

// refused wants a FormatError about what.
func refused(t *testing.T, what string, data []byte, o Options) {
	t.Helper()
	_, err := OpenBytes(Auto, data, o)
	if e, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(e.Error(), what) {
		t.Errorf("%v, want an error about %q", err, what)
	}
}

// der builds DER.
func der(t testing.TB, f func(b *cryptobyte.Builder)) []byte {
	t.Helper()
	b := cryptobyte.NewBuilder(nil)
	f(b)
	p, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const explicit0 = cbasn1.Tag(0xa0)

// pfxOf is a PKCS#12 store with these contents and this behind them.
func pfxOf(t testing.TB, contents []byte, mac func(b *cryptobyte.Builder)) []byte {
	return der(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(3)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidData)
				b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(contents) })
			})
			if mac != nil {
				mac(b)
			}
		})
	})
}

// safeOf is an AuthenticatedSafe of one SafeContents in the clear.
func safeOf(t testing.TB, bags []byte) []byte {
	return der(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidData)
				b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(bags) })
			})
		})
	})
}

// javaStore is a key store of Java with that body and a digest that is right.
func javaStore(magic string, count uint32, body []byte) []byte {
	p := binary.BigEndian.AppendUint32([]byte(magic), 2)
	return resealJava(append(binary.BigEndian.AppendUint32(p, count), body...))
}

// CVE list 6.12: what a store may cost its reader.
func TestCVE_6_12_StoreCostsAreCapped(t *testing.T) {
	with := Options{Password: testPass}

	// The MAC of PKCS#12.
	for _, n := range []int64{0, -1, 10_000_001, 1<<31 - 1, 1<<63 - 1} {
		refused(t, "iterations", pfxOf(t, safeOf(t, []byte{0x30, 0}), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(pfxDigests[0].oid) })
					b.AddASN1OctetString(make([]byte, 20))
				})
				b.AddASN1OctetString(make([]byte, 8))
				b.AddASN1Int64(n)
			})
		}), with)
	}
	// Contents and keys, and all of them together.
	limited := with
	limited.Limits.PBKDF2Iterations = 2047
	for _, name := range []string{"pfx/no-mac.p12", "pfx/modern.p12", "pfx/java.p12", "jks/two-keys.jceks", "bcfks/default.bcfks"} {
		refused(t, "iterations", storeFile(t, name), limited)
	}
	limited.Limits.PBKDF2Iterations = 10_000 * 3 // the MAC, the certificates, and the first of two keys
	refused(t, "iterations", storeFile(t, "pfx/java.p12"), limited)
	limited.Limits = keys.Limits{Memory: 1<<20 - 1}
	refused(t, "memory", storeFile(t, "bcfks/scrypt.bcfks"), limited)
	limited.Limits = keys.Limits{MemoryPasses: 1 << 20}
	refused(t, "scrypt", storeFile(t, "bcfks/scrypt.bcfks"), limited)

	// A key of JCEKS, whose iterations no MAC covers.
	params, err := asn1.Marshal(struct {
		Salt       []byte
		Iterations int
	}{[]byte("saltSALT"), 1<<31 - 1})
	if err != nil {
		t.Fatal(err)
	}
	key := der(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidJCEKSKey)
				b.AddBytes(params)
			})
			b.AddASN1OctetString(make([]byte, 16))
		})
	})
	entry := slices.Concat([]byte{0, 0, 0, javaPrivate, 0, 1, 'x'}, make([]byte, 8), binary.BigEndian.AppendUint32(nil, uint32(len(key))), key, make([]byte, 4))
	refused(t, "iterations", javaStore(jceksMagic, 1, entry), with)
}

// CVE list 6.12: lengths and nesting.
func TestCVE_6_12_StoreLengthsAreCapped(t *testing.T) {
	with := Options{Password: testPass}
	const huge = "\xff\xff\xff\xff"
	head := "\x00\x00\x00\x01\x00\x01x\x00\x00\x00\x00\x00\x00\x00\x00"
	for what, data := range map[string][]byte{
		"entries":     javaStore(jksMagic, 1<<32-1, nil),
		"entry 1":     javaStore(jksMagic, 1, []byte(head+huge)),
		"certificate": javaStore(jksMagic, 1, []byte(head+"\x00\x00\x00\x00"+huge)),
		"cut short":   javaStore(jksMagic, 0, []byte("more")),
		"kind 9":      javaStore(jksMagic, 1, []byte("\x00\x00\x00\x09"+head[4:])),
		"type":        javaStore(jksMagic, 1, []byte("\x00\x00\x00\x02"+head[4:]+"\x00\x03PGP\x00\x00\x00\x00")),
	} {
		refused(t, what, data, with)
	}
	// Nesting: in the encoding, and in the form.
	deep := bytes.Repeat([]byte{0x30, 0x80}, 100_000)
	copy(deep, "\x30\x80\x02\x01\x03\x30\x80")
	_, err := OpenBytes(PFXBlob, deep, with)
	typed(t, "a deep store", err)
	if _, err := toDER(deep); err == nil {
		t.Error("a deep element is rewritten")
	}
	bags := []byte{0x30, 0}
	for range 8 {
		inner := bags
		bags = der(t, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidSafeBag)
					b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddBytes(inner) })
				})
			})
		})
	}
	refused(t, "nested", pfxOf(t, safeOf(t, bags), nil), with)
	// Many entries of nothing.
	bag := der(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidX509Cert)
			b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1NULL() })
		})
	})
	many := der(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Repeat(bag, maxEntries+1)) })
	})
	refused(t, "entries", pfxOf(t, safeOf(t, many), nil), with)
}

// A bag in a bag is read, as RFC 7292 section 4.2.6 has it.
func TestNestedSafeContents(t *testing.T) {
	cert := storeFile(t, "p7b/with-crl.p7b")
	s, err := OpenBytes(Auto, cert, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for _, c := range s.All() {
		raw = c.Entry().Cert.Raw
	}
	bag := func(oid asn1.ObjectIdentifier, value func(b *cryptobyte.Builder)) func(b *cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oid)
					b.AddASN1(explicit0, value)
				})
			})
		}
	}
	inner := bag(oidCertBag, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidX509Cert)
			b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(raw) })
		})
	})
	s, err = OpenBytes(PFXBlob, pfxOf(t, safeOf(t, der(t, bag(oidSafeBag, inner))), nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, s); !slices.Equal(got, []string{"||Fairlead test CA|0"}) {
		t.Errorf("%q", got)
	}
}

func TestToDER(t *testing.T) {
	for ber, want := range map[string]string{
		"\x30\x00":                                                     "\x30\x00",
		"\x30\x03\x02\x01\x05":                                         "\x30\x03\x02\x01\x05",
		"\x30\x80\x02\x01\x05\x00\x00":                                 "\x30\x03\x02\x01\x05",
		"\x30\x81\x03\x02\x01\x05":                                     "\x30\x03\x02\x01\x05",
		"\x30\x84\x00\x00\x00\x03\x02\x01\x05":                         "\x30\x03\x02\x01\x05",
		"\x24\x80\x04\x01a\x04\x02bc\x00\x00":                          "\x04\x03abc",
		"\x24\x80\x24\x80\x04\x01a\x00\x00\x24\x03\x04\x01b\x00\x00":   "\x04\x02ab",
		"\x30\x80\x30\x80\xa0\x80\x00\x00\x00\x00\x00\x00":             "\x30\x04\x30\x02\xa0\x00",
		"\x3f\x81\x01\x80\x02\x01\x05\x00\x00":                         "\x3f\x81\x01\x03\x02\x01\x05",
		"\x30\x80\x04\x81\x80" + strings.Repeat("x", 128) + "\x00\x00": "\x30\x81\x83\x04\x81\x80" + strings.Repeat("x", 128),
	} {
		if got, err := toDER([]byte(ber)); err != nil || string(got) != want {
			t.Errorf("%x: %x, %v", ber, got, err)
		}
	}
	for _, ber := range []string{
		"", "\x30", "\x30\x80", "\x30\x80\x00", "\x30\x01", "\x02\x80\x00\x00", "\x00\x00", "\x30\x02\x00\x00", "\x30\x00\x00", "\x30\x89\x01",
		"\x30\x84\xff\xff\xff\xff", "\x30\x88\x7f\xff\xff\xff\xff\xff\xff\xff", "\x24\x80\x02\x01\x05\x00\x00", "\x30\x03\x30\x80\x00\x00", "\x1f", "\x1f\x81\x81\x81\x81\x81\x01\x00",
	} {
		if got, err := toDER([]byte(ber)); err == nil {
			t.Errorf("%x: %x", ber, got)
		}
	}
}

// Every digest that the MAC of PKCS#12 may have is in a store of OpenSSL's.
func TestPFXDigestsHaveFiles(t *testing.T) {
	var used [][]byte
	eachStore(t, func(_ *testing.T, r toolStore, _ string, data []byte) {
		if r.format == "PFX" {
			used = append(used, data)
		}
	})
	for _, d := range pfxDigests {
		p, err := asn1.Marshal(d.oid)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(used, func(data []byte) bool { return bytes.Contains(data[len(data)*2/3:], p) }) {
			t.Errorf("no store with %s", d.oid)
		}
	}
}

// resealJava puts the digest behind a store of Java that is to be there.
func resealJava(p []byte) []byte {
	sum := sha1.Sum(slices.Concat(pbe.BMP(testPass), []byte("Mighty Aphrodite"), p))
	return append(slices.Clone(p), sum[:]...)
}

// bcfksPlain is what is encrypted in a store of Bouncy Castle.
func bcfksPlain(t testing.TB, name string) []byte {
	t.Helper()
	s := cryptobyte.String(storeFile(t, name))
	var store, data cryptobyte.String
	if !s.ReadASN1(&store, cbasn1.SEQUENCE) || !store.ReadASN1Element(&data, cbasn1.SEQUENCE) {
		t.Fatal(name)
	}
	a, sealed, err := encryptedKey(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, wide := range []bool{false, true} {
		b := bcfks{wide: wide}
		p, err := openPBE(b.amend(a), sealed, purse(keys.Limits{}.OrDefault()), "", given(bcfksPassword(testPass, bcfksStore)))
		if err == nil {
			return p
		}
	}
	t.Fatal(name, ": does not open")
	return nil
}

// CVE list 6.12: keys in the clear, whose check is the cost, and keys that are
// encrypted, of which each has limits to itself.
func TestCVE_6_12_KeysOfAStoreAreCapped(t *testing.T) {
	key := storeFile(t, "rsa.pkcs8")
	bag := der(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidKeyBag)
			b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddBytes(key) })
		})
	})
	many := der(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Repeat(bag, maxPrivate/len(key)+1)) })
	})
	refused(t, "private keys", pfxOf(t, safeOf(t, many), nil), Options{})
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	refused(t, "private keys", bytes.Repeat(text, maxPrivate/len(text)+1), Options{})

	in := &input{limits: keys.Limits{}.OrDefault()}
	sum := 0
	for in.opened = 1; in.opened <= maxEncrypted; in.opened++ {
		sum += in.share().PBKDF2Iterations
	}
	if most := 7 * in.limits.PBKDF2Iterations; sum > most {
		t.Errorf("%d keys may cost %d iterations together, want at most %d", maxEncrypted, sum, most)
	}
	in.limits = keys.Limits{PBKDF2Iterations: 1, BcryptRounds: 1, Memory: 1, MemoryPasses: 1}
	if got := in.share(); got != in.limits {
		t.Errorf("a small share is %+v", got)
	}
}

// Where no MAC tells a wrong password, what it makes of the contents does.
func TestWrongPasswordWithoutMAC(t *testing.T) {
	data := storeFile(t, "pfx/no-mac.p12")
	for n := range 700 { // one in 256 fits the padding
		_, err := OpenBytes(PFXBlob, data, Options{Password: fmt.Appendf(nil, "wrong %d", n)})
		if e, ok := errors.AsType[*PasswordError](err); !ok || !e.Wrong {
			t.Fatalf("password %d: %v", n, err)
		}
	}
}
