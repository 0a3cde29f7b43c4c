package scaling

import "time"

// Decide says how many replicas a pool should have, and returns the state for the next decision. The state given is used up, as the slice given to append is:
// its memory lives on in the one returned (Clone it to keep it).
func Decide(p Policy, s State, in Sample, now time.Time) (Decision, State) {
	n := min(max(in.Replicas, p.MinReplicas), max(p.MaxReplicas, p.MinReplicas))
	return Decision{Replicas: n, Apply: p.Mode != ModePaused && p.Mode != ModeDryRun, Wanted: in.Replicas, Reason: ReasonSteady, Message: messages[ReasonSteady]}, s
}
