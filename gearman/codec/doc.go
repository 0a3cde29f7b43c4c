// Package codec turns values into the payloads and results of jobs and back: raw bytes, JSON, and
// the mixture that PHP's Net_Gearman uses, so that Go and PHP can be on either side of a queue.
//
// client.Call and worker.Func use them. Gearman itself knows bytes only; both sides have to agree
// on a codec.
package codec
