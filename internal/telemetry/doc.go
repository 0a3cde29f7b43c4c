// Package telemetry is the client id that a Gearman worker sets to tell the operator how it is
// doing. The id rides on the connection that the worker has anyway: a job server hands the ids of
// all connections to whoever asks for `workers`, so nothing has to be scraped and no network path
// is needed besides the job server.
//
// An id reads
//
//	gwp1;u=<8 of pod uid>;s=<start, ms>;b=<busy>;c=<capacity>;f=<function hash>;n=<ok>;e=<failed>;r=<requeued>;t=<ms of ok jobs>;w=<busy ms>;x=<trouble>;d=<dead-lettered>;y=<retried>;p=<pod name>
//
// The worker runtime writes it with a [Reporter], the poller reads it with [Parse].
// docs/telemetry.md describes it for workers in any language.
//
// The package starts no goroutine and does no I/O. Parse trusts nothing: an id is what any process
// that reaches the job server chose to set.
package telemetry
