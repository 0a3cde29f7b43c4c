package library_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gearman-operator/gearman-operator/examples/library"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// play runs two jobs, of which one fails, and returns when client and worker have ended.
func play(w worker.Options, c client.Options) error {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	w.Servers, c.Servers = []string{server.Addr()}, []string{server.Addr()}
	wk, err := worker.New(w)
	if err != nil {
		return err
	}
	resize := func(_ context.Context, job *worker.Job) ([]byte, error) {
		if job.Size() == 0 {
			return nil, errors.New("there is no picture")
		}
		return []byte("small"), nil
	}
	if err := wk.Handle(worker.Function{Name: "resize", Handler: resize}); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- wk.Run(context.Background()) }()
	cl, err := client.New(c)
	if err != nil {
		return err
	}
	defer cl.Close()
	_, first := cl.Do(context.Background(), &client.Task{Function: "resize", Payload: []byte("large")})
	_, second := cl.Do(context.Background(), &client.Task{Function: "resize"})
	if first != nil || !errors.Is(second, client.ErrFailed) {
		return fmt.Errorf("the jobs ended with %w and %w", first, second)
	}
	return errors.Join(wk.Stop(context.Background()), <-done)
}

func ExampleMetrics() {
	registry := prometheus.NewRegistry()
	m := library.NewMetrics(registry)
	if err := play(
		worker.Options{Hooks: m.Worker()},
		client.Options{Hooks: m.Client(), Middleware: []client.Middleware{m.Calls}},
	); err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			fmt.Print(f.GetName())
			for _, l := range metric.GetLabel() {
				fmt.Print(" ", l.GetValue())
			}
			if h := metric.GetHistogram(); h != nil {
				fmt.Print(": ", h.GetSampleCount())
			} else {
				fmt.Print(": ", metric.GetGauge().GetValue())
			}
			fmt.Println()
		}
	}
	// Output:
	// gearman_call_duration_seconds resize error: 1
	// gearman_call_duration_seconds resize ok: 1
	// gearman_job_duration_seconds resize complete: 1
	// gearman_job_duration_seconds resize fail: 1
	// gearman_jobs_running resize: 0
}

func ExampleTraceCalls() {
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("example")
	if err := play(
		worker.Options{Middleware: []func(worker.Handler) worker.Handler{library.TraceJobs(tracer)}},
		client.Options{Middleware: []client.Middleware{library.TraceCalls(tracer)}},
	); err != nil {
		log.Fatal(err)
	}
	handles := map[string]string{} // of the first job, by span
	for _, s := range spans.GetSpans() {
		for _, a := range s.Attributes {
			if a.Key == "messaging.message.id" && handles[s.Name] == "" {
				handles[s.Name] = a.Value.AsString()
			}
		}
		fmt.Println(s.SpanKind, s.Name, s.Status.Code)
	}
	fmt.Println("one job:", handles["process resize"] == handles["submit resize"])
	// Output:
	// consumer process resize Unset
	// client submit resize Unset
	// consumer process resize Error
	// client submit resize Error
	// one job: true
}
