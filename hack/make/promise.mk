# The promise that jobs start in time: what the operator itself says of it, held to what the submitter of each job knows.

.PHONY: bench-promise
bench-promise: ## the operator's figure of late jobs beside the truth, in the simulator (takes a minute)
	@BENCH_PROMISE=full go test -count=1 -timeout 20m -run '^TestPromise$$' -v ./test/bench/promise | grep -vE '^(=== |--- |PASS|ok)'
