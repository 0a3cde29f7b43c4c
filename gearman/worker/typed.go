package worker

import (
	"context"

	"github.com/gearman-operator/gearman-operator/gearman/codec"
)

// Func returns a Handler for a function on Go values: c decodes the payload and encodes the value
// that the function returns. A payload that can't be decoded fails the job. Spooled payloads are
// read into memory.
func Func[In, Out any](c codec.Pair, f func(ctx context.Context, job *Job, in In) (Out, error)) Handler {
	return func(ctx context.Context, job *Job) ([]byte, error) {
		payload := job.Payload()
		if job.Spool() != nil {
			payload = make([]byte, job.Size())
			if _, err := job.Reader().ReadAt(payload, 0); err != nil {
				return nil, err
			}
		}
		var in In
		if err := c.Arg.Decode(payload, &in); err != nil {
			return nil, err
		}
		out, err := f(ctx, job, in)
		if err != nil {
			return nil, err
		}
		return c.Result.Encode(out)
	}
}
