// Package client submits jobs to Gearman job servers.
//
// A Client is safe for concurrent use. Calls share one connection to each job server, opened when
// it is first needed. Jobs that goroutines submit at the same time share writes, and Produce keeps
// many submissions under way. A job goes to one job server, chosen by Options.Select. If that one
// can't be reached, it goes to the next, and the error names every job server tried. If a job may
// have reached a job server, the client returns ErrUncertain instead of sending the job to another
// one, unless its task allows that (Task.Resubmit).
//
// A context bounds its whole call, including the time to write it. When nobody waits for a
// foreground job any more, the client forgets it at once. If the job has no unique key by which
// others could share it, the client also cancels it at the job server (gearmand supports this;
// Perl's server doesn't): a queued job isn't started any more, and the result of a running job is
// discarded.
//
// Large packets use separate connections, so that small ones don't wait behind them. Payloads over
// 1 MiB, and calls of functions that once had a result over 1 MiB, share a second connection to
// each job server. A call that streams its result (OnData, ResultTo) or its payload (PayloadFrom)
// has a connection of its own. That connection is read only as fast as the caller takes the parts,
// with about 1 MiB in memory besides the current part, so a slow caller makes only the job server
// wait. A result larger than Options.MaxResult, or an invalid packet about a job, fails only its
// own call.
//
// A job server that can't be reached is passed over for a while, and nobody waits for it while
// another one is connected. While none can be reached, calls fail at once with the last error, and
// each job server is tried about once a second. A name that has addresses of both IP families
// stands for the same job servers twice: the client uses the first family, and the other one if no
// job server can be reached via the first.
//
// Each connection has one goroutine that reads and one that writes; Close ends and joins them.
// Callbacks run in the goroutine of their call, with two exceptions. Produce's callbacks run in the
// reading goroutine and must not block. Hooks have a goroutine of their own while there are any to
// call.
// there are any to call.
package client
