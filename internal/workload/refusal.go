package workload

import "regexp"

var (
	refusedPod = regexp.MustCompile(`^(pods "[^"]*-)[a-z0-9]*"`)
	quotaUsed  = regexp.MustCompile(`, used: .*?(, limited: |$)`)
)

// refusal is why the API server refuses pods, as a ReplicaSet's controller says it, without what is
// another at each try: the random end of the pod's name, and what others use of the quota. A status
// that shows those would be written every few seconds.
func refusal(message string) string {
	return quotaUsed.ReplaceAllString(refusedPod.ReplaceAllString(message, `$1"`), "$1")
}
