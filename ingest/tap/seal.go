package tap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// ErrNotSealed means that a payload holds no encrypted body.
var ErrNotSealed = errors.New("payload holds no encrypted body")

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// SpoolKey is the key of spools, nil without an encryption key. It is derived, so that the spool and the bodies have keys
// of their own.
func (c Config) SpoolKey() ([]byte, error) {
	if c.EncryptionKey.IsZero() {
		return nil, nil
	}
	key, err := encryptionKey(c.EncryptionKey.Value())
	if err != nil {
		return nil, fmt.Errorf("tap.encryption_key: %w", err)
	}
	return hkdf.Key(sha256.New, key, nil, "modeltrail tap spool", 32)
}

// bound is what a ciphertext is tied to: it opens only in the envelope it was made for.
func bound(callID string, phase event.Phase, keyID string) []byte {
	return fmt.Appendf(nil, "%s|%d|%s", callID, phase, keyID)
}

// seal encrypts with AES-256-GCM; the random nonce stands before the ciphertext.
func seal(aead cipher.AEAD, plain []byte, callID string, phase event.Phase, keyID string) ([]byte, error) {
	out := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := rand.Read(out); err != nil {
		return nil, err
	}
	return aead.Seal(out, out, plain, bound(callID, phase, keyID)), nil
}

// Open decrypts the body of one phase of an envelope that was captured in mode full: the request's body for
// PHASE_REQUEST, the response's for PHASE_RESPONSE. The key is the 32 bytes of tap.encryption_key. It returns
// ErrNotSealed when there is no encrypted body, and an error when key, call or phase are not those of the body.
func Open(key []byte, env *event.Envelope) ([]byte, error) {
	payload := env.GetRequest().GetPayload()
	if env.GetPhase() == event.Phase_PHASE_RESPONSE {
		payload = env.GetResponse().GetPayload()
	}
	if env.GetCaptureMode() != event.CaptureMode_CAPTURE_MODE_FULL || len(payload.GetBody()) == 0 {
		return nil, ErrNotSealed
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("open body: %w", err)
	}
	body := payload.GetBody()
	if len(body) < aead.NonceSize() {
		return nil, errors.New("open body: shorter than its nonce")
	}
	nonce, sealed := body[:aead.NonceSize()], body[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, sealed, bound(env.GetCallId(), env.GetPhase(), payload.GetKeyId()))
	if err != nil {
		return nil, fmt.Errorf("open body: %w", err)
	}
	return plain, nil
}
