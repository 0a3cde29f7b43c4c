package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/codec"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// A worker runs until its context ends, and then finishes its running jobs.
func Example() {
	server := gearmantest.NewServer(gearmantest.Options{}) // in production: gearmand
	defer server.Close()

	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}, Concurrency: 4})
	if err != nil {
		log.Fatal(err)
	}
	err = w.Handle(worker.Function{Name: "upper", Handler: func(_ context.Context, job *worker.Job) ([]byte, error) {
		return []byte(strings.ToUpper(string(job.Payload()))), nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background()) // in production: signal.NotifyContext
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()

	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	result, err := c.Do(context.Background(), &client.Task{Function: "upper", Payload: []byte("hello")})
	fmt.Println(string(result), err)

	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// HELLO <nil>
	// stopped: <nil>
}

// Func makes a handler from a function on Go values.
func ExampleFunc() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	type order struct{ Item, Count int }
	price := func(_ context.Context, _ *worker.Job, o order) (int, error) { return o.Count * 3, nil }
	err = w.Handle(worker.Function{Name: "price", Handler: worker.Func(codec.JSON, price)})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(context.Background()) }()

	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	task := &client.Task{Function: "price"}
	total, err := client.Call[int](context.Background(), c, codec.JSON, task, order{Item: 7, Count: 2})
	fmt.Println(total, err)

	if err := w.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output: 6 <nil>
}

// A handler's return value decides the outcome of its job. Hooks get each outcome, for example for
// metrics.
func ExampleHooks() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	for _, payload := range []string{"good", "bad", "worse", "slow"} {
		server.Submit("try", "", []byte(payload))
	}
	left := 4
	var w *worker.Worker
	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}, Hooks: worker.Hooks{
		JobDone: func(job *worker.Job, done worker.Done) {
			fmt.Printf("%s: %s, timeout: %v\n", job.Payload(), done.Outcome, done.Timeout)
			if left--; left == 0 {
				go func() { _ = w.Stop(context.Background()) }() // it waits for Run, which waits for this hook
			}
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
	try := func(ctx context.Context, job *worker.Job) ([]byte, error) {
		switch string(job.Payload()) {
		case "bad":
			return nil, errors.New("no")
		case "worse":
			panic("no!")
		case "slow":
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return []byte("yes"), nil
	}
	err = w.Handle(worker.Function{Name: "try", Handler: try, Timeout: 100 * time.Millisecond, Grace: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Run(context.Background()))
	// Output:
	// good: complete, timeout: false
	// bad: fail, timeout: false
	// worse: fail, timeout: false
	// slow: fail, timeout: true
	// <nil>
}

// A handler that can't run the job now requeues it; on gearmand it goes to the tail of its queue.
func ExampleErrRequeue() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	server.Submit("f", "", []byte("first"))
	server.Submit("f", "", []byte("second"))
	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	tries := 0
	err = w.Handle(worker.Function{Name: "f", Handler: func(ctx context.Context, job *worker.Job) ([]byte, error) {
		tries++
		fmt.Println(string(job.Payload()))
		if tries == 1 {
			return nil, fmt.Errorf("the disk is full: %w", worker.ErrRequeue)
		}
		if tries == 3 {
			return nil, w.Stop(ctx) // with the handler's own context it doesn't wait
		}
		return nil, nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Run(context.Background()))
	// Output:
	// first
	// second
	// first
	// <nil>
}
