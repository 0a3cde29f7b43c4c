// Package faults tests the library's client, worker and admin packages with job servers that hang,
// cut, slow down, send garbage, drop connections, refuse them and restart (gearmantest's faults).
// Their errors must name the job server and the step, no call may wait longer than its time-outs
// allow, and no job may be lost or run twice if the protocol lets them prevent it. All of it runs
// in testing/synctest bubbles, so that an hour of waiting costs nothing and times are exact.
package faults
