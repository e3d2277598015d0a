package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrKey means that the folder holds records that another key sealed, or that a key is missing.
var ErrKey = errors.New("spool is sealed with another key")

// sealKey is the key of a log, from which each segment has its own.
type sealKey struct {
	secret []byte
	check  [8]byte
}

func newSealKey(secret []byte) (*sealKey, error) {
	if len(secret) == 0 {
		return nil, nil
	}
	if len(secret) != 32 {
		return nil, fmt.Errorf("open spool: a key has 32 bytes, not %d", len(secret))
	}
	check, err := hkdf.Key(sha256.New, secret, nil, "modeltrail spool key check", 8)
	if err != nil {
		return nil, fmt.Errorf("derive spool key: %w", err)
	}
	return &sealKey{secret: secret, check: [8]byte(check)}, nil
}

// aead returns the cipher of one segment. Its key is the segment's own, so a sequence is a nonce that never repeats:
// no segment holds a sequence twice, also not after a failed write, since such a segment is not written again.
func (k *sealKey) aead(id segmentID) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, k.secret, id[:], "modeltrail spool segment", 32)
	if err != nil {
		return nil, fmt.Errorf("derive segment key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonceFor is the nonce of one record: four zero bytes and its sequence.
func nonceFor(seq uint64) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[4:], seq)
	return nonce
}
