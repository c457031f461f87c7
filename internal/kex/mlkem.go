package kex

import (
	"crypto/mlkem"
	"fmt"
)

// mlkem768 is ML-KEM-768 (FIPS 203). NewEncapsulationKey768 makes the check of
// the key that FIPS 203 §7.2 demands before encapsulation. A wrong text of the
// right length opens to a secret nobody knows (implicit rejection), and the
// exchange then fails at the signature, as the design of ML-KEM intends.
var mlkem768 = &kem{
	keySize:  mlkem.EncapsulationKeySize768,
	textSize: mlkem.CiphertextSize768,
	generate: func() ([]byte, func([]byte) ([]byte, error), error) {
		dk, err := mlkem.GenerateKey768()
		if err != nil {
			return nil, nil, fmt.Errorf("kex: ML-KEM-768: generate key: %w", err)
		}
		return dk.EncapsulationKey().Bytes(), dk.Decapsulate, nil
	},
	encapsulate: func(public []byte) ([]byte, []byte, error) {
		ek, err := mlkem.NewEncapsulationKey768(public)
		if err != nil {
			return nil, nil, err
		}
		secret, text := ek.Encapsulate()
		return secret, text, nil
	},
}

// mlkem1024 is ML-KEM-1024, by the same rules.
var mlkem1024 = &kem{
	keySize:  mlkem.EncapsulationKeySize1024,
	textSize: mlkem.CiphertextSize1024,
	generate: func() ([]byte, func([]byte) ([]byte, error), error) {
		dk, err := mlkem.GenerateKey1024()
		if err != nil {
			return nil, nil, fmt.Errorf("kex: ML-KEM-1024: generate key: %w", err)
		}
		return dk.EncapsulationKey().Bytes(), dk.Decapsulate, nil
	},
	encapsulate: func(public []byte) ([]byte, []byte, error) {
		ek, err := mlkem.NewEncapsulationKey1024(public)
		if err != nil {
			return nil, nil, err
		}
		secret, text := ek.Encapsulate()
		return secret, text, nil
	},
}
