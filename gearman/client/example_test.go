package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// Background jobs are queued for any worker of their function; jobs with equal keys are one job.
func ExampleClient_Background() {
	server := gearmantest.NewServer(gearmantest.Options{}) // in production: gearmand
	defer server.Close()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	first, err := c.Background(ctx, &client.Task{
		Function: "thumbnail", Payload: []byte("cat.jpg"), Key: "cat", Priority: gearman.High,
	})
	if err != nil {
		log.Fatal(err)
	}
	second, err := c.Background(ctx, &client.Task{Function: "thumbnail", Payload: []byte("cat.jpg"), Key: "cat"})
	if err != nil {
		log.Fatal(err)
	}
	status, err := c.Status(ctx, first)
	fmt.Println(first == second, status.Known, status.Running, err)
	// Output: true true false <nil>
}

// Produce keeps many submissions under way.
func ExampleClient_Produce() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	for i := range 1000 {
		c.Produce(ctx, &client.Task{Function: "index", Payload: fmt.Append(nil, i)}, func(id gearman.JobID, err error) {
			if err != nil {
				log.Print(id.Server, ": ", err)
			}
		})
	}
	fmt.Println(c.Flush(ctx), server.Function("index").Total)
	// Output: <nil> 1000
}

// This example runs a foreground job and prints what its worker sends while it runs.
func ExampleClient_Do() {
	server := gearmantest.NewServer(gearmantest.Options{}) // in production: gearmand
	defer server.Close()
	stop := work(server, "count", func(_ context.Context, job *worker.Job) ([]byte, error) {
		for i, word := range strings.Fields(string(job.Payload())) {
			if err := errors.Join(job.Data([]byte(word)), job.Status(uint64(i+1), 3)); err != nil {
				return nil, err
			}
		}
		return []byte("done"), nil
	})
	defer stop()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a job has no other time limit
	defer cancel()
	result, err := c.Do(ctx, &client.Task{
		Function: "count",
		Payload:  []byte("one two three"),
		OnData:   func(part []byte) { fmt.Println(string(part)) },
		OnStatus: func(n, of uint64) { fmt.Println(n, "of", of) },
	})
	fmt.Println(string(result), err)
	// Output:
	// one
	// 1 of 3
	// two
	// 2 of 3
	// three
	// 3 of 3
	// done <nil>
}

// Many jobs can run concurrently, each with a result of its own.
func ExampleClient_RunSet() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	stop := work(server, "half", func(_ context.Context, job *worker.Job) ([]byte, error) {
		n, err := strconv.Atoi(string(job.Payload()))
		if err != nil {
			return nil, &gearman.JobError{Exception: []byte("that is no number")}
		}
		return strconv.AppendInt(nil, int64(n/2), 10), nil
	})
	defer stop()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}, Exceptions: true})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	results, err := c.RunSet(context.Background(),
		&client.Task{Function: "half", Payload: []byte("84"), Timeout: time.Minute},
		&client.Task{Function: "half", Payload: []byte("many")},
		&client.Task{Function: "half", Payload: []byte("84"), Background: true},
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		var e *gearman.JobError
		switch {
		case errors.As(r.Err, &e):
			fmt.Printf("exception: %s\n", e.Exception)
		case r.Err != nil:
			fmt.Println(r.Err)
		case r.Task.Background:
			fmt.Println("queued:", r.ID.Handle != "")
		default:
			fmt.Printf("result: %s\n", r.Data)
		}
	}
	// Output:
	// result: 42
	// exception: that is no number
	// queued: true
}

// A program that ends can wait for the calls that are under way.
func ExampleClient_Shutdown() {
	server := gearmantest.NewServer(gearmantest.Options{}) // in production: gearmand
	defer server.Close()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 100 {
		c.Produce(ctx, &client.Task{Function: "thumbnail", Payload: []byte("cat.jpg")}, nil)
	}
	fmt.Println(c.Shutdown(ctx), server.Function("thumbnail").Total)
	// Output: <nil> 100
}

// Jobs with equal keys go to the same job server and are one job there. If that job server is down,
// they go to the next.
func ExampleOptions_byKey() {
	a, b := gearmantest.NewServer(gearmantest.Options{}), gearmantest.NewServer(gearmantest.Options{})
	defer a.Close()
	defer b.Close()
	c, err := client.New(client.Options{Servers: []string{a.Addr(), b.Addr()}, Select: client.ByKey})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	thumbnail := func(image string) *client.Task {
		return &client.Task{Function: "thumbnail", Payload: []byte(image), Key: gearman.KeyOf([]byte(image))}
	}
	for range 3 {
		if _, err := c.Background(ctx, thumbnail("cat.jpg")); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("jobs:", a.Function("thumbnail").Total+b.Function("thumbnail").Total)
	a.Close()
	b.Close()
	_, err = c.Background(ctx, thumbnail("dog.jpg"))
	fmt.Println(errors.Is(err, client.ErrNoServer) || errors.Is(err, client.ErrUncertain))
	// Output:
	// jobs: 1
	// true
}

// work runs a worker until it is stopped.
func work(server *gearmantest.Server, function string, h worker.Handler) (stop func()) {
	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Handle(worker.Function{Name: function, Handler: h}); err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(context.Background()) }()
	return func() {
		if err := w.Stop(context.Background()); err != nil {
			log.Fatal(err)
		}
		if err := <-done; err != nil {
			log.Fatal(err)
		}
	}
}
