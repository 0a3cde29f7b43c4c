package library

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// TraceCalls is a middleware for client.Options that makes a span of each job that is submitted.
func TraceCalls(tracer trace.Tracer) client.Middleware {
	return func(ctx context.Context, t *client.Task) (func(*client.Result), error) {
		kind := trace.SpanKindClient
		if t.Background {
			kind = trace.SpanKindProducer
		}
		_, span := tracer.Start(ctx, "submit "+t.Function, trace.WithSpanKind(kind))
		function := t.Function
		return func(r *client.Result) { end(span, function, r.ID, r.Err) }, nil
	}
}

// TraceJobs is a middleware for worker.Options that makes a span of each job that runs, and gives
// it to the handler in its context.
func TraceJobs(tracer trace.Tracer) func(worker.Handler) worker.Handler {
	return func(next worker.Handler) worker.Handler {
		return func(ctx context.Context, j *worker.Job) ([]byte, error) {
			ctx, span := tracer.Start(ctx, "process "+j.Function(), trace.WithSpanKind(trace.SpanKindConsumer))
			result, err := next(ctx, j)
			end(span, j.Function(), j.ID(), err)
			return result, err
		}
	}
}

// end ends a span. Gearman's packets have no room for a trace's id, so the job's id is what the
// spans of both sides have in common.
func end(span trace.Span, function string, id gearman.JobID, err error) {
	span.SetAttributes(
		attribute.String("messaging.system", "gearman"),
		attribute.String("messaging.destination.name", function),
		attribute.String("messaging.message.id", id.Handle),
		attribute.String("server.address", id.Server),
	)
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
