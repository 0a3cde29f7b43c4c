// Package workload handles both sides of the Deployment behind a pool: it builds the one for a
// pool's spec, checks the user's pod template, and reads the state of a Deployment, a StatefulSet
// and their pods from API objects.
//
// It is pure: it starts no goroutine, uses no API server and keeps no state. Its callers read and
// write the objects.
package workload
