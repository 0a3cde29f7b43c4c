# The worker runtime: its benchmark beside libgearman's own worker, and its longer tests.

WORKER_BENCH_FLAGS ?=

.PHONY: bench-worker
bench-worker: deps ## gearman-worker beside `gearman -w`: exec, stream, http, size, memory, start
	@mkdir -p build
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o build/gearman-worker ./cmd/worker
	@go build -trimpath -o build/benchworker ./test/benchworker
	@build/benchworker -worker build/gearman-worker -reports "$(REPORTS)" $(WORKER_BENCH_FLAGS)

CHAOS_FLAGS ?=

.PHONY: chaos-runtime
chaos-runtime: deps ## jobs by gearman-workers that are killed and lose their command, on a gearmand that is killed: what became of each
	go build -trimpath -o build/chaos/gearman-worker ./cmd/worker
	go build -trimpath -o build/chaos/chaosruntime ./test/chaosruntime
	build/chaos/chaosruntime -worker build/chaos/gearman-worker $(CHAOS_FLAGS)

.PHONY: test-worker-long
test-worker-long: deps ## the worker's fault tests in full length: a job server that is away for a minute, every language
	@GEARMAN_TEST_LONG=1 GEARMAN_TEST_ALL_LANGUAGES=1 go test -count 1 -timeout 10m ./internal/workerruntime/... ./examples/...
