package worker_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/codec"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// A worker runs until its context ends, and then finishes what it has.
func Example() {
	server := gearmantest.NewServer() // in production: gearmand
	defer server.Close()

	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}, Concurrency: 4})
	if err != nil {
		log.Fatal(err)
	}
	err = w.Handle("upper", func(_ context.Context, job *worker.Job) ([]byte, error) {
		return []byte(strings.ToUpper(string(job.Workload()))), nil
	})
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
	result, err := c.Do(context.Background(), "upper", []byte("hello"))
	fmt.Println(string(result), err)

	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// HELLO <nil>
	// stopped: <nil>
}

// Func makes a handler of a function on values.
func ExampleFunc() {
	server := gearmantest.NewServer()
	defer server.Close()
	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	type order struct{ Item, Count int }
	err = w.Handle("price", worker.Func(codec.JSON, func(_ context.Context, _ *worker.Job, o order) (int, error) {
		return o.Count * 3, nil
	}))
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
	price, err := client.Call[int](context.Background(), c, codec.JSON, "price", order{Item: 7, Count: 2})
	fmt.Println(price, err)

	w.Stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output: 6 <nil>
}
