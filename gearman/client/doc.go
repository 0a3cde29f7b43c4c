// Package client submits jobs to Gearman job servers.
//
// A Client is safe for concurrent use. Calls share one connection to each job server, opened when
// it is first needed; what goroutines submit at the same time travels in common writes, and Produce
// keeps many submissions under way. A job goes to one server, chosen by Options.Select; if that one
// can't be reached, to the next, and the error names every server tried. A job that may have
// reached a server is never sent to another by itself: the error then says so (ErrUncertain),
// unless its task allows it (Task.Resubmit).
//
// Contexts bound every call, also while it is being written. A foreground job for which nobody
// waits any more is forgotten at once. If it has no unique key, by which others could share it, it
// is also taken back at the server (gearmand can; Perl's server can't): it isn't started any more,
// and if it runs, its result is thrown away.
//
// What is large travels apart, so that nothing small waits behind it: payloads over 1 MiB, and the
// calls of functions of which a result was that large once, share a second connection to each
// server. A call that takes its result piece by piece (OnData, ResultTo), or gives its payload so
// (PayloadFrom), has a connection of its own. That one is read only as fast as the caller takes the
// parts, with about 1 MiB in memory besides the part at hand, so a slow caller makes the job server
// wait and nobody else. A result larger than Options.MaxResult, or a packet about a job that makes
// no sense, fails its own call only.
//
// A server that can't be reached is passed over for a while, and nobody waits for it while another
// one is open. While none can be reached calls end at once with the last error, and each server is
// tried about once a second. A name with addresses of both families stands for the same job servers
// twice: the family that comes first is used, and the other one where no server can be reached by
// the first.
//
// Each connection has one goroutine that reads and one that writes; Close ends and joins them.
// Callbacks run in the goroutine of the call that they belong to, except Produce's, which run in
// the reading goroutine and must not block, and hooks, which have a goroutine of their own while
// there are any to call.
package client
