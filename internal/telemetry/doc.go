// Package telemetry is the client ID with which a Gearman worker reports its state to the operator.
// The ID is set on the worker's existing connection: a job server returns the IDs of all
// connections in its answer to `workers`, so nothing has to be scraped and no network path is
// needed besides the job server.
//
// The format of an ID:
//
//	gwp1;u=<8 of pod uid>;s=<start, ms>;b=<busy>;c=<capacity>;f=<function hash>;n=<ok>;e=<failed>;r=<requeued>;t=<ms of ok jobs>;w=<busy ms>;x=<trouble>;d=<dead-lettered>;y=<retried>;p=<pod name>
//
// The worker runtime writes it with a [Reporter], the poller reads it with [Parse].
// docs/telemetry.md describes it for workers in any language.
//
// The package starts no goroutine and does no I/O. Parse trusts nothing: any process that reaches
// the job server can set any ID.
package telemetry
