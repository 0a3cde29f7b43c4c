package client

import (
	"context"

	"github.com/gearman-operator/gearman-operator/gearman/codec"
)

// Call runs a job in the foreground whose argument and result are values: p encodes the one and
// decodes the other.
func Call[Out any](
	ctx context.Context, c *Client, p codec.Pair, function string, arg any, opts ...Option,
) (Out, error) {
	var out Out
	payload, err := p.Arg.Encode(arg)
	if err != nil {
		return out, err
	}
	result, err := c.Do(ctx, function, payload, opts...)
	if err != nil {
		return out, err
	}
	return out, p.Result.Decode(result, &out)
}
