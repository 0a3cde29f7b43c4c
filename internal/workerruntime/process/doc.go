// Package process starts commands as process groups of their own, watches their end through a
// pidfd, ends them with everything that they started, and reaps what is left behind.
//
// Linux has descriptors for processes, adopts orphans, and ends a child with its parent. Elsewhere,
// and with the build tag "portable" on Linux too, where it is tested, poll(2), goroutines and pipes
// replace these. Orphans and the children of a killed worker are then left to the system.
//
// The package exists beside os/exec because a worker starts a process for each job. Here that costs
// no goroutine and no thread, the caller waits for output and exit in one place, and a group is
// never signaled after its number could have been given to another process.
//
// Table.ReapOrphans owns the only goroutine that reaps foreign children. Start and Reap may be
// called from any goroutine.
package process
