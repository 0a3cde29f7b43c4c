package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// RetryPolicy decides what happens to jobs that fail. A retry submits the job again, with the
// number of the attempt in its unique key, and fails the present job once the job server has
// confirmed the submission. A job that clients wait for is not submitted again, since its clients
// would be told that it failed. docs/adr/0013-retries.md explains why.
//
// The handler must not change a job's payload.
type RetryPolicy struct {
	// Attempts is how often a job that fails runs in all. 0 or 1: a failure is final; at most 20.
	Attempts int
	// CrashAttempts is how often a job that crashes runs in all: its handler panics, or returns a
	// [gearman.JobError] with Crashed set. A job that clients wait for runs again in its slot. 0 or
	// 1: a crash is final; at most 20.
	CrashAttempts int
	// Timeouts treats a job that ran out of time as failed. Without it a timeout is final.
	Timeouts bool
	// Backoff is the wait before the second attempt. It is doubled with each further attempt up to
	// MaxBackoff, and randomized by up to a fifth. 0: the next attempt starts at once. A waiting
	// job is queued in a function of its own, named after the job's function with RetrySuffix
	// appended. Workers with this policy move the job back when it is due.
	Backoff, MaxBackoff time.Duration
	// DeadLetter is a function that gets the jobs that have failed for good, unless clients wait
	// for them; empty: none. The type DeadLetter describes their payload; see ParseDeadLetter.
	DeadLetter string
}

// RetrySuffix is the end of the name of the function in which jobs wait for their next attempt.
const RetrySuffix = ".retry"

const (
	mostAttempts     = 20
	longestRetryName = 255 - len(RetrySuffix)
)

// classify returns a JobError with a reason and a message for any error that a handler returned.
func classify(ctx context.Context, err error) *gearman.JobError {
	if e, ok := as[*gearman.JobError](err); ok {
		full := *e
		full.Message = cmp.Or(full.Message, err.Error())
		if full.Reason == "" {
			full.Reason = gearman.ReasonFailed
			if full.Exception != nil {
				full.Reason = gearman.ReasonException
			}
		}
		return &full
	}
	if _, ok := as[*PanicError](err); ok {
		return &gearman.JobError{Reason: gearman.ReasonPanic, Message: err.Error(), Crashed: true}
	}
	if errors.Is(context.Cause(ctx), ErrTimeout) {
		return &gearman.JobError{Reason: gearman.ReasonTimeout, Message: err.Error(), TimedOut: true}
	}
	return &gearman.JobError{Reason: gearman.ReasonFailed, Message: err.Error()}
}

func (p *RetryPolicy) check(f *function) error {
	switch {
	case p.Attempts < 0 || p.Attempts > mostAttempts || p.CrashAttempts < 0 || p.CrashAttempts > mostAttempts:
		return fmt.Errorf("function %s: a job can have 1 to %d attempts", f.name, mostAttempts)
	case p.Backoff < 0 || p.MaxBackoff < 0:
		return fmt.Errorf("function %s: a back-off can't be negative", f.name)
	case p.Backoff > 0 && len(f.wire) > longestRetryName:
		return fmt.Errorf(
			"function %s: with retries its name can have at most %d bytes, since %s is appended to it",
			f.name, longestRetryName, RetrySuffix,
		)
	case p.DeadLetter == f.name:
		return fmt.Errorf("function %s: it can't be its own dead letter function", f.name)
	case p.DeadLetter != "":
		return proto.CheckFunction(p.DeadLetter)
	}
	return nil
}

// limit returns how often a job that failed this way runs in all.
func (p *RetryPolicy) limit(e *gearman.JobError) int {
	switch {
	case e.Permanent, e.TimedOut && !p.Timeouts:
		return 1
	case e.Crashed:
		return max(1, p.CrashAttempts)
	}
	return max(1, p.Attempts)
}

// delay returns the wait before the nth attempt.
func (p *RetryPolicy) delay(n int) time.Duration {
	if p.Backoff == 0 {
		return 0
	}
	d := p.Backoff << min(max(0, n-2), 20)
	if d <= 0 || p.MaxBackoff > 0 && d > p.MaxBackoff {
		d = max(p.MaxBackoff, p.Backoff)
	}
	return d*4/5 + rand.N(d*2/5+1) //nolint:gosec // spreads load, keeps no secret
}

// retryKey is the prefix of the unique keys of second and later attempts.
const retryKey = "gwr1."

// splitKey separates the number of the attempt from a job's unique key. ident identifies the job
// through all its attempts; it is empty for a first attempt without a key of its own.
func splitKey(unique string) (attempt int, ident string) {
	rest, ok := strings.CutPrefix(unique, retryKey)
	if !ok {
		return 1, unique
	}
	n, k, ok := strings.Cut(rest, ".")
	attempt, err := strconv.Atoi(n)
	if !ok || err != nil || attempt < 2 || attempt > 1000 {
		return 1, unique
	}
	return attempt, k
}

// Prefixes of the identity of a job whose own key can't be used: it has none, or a long one.
const (
	madeIdent   = "!"
	hashedIdent = "~"
)

// ident returns a string that identifies a job through all its attempts. It contains nothing
// random, so that an attempt that is submitted twice is one job. For jobs without a key it depends
// on the job's handle, so that jobs with equal payloads stay separate.
func (j *Job) ident() (string, error) {
	if j.attempt > 1 {
		return j.key, nil
	}
	switch {
	case j.unique == "", j.unique == "-": // "-" is no key; it tells the job server to use the payload as the key
		h := sha256.New()
		fmt.Fprintf(h, "%s\x00%s\x00", j.server, j.handle)
		if _, err := io.Copy(h, j.Reader()); err != nil {
			return "", fmt.Errorf("read the payload: %w", err)
		}
		return madeIdent + hex.EncodeToString(h.Sum(nil)[:16]), nil
	case len(j.unique) > proto.MaxUnique-len(retryKey)-len("1000."), strings.HasPrefix(
		j.unique, madeIdent,
	), strings.HasPrefix(j.unique, hashedIdent):
		sum := sha256.Sum256([]byte(j.unique))
		return hashedIdent + hex.EncodeToString(sum[:16]), nil
	}
	return j.unique, nil
}

// attemptKey returns the unique key of the nth attempt.
func attemptKey(n int, ident string) string { return retryKey + strconv.Itoa(n) + "." + ident }

// Attempt returns the number of this run of the job, from 1, over all workers with a RetryPolicy.
// Runs that end with the worker's death count only if Options.Journal is set. Runs that are
// requeued don't count.
func (j *Job) Attempt() int { return j.attempt + j.again }

// as is errors.AsType, which Go 1.25 doesn't have yet.
func as[E error](err error) (e E, ok bool) {
	ok = errors.As(err, &e)
	return e, ok
}
