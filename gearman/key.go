package gearman

import (
	"crypto/sha256"
	"encoding/base64"
)

// Key is the unique key of a job, of at most 63 bytes: while a job server has a job with the same
// function and key, others with it join that one instead of being queued. The empty Key is none.
type Key string

// KeyOf makes a key of a payload, so that jobs with equal payloads join. Each program of this
// library makes the same one. The server's own way for that, the key "-", is not the same: it can't
// choose the server.
func KeyOf(payload []byte) Key {
	sum := sha256.Sum256(payload)
	return Key(base64.RawURLEncoding.EncodeToString(sum[:])) // 43 bytes; in hex it would be 64, one too many
}
