package world

// Known are the invariants that the product is known to violate, each with the reason. Their violations are reported
// and fail nothing. An entry goes as soon as the product holds the invariant.
var Known = map[string]string{}
