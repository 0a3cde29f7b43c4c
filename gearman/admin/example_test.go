package admin_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func ExampleConn_Status() {
	server := gearmantest.NewServer(gearmantest.Options{}) // in production: gearmand
	defer server.Close()
	server.Submit("resize", "", []byte("cat.jpg"))

	ctx := context.Background()
	c, err := admin.Dial(ctx, server.Addr(), admin.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	rows, err := c.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range rows {
		fmt.Println(row.Function, row.Queued(), row.Running, row.Workers)
	}
	// Output: resize 1 0 0
}

// Every error names the operation and the job server. Commands that the job server doesn't know can
// be distinguished from other errors.
func ExampleConn_Version() {
	perl := gearmantest.NewServer(gearmantest.Options{Dialect: gearmantest.Perl}) // Perl's Gearman::Server
	defer perl.Close()

	ctx := context.Background()
	c, err := admin.Dial(ctx, perl.Addr(), admin.Options{Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	v, err := c.Version(ctx)
	fmt.Println(v.Text, v.Dialect == proto.Perl, v.AtLeast(1, 130, 0), err)
	_, err = c.Jobs(ctx)
	fmt.Println(errors.Is(err, admin.ErrUnsupported))
	// Output:
	// v1.130.1 true true <nil>
	// true
}

// A job is canceled by its handle; it is counted until a worker comes across it.
func ExampleConn_CancelJob() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	handle := server.Submit("resize", "cat", []byte("cat.jpg"))

	ctx := context.Background()
	c, err := admin.Dial(ctx, server.Addr(), admin.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.CancelJob(ctx, handle); err != nil {
		log.Fatal(err)
	}
	jobs, err := c.Jobs(ctx)
	fmt.Println(len(jobs), jobs[0].Handle == handle, jobs[0].Ignored, err)
	// Output: 1 true true <nil>
}

// Probe reports whether the job server would assign a job to a worker now. This distinguishes a
// queue of runnable jobs from a queue of delayed jobs.
func ExampleProbe() {
	server := gearmantest.NewServer(gearmantest.Options{}) // in production: gearmand
	defer server.Close()

	ctx := context.Background()
	for range 2 {
		runnable, err := admin.Probe(ctx, server.Addr(), "resize", admin.Options{})
		fmt.Println(runnable, err)
		server.Submit("resize", "", []byte("cat.jpg"))
	}
	// Output:
	// false <nil>
	// true <nil>
}
