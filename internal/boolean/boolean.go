package boolean

// Int is 1 for true and 0 for false.
func Int(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Float is 1 for true and 0 for false, as metrics show it.
func Float(b bool) float64 { return float64(Int(b)) }
