package httpmode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/frame"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// FramesType is the media type of an answer in messages (docs/stream.md), with which a service
// reports progress.
const FramesType = "application/x-gearman-frames"

// Handler posts jobs.
type Handler struct {
	opts    Options
	backoff gearman.Backoff
	target  *target
	dialer  net.Dialer
	up      chan struct{}

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

// New checks the URL and the headers.
func New(opts Options) (*Handler, error) {
	t, err := parseTarget(opts.URL, opts.Headers)
	if err != nil {
		return nil, err
	}
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&opts.Backoff, 100*time.Millisecond)
	set(&opts.MaxBackoff, 5*time.Second)
	set(&opts.IdleTime, time.Minute)
	set(&opts.HoldBusy, 30*time.Second)
	return &Handler{
		opts: opts, target: t, up: make(chan struct{}),
		backoff: gearman.Backoff{Min: opts.Backoff, Max: opts.MaxBackoff},
	}, nil
}

// Run waits until the service accepts connections, closes Up, and closes the connections when ctx
// is done.
func (h *Handler) Run(ctx context.Context) error {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.closed = true
		for _, c := range h.idle {
			c.Close()
		}
		h.idle = nil
	}()
	for try := 0; ; try++ {
		c, err := h.dial(ctx)
		if err == nil {
			h.put(c)
			close(h.up)
			<-ctx.Done()
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		h.opts.LogLimit.Log(
			ctx, h.opts.Log, slog.LevelInfo, "Waiting for the HTTP service to accept connections",
			slog.Any("error", err),
		)
		if gearman.Sleep(ctx, h.backoff.Delay(try+1)) != nil {
			return nil
		}
	}
}

// Up is closed once the service has accepted a first connection.
func (h *Handler) Up() <-chan struct{} { return h.up }

// Ready reports whether the service has ever accepted a connection.
func (h *Handler) Ready() (bool, string) {
	select {
	case <-h.up:
		return true, ""
	default:
		return false, "the HTTP service does not accept connections yet"
	}
}

// busyError is an answer after which the request is tried again: the service has not accepted the
// job.
type busyError struct {
	why   string
	after time.Duration // from Retry-After; 0: not set
}

func (e *busyError) Error() string { return e.why }

// unreachableError means that the service accepted no connection, so that it has seen nothing of
// the job.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string {
	return "the HTTP service accepts no connection: " + e.err.Error()
}
func (e *unreachableError) Unwrap() error { return e.err }

// Handle posts one job, again and again for a while if the service is busy.
func (h *Handler) Handle(ctx context.Context, j *job.Job) job.Outcome {
	since := time.Now()
	for try := 0; ; try++ {
		o, err := h.post(ctx, j)
		if err == nil {
			return o
		}
		busy, isBusy := errors.AsType[*busyError](err)
		if isBusy && ctx.Err() == nil {
			h.opts.LogLimit.Log(ctx, h.opts.Log, slog.LevelWarn, "HTTP service can't take the job now, holding it", slog.String("why", busy.why),
				slog.String("function", j.Function), slog.String("handle", j.Handle))
			wait := max(h.backoff.Delay(try+1), min(busy.after, 30*time.Second))
			if time.Since(since)+wait > h.opts.HoldBusy {
				return job.NeverRan(job.Busy, "%v for %v", err, time.Since(since).Round(time.Millisecond))
			}
			if hold(ctx, j, wait) {
				continue
			}
		}
		switch {
		case ctx.Err() != nil:
			o = job.Interrupted(ctx)
			o.Message += ": " + err.Error()
			return o
		case isBusy:
			return job.NeverRan(job.Interrupting, "the worker is stopping: %v", err)
		case errors.Is(err, spool.ErrTooLarge):
			return job.Failf(job.OutputLimit, "%v (--max-result)", err)
		case errors.Is(err, spool.ErrDisk):
			return job.Crashf(job.SpoolFailed, "%v", err)
		}
		if _, ok := errors.AsType[*unreachableError](err); ok {
			return job.NeverRan(job.Unreachable, "%v", err)
		}
		return job.Crashf(job.Crashed, "%v", err)
	}
}

// hold waits before a job that the service has not accepted is tried again. It reports false if the
// job's time is up or the worker stops.
func hold(ctx context.Context, j *job.Job, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-j.Draining:
		return false
	case <-timer.C:
		return true
	}
}

// Check reports whether the service accepts a connection, which is kept for the next job.
func (h *Handler) Check(ctx context.Context) error {
	c, err := h.dial(ctx)
	if err != nil {
		return &unreachableError{err}
	}
	h.put(c)
	return nil
}

// post sends the job once and reads the answer.
func (h *Handler) post(ctx context.Context, j *job.Job) (job.Outcome, error) {
	c, err := h.get(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return job.Outcome{}, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return job.Outcome{}, &unreachableError{err}
	}
	j.HasStarted()
	o, err := h.postBy(ctx, c, j)
	if c.reused && ctx.Err() == nil && errors.Is(err, errNoAnswer) {
		// The service closed the kept connection while the request was on its way.
		if c, err = h.dial(ctx); err != nil {
			return job.Outcome{}, &unreachableError{err}
		}
		o, err = h.postBy(ctx, c, j)
	}
	return o, err
}

// errNoAnswer means that a connection ended before a byte of the answer.
var errNoAnswer = errors.New("the connection ended before the answer")

// postBy sends the job over a connection and reads the answer.
func (h *Handler) postBy(ctx context.Context, c *conn, j *job.Job) (job.Outcome, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	o, reusable, err := h.exchange(c, j)
	// A deadline that was set belongs to this job. The connection can't be used for another one
	// then.
	if stop() && reusable {
		h.put(c)
	} else {
		c.Close()
	}
	return o, err
}

// inSocket is the largest request that is written before the answer is read. A larger one is
// written at the same time, since the service may answer before it has read everything.
const inSocket = 32 << 10

func (h *Handler) exchange(c *conn, j *job.Job) (o job.Outcome, reusable bool, err error) {
	c.buf = h.appendHead(c.buf[:0], j)
	if j.File == nil && len(c.buf)+len(j.Body) <= inSocket {
		c.buf = append(c.buf, j.Body...)
		if _, err := c.Write(c.buf); err != nil {
			return o, false, fmt.Errorf("send the request: %w: %w", errNoAnswer, err)
		}
		return h.answer(c, j)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(c.buf)
		if err == nil {
			_, err = io.Copy(c.Conn, j.Workload())
		}
		sent <- err
	}()
	o, reusable, err = h.answer(c, j)
	select {
	case werr := <-sent:
		if werr != nil {
			reusable = false
			if err != nil && j.File != nil {
				err = errors.Join(err, werr)
			}
		}
	case <-time.After(100 * time.Millisecond):
		// The service has answered without reading the whole job, which may be correct, for example
		// with a 413.
		reusable = false
		_ = c.SetWriteDeadline(time.Unix(1, 0))
		<-sent //nolint:errcheck // that it was cut short is no news
	}
	return o, reusable, err
}

func (h *Handler) appendHead(dst []byte, j *job.Job) []byte {
	dst = append(dst, h.target.head...)
	dst = append(dst, "Gearman-Function: "...)
	dst = appendValue(dst, j.Function)
	dst = append(dst, "\r\nGearman-Handle: "...)
	dst = appendValue(dst, j.Handle)
	if j.Unique != "" {
		dst = append(dst, "\r\nGearman-Unique: "...)
		dst = appendValue(dst, j.Unique)
	}
	if j.Attempt > 1 {
		dst = append(dst, "\r\nGearman-Attempt: "...)
		dst = strconv.AppendInt(dst, int64(j.Attempt), 10)
	}
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, j.Size, 10)
	return append(dst, "\r\n\r\n"...)
}

var postRequest = &http.Request{Method: http.MethodPost}

// answer reads the answer and turns it into the job's outcome.
//
// The body is never closed: Close reads it to its end, which may never come. Either it was read to
// the end, or the connection is closed.
func (h *Handler) answer(c *conn, j *job.Job) (o job.Outcome, reusable bool, err error) {
	var resp *http.Response
	if _, err := c.br.Peek(1); err != nil {
		return o, false, fmt.Errorf("read the answer: %w: %w", errNoAnswer, err)
	}
	for resp == nil || resp.StatusCode < 200 { // interim answers come first
		if resp, err = http.ReadResponse(c.br, postRequest); err != nil { //nolint:bodyclose // see above
			return o, false, fmt.Errorf("read the answer: %w", err)
		}
	}
	switch code := resp.StatusCode; {
	case code < 300 && isFrames(resp.Header.Get("Content-Type")):
		o, err = frame.ReadAnswer(bufio.NewReaderSize(resp.Body, frame.MaxHeader), 0, h.opts.Result, j.Reporter)
		return o, false, err // bytes after the last message are ignored
	case code < 300:
		o, err = h.result(resp)
		return o, err == nil && !resp.Close, err
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		_, rerr := text(resp)
		if rerr == nil && !resp.Close {
			// The same connection may carry the next attempt.
			reusable = true
		}
		return o, reusable, &busyError{why: "the HTTP service answers " + resp.Status, after: retryAfter(resp)}
	case code >= 500:
		body, _ := text(resp)
		return o, false, fmt.Errorf("the HTTP service answers %s%s", resp.Status, body)
	case code >= 400:
		body, rerr := text(resp)
		o = job.Failf(job.Rejected, "the HTTP service answers %s%s", resp.Status, body)
		o.Permanent = code != http.StatusRequestTimeout && code != http.StatusTooEarly
		return o, rerr == nil && !resp.Close, nil
	default:
		return job.Failf(
			job.Rejected, "the HTTP service answers %s, and redirects are not followed: give the final URL",
			resp.Status,
		), false, nil
	}
}

func isFrames(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), FramesType)
}

func (h *Handler) result(resp *http.Response) (job.Outcome, error) {
	b := spool.Buffer{Limits: h.opts.Result}
	var err error
	if resp.ContentLength >= 0 {
		err = b.ReadFull(resp.Body, resp.ContentLength)
	} else {
		_, err = io.Copy(&b, resp.Body)
	}
	if err != nil {
		b.Discard()
		return job.Outcome{}, fmt.Errorf("read the answer: %w", err)
	}
	o := job.Outcome{Kind: job.Completed, Reason: job.OK}
	o.Result, o.ResultFile, o.ResultSize = b.Take()
	return o, nil
}

// text returns the start of an error's body, for the message, after a colon. It reads the body to
// its end if that isn't far.
func text(resp *http.Response) (string, error) {
	const show, most = 1 << 10, 256 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err == nil && len(body) == most {
		err = errors.New("the body is too long")
	}
	s := strings.TrimSpace(string(body[:min(len(body), show)]))
	if s != "" {
		s = ": " + s
	}
	return s, err
}

// retryAfter reads a Retry-After header in seconds. Its form with a date is ignored, and the
// back-off applies.
func retryAfter(resp *http.Response) time.Duration {
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n < 0 || n > 3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}
