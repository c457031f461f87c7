package gssapi

import (
	"errors"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/crypto/etype"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/types"
)

// keyLengths has the encryption types that are accepted, with the length of a
// key in octets. The library's own idea of the length is wrong for the last.
var keyLengths = map[int32]int{
	etypeID.AES128_CTS_HMAC_SHA1_96:    16, // RFC 3962
	etypeID.AES256_CTS_HMAC_SHA1_96:    32,
	etypeID.AES128_CTS_HMAC_SHA256_128: 16, // RFC 8009
	etypeID.AES256_CTS_HMAC_SHA384_192: 32,
}

// encryption returns the type of a key, which must be one of those above and
// of the right length.
func encryption(key types.EncryptionKey) (etype.EType, error) {
	length, ok := keyLengths[key.KeyType]
	if !ok {
		return nil, fmt.Errorf("gssapi: key: encryption type %d is not supported", key.KeyType)
	}
	if len(key.KeyValue) != length {
		return nil, errors.New("gssapi: key: wrong length")
	}
	et, err := crypto.GetEtype(key.KeyType)
	if err != nil {
		return nil, fmt.Errorf("gssapi: key: %w", err)
	}
	return et, nil
}

// decrypt returns the plain text of data. The library wants to be spared
// ciphertexts that are too short.
func decrypt(data types.EncryptedData, key types.EncryptionKey, usage uint32) ([]byte, error) {
	et, err := encryption(key)
	if err != nil {
		return nil, err
	}
	if data.EType != key.KeyType || len(data.Cipher) < et.GetConfounderByteSize()+et.GetHMACBitLength()/8 {
		return nil, errors.New("gssapi: ciphertext does not fit its key")
	}
	plain, err := et.DecryptMessage(key.KeyValue, data.Cipher, usage)
	if err != nil {
		return nil, errors.New("gssapi: ciphertext is not authentic")
	}
	return plain, nil
}
