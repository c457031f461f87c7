package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"
	"unsafe" // Windows takes and gives memory by its address

	"golang.org/x/sys/windows"

	"github.com/fairlead-ssh/fairlead/keys"
)

var (
	ncrypt           = windows.NewLazySystemDLL("ncrypt.dll")
	ncryptSignHash   = ncrypt.NewProc("NCryptSignHash")
	ncryptExportKey  = ncrypt.NewProc("NCryptExportKey")
	ncryptFreeObject = ncrypt.NewProc("NCryptFreeObject")
)

const (
	padPKCS1     = 2       // BCRYPT_PAD_PKCS1
	maxExported  = 1 << 20 // octets of a key or signature that the system gives
	maxSystem    = 65536   // certificates of a store
	storeMyOwn   = "MY"
	exportPKCS8  = "PKCS8_PRIVATEKEY"
	acquireFlags = windows.CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG | windows.CRYPT_ACQUIRE_SILENT_FLAG
)

// systemScopes are where the types of stores are.
var systemScopes = map[Type]uint32{
	User:    windows.CERT_SYSTEM_STORE_CURRENT_USER,
	Machine: windows.CERT_SYSTEM_STORE_LOCAL_MACHINE,
}

// readSystem reads the certificates of a store of Windows with their keys.
// Those that the system gives out become Entry.Key; those that it only signs
// with become Entry.Signer, until the store is closed.
func readSystem(in *input) ([]Entry, error) {
	name := in.location
	if name == "" {
		name = storeMyOwn
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	flags := systemScopes[in.typ] | windows.CERT_STORE_READONLY_FLAG | windows.CERT_STORE_OPEN_EXISTING_FLAG
	h, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, flags, uintptr(unsafe.Pointer(text)))
	if err != nil {
		return nil, bad(name, "%w", err)
	}
	in.closeWith(func() error { return windows.CertCloseStore(h, 0) })
	var out []Entry
	var ctx *windows.CertContext
	for len(out) < maxSystem {
		// The call frees the context before, and says that there are no more by an error.
		if ctx, err = windows.CertEnumCertificatesInStore(h, ctx); err != nil {
			if errors.Is(err, windows.Errno(windows.CRYPT_E_NOT_FOUND)) {
				return out, nil
			}
			return nil, bad(name, "%w", err)
		}
		// A copy: the certificate keeps the octets, and these go with their context.
		c, err := x509.ParseCertificate(bytes.Clone(unsafe.Slice(ctx.EncodedCert, ctx.Length)))
		if err != nil {
			continue // one that Go does not read must not hide the others
		}
		e := Entry{Cert: c}
		if k := acquire(ctx, c.PublicKey); k != nil {
			if e.Key = k.export(); e.Key == nil {
				e.Signer = k
				in.closeWith(k.free)
			} else if err := k.free(); err != nil {
				return nil, bad(name, "%w", err)
			}
		}
		out = append(out, e)
	}
	return nil, errors.Join(bad(name, "more than %d certificates", maxSystem), windows.CertFreeCertificateContext(ctx))
}

// systemKey is a private key that the system holds.
type systemKey struct {
	public crypto.PublicKey
	owned  bool // the handle is ours to free

	mu     sync.Mutex // of the handle: a provider for cards may not take two calls at once
	handle windows.Handle
}

// acquire opens the private key of a certificate without asking the user for
// anything; nil if there is none.
func acquire(ctx *windows.CertContext, public crypto.PublicKey) *systemKey {
	k := &systemKey{public: public}
	var spec uint32
	if windows.CryptAcquireCertificatePrivateKey(ctx, acquireFlags, nil, &k.handle, &spec, &k.owned) != nil {
		return nil
	}
	return k
}

// free gives the handle back.
func (k *systemKey) free() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.handle
	k.handle = 0
	if h == 0 || !k.owned {
		return nil
	}
	return status(ncryptFreeObject.Call(uintptr(h)))
}

// status makes an error of what the functions of ncrypt return.
func status(r, _ uintptr, _ error) error {
	if r == 0 {
		return nil
	}
	return windows.Errno(uint32(r))
}

// export returns the key if its policy allows that in the clear.
func (k *systemKey) export() *keys.PrivateKey {
	blob, err := windows.UTF16PtrFromString(exportPKCS8)
	if err != nil {
		return nil
	}
	der, err := k.call(func(h windows.Handle, out *byte, size uint32, n *uint32) error {
		return status(ncryptExportKey.Call(uintptr(h), 0, uintptr(unsafe.Pointer(blob)), 0,
			uintptr(unsafe.Pointer(out)), uintptr(size), uintptr(unsafe.Pointer(n)), 0))
	})
	if err != nil {
		return nil
	}
	p, err := keys.Parse(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		return nil
	}
	return p
}

// call makes the two calls of everything that gives octets: one for their
// number, one for them.
func (k *systemKey) call(f func(h windows.Handle, out *byte, size uint32, n *uint32) error) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.handle == 0 {
		return nil, errClosed
	}
	var n uint32
	if err := f(k.handle, nil, 0, &n); err != nil {
		return nil, err
	}
	if n == 0 || n > maxExported {
		return nil, fmt.Errorf("%d octets", n)
	}
	p := make([]byte, n)
	if err := f(k.handle, &p[0], n, &n); err != nil {
		return nil, err
	}
	return p[:min(int(n), len(p))], nil
}

var errClosed = errors.New("the store is closed")

// Public returns the key of the certificate.
func (k *systemKey) Public() crypto.PublicKey { return k.public }

// cngHashes are the names of hashes in the system.
var cngHashes = map[crypto.Hash]string{crypto.SHA1: "SHA1", crypto.SHA256: "SHA256", crypto.SHA384: "SHA384", crypto.SHA512: "SHA512"}

// Sign is that of crypto.Signer, for RSA with PKCS #1 v1.5 and for ECDSA.
func (k *systemKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if len(digest) == 0 || len(digest) != opts.HashFunc().Size() {
		return nil, fmt.Errorf("certstore: sign: digest of %d octets", len(digest))
	}
	var padding struct{ algorithm *uint16 } // BCRYPT_PKCS1_PADDING_INFO
	var info unsafe.Pointer
	var flags uintptr
	switch k.public.(type) {
	case *rsa.PublicKey:
		if _, ok := opts.(*rsa.PSSOptions); ok {
			return nil, fmt.Errorf("certstore: sign: PSS: %w", errors.ErrUnsupported)
		}
		name, err := windows.UTF16PtrFromString(cngHashes[opts.HashFunc()])
		if err != nil || cngHashes[opts.HashFunc()] == "" {
			return nil, fmt.Errorf("certstore: sign: hash %s: %w", opts.HashFunc(), errors.ErrUnsupported)
		}
		padding.algorithm, info, flags = name, unsafe.Pointer(&padding), padPKCS1
	case *ecdsa.PublicKey:
	default:
		return nil, fmt.Errorf("certstore: sign: a key of type %T: %w", k.public, errors.ErrUnsupported)
	}
	sig, err := k.call(func(h windows.Handle, out *byte, size uint32, n *uint32) error {
		return status(ncryptSignHash.Call(uintptr(h), uintptr(info), uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)),
			uintptr(unsafe.Pointer(out)), uintptr(size), uintptr(unsafe.Pointer(n)), flags))
	})
	if err != nil {
		return nil, fmt.Errorf("certstore: sign: %w", err)
	}
	if _, ok := k.public.(*ecdsa.PublicKey); !ok {
		return sig, nil
	}
	half := len(sig) / 2 // r and s, each of the length of the curve
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
}
