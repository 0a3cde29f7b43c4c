// Package poolstatus turns what the operator knows of a pool into the pool's status: conditions,
// figures and messages. It also says which changes of a decision or of a status are worth a write.
//
// It is pure: it starts no goroutine, keeps nothing and writes nothing. No state is ever recovered
// from a text that it made.
package poolstatus
