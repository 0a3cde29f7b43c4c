// Package breaker decides whether a worker that has trouble running jobs may take more of them. It
// is a pure state machine: it reads no clock, starts no goroutine and knows neither job servers nor
// processes.
//
// A failed job is final in Gearman, so a worker that cannot run its command must not take jobs at
// full speed. The machine distinguishes two kinds of trouble. If jobs never run, their owner
// requeues them, and the machine takes the function off the job servers until a check without a job
// passes (Single, Open, Half). If jobs run and fail, many in a row and none completed between, the
// worker is slowed down to one job a second (Failing).
package breaker
