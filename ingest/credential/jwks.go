package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// keySet is a JSON Web Key Set (RFC 7517) of public signature keys.
type keySet struct {
	byID map[string]crypto.PublicKey
	all  []jwt.VerificationKey
}

type webKey struct {
	Type  string `json:"kty"`
	ID    string `json:"kid"`
	Use   string `json:"use"`
	Curve string `json:"crv"`
	N     string `json:"n"`
	E     string `json:"e"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

func parseKeySet(data []byte) (*keySet, error) {
	var doc struct {
		Keys []webKey `json:"keys"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("parse key set: %w", err)
	}
	set := &keySet{byID: map[string]crypto.PublicKey{}}
	for i, k := range doc.Keys {
		if k.Use == "enc" {
			continue
		}
		public, err := k.public()
		if err != nil {
			return nil, fmt.Errorf("parse key %d of the key set: %w", i, err)
		}
		set.all = append(set.all, public)
		if k.ID != "" {
			set.byID[k.ID] = public
		}
	}
	if len(set.all) == 0 {
		return nil, errors.New("parse key set: it holds no signature key")
	}
	return set, nil
}

// find chooses the key by the token's "kid", or offers all keys when it names none.
func (s *keySet) find(token *jwt.Token) (any, error) {
	id, named := token.Header["kid"].(string)
	if !named {
		return jwt.VerificationKeySet{Keys: s.all}, nil
	}
	key, known := s.byID[id]
	if !known {
		return nil, errors.New("find key: the token names a key that is not in the set")
	}
	return key, nil
}

func (k webKey) public() (crypto.PublicKey, error) {
	switch k.Type {
	case "RSA":
		n, err := number(k.N)
		if err != nil {
			return nil, err
		}
		e, err := number(k.E)
		if err != nil {
			return nil, err
		}
		if n.BitLen() < 2048 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil, errors.New("RSA key is out of range")
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		return k.elliptic()
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || k.Curve != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("OKP key is not an Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, fmt.Errorf("key type %q is not supported", k.Type)
}

func (k webKey) elliptic() (crypto.PublicKey, error) {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve := curves[k.Curve]
	if curve == nil {
		return nil, fmt.Errorf("curve %q is not supported", k.Curve)
	}
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	size := (curve.Params().BitSize + 7) / 8
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, errors.New("EC key has no whole point")
	}
	point := append(append([]byte{4}, x...), y...) // SEC 1, 2.3.3: uncompressed
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fmt.Errorf("parse EC key: %w", err)
	}
	return key, nil
}

func number(text string) (*big.Int, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return nil, errors.New("RSA key has no number where one is expected")
	}
	return new(big.Int).SetBytes(raw), nil
}
