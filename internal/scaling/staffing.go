package scaling

import "math"

// staffing is the least number of slots at which a job waits longer than target seconds with a
// probability of at most 1%, for a load of a slots and jobs of s seconds (Erlang C: Poisson
// arrivals, exponential job times, one queue). It is for pools whose pods start more slowly than
// the target wait: they can meet it only with slots that are ready already.
func staffing(a, s, target float64) float64 {
	const miss, enough = 0.01, 400
	if a <= 0 {
		return 0
	}
	if a > enough {
		// The normal limit, in which the wait hardly matters compared with the load.
		return math.Ceil(a + 2.33*math.Sqrt(a))
	}
	blocked := 1.
	for m := 1.; m < 4*enough; m++ {
		blocked = a * blocked / (m + a*blocked)
		if m <= a {
			continue
		}
		wait := blocked / (1 - a/m*(1-blocked))
		if wait*math.Exp(-(m-a)*target/max(s, 1e-3)) <= miss {
			return m
		}
	}
	return math.Ceil(a + 2.33*math.Sqrt(a))
}
