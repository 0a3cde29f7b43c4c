package admin

import (
	"context"
	"fmt"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Probe reports whether the job server at address would give a worker a job of the function now.
// Over a connection of its own, which counts as a worker of the function for that moment, it
// registers the function, goes to sleep and looks whether that wakes it at once, which it doesn't
// for jobs that are delayed. On gearmand it also clears jobs that were canceled or left by their
// clients. address and o are those of Dial.
func Probe(ctx context.Context, address, function string, o Options) (runnable bool, err error) {
	if err := proto.CheckFunction(function); err != nil {
		return false, fmt.Errorf("job server %s: probe: %w", address, err)
	}
	c, err := Dial(ctx, address, o)
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }() // the answer has come, or err says more
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
				return fmt.Errorf("%w: %s to a probe", ErrAnswer, p)
			}
		}
	})
	return runnable && err == nil, err
}
