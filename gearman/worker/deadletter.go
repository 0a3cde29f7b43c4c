package worker

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// DeadLetter describes a job that has failed for good. The payload of a dead letter job is this
// description as one line of JSON, a newline, and the payload of the failed job.
type DeadLetter struct {
	Version      int       `json:"v"` // 1
	Function     string    `json:"function"`
	Unique       string    `json:"unique,omitempty"`     // the job's own key, if it has one that is known
	UniqueBase64 string    `json:"unique_b64,omitempty"` // instead of Unique, if the key is not valid UTF-8
	Attempts     int       `json:"attempts"`             // how often the job ran
	Reason       string    `json:"reason"`               // one word, such as exit_code
	Message      string    `json:"message,omitempty"`
	Stderr       string    `json:"stderr,omitempty"` // the end of the job's output about the failure, at most 4 KiB
	Server       string    `json:"server"`           // ip:port
	Handle       string    `json:"handle"`           // of the last attempt
	FailedAt     time.Time `json:"failedAt"`
	Worker       string    `json:"worker,omitempty"` // the client id
}

const (
	mostDetail     = 4 << 10
	mostMessage    = 1 << 10
	mostDeadLetter = 8 << 10
	deadLetterKey  = "gwd1.0."
)

// ErrNotDeadLetter is returned for a payload that is not a dead letter.
var ErrNotDeadLetter = errors.New("not a dead letter")

// Key returns the unique key of the failed job, empty if it had none.
func (d *DeadLetter) Key() gearman.Key {
	if b, err := base64.StdEncoding.DecodeString(d.UniqueBase64); err == nil && len(b) > 0 {
		return gearman.Key(b)
	}
	return gearman.Key(d.Unique)
}

// ParseDeadLetter splits the payload of a dead letter job.
func ParseDeadLetter(data []byte) (d DeadLetter, payload []byte, err error) {
	line, payload, ok := bytes.Cut(data, []byte{'\n'})
	if !ok || len(line) > mostDeadLetter {
		return d, nil, ErrNotDeadLetter
	}
	if err := json.Unmarshal(line, &d); err != nil {
		return d, nil, fmt.Errorf("%w: %w", ErrNotDeadLetter, err)
	}
	if d.Version != 1 || d.Function == "" {
		return d, nil, fmt.Errorf("%w: version %d, function %q", ErrNotDeadLetter, d.Version, d.Function)
	}
	return d, payload, nil
}

// line encodes the description, with its newline. It shortens the texts if the line is too long.
func (d *DeadLetter) line() ([]byte, error) {
	for {
		b, err := json.Marshal(d)
		if err != nil || len(b) < mostDeadLetter || len(d.Stderr)+len(d.Message) == 0 {
			return append(b, '\n'), err
		}
		// One byte can take six bytes in JSON.
		d.Stderr, d.Message = lastOf(d.Stderr, len(d.Stderr)/2), firstOf(d.Message, len(d.Message)/2)
	}
}

func firstOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func lastOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	at := len(s) - n
	for at < len(s) && !utf8.RuneStart(s[at]) {
		at++
	}
	return s[at:]
}

// deadLetter describes a job that has failed for good. It also returns the unique key of the dead
// letter job, which is the same for the same job, so that submitting it twice queues it once.
func (j *Job) deadLetter(e *gearman.JobError, runs int, worker string) (front []byte, key string, err error) {
	ident, err := j.ident()
	if err != nil {
		return nil, "", err
	}
	d := DeadLetter{
		Version: 1, Function: j.fn.name, Attempts: runs, Reason: e.Reason, Message: firstOf(e.Message, mostMessage),
		Stderr: lastOf(string(bytes.ToValidUTF8(e.Detail, []byte("\uFFFD"))), mostDetail), Server: j.server,
		Handle:   j.handle,
		FailedAt: time.Now().UTC().Truncate(time.Second), Worker: worker,
	}
	if unique := string(j.Key()); utf8.ValidString(unique) {
		d.Unique = unique
	} else {
		d.UniqueBase64 = base64.StdEncoding.EncodeToString([]byte(unique))
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s", j.server, j.fn.wire, ident, j.handle)
	front, err = d.line()
	return front, deadLetterKey + hex.EncodeToString(h.Sum(nil)[:16]), err
}
