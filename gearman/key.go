package gearman

import (
	"crypto/sha256"
	"encoding/base64"
)

// Key is the unique key of a job, of at most 63 bytes. While a job server has a job with the same
// function and key, further submissions join that job instead of being queued. The empty Key means
// no key.
type Key string

// KeyOf returns a key made from the payload, so that jobs with equal payloads join. Every program
// that uses this library gets the same key for the same payload. The Gearman protocol's own way to
// do this, the key "-", differs: it can't be used to choose the job server.
func KeyOf(payload []byte) Key {
	sum := sha256.Sum256(payload)
	return Key(base64.RawURLEncoding.EncodeToString(sum[:])) // 43 bytes; in hex it would be 64, one too many
}
