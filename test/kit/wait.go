package kit

import (
	"fmt"
	"time"
)

// Limit is how long Eventually waits for something that happens at once on an idle machine.
const Limit = time.Minute

// Eventually waits until a condition holds, and ends the test if it doesn't within Limit.
func Eventually(tb TB, what string, holds func() bool) {
	tb.Helper()
	if !wait(Limit, holds) {
		tb.Fatal(fmt.Sprintf("not within %v: %s", Limit, what))
	}
}

func wait(limit time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
