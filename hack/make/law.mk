# The scaling law: the simulator's report. SEEDS=1 SHORT=1 is a quick form.
SEEDS ?= 10
FIRST_SEED ?= 2001
SHORT ?=

.PHONY: bench-law
bench-law: ## the scaling law beside KEDA, Knative and a lower bound, in the simulator (SEEDS=10)
	go run -trimpath ./cmd/simulate -bench -seeds $(SEEDS) -first-seed $(FIRST_SEED) $(if $(SHORT),-short) -out $(REPORTS)/law
