package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// newClient returns a client of the library for the job server under test.
func (c *check) newClient(o client.Options) *client.Client {
	o.Servers = []string{c.target.addr}
	cl, err := client.New(o)
	if err != nil {
		c.failf("client: %v", err)
	}
	c.onEnd(func() { _ = cl.Close() })
	return cl
}

// serve runs a worker of the library until the returned function is called or the row ends.
func (c *check) serve(functions map[string]worker.Handler) (stop func()) {
	w, err := worker.New(
		worker.Options{
			Servers: []string{c.target.addr}, ReconnectMin: time.Millisecond, ReconnectMax: 10 * time.Millisecond,
		},
	)
	if err != nil {
		c.failf("worker: %v", err)
	}
	for name, h := range functions {
		if err := w.Handle(worker.Function{Name: name, Handler: h}); err != nil {
			c.failf("worker: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // the row's own checks see any failure
	}()
	var stopped atomic.Bool
	stop = func() {
		if !stopped.Swap(true) {
			cancel()
			<-done
		}
	}
	c.onEnd(stop)
	select {
	case <-w.Ready():
	case <-time.After(c.waitLimit):
		c.failf("the worker is not ready: %+v", w.Status())
	}
	return stop
}

func (c *check) timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, c.waitLimit)
}

// do runs a job in the foreground.
func (c *check) do(cl *client.Client, function, payload string) (string, error) {
	return c.doTask(cl, &client.Task{Function: function, Payload: []byte(payload)})
}

func (c *check) doTask(cl *client.Client, task *client.Task) (string, error) {
	ctx, cancel := c.timeout()
	defer cancel()
	got, err := cl.Do(ctx, task)
	return string(got), err
}

func (c *check) must(what string, err error) {
	if err != nil {
		c.failf("%s: %v", what, err)
	}
}

// newAdmin returns an admin connection of the library.
func (c *check) newAdmin() *admin.Conn {
	a, err := admin.Dial(c.ctx, c.target.addr, admin.Options{Timeout: c.waitLimit})
	c.must("admin", err)
	c.onEnd(func() { _ = a.Close() })
	return a
}

func upper(_ context.Context, j *worker.Job) ([]byte, error) {
	return []byte(strings.ToUpper(string(j.Payload()))), nil
}

var libraryRows = []row{
	{group: "library", name: "a job, client to worker and back", run: func(c *check) {
		c.serve(map[string]worker.Handler{"upper": upper})
		cl := c.newClient(client.Options{})
		for i := range 20 {
			got, err := c.do(cl, "upper", fmt.Sprint("job ", i))
			c.must("do", err)
			c.equal("the result", got, fmt.Sprint("JOB ", i))
		}
	}},
	{group: "library", name: "a failure", run: func(c *check) {
		c.serve(map[string]worker.Handler{
			"f": func(context.Context, *worker.Job) ([]byte, error) { return nil, errors.New("no") },
		})
		if _, err := c.do(c.newClient(client.Options{}), "f", "x"); !errors.Is(err, client.ErrFailed) {
			c.failf("do: got %v, want %v", err, client.ErrFailed)
		}
	}},
	{group: "library", name: "an exception, for who asks and for who doesn't", run: func(c *check) {
		c.serve(map[string]worker.Handler{"f": func(context.Context, *worker.Job) ([]byte, error) {
			return nil, &gearman.JobError{Exception: []byte("boom")}
		}})
		_, err := c.do(c.newClient(client.Options{Exceptions: true}), "f", "x")
		if e, ok := errors.AsType[*gearman.JobError](err); !ok || string(e.Exception) != "boom" {
			c.failf("with exceptions: got %v, want the exception boom", err)
		}
		if _, err := c.do(c.newClient(client.Options{}), "f", "x"); !errors.Is(err, client.ErrFailed) {
			c.failf("without: got %v, want %v", err, client.ErrFailed)
		}
	}},
	{group: "library", name: "status while it runs", run: func(c *check) {
		goOn := make(chan struct{})
		c.serve(map[string]worker.Handler{"f": func(_ context.Context, j *worker.Job) ([]byte, error) {
			err := j.Status(1, 3)
			<-goOn
			return nil, err
		}})
		cl := c.newClient(client.Options{})
		var last atomic.Value
		_, err := c.doTask(cl, &client.Task{Function: "f", OnStatus: func(n, d uint64) {
			last.Store(fmt.Sprint(n, "/", d))
			close(goOn)
		}})
		c.must("do", err)
		c.equal("status", last.Load(), "1/3")
	}},
	{group: "library", name: "data and warnings", not: onPerl, run: func(c *check) {
		c.serve(map[string]worker.Handler{"f": func(_ context.Context, j *worker.Job) ([]byte, error) {
			return []byte("end"), errors.Join(j.Data([]byte("part ")), j.Warning([]byte("hm")))
		}})
		warned := ""
		got, err := c.doTask(c.newClient(client.Options{}), &client.Task{
			Function: "f", OnWarning: func(data []byte) { warned = string(data) },
		})
		c.must("do", err)
		c.equal("result and warning", got+"|"+warned, "part end|hm")
	}},
	{group: "library", name: "priorities", not: onPerl, run: func(c *check) {
		cl := c.newClient(client.Options{})
		for _, p := range []gearman.Priority{gearman.Low, gearman.Normal, gearman.High} {
			_, err := cl.Background(c.ctx, &client.Task{Function: "f", Payload: fmt.Append(nil, p), Priority: p})
			c.must("background", err)
		}
		ran := make(chan string, 3)
		c.serve(map[string]worker.Handler{"f": func(_ context.Context, j *worker.Job) ([]byte, error) {
			ran <- string(j.Payload())
			return nil, nil
		}})
		for _, p := range []gearman.Priority{gearman.High, gearman.Normal, gearman.Low} {
			c.equal("the next job", <-ran, fmt.Sprint(p))
		}
	}},
	{group: "library", name: "a background job's status by its handle", run: func(c *check) {
		cl := c.newClient(client.Options{})
		id, err := cl.Background(c.ctx, &client.Task{Function: "f", Payload: []byte("x")})
		c.must("background", err)
		st, err := cl.Status(c.ctx, id)
		c.must("status", err)
		c.equal("status", st, client.JobStatus{Known: true})
		goOn := make(chan struct{})
		started := make(chan struct{})
		stop := c.serve(map[string]worker.Handler{"f": func(context.Context, *worker.Job) ([]byte, error) {
			close(started)
			<-goOn
			return nil, nil
		}})
		<-started
		st, err = cl.Status(c.ctx, id)
		close(goOn)
		c.must("status", err)
		c.equal("status", st, client.JobStatus{Known: true, Running: true})
		stop()
		st, err = cl.Status(c.ctx, id)
		c.must("status", err)
		c.equal("status", st, client.JobStatus{})
	}},
	{group: "library", name: "a job's status by its unique key", not: onPerl, run: func(c *check) {
		cl := c.newClient(client.Options{})
		_, err := cl.Background(c.ctx, &client.Task{Function: "f", Key: "key"})
		c.must("background", err)
		st, err := cl.StatusByKey(c.ctx, "key")
		c.must("status", err)
		c.equal("status", st, client.JobStatus{Known: true})
	}},
	{group: "library", name: "equal jobs coalesce", run: func(c *check) {
		cl := c.newClient(client.Options{})
		a, err := cl.Background(
			c.ctx, &client.Task{Function: "f", Payload: []byte("same"), Key: gearman.KeyOf([]byte("same"))},
		)
		c.must("background", err)
		b, err := cl.Background(
			c.ctx, &client.Task{Function: "f", Payload: []byte("same"), Key: gearman.KeyOf([]byte("same"))},
		)
		c.must("background", err)
		c.equal("the second job", b, a)
	}},
	{group: "library", name: "a delayed job", not: onPerl, run: func(c *check) {
		cl := c.newClient(client.Options{})
		_, err := cl.Background(c.ctx, &client.Task{Function: "f", At: time.Now().Add(time.Hour)})
		c.must("background", err)
		c.worker("worker", "f").grabNothing()
		c.status("f 1 0 1")
	}},
	{group: "library", name: "a job handed back runs again", not: onPerl, run: func(c *check) {
		var runs atomic.Int32
		c.serve(map[string]worker.Handler{"f": func(context.Context, *worker.Job) ([]byte, error) {
			if runs.Add(1) == 1 {
				return nil, worker.ErrRequeue
			}
			return []byte("second"), nil
		}})
		got, err := c.do(c.newClient(client.Options{}), "f", "x")
		c.must("do", err)
		c.equal("result", got, "second")
	}},
	{group: "library", name: "a job handed back fails", not: onGearmand, run: func(c *check) {
		c.serve(map[string]worker.Handler{
			"f": func(context.Context, *worker.Job) ([]byte, error) { return nil, worker.ErrRequeue },
		})
		ctx, cancel := context.WithTimeout(c.ctx, min(c.waitLimit, 5*time.Second))
		defer cancel()
		if _, err := c.newClient(client.Options{}).Do(
			ctx, &client.Task{Function: "f"},
		); !errors.Is(err, client.ErrFailed) {
			c.failf("do: got %v, want %v", err, client.ErrFailed)
		}
	}},
	{group: "library", name: "a soft stop finishes the running job and takes no other", run: func(c *check) {
		cl := c.newClient(client.Options{})
		started, goOn := make(chan struct{}), make(chan struct{})
		stop := c.serve(map[string]worker.Handler{"f": func(context.Context, *worker.Job) ([]byte, error) {
			close(started)
			<-goOn
			return []byte("done"), nil
		}})
		result := make(chan string, 1)
		go func() {
			ctx, cancel := c.timeout()
			defer cancel()
			got, err := cl.Do(ctx, &client.Task{Function: "f", Payload: []byte("first")})
			result <- fmt.Sprint(string(got), err)
		}()
		<-started
		_, err := cl.Background(c.ctx, &client.Task{Function: "f", Payload: []byte("second")})
		c.must("background", err)
		go func() {
			time.Sleep(20 * time.Millisecond) // so that the stop has begun, which the row doesn't depend on
			close(goOn)
		}()
		stop()
		c.equal("the first job", <-result, "done<nil>")
		rows, err := c.newAdmin().Status(c.ctx)
		c.must("status", err)
		c.equal("what is left", fmt.Sprint(rows), "[{f 1 0 0}]")
	}},
	{group: "library", name: "admin: status and workers, typed", run: func(c *check) {
		cl := c.newClient(client.Options{})
		_, err := cl.Background(c.ctx, &client.Task{Function: "f"})
		c.must("background", err)
		w := c.worker("worker", "g")
		w.send(proto.TypeSetClientID, "me")
		w.sync()
		a := c.newAdmin()
		rows, err := a.Status(c.ctx)
		c.must("status", err)
		slices.SortFunc(rows, func(a, b admin.FunctionStatus) int { return strings.Compare(a.Function, b.Function) })
		c.equal("status", fmt.Sprint(rows), "[{f 1 0 0} {g 0 0 1}]")
		conns, err := a.Workers(c.ctx)
		c.must("workers", err)
		i := slices.IndexFunc(conns, func(w admin.Connection) bool { return w.ID == "me" })
		if i < 0 || conns[i].IP != "127.0.0.1" || !slices.Equal(conns[i].Functions, []string{"g"}) {
			c.failf("workers: got %+v, want one called me with g", conns)
		}
	}},
	{group: "library", name: "admin: the dialect is told", run: func(c *check) {
		v, err := c.newAdmin().Version(c.ctx)
		c.must("version", err)
		i := slices.IndexFunc(servers(), func(s *server) bool { return s.name == c.target.kind })
		c.equal("dialect", v.Dialect, servers()[i].dialect)
	}},
	{group: "library", name: "admin: jobs, keys and cancelling", not: onPerl, run: func(c *check) {
		cl := c.newClient(client.Options{})
		id, err := cl.Background(c.ctx, &client.Task{Function: "f", Key: "key"})
		c.must("background", err)
		a := c.newAdmin()
		keys, err := a.UniqueJobs(c.ctx)
		c.must("keys", err)
		want := admin.UniqueJob{Unique: "key"}
		if c.version().UniqueWithHandle() {
			want.Handle = id.Handle
		}
		c.equal("keys", fmt.Sprint(keys), fmt.Sprint([]admin.UniqueJob{want}))
		c.must("cancel", a.CancelJob(c.ctx, id.Handle))
		jobs, err := a.Jobs(c.ctx)
		c.must("jobs", err)
		c.equal("jobs", fmt.Sprint(jobs), fmt.Sprint([]admin.Job{{Handle: id.Handle, Ignored: true}}))
	}},
	{group: "library", name: "admin: what the server doesn't know is ErrUnsupported", not: onGearmand, run: func(c *check) {
		if _, err := c.newAdmin().Jobs(c.ctx); !errors.Is(err, admin.ErrUnsupported) {
			c.failf("jobs: got %v, want %v", err, admin.ErrUnsupported)
		}
	}},
	{group: "library", name: "admin: is a function runnable?", run: func(c *check) {
		o := admin.Options{Timeout: c.waitLimit}
		got, err := admin.Probe(c.ctx, c.target.addr, "f", o)
		c.must("probe", err)
		c.equal("without a job", got, false)
		_, err = c.newClient(client.Options{}).Background(c.ctx, &client.Task{Function: "f"})
		c.must("background", err)
		got, err = admin.Probe(c.ctx, c.target.addr, "f", o)
		c.must("probe", err)
		c.equal("with a job", got, true)
	}},
}
