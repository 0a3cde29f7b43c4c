package world

// Known are the invariants that the product is known to violate, each with the reason. Their violations are reported and fail nothing. An entry goes as soon as the
// product holds the invariant.
var Known = map[string]string{
	"down":     "a scale-down waits until exactly the same pods are idle in two rounds, which hardly happens while short jobs flow; the removal rule of internal/scaling isn't driven by the controller yet",
	"evidence": "pods that can't start are not counted as ordered; the ordering rule of internal/scaling isn't driven by the controller yet",
	"bounds":   "a scale-down to a lowered maximum waits for marks that the next poll rewrites; the removal rule of internal/scaling isn't driven by the controller yet",
}
