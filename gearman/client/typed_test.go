package client_test

import (
	"context"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/codec"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

func TestTypedCalls(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	sum := worker.Func(codec.NetGearman, func(_ context.Context, _ *worker.Job, in []int) (int, error) {
		total := 0
		for _, n := range in {
			total += n
		}
		return total, nil
	})
	startWorker(t, 1, map[string]worker.Handler{"sum": sum}, addr)
	c := newClient(t, client.Options{Servers: []string{addr}})
	ctx := within(t)
	if got, err := client.Call[int](
		ctx, c, codec.NetGearman, &client.Task{Function: "sum"}, []int{1, 2, 3},
	); err != nil || got != 6 {
		t.Errorf("%d, %v", got, err)
	}
	raw, err := c.Do(ctx, &client.Task{Function: "sum", Payload: []byte("[4,5]")})
	if diff := check.Diff(`{"result":9}`, string(raw)); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := client.Call[int](ctx, c, codec.NetGearman, &client.Task{Function: "sum"}, "no list"); err == nil {
		t.Error("a payload that doesn't decode was taken")
	}
	if _, err := client.Call[int](ctx, c, codec.JSON, &client.Task{Function: "sum"}, func() {}); err == nil {
		t.Error("a function was encoded")
	}
}
