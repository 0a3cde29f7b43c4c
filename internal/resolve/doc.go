// Package resolve is the one rule with which the operator and its workers find the job servers
// behind a name: what a name means, and which of its addresses are used. If the two differed, jobs
// would be counted at servers that no worker polls. It owns no goroutines.
package resolve
