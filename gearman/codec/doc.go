// Package codec converts values to the payloads and results of jobs and back: raw bytes, JSON, and
// the mixed encoding of PHP's Net_Gearman, so that Go and PHP can be on either side of a queue.
//
// client.Call and worker.Func use it. Gearman itself only transfers bytes; both sides have to agree
// on a codec.
package codec
