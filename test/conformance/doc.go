// Package conformance holds one suite of features that runs alike on every job server we know:
// gearmantest, the real gearmand, and Perl's Gearman::Server where it has the feature. It holds the
// fake to the real one, and the documentation of servers to the wire.
//
// A row of the table is a feature: a name, what it needs of the server's options, and a function
// that asserts on the wire. A row that a server is listed not to support must fail there; the
// failure, which says what came over the wire in its place, is the reason that the report gives. A
// row that passes although it is listed fails the suite, so the lists can't go stale.
//
// It runs with `go test`, where Perl's server is spared most rows to save time, and with `make
// test-conformance`, which runs all and writes the table of servers and features.
//
// TestDifferential goes on from there: random requests to gearmantest and gearmand at once,
// compared packet by packet.
package conformance
