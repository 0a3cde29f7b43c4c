package workertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/gearman/worker/workertest"
)

func TestMain(m *testing.M) { check.Main(m) }

var (
	errBroken = errors.New("broken")
	errReason = &gearman.JobError{Exception: []byte("why")}
)

func TestRun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		handler               worker.Handler
		job                   workertest.Job
		want                  workertest.Record // without errors
		handlerErr, clientErr error
	}{
		"completes": {
			handler: func(_ context.Context, j *worker.Job) ([]byte, error) {
				return fmt.Appendf(nil, "%s %s %s", j.Function(), j.Key(), j.Payload()), nil
			},
			job:  workertest.Job{Function: worker.Function{Name: "f"}, Key: "k", Payload: []byte("p")},
			want: workertest.Record{Result: []byte("f k p")},
		},
		"talks": {
			handler: func(_ context.Context, j *worker.Job) ([]byte, error) {
				return nil, errors.Join(
					j.Status(1, 2), j.Data([]byte("a")), j.Warning([]byte("w")), j.Data([]byte("b")), j.Status(2, 2),
				)
			},
			want: workertest.Record{
				Parts: [][]byte{[]byte("a"), []byte("b")}, Warnings: [][]byte{[]byte("w")},
				Progress: []workertest.Progress{{1, 2}, {2, 2}}, Result: []byte{},
			},
		},
		"fails": {
			handler: func(context.Context, *worker.Job) ([]byte, error) { return nil, errBroken },
			want:    workertest.Record{Outcome: worker.Fail}, handlerErr: errBroken, clientErr: client.ErrFailed,
		},
		"gives a reason": {
			handler: func(context.Context, *worker.Job) ([]byte, error) { return nil, errReason },
			want:    workertest.Record{Outcome: worker.Excepted}, handlerErr: errReason, clientErr: client.ErrFailed,
		},
		"requeues": {
			handler: func(context.Context, *worker.Job) ([]byte, error) { return nil, worker.ErrRequeue },
			want:    workertest.Record{Outcome: worker.Requeued}, handlerErr: worker.ErrRequeue,
		},
		"requeues where that can't be": {
			handler: func(context.Context, *worker.Job) ([]byte, error) { return nil, worker.ErrRequeue },
			job:     workertest.Job{Server: gearmantest.Options{Dialect: gearmantest.Perl}},
			want:    workertest.Record{Outcome: worker.Fail}, handlerErr: worker.ErrRequeue,
			clientErr: client.ErrFailed,
		},
		"is out of time": {
			handler: func(ctx context.Context, _ *worker.Job) ([]byte, error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			},
			job:  workertest.Job{Function: worker.Function{Timeout: time.Second}},
			want: workertest.Record{Outcome: worker.Fail}, handlerErr: worker.ErrTimeout,
			clientErr: client.ErrFailed,
		},
		"is stopped": {
			handler: func(ctx context.Context, _ *worker.Job) ([]byte, error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			},
			want: workertest.Record{Outcome: worker.Abandoned}, handlerErr: worker.ErrStopped,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got, err := workertest.Run(ctx, tt.handler, tt.job)
				if err != nil {
					t.Fatal(err)
				}
				if !errors.Is(got.HandlerErr, tt.handlerErr) || !errors.Is(got.Err, tt.clientErr) {
					t.Errorf(
						"errors: the handler's %v, the client's %v; want %v and %v", got.HandlerErr, got.Err,
						tt.handlerErr, tt.clientErr,
					)
				}
				got.HandlerErr, got.Err = nil, nil
				if diff := check.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestRunThatCannotBegin checks that a context that has ended, or invalid options, end a run before
// its job.
func TestRunThatCannotBegin(t *testing.T) {
	t.Parallel()
	handler := func(context.Context, *worker.Job) ([]byte, error) { return nil, errors.New("must not run") }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := workertest.Run(ended, handler, workertest.Job{}); err != nil || got.Outcome != worker.Abandoned ||
		got.HandlerErr == nil {
		t.Errorf("an ended context: %+v, %v", got, err)
	}
	if _, err := workertest.Run(
		t.Context(), handler, workertest.Job{Function: worker.Function{Name: "a b"}},
	); !errors.Is(err, proto.ErrName) {
		t.Errorf("a name that can't be: %v", err)
	}
}

// TestZeroJob checks that a job that no worker created can be inspected, and sends nothing.
func TestZeroJob(t *testing.T) {
	t.Parallel()
	var j worker.Job
	for name, err := range map[string]error{
		"Status": j.Status(1, 2), "Data": j.Data(nil), "Warning": j.Warning(nil), "DataFrom": j.DataFrom(nil, 0),
	} {
		if !errors.Is(err, worker.ErrJobDone) {
			t.Errorf("%s: %v, want ErrJobDone", name, err)
		}
	}
}

func ExampleRun() {
	greet := func(_ context.Context, job *worker.Job) ([]byte, error) {
		return append([]byte("Hello "), job.Payload()...), nil
	}
	got, err := workertest.Run(context.Background(), greet, workertest.Job{Payload: []byte("world")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, %v\n", got.Result, got.Err)
	// Output: Hello world, <nil>
}
