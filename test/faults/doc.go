// Package faults puts the library's client, worker and admin packages before job servers that hang,
// cut, slow down, talk garbage, drop connections, refuse them and restart (gearmantest's faults).
// What they report must name the server and the step, nothing may wait longer than its time-outs
// say, and no job may be lost or run twice that the protocol lets them keep. All of it runs in
// testing/synctest bubbles, so that an hour of waiting costs nothing and times are exact.
package faults
