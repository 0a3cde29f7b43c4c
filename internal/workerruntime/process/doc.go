// Package process starts commands as process groups of their own, watches their end through a
// pidfd, ends them with all that they started, and reaps what is left behind.
//
// Linux has descriptors for processes, adopts orphans, and ends a child with its parent. Elsewhere,
// and with the build tag "portable" on Linux too, where it is tested, poll(2), goroutines and pipes
// take their place; orphans and the children of a killed worker are left to the system then.
//
// It exists beside os/exec because a worker starts a process for each job: here that costs no
// goroutine and no thread, the caller waits for output and exit in one place, and a group is never
// signalled after its number could have been given to somebody else.
//
// Table.ReapOrphans owns the only goroutine that reaps foreign children; Start and Reap may be
// called from any.
package process
