// Package conformance holds one suite of features that runs alike on every job server we know:
// gearmantest, the real gearmand, and, for the features that it has, Perl's Gearman::Server. It
// checks that the fake behaves like the real one, and that the documentation of the job servers is
// true.
//
// A row of the table is a feature: a name, the options of the server that it needs, and a function
// that asserts on the wire. A row must fail on a server that is listed as not supporting it. The
// failure says what came over the wire instead, and the report gives it as the reason. A row that
// passes although it is listed fails the suite, so the lists can't go stale.
//
// The suite runs with `go test`, which skips most rows on Perl's server to save time, and with
// `make test-conformance`, which runs all and writes the table of job servers and features.
//
// TestDifferential continues from there: random requests to gearmantest and gearmand at once,
// compared packet by packet.
package conformance
