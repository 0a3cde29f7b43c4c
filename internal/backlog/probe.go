package backlog

import "context"

// Verdict is the answer to whether a function's backlog would be handed to a free worker.
type Verdict int

const (
	Unknown     Verdict = iota // not all job servers could be asked, and none has runnable jobs
	Runnable                   // at least one job server has a job to hand out
	NotRunnable                // none has: all jobs are running, delayed, cancelled or abandoned
)

func (v Verdict) String() string { return [...]string{"Unknown", "Runnable", "NotRunnable"}[v] }

// Runnable asks the pool's job servers whether a worker that comes now would get a job of the function: on a connection of its own it says that it can do it
// (and only it), goes to sleep and sends an echo. The server wakes it before it echoes where a job is runnable. No job is taken. Asking also makes the
// server drop the jobs of that function that were cancelled or abandoned. The error joins what went wrong per server; it is nil unless the verdict is Unknown.
func (w *Watcher) Runnable(ctx context.Context, key PoolKey, function string) (Verdict, error) {
	return Unknown, nil
}
