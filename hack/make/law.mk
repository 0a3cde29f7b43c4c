# The scaling law: the simulator's report. SEEDS=1 SHORT=1 is a quick form.
SEEDS ?= 10
FIRST_SEED ?= 5001
SHORT ?=

.PHONY: bench-law
bench-law: ## the scaling law beside KEDA, Knative and a lower bound, in the simulator (SEEDS=10)
	go run -trimpath ./cmd/gearmanctl simulate -bench -seeds $(SEEDS) -first-seed $(FIRST_SEED) $(if $(SHORT),-short) -out $(REPORTS)/law

.PHONY: law-docs
law-docs: ## the tables and plots of docs/scaling-law.md anew
	go run -trimpath ./cmd/gearmanctl simulate -bench -seeds $(SEEDS) -first-seed $(FIRST_SEED) -out $(REPORTS)/law -page docs/scaling-law.md
	for p in hours reversals spike flash-crowd; do cp $(REPORTS)/law/$$p.svg docs/img/law/; done
