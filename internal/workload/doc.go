// Package workload knows both sides of the Deployment behind a pool: it builds the one that a
// pool's spec asks for, checks the pod template that the user gave, and reads what the API server
// shows of a Deployment, a StatefulSet and their pods.
//
// It is pure: it starts no goroutine, talks to no API server and keeps nothing. Its callers read
// and write the objects.
package workload
