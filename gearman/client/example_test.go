package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// Background jobs are queued for whoever works on them; equal keys are one job.
func ExampleClient_Background() {
	server := gearmantest.NewServer() // in production: gearmand
	defer server.Close()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	first, err := c.Background(ctx, "thumbnail", []byte("cat.jpg"), client.WithUnique("cat"), client.WithPriority(client.High))
	if err != nil {
		log.Fatal(err)
	}
	second, err := c.Background(ctx, "thumbnail", []byte("cat.jpg"), client.WithUnique("cat"))
	if err != nil {
		log.Fatal(err)
	}
	status, err := c.Status(ctx, first)
	fmt.Println(first == second, status.Known, status.Running, err)
	// Output: true true false <nil>
}

// A pipeline keeps many submissions under way.
func ExampleClient_Pipeline() {
	server := gearmantest.NewServer()
	defer server.Close()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	p := c.Pipeline(client.PipelineOptions{Window: 100})
	for i := range 1000 {
		if _, err := p.Submit(ctx, &client.Task{Function: "index", Payload: fmt.Append(nil, i)}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(p.Wait(ctx), server.Function("index").Total)
	// Output: <nil> 1000
}
