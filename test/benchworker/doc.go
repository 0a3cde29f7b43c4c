// Command benchworker compares gearman-worker with libgearman's `gearman -w`, on one gearmand in
// one run, and writes the RESULT line and a report. `make bench-worker` builds what it needs and
// runs it.
//
// Each figure is the time in which a worker empties a queue that was filled before, so the job
// server's part is the same for all. The contestants take turns, and the median of their rounds
// counts.
package main
