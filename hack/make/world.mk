# The whole product under virtual time, against a played Kubernetes. See docs/testing.md.

SEEDS ?= 200
FROM ?= 1

.PHONY: world
world: deps ## SEEDS simulated clusters (200), each 10 to 20 virtual minutes, with faults; FROM is the first seed
	@mkdir -p "$(REPORTS)"
	@WORLD_SEEDS=$(SEEDS) WORLD_FROM=$(FROM) WORLD_REPORT="$(REPORTS)" go test -count=1 -timeout 60m -run '^TestWorld$$' -v ./test/world | grep -v '^=== RUN'
	@echo "world: report in $(REPORTS)/world.md"

.PHONY: world-seed
world-seed: deps ## one simulated cluster, SEED, with all that happened in build/reports/world-seed.txt
	@mkdir -p "$(REPORTS)"
	@WORLD_SEEDS=1 WORLD_FROM=$(SEED) WORLD_TRACE="$(REPORTS)/world-seed.txt" go test -count=1 -timeout 10m -run '^TestWorld$$' -v ./test/world | grep -v '^=== RUN'

MUTANT ?= all

.PHONY: world-mutants
world-mutants: deps ## known faults, put back one by one (or MUTANT): the simulated clusters must find each
	@WORLD_MUTANT=$(MUTANT) go test -count=1 -timeout 60m -run '^TestMutants$$' -v ./test/world | grep -v '^=== RUN'
