package client

import (
	"context"

	"github.com/gearman-operator/gearman-operator/gearman/codec"
)

// Call runs a job in the foreground whose argument and result are Go values. p encodes the
// argument, which replaces the task's payload, and decodes the result.
func Call[Out any](ctx context.Context, c *Client, p codec.Pair, t *Task, arg any) (Out, error) {
	var out Out
	payload, err := p.Arg.Encode(arg)
	if err != nil {
		return out, err
	}
	own := *t
	own.Payload = payload
	result, err := c.Do(ctx, &own)
	if err != nil {
		return out, err
	}
	return out, p.Result.Decode(result, &out)
}
