package admin

import (
	"context"
	"fmt"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Probe reports whether the job server at address would assign a job of the function to a worker
// now. It opens a connection of its own, which counts as a worker of the function for that moment.
// On it, Probe registers the function, goes to sleep, and checks whether the job server wakes it at
// once, which doesn't happen for delayed jobs. On gearmand, Probe also clears jobs that were
// canceled or abandoned by their clients. address and o are as in Dial.
func Probe(ctx context.Context, address, function string, o Options) (runnable bool, err error) {
	if err := proto.CheckFunction(function); err != nil {
		return false, fmt.Errorf("job server %s: probe: %w", address, err)
	}
	c, err := Dial(ctx, address, o)
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }() // the response has arrived, or err has the cause
	return c.probe(ctx, function)
}

func (c *Conn) probe(ctx context.Context, function string) (bool, error) {
	request := proto.AppendCanDo(nil, function)
	request = proto.AppendEmpty(request, proto.Request, proto.TypePreSleep)
	request = proto.AppendEcho(request, proto.Request, barrier)
	request = proto.AppendEmpty(request, proto.Request, proto.TypeResetAbilities)
	runnable := false
	err := c.exchange(ctx, "probe", request, func(conn *proto.Conn) error {
		for {
			p, err := conn.Next()
			switch {
			case err != nil:
				return err
			case p.Type == proto.TypeNoop:
				runnable = true
			case p.Type == proto.TypeEchoRes && string(p.Data) == barrier:
				return nil
			default:
				return fmt.Errorf("%w: %s in response to a probe", ErrAnswer, p)
			}
		}
	})
	return runnable && err == nil, err
}
