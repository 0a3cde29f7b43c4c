package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func TestSoftStopFinishesTheJob(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	started, release := make(chan struct{}), make(chan struct{})
	w := start(t, Options{Servers: []string{addr}}, map[string]Handler{
		"f": func(ctx context.Context, _ *Job) ([]byte, error) {
			close(started)
			<-release
			return []byte("done"), ctx.Err()
		},
		"g": reverse,
	})
	c := newClient(t, addr)
	h := c.submit(proto.TypeSubmitJob, "f", "", "x")
	<-started
	c2 := newClient(t, addr)
	c2.submit(proto.TypeSubmitJobBG, "g", "", "x")
	c2.submit(proto.TypeSubmitJobBG, "f", "", "x")
	w.beginStop()
	eventually(t, "g is unregistered while f runs", func() bool { return status(t, addr, "g").Workers == 0 })
	if st := status(t, addr, "f"); st.Running != 1 || st.Workers != 1 || st.Total != 2 {
		t.Errorf("while stopping: %+v", st)
	}
	close(release)
	if got := c.next(); got != "WORK_COMPLETE|"+h+"|done" {
		t.Error(got)
	}
	if err := w.wait(); err != nil {
		t.Error(err)
	}
	if st := status(t, addr, "f"); st.Running != 0 || st.Workers != 0 || st.Total != 1 {
		t.Errorf("after the stop: %+v", st)
	}
	if st := status(t, addr, "g"); st.Total != 1 {
		t.Errorf("after the stop: %+v", st)
	}
}

func TestHardStopHandsTheJobBack(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	started := make(chan struct{})
	var done Done
	w := start(t, Options{
		Servers: []string{addr}, DrainTimeout: 10 * time.Millisecond,
		Hooks: Hooks{JobDone: func(_ *Job, d Done) { done = d }},
	},
		map[string]Handler{"f": func(ctx context.Context, _ *Job) ([]byte, error) {
			close(started)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}})
	c := newClient(t, addr)
	c.submit(proto.TypeSubmitJobBG, "f", "", "x")
	<-started
	w.beginStop()
	if err := w.wait(); !errors.Is(err, ErrStopped) {
		t.Errorf("Run: %v", err)
	}
	if done.Outcome != Abandoned || !errors.Is(done.Err, ErrStopped) {
		t.Errorf("%+v", done)
	}
	eventually(
		t, "the job is queued again",
		func() bool { st := status(t, addr, "f"); return st.Total == 1 && st.Running == 0 },
	)
}
