package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

// TestMiddleware checks that the middleware sees each job of each function, the first outermost,
// and can pass values to the handler.
func TestMiddleware(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("192.0.2.1:4730"))
		defer s.Close()
		type key struct{}
		var mu sync.Mutex
		var log []string
		note := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, text)
		}
		around := func(name string) func(Handler) Handler {
			return func(next Handler) Handler {
				return func(ctx context.Context, j *Job) ([]byte, error) {
					note(name + " before " + j.Function())
					result, err := next(context.WithValue(ctx, key{}, name), j)
					note(name + " after")
					return result, err
				}
			}
		}
		var id gearman.JobID
		handler := func(ctx context.Context, j *Job) ([]byte, error) {
			id = j.ID()
			note("handler in " + ctx.Value(key{}).(string))
			return nil, nil
		}
		o := Options{Middleware: []func(Handler) Handler{around("outer"), around("inner")}}
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": handler}, func(*Worker) {
			s.Submit("f", "", nil)
			synctest.Wait()
		})
		want := []string{"outer before f", "inner before f", "handler in inner", "inner after", "outer after"}
		if diff := check.Diff(want, log); diff != "" {
			t.Error(diff)
		}
		if want := (gearman.JobID{Server: "192.0.2.1:4730", Handle: "H:gearmantest:1"}); id != want {
			t.Errorf("the job is %v, want %v", id, want)
		}
	})
}
