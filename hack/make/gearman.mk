# The Gearman library.

FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: ## run all fuzz targets (decoders, the test server, the scaling law), FUZZTIME (10s) each
	FUZZTIME=$(FUZZTIME) nice -n 15 hack/gearman/fuzz.sh

.PHONY: bench-gearman
bench-gearman: ## the Gearman library beside a raw socket and libgearman, on one gearmand
	GEARMAN_BENCH=full go test -count=1 -timeout 20m -run TestBench -v ./test/bench/gearman | grep -vE '^(=== |--- |PASS|ok)'

.PHONY: bench-client
bench-client: deps ## the client under stress: an outage near full load, small calls beside large results, a slow reader, a server that refuses
	@BENCH_CLIENT=full go test -count=1 -timeout 10m -run '^TestBench$$' -v ./test/bench/client | grep -vE '^(=== |--- |PASS|ok)'

RUNS ?= 1000

.PHONY: soak-drain
soak-drain: ## stop a worker softly under load on real job servers, RUNS (1000) times: no job lost, none run twice
	SOAK_RUNS=$(RUNS) go test -count=1 -timeout 60m -run TestDrainUnderLoad -v ./gearman/worker | grep -vE '^(=== |PASS)'
