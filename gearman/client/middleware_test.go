package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

// TestMiddleware checks that the middleware sees each job, whichever method submitted it: its
// beginning, when the task may be changed, and its end, once.
func TestMiddleware(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("not today")
		var mu sync.Mutex
		var log []string
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprintf(format, args...))
		}
		outer := func(_ context.Context, task *client.Task) (func(*client.Result), error) {
			name := task.Function
			note("begin %s", name)
			return func(r *client.Result) { note("end %s %q %v", name, r.Data, r.Err != nil) }, nil
		}
		inner := func(_ context.Context, task *client.Task) (func(*client.Result), error) {
			switch task.Function {
			case "refused":
				return nil, refused
			case "changed":
				task.Function, task.Payload = "echo", []byte("by middleware")
				return func(r *client.Result) { r.Data = append(r.Data, " both ways"...) }, nil
			}
			return nil, nil
		}
		c := script(t, client.Options{Middleware: []client.Middleware{outer, inner}}, echoing)
		want := func(what string, lines ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if diff := check.Diff(lines, log); diff != "" {
				t.Errorf("%s:\n%s", what, diff)
			}
			log = nil
		}
		if got, err := c.Do(t.Context(), &client.Task{Function: "changed", Payload: []byte("x")}); err != nil ||
			string(got) != "by middleware both ways" {
			t.Errorf("%q, %v", got, err)
		}
		want("Do", "begin changed", `end changed "by middleware both ways" false`)
		if _, err := c.Do(t.Context(), &client.Task{Function: "refused"}); !errors.Is(err, refused) {
			t.Errorf("%v, want %v", err, refused)
		}
		want("Do that is refused", "begin refused", `end refused "" true`)
		if _, err := c.Background(t.Context(), &client.Task{Function: "echo"}); err != nil {
			t.Error(err)
		}
		want("Background", "begin echo", `end echo "" false`)

		failed := 0
		task := &client.Task{Function: "refused", OnFail: func(error) { failed++ }}
		results, err := c.RunSet(t.Context(), &client.Task{Function: "changed"}, task)
		if err != nil || results[0].Err != nil || !errors.Is(results[1].Err, refused) || results[1].Task != task ||
			failed != 1 {
			t.Errorf("%+v, %v", results, err)
		}
		slices.Sort(log)
		want("RunSet", "begin changed", "begin refused", `end changed "by middleware both ways" false`, `end refused "" true`)

		for range c.RunEach(
			t.Context(), &client.Task{Function: "echo", Payload: []byte("1")}, &client.Task{Function: "never"},
		) {
			break
		}
		want("RunEach that is left", "begin echo", "begin never", `end echo "1" false`, `end never "" true`)

		var told error
		c.Produce(t.Context(), &client.Task{Function: "echo"}, nil)
		c.Produce(t.Context(), &client.Task{Function: "refused"}, func(_ gearman.JobID, err error) { told = err })
		if err := c.Flush(t.Context()); !errors.Is(err, refused) || !errors.Is(told, refused) {
			t.Errorf("%v and %v, want %v", err, told, refused)
		}
		slices.Sort(log)
		want("Produce", "begin echo", "begin refused", `end echo "" false`, `end refused "" true`)
	})
}
