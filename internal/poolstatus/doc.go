// Package poolstatus turns the operator's state of a pool into the pool's status: conditions,
// figures and messages. It also decides which changes of a decision or of a status are worth a
// write.
//
// It is pure: it starts no goroutine, keeps no state and writes nothing. No state is ever recovered
// from its texts.
package poolstatus
