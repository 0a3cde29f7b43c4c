package workload

import "regexp"

var (
	refusedPod = regexp.MustCompile(`^(pods "[^"]*-)[a-z0-9]*"`)
	quotaUsed  = regexp.MustCompile(`, used: .*?(, limited: |$)`)
)

// refusal is why the API server rejects pods, in the ReplicaSet controller's words, without the
// parts that differ at each attempt: the random end of the pod's name, and what others use of the
// quota. A status with those would be written every few seconds.
func refusal(message string) string {
	return quotaUsed.ReplaceAllString(refusedPod.ReplaceAllString(message, `$1"`), "$1")
}
