package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// maxPayload is the largest payload that fits in a packet with its other fields.
const maxPayload = proto.MaxData - proto.MaxFunction - proto.MaxUnique - 32

// streamPiece is how much of a result is read at once for a writer.
const streamPiece = 128 << 10

// checkStreams returns an error if a task's options for streaming are invalid.
func (t *Task) checkStreams() error {
	switch {
	case t.PayloadFrom == nil && t.PayloadSize != 0:
		return fmt.Errorf("%w: PayloadSize is the size of PayloadFrom, which isn't set", ErrTask)
	case t.PayloadFrom != nil &&
		(t.PayloadSize < 0 || t.PayloadSize > maxPayload || int64(int(t.PayloadSize)) != t.PayloadSize):
		return fmt.Errorf("%w: a packet can't carry a payload of %d bytes", ErrTask, t.PayloadSize)
	case t.PayloadFrom != nil && len(t.Payload) > 0:
		return fmt.Errorf("%w: there are two payloads, set either Payload or PayloadFrom", ErrTask)
	case t.ResultTo != nil && t.OnData != nil:
		return fmt.Errorf("%w: the parts of a result go either to OnData or to ResultTo", ErrTask)
	case t.ResultTo != nil && t.Background:
		return fmt.Errorf("%w: a background job has no result to write", ErrTask)
	}
	return nil
}

// Parts runs a job in the foreground and yields the parts of its result as they arrive, then the
// rest of the result if there is one. An error comes last. Breaking out of the loop abandons the
// job, as the end of ctx does. The caller may keep the parts. The job server waits while the loop's
// body runs. The loop replaces the task's OnData.
func (c *Client) Parts(ctx context.Context, t *Task) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		left := false
		own := *t
		own.OnData = func(b []byte) {
			if !left && !yield(b, nil) {
				left = true
				cancel()
			}
		}
		rest, err := c.Do(ctx, &own)
		switch {
		case left:
		case err != nil:
			yield(nil, err)
		case len(rest) > 0:
			yield(rest, nil)
		}
	}
}

// streamResult passes a large part of a result, or its end, piece by piece to a call that streams
// its result. If there is no such call, it returns false and has read nothing.
func (x *conn) streamResult(h proto.Header) (bool, error) {
	front, err := x.in.Peek(proto.MaxHandle + 1)
	if err != nil {
		return false, err
	}
	name, _, ok := bytes.Cut(front, []byte{0})
	if !ok || x.streamedTo(name) == nil {
		return false, nil
	}
	handle := bytes.Clone(name)
	if err := x.in.Discard(len(handle) + 1); err != nil {
		return true, err
	}
	for x.in.Rest() > 0 {
		call := x.streamedTo(handle)
		if call == nil { // the caller has left
			if err := x.in.Discard(int(min(x.in.Rest(), streamPiece))); err != nil {
				return true, err
			}
			continue
		}
		piece := make([]byte, min(x.in.Rest(), streamPiece))
		if _, err := io.ReadFull(x.in, piece); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return true, err
		}
		call.post(event{kind: data, data: piece})
		x.hold(call)
	}
	// Only now: until here the job counts as lost if the connection ends.
	if call, _, final := x.takesLocked(handle, h.Type); call != nil && final {
		call.post(event{kind: completed})
	}
	return true, nil
}

// streamedTo returns the call that gets the next packet about a job if it streams its result, or
// nil.
func (x *conn) streamedTo(handle []byte) *call {
	x.mu.Lock()
	defer x.mu.Unlock()
	w := x.jobs[string(handle)]
	if w == nil {
		return nil
	}
	if k := w.tickets[w.at].call; k != nil && k.task.ResultTo != nil {
		return k
	}
	return nil
}
