# What is measured. Each target ends with a line "RESULT {json}" or a table, and says how long it takes if that is minutes.

# The scaling law: the simulator's report. SEEDS=1 SHORT=1 is a quick form.
bench-law law-docs: SEEDS ?= 10
FIRST_SEED ?= 5001
SHORT ?=

.PHONY: bench-law
bench-law: ## the scaling law beside KEDA, Knative and a lower bound, in the simulator (SEEDS=10)
	go run -trimpath ./cmd/gearmanctl simulate -bench -seeds $(SEEDS) -first-seed $(FIRST_SEED) $(if $(SHORT),-short) -out $(REPORTS)/law

.PHONY: law-docs
law-docs: ## write the tables and plots of docs/scaling-law.md again
	go run -trimpath ./cmd/gearmanctl simulate -bench -seeds $(SEEDS) -first-seed $(FIRST_SEED) -out $(REPORTS)/law -page docs/scaling-law.md
	for p in hours reversals spike flash-crowd; do cp $(REPORTS)/law/$$p.svg docs/img/law/; done

# The promise that jobs start in time: what the operator itself says of it, held to what the submitter of each job knows.

.PHONY: bench-promise
bench-promise: SEED ?= 1
bench-promise: ## the operator's figure of late jobs beside the truth, in the simulator (SEED=1; takes a minute)
	@BENCH_PROMISE=full BENCH_PROMISE_SEED=$(SEED) go test -count=1 -timeout 20m -run '^TestPromise$$' -v ./test/bench/promise | grep -vE '^(=== |--- |PASS|ok)'

# The operator with thousands of pools.
POOLS ?= 10000

.PHONY: bench-scale
bench-scale: deps envtest-assets ## the operator as a process with POOLS (10000) pools: at rest, under load, cold start, deletion (1000: 8 min)
	@mkdir -p $(REPORTS)
	@status=0; KUBEBUILDER_ASSETS="$(KUBEBUILDER_ASSETS)" BENCH_SCALE_POOLS=$(POOLS) BENCH_SCALE_REPORT=$(REPORTS)/bench-scale-$(POOLS).md \
		go test ./test/bench/scale -run '^TestScale$$' -count=1 -timeout 60m -v >$(REPORTS)/bench-scale-$(POOLS).log 2>&1 || status=$$?; \
	if [ $$status -ne 0 ]; then cat $(REPORTS)/bench-scale-$(POOLS).log >&2; fi; \
	if [ -f $(REPORTS)/bench-scale-$(POOLS).md ]; then cat $(REPORTS)/bench-scale-$(POOLS).md; fi; \
	grep '^RESULT' $(REPORTS)/bench-scale-$(POOLS).log; \
	exit $$status

# The operator among hostile tenants.
.PHONY: bench-hostile
bench-hostile: deps envtest-assets ## the operator with 12 hostile job servers, 64 hostile pools and one victim: memory, wake times, scrapes (takes 7 min)
	@mkdir -p $(REPORTS)
	@status=0; KUBEBUILDER_ASSETS="$(KUBEBUILDER_ASSETS)" BENCH_HOSTILE=1 BENCH_HOSTILE_REPORT=$(REPORTS)/bench-hostile.md \
		go test ./test/bench/hostile -run '^TestHostile$$' -count=1 -timeout 30m -v >$(REPORTS)/bench-hostile.log 2>&1 || status=$$?; \
	if [ $$status -ne 0 ]; then cat $(REPORTS)/bench-hostile.log >&2; fi; \
	if [ -f $(REPORTS)/bench-hostile.md ]; then cat $(REPORTS)/bench-hostile.md; fi; \
	grep '^RESULT' $(REPORTS)/bench-hostile.log; \
	exit $$status

# The poller of job servers.
.PHONY: bench-poll
bench-poll: ## what polling costs gearmand and the operator: 5,000 workers, 10,000 functions, and the time from a submission to the news of it (takes 5 min)
	@mkdir -p $(REPORTS)
	@BENCH_POLL_REPORT=$(REPORTS)/bench-poll.md go test -count=1 -timeout 10m -run '^TestPollCost$$' -v ./internal/backlog | grep -E '^(RESULT|---|FAIL|ok|panic)|pollcost_test' | grep -v '^=== ' | tee $(REPORTS)/bench-poll.log
	@grep -q '^RESULT' $(REPORTS)/bench-poll.log

# The Gearman library.
.PHONY: bench-gearman
bench-gearman: ## the Gearman library beside a raw socket and libgearman, on one gearmand
	GEARMAN_BENCH=full go test -count=1 -timeout 20m -run TestBench -v ./test/bench/gearman | grep -vE '^(=== |--- |PASS|ok)'

.PHONY: bench-client
bench-client: deps ## the client under stress: an outage near full load, small calls beside large results, a slow reader, a server that refuses
	@BENCH_CLIENT=full go test -count=1 -timeout 10m -run '^TestBench$$' -v ./test/bench/client | grep -vE '^(=== |--- |PASS|ok)'

# The worker runtime beside libgearman's own worker.
WORKER_BENCH_FLAGS ?=

.PHONY: bench-worker
bench-worker: deps ## gearman-worker beside `gearman -w`: exec, stream, http, size, memory, start
	@mkdir -p build
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o build/gearman-worker ./cmd/worker
	@go build -trimpath -o build/benchworker ./test/benchworker
	@build/benchworker -worker build/gearman-worker -reports "$(REPORTS)" $(WORKER_BENCH_FLAGS)
